"""The store of mels: what is written is read, killed runs go on, other files are refused."""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
import signal
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from data_prep import mel_store, mel_store_writer  # noqa: E402
from data_prep.committed_file import CommittedFile  # noqa: E402
from data_prep.errors import InputError  # noqa: E402
from data_prep.left_out import LeftOut, UnusableSongError  # noqa: E402
from data_prep.mel_store import MelStore  # noqa: E402
from data_prep.mel_store_writer import MelStoreWriter, SourceState  # noqa: E402
from data_prep.model_folder import configuration_hash  # noqa: E402
from tests.children import die_at, exit_status  # noqa: E402
from tests.data_prep.toy_mels import (  # noqa: E402
    CONTENT,
    FEATURES,
    N_FRAMES,
    N_MELS,
    small_mel,
    write_store,
)


@pytest.fixture(autouse=True)
def commits_of_four_songs(monkeypatch):
    monkeypatch.setattr(mel_store_writer, "SONGS_PER_COMMIT", 4)
    monkeypatch.setattr("data_prep.committed_file.os.fdatasync", lambda descriptor: None)
    monkeypatch.setattr("data_prep.committed_file.os.fsync", lambda descriptor: None)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store.h5", range(10))


def check(path: Path, n_songs: int) -> None:
    """Songs 0 to ``n_songs - 1`` are there, in order, as they were."""
    with MelStore(path) as read:
        assert read.ids == tuple(str(song) for song in range(n_songs))
        for song in range(n_songs):
            np.testing.assert_array_equal(read.log_mel_at(song), small_mel(song))


def test_what_is_written_is_read(store):
    check(store, 10)
    read = MelStore(store)
    assert len(read) == 10
    assert read.features == FEATURES
    assert read.feature_hash == configuration_hash(FEATURES)
    assert (read.sample_rate, read.hop_length) == (16_000, 256)
    assert (read.n_mels, read.n_frames_max) == (N_MELS, N_FRAMES)
    assert read.provenance["content"] == {"kind": "made up"}
    assert read.provenance["found"] == {"by": "hand"}
    assert read.n_frames.tolist() == [small_mel(song).shape[1] for song in range(10)]
    assert "7" in read
    assert "10" not in read
    mel = read.log_mel("7")
    np.testing.assert_array_equal(mel, small_mel(7))
    assert mel.dtype == np.float16
    mel[:] = 0.0  # the caller's own
    np.testing.assert_array_equal(read.log_mel("7"), small_mel(7))
    with pytest.raises(KeyError):
        read.log_mel("10")
    for index in (-1, 10):
        with pytest.raises(IndexError, match=f"song {index} of 10"):
            read.log_mel_at(index)


def test_any_program_for_hdf5_can_read_it(store):
    with h5py.File(store, "r") as file:
        log_mel = file["log_mel"]
        assert log_mel.shape == (10, N_MELS, N_FRAMES)
        assert log_mel.dtype == np.float16
        assert log_mel.chunks == (1, N_MELS, N_FRAMES)
        assert log_mel.compression is None
        np.testing.assert_array_equal(log_mel[7], small_mel(7))
        n_frames = file["n_frames"][5]
        assert n_frames == small_mel(5).shape[1] < N_FRAMES
        assert (log_mel[5, :, n_frames:] == mel_store_writer.PAD_DB).all()
        assert file["id"].asstr()[7] == "7"
        assert file.attrs["sample_rate"] == 16_000
        assert file.attrs["hop_length"] == 256
        assert file.attrs["feature_hash"] == configuration_hash(FEATURES)


def test_ids_of_any_script(tmp_path):
    ids = ["가요/비.mp3", "x" * 255, "bad\udcff.wav"]
    with MelStoreWriter(tmp_path / "s.h5", replace(CONTENT, id_bytes=255)) as writer:
        for song, song_id in enumerate(ids):
            writer.add(song_id, small_mel(song))
        with pytest.raises(UnusableSongError, match=r"256 bytes.*at most 255"):
            writer.add("x" * 256, small_mel(3))
    read = MelStore(tmp_path / "s.h5")
    assert read.ids == tuple(ids)
    np.testing.assert_array_equal(read.log_mel(ids[2]), small_mel(2))


def test_a_second_run_adds(store):
    write_store(store, range(13))
    check(store, 13)
    write_store(store, range(13))
    check(store, 13)
    assert [path.name for path in store.parent.iterdir()] == ["store.h5"]


