"""Mels in the layout of Kakao Arena: tars and folders, whole, odd and damaged."""

from __future__ import annotations

import io
import pickle
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.left_out import LeftOut, UnusableSongError
from data_prep.readers import kakao_mels
from data_prep.readers.kakao_mels import (
    StoredMel,
    is_tar,
    parse_mel,
    read_folder,
    read_tar,
    song_folders_in,
    tars_in,
)
from tests.data_prep.toy_mels import arena_mel, arena_name, arena_tar, npy, write_tar


def test_it_says_where_the_data_comes_from():
    assert kakao_mels.__doc__
    assert kakao_mels.CITATION
    assert "no redistribution" in kakao_mels.LICENCE
    assert kakao_mels.SOURCE_URL.startswith("https://")


def ids(found: list[StoredMel | LeftOut]) -> list[str | None]:
    return [song.id for song in found]


def test_a_tar_as_published(tmp_path):
    path = arena_tar(tmp_path / "arena_mel_0.tar", range(998, 1002))
    found = list(read_tar(path))
    assert ids(found) == ["998", "999", "1000", "1001"]
    assert found[2].where == f"{path}:1/1000.npy"
    np.testing.assert_array_equal(found[2].array(), arena_mel(1000))


def test_other_ways_to_pack_it(tmp_path):
    members = {"./0": None, "./0/1.npy": npy(arena_mel(1)), "arena/0/2.npy": npy(arena_mel(2))}
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz")):
        found = list(read_tar(write_tar(tmp_path / name, members, mode)))
        assert ids(found) == ["1", "2"]
        np.testing.assert_array_equal(found[1].array(), arena_mel(2))


def test_known_songs_are_passed_over_without_being_read(tmp_path, monkeypatch):
    path = arena_tar(tmp_path / "a.tar", range(4))
    read = []
    real = kakao_mels._content
    monkeypatch.setattr(
        kakao_mels, "_content", lambda tar, member: read.append(member.name) or real(tar, member)
    )
    assert ids(list(read_tar(path, known={"0", "2"}))) == ["1", "3"]
    assert read == ["0/1.npy", "0/3.npy"]


def test_progress_goes_to_the_end(tmp_path):
    path = arena_tar(tmp_path / "a.tar", range(3))
    positions: list[int] = []
    list(read_tar(path, at=positions.append))
    assert positions == sorted(positions)
    assert 0.6 * path.stat().st_size < positions[-1] <= path.stat().st_size


