"""Stores of mels from made-up tars in the public layout, and from recordings."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("h5py")
pytest.importorskip("torch")

from audio_model import mel_preparation
from audio_model.log_mel import FULL, KAKAO, log_mel
from audio_model.mel_preparation import (
    Listeners,
    part_of_recording,
    prepare_kakao,
    prepare_sound,
)
from audio_model.mel_sources import KakaoSources, SoundSources, recognise
from data_prep import mel_store_writer
from data_prep.errors import InputError
from data_prep.left_out import LeftOut
from data_prep.mel_store import MelStore
from data_prep.model_folder import configuration_hash
from data_prep.readers import kakao_mels
from tests.children import die_at, exit_status
from tests.data_prep.toy_mels import (
    arena_mel,
    arena_name,
    arena_tar,
    npy,
    write_tar,
)

RATE = 16_000


@pytest.fixture(autouse=True)
def commits_of_two_songs(monkeypatch):
    monkeypatch.setattr(mel_store_writer, "SONGS_PER_COMMIT", 2)
    monkeypatch.setattr("data_prep.committed_file.os.fdatasync", lambda descriptor: None)
    monkeypatch.setattr("data_prep.committed_file.os.fsync", lambda descriptor: None)


class Heard:
    """Keeps what was said, left out and counted."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.left_out: list[LeftOut] = []
        self.counted: list[tuple[int, int, str]] = []
        self.listeners = Listeners(self.said.append, self.left_out.append, self._progress)

    @contextmanager
    def _progress(self, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        done: list[int] = []
        yield done.append
        self.counted.append((sum(done), total, unit))


def kakao(*paths: Path) -> KakaoSources:
    sources = recognise(paths)
    assert isinstance(sources, KakaoSources)
    return sources


def check(store: Path, songs: Iterator[int] | range) -> None:
    with MelStore(store) as read:
        assert set(read.ids) == {str(song) for song in songs}
        for song_id in read.ids:
            np.testing.assert_array_equal(read.log_mel(song_id), arena_mel(int(song_id)))


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    folder = tmp_path / "arena"
    folder.mkdir()
    for tar in range(3):
        arena_tar(folder / f"arena_mel_{tar}.tar", range(998 + 3 * tar, 1001 + 3 * tar))
    return folder


SONGS = range(998, 1007)


def test_tars_into_a_store(tars, tmp_path):
    heard, store = Heard(), tmp_path / "s.h5"
    prepared = prepare_kakao(kakao(tars), store, listeners=heard.listeners)
    check(store, SONGS)
    read = MelStore(store)
    assert read.ids == tuple(map(str, SONGS))
    assert read.features == asdict(KAKAO)
    assert read.feature_hash == configuration_hash(asdict(KAKAO))
    assert (read.n_mels, read.n_frames_max) == (48, 1876)
    assert read.provenance["sources"] == [f"arena_mel_{tar}.tar" for tar in range(3)]
    assert read.provenance["content"] == {"kind": "kakao", "values": "db"}
    assert read.provenance["found"]["values"]["fitting"] == 9
    assert heard.said == ["the values are dB: 9 of the first 9 songs fit, typically -100 to 10"]
    (mb, total, unit), folders = heard.counted
    # 1,085,440 bytes each, rounded up
    assert (mb, total, unit, folders) == (6, 6, "MB", (0, 0, "folders"))
    assert (prepared.songs, prepared.added, prepared.cut) == (9, 9, 0)
    assert prepared.to_json()["values"]["range"] == "db"
    assert heard.left_out == []


def test_unpacked_folders_give_the_same(tars, tmp_path):
    for tar in tars.iterdir():
        shutil.unpack_archive(tar, tmp_path / "unpacked", filter="data")
    prepare_kakao(kakao(tmp_path / "unpacked"), tmp_path / "a.h5")
    check(tmp_path / "a.h5", SONGS)
    heard = Heard()
    both = kakao(tmp_path / "unpacked", tars / "arena_mel_1.tar")
    prepared = prepare_kakao(both, tmp_path / "a.h5", listeners=heard.listeners)
    assert (prepared.songs, prepared.added) == (9, 0)
    assert heard.counted[1] == (2, 2, "folders")


def test_a_finished_tar_is_not_opened_again(tars, tmp_path, monkeypatch):
    store = tmp_path / "s.h5"
    prepare_kakao(kakao(tars / "arena_mel_0.tar"), store)
    opened = []
    real = kakao_mels.read_tar
    monkeypatch.setattr(
        mel_preparation,
        "read_tar",
        lambda path, **named: opened.append(path.name) or real(path, **named),
    )
    heard = Heard()
    prepared = prepare_kakao(kakao(tars), store, listeners=heard.listeners)
    assert opened == ["arena_mel_1.tar", "arena_mel_2.tar"]
    assert prepared.added == 6
    assert "arena_mel_0.tar is in the store already" in heard.said
    check(store, SONGS)
    os.utime(tars / "arena_mel_2.tar", ns=(1, 1))  # it may have changed
    opened.clear()
    assert prepare_kakao(kakao(tars), store).added == 0
    assert opened == ["arena_mel_2.tar"]


def die_preparing(tars: Path, store: Path, adds: int) -> None:
    """Prepare, in a child process, and be killed when the ``adds``-th song is added."""
    mel_store_writer.SONGS_PER_COMMIT = 2
    die_at(mel_store_writer.MelStoreWriter, "add", adds)
    prepare_kakao(kakao(tars), store)


@pytest.mark.parametrize("adds", [1, 2, 3, 5, 9])
def test_a_killed_run_is_resumed(tars, tmp_path, monkeypatch, adds):
    store = tmp_path / "s.h5"
    assert exit_status(die_preparing, tars, store, adds) == -signal.SIGKILL
    # commits are made of two songs, and at the end of a tar of three
    committed = {1: 0, 2: 0, 3: 2, 5: 3, 9: 8}[adds]
    if committed:
        check(store, SONGS[:committed])
    else:
        assert not store.exists()
    read = []
    real_array = kakao_mels.StoredMel.array
    monkeypatch.setattr(
        kakao_mels.StoredMel, "array", lambda self: read.append(self.id) or real_array(self)
    )
    prepared = prepare_kakao(kakao(tars), store, values="db")
    assert read == [str(song) for song in SONGS[committed:]]
    assert (prepared.songs, prepared.added) == (9, 9 - committed)
    check(store, SONGS)


@pytest.mark.parametrize(
    ("name", "scale", "shift"), [("shifted", 1.0, 100.0), ("scaled", 0.01, 1.27)]
)
def test_ranges_are_found_and_turned_into_decibels(tmp_path, name, scale, shift):
    members = {
        arena_name(song): npy(arena_mel(song) * np.float32(scale) + np.float32(shift))
        for song in range(3)
    }
    heard = Heard()
    tar = write_tar(tmp_path / "a.tar", members)
    prepared = prepare_kakao(kakao(tar), tmp_path / "s.h5", listeners=heard.listeners)
    assert prepared.values.range.name == name
    assert heard.said[0].startswith(f"the values are {prepared.values.range.meaning}: 3 of the")
    read = MelStore(tmp_path / "s.h5")
    for song in range(3):
        np.testing.assert_allclose(read.log_mel(str(song)), arena_mel(song), atol=0.07)
    heard = Heard()
    prepare_kakao(kakao(tar), tmp_path / "s.h5", listeners=heard.listeners)
    assert heard.said[0].endswith("as when the store was made")
    with pytest.raises(InputError, match=f'other content.*"{name}".*"db"'):
        prepare_kakao(kakao(tar), tmp_path / "s.h5", values="db")


def test_values_that_are_neither_are_refused(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"0/1.npy": npy(arena_mel(1) * 10)})
    with pytest.raises(InputError, match="neither dB"):
        prepare_kakao(kakao(tar), tmp_path / "s.h5")
    assert not (tmp_path / "s.h5").exists()