def test_what_waits_for_a_commit_is_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(mel_store_writer, "WAITING_BYTES", 3 * 2 * N_MELS * N_FRAMES - 1)
    with MelStoreWriter(tmp_path / "s.h5", CONTENT) as writer:
        for song in range(5):
            writer.add(str(song), small_mel(song))
        check(tmp_path / "s.h5", 4)  # two by two
    check(tmp_path / "s.h5", 5)


@pytest.mark.parametrize(("n_frames", "megabytes"), [(4_000_000, 64), (10_000_000, 80)])
def test_long_songs_take_bounded_memory(tmp_path, n_frames, megabytes):
    tracemalloc.start()
    try:
        MelStoreWriter(tmp_path / "s.h5", replace(CONTENT, n_frames_max=n_frames))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (megabytes + 1) * 1_000_000  # 8 bytes a frame: two songs, or one


def test_nothing_is_made_of_nothing(tmp_path):
    with MelStoreWriter(tmp_path / "s.h5", CONTENT) as writer:
        writer.begin("empty.tar")
        writer.finish(SourceState("empty.tar", 1, 2))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_keeps_what_was_added(tmp_path):
    def interrupted() -> None:
        with MelStoreWriter(tmp_path / "s.h5", CONTENT) as writer:
            for song in range(6):
                writer.add(str(song), small_mel(song))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    check(tmp_path / "s.h5", 6)


def test_an_error_keeps_what_was_committed(tmp_path):
    def fails() -> None:
        with MelStoreWriter(tmp_path / "s.h5", CONTENT) as writer:
            for song in range(6):
                writer.add(str(song), small_mel(song))
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        fails()
    check(tmp_path / "s.h5", 4)
    write_store(tmp_path / "s.h5", range(7))
    check(tmp_path / "s.h5", 7)


def test_sources_that_are_done_are_remembered(tmp_path):
    one, other = SourceState("1.tar", 10, 20), SourceState("2.tar", 10, 20)
    bad = LeftOut("1.tar:x", "9", "shape", "its shape is odd: é")
    with MelStoreWriter(tmp_path / "s.h5", CONTENT) as writer:
        assert writer.done(one) is None
        writer.begin("1.tar")
        writer.leave_out(LeftOut("1.tar:x", "9", "shape", "said by a run that was killed"))
        writer.begin("1.tar")
        writer.add("0", small_mel(0))
        writer.leave_out(bad)
        writer.finish(one)
        writer.begin("2.tar")
        writer.leave_out(bad)
        writer.add("1", small_mel(1))
    with MelStoreWriter(tmp_path / "s.h5", CONTENT) as writer:
        assert writer.done(one) == [bad]
        assert writer.done(other) is None
        assert writer.done(replace(one, modified_ns=21)) is None
        assert "0" in writer
        assert len(writer) == 2
    assert MelStore(tmp_path / "s.h5").provenance["sources"] == ["1.tar", "2.tar"]


def test_songs_of_another_kind_are_not_mixed_in(store):
    for content, what in (
        (replace(CONTENT, features=FEATURES | {"hop_length": 128}), "other features"),
        (replace(CONTENT, content={"kind": "else"}), 'other content.*"made up".*"else"'),
        (replace(CONTENT, n_frames_max=31), "other length in frames"),
    ):
        with pytest.raises(InputError, match=what):
            MelStoreWriter(store, content)
    check(store, 10)


def write_meanwhile(path: Path) -> None:
    """In a child process, while another writes."""
    with pytest.raises(InputError, match="being written by another run"):
        MelStoreWriter(path, CONTENT)


def test_one_run_at_a_time(store):
    with MelStoreWriter(store, CONTENT) as writer:
        writer.add("10", small_mel(10))
        check(store, 10)  # others may read meanwhile
        assert exit_status(write_meanwhile, store) == 0
    check(store, 11)


def die_writing(path: Path, owner: Any, name: str, call: int) -> None:
    """Write a store, in a child process, and be killed when a method is called."""
    mel_store_writer.SONGS_PER_COMMIT = 4
    die_at(owner, name, call)
    write_store(path, range(6))