def test_memory_holds_one_song(tmp_path):
    path = arena_tar(tmp_path / "a.tar", range(40))
    tracemalloc.start()
    try:
        n_songs = sum(1 for _ in read_tar(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n_songs == 40
    assert peak < 6 * len(npy(arena_mel(0))) < 0.2 * path.stat().st_size


def test_members_that_are_no_songs(tmp_path):
    song = npy(arena_mel(1))
    path = write_tar(
        tmp_path / "a.tar",
        {
            "README": b"hello",
            "0/._1.npy": b"mac",
            "0/1.npy.bak": song,
            "1/1.npy": song,
            "0/x.npy": song,
            "1.npy": song,
            "0/1.npy": song,
        },
    )
    with tarfile.open(path, "a") as tar:
        for number, kind in ((2, tarfile.SYMTYPE), (3, tarfile.LNKTYPE), (4, tarfile.FIFOTYPE)):
            link = tarfile.TarInfo(arena_name(number))
            link.type, link.linkname = kind, "0/1.npy"
            tar.addfile(link)
    *odd, linked, hard, pipe = [one for one in read_tar(path) if isinstance(one, LeftOut)]
    assert [one.where.partition(":")[2] for one in odd] == [
        *("README", "0/._1.npy", "0/1.npy.bak", "1/1.npy", "0/x.npy", "1.npy")
    ]
    assert {one.reason for one in odd} == {"no song"}
    assert "belongs into folder 0, not 1" in odd[3].error
    assert "not named {id // 1000}/{id}.npy" in odd[0].error
    assert [one.id for one in (linked, hard, pipe)] == ["2", "3", "4"]
    assert "a link" in linked.error
    assert [one.id for one in read_tar(path) if isinstance(one, StoredMel)] == ["1"]


def test_a_song_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(kakao_mels, "_LARGEST", 1000)
    path = write_tar(tmp_path / "a.tar", {"0/1.npy": bytes(1001), "0/2.npy": b""})
    large, small = read_tar(path)
    assert isinstance(large, LeftOut)
    assert "1,001 bytes: too many" in large.error
    assert small.id == "2"


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_floats_of_any_size_and_order(dtype, order):
    mel = np.asarray(arena_mel(1).astype(dtype), order=order)
    found = parse_mel(npy(mel))
    np.testing.assert_array_equal(found, arena_mel(1))
    assert found.dtype == (np.float64 if dtype == "<f8" else np.float32)
    assert found.dtype.isnative


def header(description: str) -> bytes:
    text = description.encode("latin-1").ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


class Evil:
    """Would run when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize(
    ("content", "reason", "error"),
    [
        (npy(arena_mel(1).T.copy()), "shape", r"\(1876, 48\) \(turned round\?\): expected \(48"),
        (npy(np.zeros((47, 1876), "f4")), "shape", r"\(47, 1876\): expected \(48, frames\)"),
        (npy(np.zeros((96, 100), "f4")), "shape", r"\(96, 100\)"),
        (npy(np.zeros((48, 0), "f4")), "shape", r"\(48, 0\)"),
        (npy(np.zeros((1, 48, 100), "f4")), "shape", r"\(1, 48, 100\)"),
        (npy(np.zeros(48, "f4")), "shape", r"\(48,\)"),
        (npy(np.zeros((), "f4")), "shape", r"\(\)"),
        (npy(np.zeros((48, 100), "i2")), "number type", "int16: expected float16"),
        (npy(np.zeros((48, 100), "u1")), "number type", "uint8"),
        (npy(np.zeros((48, 100), "c8")), "number type", "complex64"),
        (npy(np.zeros((48, 100), "f4,f4")), "number type", "expected float16"),
        (npy(np.array([[Evil()]]), allow_pickle=True), "number type", "Python objects"),
        (pickle.dumps(Evil()), "damaged file", "no npy file"),
        (npy(arena_mel(1))[:-1], "damaged file", "360,191 bytes.*360,192"),
        (npy(arena_mel(1)) + b"x", "damaged file", "360,193 bytes"),
        (npy(arena_mel(1))[:60], "damaged file", "no npy file"),
        (b"", "damaged file", "no npy file"),
        (b"\x93NUMPY", "damaged file", "no npy file"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "damaged file", "no npy file"),
        (bytes(1000), "damaged file", "no npy file"),
        (header("{'descr': '<f4', 'fortran_order': False}"), "damaged file", "no npy file"),
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (48, 10**12)}"),
            "damaged file",
            "no npy file",
        ),
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (48, 1000000000000)}"),
            "damaged file",
            "0 bytes of numbers, and its header says 192,000,000,000,000",
        ),
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (48, -5)}"),
            "shape",
            r"\(48, -5\)",
        ),
    ],
)
def test_files_that_are_no_mel(content, reason, error):
    with pytest.raises(UnusableSongError, match=error) as caught:
        parse_mel(content)
    assert caught.value.reason == reason


def until_damage(path: Path) -> tuple[list[str | None], str]:
    found: list[str | None] = []
    with pytest.raises(InputError) as caught:
        found.extend(song.id for song in read_tar(path))
    message = str(caught.value)
    assert str(path) in message
    assert "download it again" in message
    return found, message


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    return arena_tar(tmp_path / "whole.tar", range(5)).read_bytes()


def test_a_tar_cut_off_within_a_song(tmp_path, whole):
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[: int(len(whole) * 0.5)])
    found, message = until_damage(path)
    assert found == ["0", "1"]
    assert "cut off" in message
    assert "0/2.npy" in message


def test_a_tar_cut_off_between_songs(tmp_path, whole):
    path = tmp_path / "cut.tar"
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        third = tar.getmembers()[3].offset
    for end in (third, third + 100):
        path.write_bytes(whole[:end])
        found, message = until_damage(path)
        assert found == ["0", "1"]
        assert "no end mark" in message


def test_a_tar_with_a_damaged_header(tmp_path, whole):
    path = tmp_path / "damaged.tar"
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        fourth = tar.getmembers()[4].offset
    path.write_bytes(whole[:fourth] + b"\xff" * 300 + whole[fourth + 300 :])
    found, message = until_damage(path)
    assert found == ["0", "1", "2"]
    assert f"byte {fourth:,}" in message


@pytest.mark.parametrize(
    "content", [b"", b"no tar at all", b"\x1f\x8b broken gzip", bytes(range(256)) * 9]
)
def test_files_that_are_no_tar(tmp_path, content):
    path = tmp_path / "arena_mel_3.tar"
    path.write_bytes(content)
    found, _ = until_damage(path)
    assert found == []


def test_a_damaged_gzip(tmp_path):
    path = write_tar(
        tmp_path / "a.tar.gz", {arena_name(n): npy(arena_mel(n)) for n in range(4)}, "w:gz"
    )
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) * 2 // 3])
    found, _ = until_damage(path)
    assert found == ["0", "1"]
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    assert until_damage(path)[0] in (["0"], ["0", "1"])


def test_an_empty_tar_is_fine(tmp_path):
    assert list(read_tar(write_tar(tmp_path / "a.tar", {}))) == []


def test_unpacked_folders(tmp_path):
    parent = tmp_path
    tmp_path = tmp_path / "arena_mel"
    tmp_path.mkdir()
    for song in (1000, 2, 10, 1):
        path = tmp_path / arena_name(song)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(npy(arena_mel(song)))
    (tmp_path / "0" / "notes.txt").write_text("x")
    (tmp_path / "0" / "3.npy").mkdir()
    (tmp_path / "7").mkdir()
    (tmp_path / "pictures").mkdir()
    folders = song_folders_in(tmp_path)
    assert folders == [tmp_path / "0", tmp_path / "1"]
    assert song_folders_in(parent) == folders
    found = list(read_folder(tmp_path / "0", known={"10"}))
    assert ids(found) == ["1", "2", "3", None]
    np.testing.assert_array_equal(found[1].array(), arena_mel(2))
    assert isinstance(found[2], LeftOut)
    assert "cannot be read" in found[2].error
    assert found[3].reason == "no song"


def test_tars_are_found_by_number(tmp_path):
    for number in (10, 2, 1):
        write_tar(tmp_path / f"arena_mel_{number}.tar", {})
    (tmp_path / "song_meta.json").write_text("{}")
    assert [path.name for path in tars_in(tmp_path)] == [
        *("arena_mel_1.tar", "arena_mel_2.tar", "arena_mel_10.tar")
    ]
    assert not is_tar(tmp_path / "song_meta.json")
    (tmp_path / "arena_mel_1.tar").rename(tmp_path / "download")
    assert is_tar(tmp_path / "download")