def odd_members() -> dict[str, bytes | None]:
    nan, infinite = arena_mel(12), arena_mel(13)
    nan[3, 5], infinite[7, 9] = np.nan, -np.inf
    return {
        "0": None,
        "0/10.npy": npy(arena_mel(10)),
        "0/11.npy": npy(arena_mel(11).T.copy()),
        "0/12.npy": npy(nan),
        "0/13.npy": npy(infinite),
        "0/14.npy": npy(np.full((48, 1876), -100, np.float32)),
        "0/15.npy": npy(np.zeros((48, 100), np.int16)),
        "0/16.npy": npy(np.zeros((64, 1876), np.float32)),
        "0/17.npy": npy(arena_mel(17) + np.float32(100)),
        "0/18.npy": npy(np.array([[{}]], dtype=object), allow_pickle=True),
        "0/19.npy": npy(arena_mel(19))[:1000],
        "notes.txt": b"x",
        "0/20.npy": npy(arena_mel(20)),
        "0/21.npy": npy(arena_mel(21, dtype=np.float16)),
        "0/22.npy": npy(arena_mel(22, dtype=np.float64)),
        "0/23.npy": npy(arena_mel(23)),
    }


def test_what_cannot_be_used_is_left_out_and_listed(tmp_path):
    tar = write_tar(tmp_path / "a.tar", odd_members())
    heard, store = Heard(), tmp_path / "s.h5"
    prepared = prepare_kakao(kakao(tar), store, listeners=heard.listeners)
    check(store, [10, 20, 21, 22, 23])
    reasons = {
        "11": "shape",
        "12": "not finite",
        "13": "not finite",
        "14": "silence",
        "15": "number type",
        "16": "shape",
        "17": "value range",
        "18": "number type",
        "19": "damaged file",
        None: "no song",
    }
    assert {song.id: song.reason for song in heard.left_out} == reasons
    assert prepared.left_out.total() == len(heard.left_out) == 10
    assert prepared.left_out["shape"] == 2
    assert heard.left_out[0].where == f"{tar}:0/11.npy"
    again = Heard()  # a finished tar is not read again, and what it lacks is still said
    prepared = prepare_kakao(kakao(tar), store, listeners=again.listeners)
    assert again.left_out == heard.left_out
    assert prepared.left_out.total() == 10