@pytest.mark.parametrize(
    ("owner", "name", "least"),
    [
        (h5py.Dataset, "resize", 7),
        (h5py.File, "flush", 2),
        (CommittedFile, "commit", 3),
        (CommittedFile, "finish", 1),
        (Path, "replace", 1),
    ],
)
def test_a_run_killed_anywhere_is_resumed(tmp_path, owner, name, least):
    path = tmp_path / "s.h5"
    for call in itertools.count(1):
        path.unlink(missing_ok=True)
        status = exit_status(die_writing, path, owner, name, call)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        if path.exists():
            n_songs = len(MelStore(path))
            assert n_songs in (0, 4, 6)
            check(path, n_songs)
        write_store(path, range(6))
        check(path, 6)
    assert call > least


def test_workers_of_a_data_loader(store):
    data = pytest.importorskip("torch.utils.data")

    class Songs(data.Dataset):
        def __init__(self) -> None:
            self.store = MelStore(store)
            self.store.log_mel_at(0)  # opened before the fork

        def __len__(self) -> int:
            return len(self.store)

        def __getitem__(self, index: int) -> tuple[int, np.ndarray]:
            mel = self.store.log_mel(str(index))
            return os.getpid(), mel

    loader = data.DataLoader(
        Songs(), batch_size=None, shuffle=False, num_workers=2, multiprocessing_context="fork"
    )
    seen = list(loader)
    assert len({process for process, _ in seen} | {os.getpid()}) == 3
    for song, (_, mel) in enumerate(seen):
        np.testing.assert_array_equal(np.asarray(mel), small_mel(song))


def test_it_can_be_pickled_and_closed(store):
    read = MelStore(store)
    read.log_mel_at(3)
    copy = pickle.loads(pickle.dumps(read))
    read.close()
    for one in (read, copy):
        np.testing.assert_array_equal(one.log_mel_at(9), small_mel(9))


def test_a_store_is_read_as_it_was_when_opened(store):
    read = MelStore(store)
    write_store(store, range(12))
    assert len(read) == 10
    assert len(read.ids) == 10
    np.testing.assert_array_equal(read.log_mel_at(9), small_mel(9))


def test_chunks_that_another_program_moved_are_found(store, tmp_path, monkeypatch):
    asked = []
    real = mel_store.chunk_offsets
    monkeypatch.setattr(mel_store, "chunk_offsets", lambda d: asked.append(len(d)) or real(d))
    check(store, 10)
    assert asked == []
    with h5py.File(store, "r") as old, h5py.File(tmp_path / "copy.h5", "w") as new:
        for name in old:
            if name == "log_mel":
                kept = new.create_dataset_like(name, old[name])
                for song in reversed(range(10)):
                    kept[song] = old[name][song]
            else:
                old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs[name] = value
    check(tmp_path / "copy.h5", 10)
    assert asked == [10]


def refused(path: Path, match: str) -> None:
    with pytest.raises(InputError, match=match):
        MelStore(path)
    with pytest.raises(InputError):
        MelStoreWriter(path, CONTENT)


def test_files_that_are_no_store(tmp_path):
    refused_reading = pytest.raises(InputError, match="is not there: expected a store")
    with refused_reading:
        MelStore(tmp_path / "none.h5")
    with refused_reading:
        MelStore(tmp_path)
    (tmp_path / "text.h5").write_text("text")
    refused(tmp_path / "text.h5", "is not an HDF5 file")
    (tmp_path / "empty.h5").touch()
    refused(tmp_path / "empty.h5", "is not an HDF5 file")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    refused(tmp_path / "other.h5", "is an HDF5 file, but no store")


def test_a_store_of_another_version(store):
    with h5py.File(store, "r+") as file:
        file.attrs["format_version"] = 9
    refused(store, "has version 9 .* reads version 1")


def test_a_store_that_was_edited(store):
    with h5py.File(store, "r+") as file:
        file.attrs["features"] = file.attrs["features"].replace("256", "128")
    refused(store, "features do not fit their hash")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_store_that_was_cut_off(store, tmp_path, share):
    content = store.read_bytes()
    cut = tmp_path / "cut.h5"
    cut.write_bytes(content[: int(share * len(content))])
    refused(cut, "damaged store")


def test_a_store_that_lacks_a_part(store, tmp_path):
    for name in ("id", "log_mel", "journal"):
        shutil.copy(store, tmp_path / "part.h5")
        with h5py.File(tmp_path / "part.h5", "r+") as file:
            del file[name]
        refused(tmp_path / "part.h5", "damaged store")


def test_a_store_that_shrank_after_it_was_opened(store):
    read = MelStore(store)
    os.truncate(store, 3000)
    with pytest.raises(InputError, match="ends before song 9"):
        read.log_mel_at(9)