def test_shorter_and_longer_songs(tmp_path):
    lengths = {1: 1876, 2: 1500, 3: 1, 4: 2000}
    members = {arena_name(s): npy(arena_mel(s, n)) for s, n in lengths.items()}
    prepared = prepare_kakao(kakao(write_tar(tmp_path / "a.tar", members)), tmp_path / "s.h5")
    read = MelStore(tmp_path / "s.h5")
    assert read.n_frames.tolist() == [1876, 1500, 1, 1876]
    for song, length in lengths.items():
        expected = arena_mel(song, length)[:, :1876]
        np.testing.assert_array_equal(read.log_mel(str(song)), expected)
    assert prepared.cut == 1


def test_the_same_song_twice_is_taken_once(tmp_path):
    arena_tar(tmp_path / "1.tar", range(4))
    arena_tar(tmp_path / "2.tar", range(2, 6))
    prepared = prepare_kakao(
        kakao(tmp_path / "1.tar", tmp_path / "2.tar", tmp_path), tmp_path / "s.h5"
    )
    assert (prepared.songs, prepared.added) == (6, 6)
    check(tmp_path / "s.h5", range(6))


def test_a_damaged_tar_does_not_stop_the_others(tars, tmp_path):
    first, second = tars / "arena_mel_0.tar", tars / "arena_mel_1.tar"
    whole = first.read_bytes()
    first.write_bytes(whole[: len(whole) // 2])
    second.write_bytes(b"rubbish" * 1000)
    heard, store = Heard(), tmp_path / "s.h5"
    prepared = prepare_kakao(kakao(tars), store, listeners=heard.listeners)
    check(store, [998, 1004, 1005, 1006])
    assert dict(prepared.left_out) == {"damaged tar": 2}
    assert [song.where for song in heard.left_out] == [str(first), str(second)]
    assert "damaged or cut off at byte" in heard.left_out[0].error
    (mb, total, _), _ = heard.counted
    assert mb == total
    first.write_bytes(whole)  # downloaded again
    prepared = prepare_kakao(kakao(first), store)
    assert (prepared.added, prepared.left_out.total()) == (2, 0)
    check(store, [998, 999, 1000, 1004, 1005, 1006])


def test_no_usable_song_at_all(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"0/1.npy": b"x", "0/2.npy": b"y"})
    with pytest.raises(InputError, match=r"no usable song .* 2 were left out; the first: .*0/1"):
        prepare_kakao(kakao(tar), tmp_path / "s.h5")
    prepared = prepare_kakao(kakao(tar), tmp_path / "s.h5", values="db")
    assert (prepared.songs, prepared.left_out.total()) == (0, 2)
    assert not (tmp_path / "s.h5").exists()


def tone(duration_s: float, rate: int = RATE) -> np.ndarray:
    """Rises by an octave a minute, so that every moment sounds different."""
    time_s = np.arange(round(duration_s * rate)) / rate
    phase = 2 * np.pi * 220 * 60 / np.log(2) * 2 ** (time_s / 60)
    return (0.3 * np.sin(phase)).astype(np.float32)


def sound(*paths: Path) -> SoundSources:
    sources = recognise(paths)
    assert isinstance(sources, SoundSources)
    return sources


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    (folder / "앨범").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    soundfile.write(folder / "앨범" / "long.flac", tone(60), RATE)
    soundfile.write(folder / "short.WAV", tone(4, 44_100), 44_100)
    soundfile.write(folder / "silent.wav", np.zeros(RATE * 5), RATE)
    (folder / "broken.mp3").write_bytes(b"no sound at all" * 100)
    (folder / "cover.jpg").write_bytes(b"x")
    (folder / ".hidden" / "x.wav").write_bytes(b"x")
    return folder


def test_a_folder_of_sound(music, tmp_path):
    heard, store = Heard(), tmp_path / "s.h5"
    prepared = prepare_sound(sound(music), store, listeners=heard.listeners)
    read = MelStore(store)
    assert read.ids == ("short.WAV", "앨범/long.flac")
    assert (read.n_mels, read.n_frames_max) == (48, 1876)
    assert read.provenance["content"] == {"kind": "sound", "from_s": 20.0, "length_s": 30.0}
    assert read.provenance["sources"] == ["music"]
    found = read.log_mel("앨범/long.flac")
    assert found.shape == (48, 1876)
    written, _ = soundfile.read(music / "앨범" / "long.flac", dtype="float32")
    expected = log_mel(written[20 * RATE : 50 * RATE])
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert read.log_mel("short.WAV").shape == (48, 251)
    assert {song.id: song.reason for song in heard.left_out} == {
        "broken.mp3": "no sound",
        "silent.wav": "silence",
    }
    assert heard.counted == [(4, 4, "recordings")]
    assert (prepared.songs, prepared.added, prepared.values) == (2, 2, None)


def test_only_new_recordings_are_decoded(music, tmp_path, monkeypatch):
    prepare_sound(sound(music), tmp_path / "s.h5")
    soundfile.write(music / "new.wav", tone(3), RATE)
    decoded = []
    real = mel_preparation.part_of_recording
    monkeypatch.setattr(
        mel_preparation,
        "part_of_recording",
        lambda path, *rest: decoded.append(path.name) or real(path, *rest),
    )
    prepared = prepare_sound(sound(music), tmp_path / "s.h5")
    assert decoded == ["broken.mp3", "new.wav", "silent.wav"]
    assert (prepared.songs, prepared.added) == (3, 1)


def test_other_settings_and_another_part(music, tmp_path):
    prepare_sound(sound(music), tmp_path / "s.h5", configuration=FULL, from_s=1.0, length_s=2.5)
    read = MelStore(tmp_path / "s.h5")
    n_frames = 1 + round(2.5 * FULL.sample_rate) // FULL.hop_length
    assert (read.n_mels, read.n_frames_max) == (128, n_frames)
    assert read.n_frames.tolist() == [n_frames, n_frames]
    for settings in ({}, {"configuration": FULL}, {"from_s": 1.0, "length_s": 2.5}):
        with pytest.raises(InputError, match="songs of other"):
            prepare_sound(sound(music), tmp_path / "s.h5", **settings)
    for part in ({"from_s": -1.0}, {"length_s": 0.0}, {"length_s": float("nan")}):
        with pytest.raises(InputError, match="expected 0 or more seconds"):
            prepare_sound(sound(music), tmp_path / "new.h5", **part)


@pytest.mark.parametrize(
    ("duration_s", "first_s", "last_s"),
    [(10, 2, 5), (5, 2, 5), (4.5, 0.75, 3.75), (3, 0, 3), (1.5, 0, 1.5)],
)
def test_which_part_of_a_recording(tmp_path, duration_s, first_s, last_s):
    samples = tone(duration_s)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    found = part_of_recording(tmp_path / "a.wav", KAKAO, 2.0, 3.0)
    expected = log_mel(samples[round(first_s * RATE) : round(last_s * RATE)])
    np.testing.assert_array_equal(found, expected)


def test_what_sources_are(music, tars, tmp_path):
    assert [path.name for path in kakao(tars).tars] == [f"arena_mel_{t}.tar" for t in range(3)]
    assert len(sound(music, music).files) == 4
    (tmp_path / "nothing").mkdir()
    (tmp_path / "text.txt").write_text("x")
    for paths, match in (
        ([tmp_path / "absent"], "does not exist: expected arena_mel tars"),
        ([tmp_path / "text.txt"], "is a file, but no tar"),
        ([music / "short.WAV"], "is a file, but no tar"),
        ([tmp_path / "nothing"], "holds no mels and no sound files"),
        ([music, tmp_path / "nothing"], "holds no mels and no sound files"),
        ([music, tars], "holds sound and .* mels: make one store of each"),
    ):
        with pytest.raises(InputError, match=match):
            recognise(paths)
    shutil.copy(music / "short.WAV", tars)
    with pytest.raises(InputError, match="both mels and sound files"):
        recognise([tars])
    shutil.copytree(music, tmp_path / "copy")
    with pytest.raises(InputError, match=r"would both be song 'broken.mp3'"):
        recognise([music, tmp_path / "copy"])
