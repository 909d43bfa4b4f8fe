"""Changes that take effect at once: killed within any write, the file is old or new."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from data_prep import committed_file  # noqa: E402
from data_prep.committed_file import CommittedFile  # noqa: E402
from data_prep.errors import InputError  # noqa: E402
from tests.children import exit_status  # noqa: E402

VERSIONS = ("v108", "v108")


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """A killed process leaves the system its writes, and no test cuts the power."""
    monkeypatch.setattr(committed_file.os, "fdatasync", lambda descriptor: None)
    monkeypatch.setattr(committed_file.os, "fsync", lambda descriptor: None)


def make(path: Path) -> Path:
    with h5py.File(path, "w", libver=VERSIONS) as file:
        file.create_dataset("rows", (0, 500), "f8", maxshape=(None, 500), chunks=(1, 500))
        file.create_dataset("sum", data=0.0)
    return path


def add_rows(path: Path, commits: int) -> None:
    """Three rows of ones per commit."""
    raw = CommittedFile(path, writable=True)
    with h5py.File(raw, "r+", libver=VERSIONS) as file:
        for _ in range(commits):
            n_rows = len(file["rows"])
            file["rows"].resize(n_rows + 3, axis=0)
            file["rows"][n_rows:] = 1.0
            file["sum"][()] = file["rows"][()].sum()
            file.flush()
            raw.commit()
    raw.finish()


def whole(path: Path) -> int:
    """Number of rows, after a check that all that is in the file fits together."""
    with CommittedFile(path) as raw, h5py.File(raw, "r") as file:
        rows = file["rows"][()]
        assert file["sum"][()] == rows.sum() == rows.size
    return len(rows)


def dying_at(write: int) -> Callable[..., int]:
    """``os.pwrite`` that writes half and dies the ``write``-th time."""
    pwrite, n_left = os.pwrite, [write]

    def torn(descriptor: int, data: bytes, offset: int) -> int:
        n_left[0] -= 1
        if n_left[0] > 0:
            return pwrite(descriptor, data, offset)
        pwrite(descriptor, bytes(data)[: len(data) // 2], offset)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    return torn


def test_what_was_committed_is_there(tmp_path):
    path = make(tmp_path / "a.h5")
    add_rows(path, 5)
    assert whole(path) == 15
    with h5py.File(path, "r") as file:  # as any other program reads it
        assert len(file["rows"]) == 15
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def die_within(path: Path, write: int) -> None:
    """Add rows, in a child process, and die within a write."""
    committed_file.os.pwrite = dying_at(write)
    add_rows(path, 3)


def test_killed_within_any_write_loses_no_commit(tmp_path):
    path, write, outcomes = make(tmp_path / "a.h5"), 0, set()
    before = path.read_bytes()
    while True:
        write += 1
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        path.write_bytes(before)
        status = exit_status(die_within, path, write)
        n_rows = whole(path)
        outcomes.add(n_rows)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        add_rows(path, 1)
        assert whole(path) == n_rows + 3
        with h5py.File(path, "r") as file:
            assert len(file["rows"]) == n_rows + 3
    assert outcomes == {0, 3, 6, 9}
    assert write > 15


def test_what_was_not_committed_is_gone(tmp_path):
    path = make(tmp_path / "a.h5")
    add_rows(path, 2)
    raw = CommittedFile(path, writable=True)
    with h5py.File(raw, "r+", libver=VERSIONS) as file:
        file["rows"].resize(1, axis=0)
        file["sum"][()] = 99.0
        file.flush()
    raw.close()
    assert whole(path) == 6
    add_rows(path, 1)
    assert whole(path) == 9


def die_committed(path: Path) -> None:
    """Commit a change, in a child process, and die before the end."""
    raw = CommittedFile(path, writable=True)
    with h5py.File(raw, "r+", libver=VERSIONS) as file:
        file["rows"].resize(5, axis=0)
        file["rows"][3:] = 1.0
        file["sum"][()] = 2500.0
        file.flush()
        raw.commit()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_log_of_another_file_is_not_taken(tmp_path):
    path = make(tmp_path / "a.h5")
    add_rows(path, 1)
    earlier, log = path.read_bytes(), tmp_path / ".a.h5.log"
    assert exit_status(die_committed, path) == -signal.SIGKILL
    left, later = log.read_bytes(), path.read_bytes()
    path.write_bytes(earlier + later[len(earlier) :])  # new rows were there, and nothing else
    assert whole(path) == 5
    path.write_bytes(earlier)  # somebody took a copy from before
    assert whole(path) == 3
    with h5py.File(path, "w", libver=VERSIONS) as file:  # somebody made it anew
        file.create_dataset("rows", (7, 500), "f8", maxshape=(None, 500), chunks=(1, 500))
        file["rows"][...] = 1.0
        file["sum"] = 3500.0
    assert whole(path) == 7
    log.write_bytes(left)
    add_rows(path, 1)
    assert whole(path) == 10


def write_and_read_meanwhile(path: Path) -> None:
    """In a child process, while another writes."""
    with pytest.raises(InputError, match="is being written by another run"):
        CommittedFile(path, writable=True)
    assert whole(path) == 0


def test_one_writer_at_a_time(tmp_path):
    path = make(tmp_path / "a.h5")
    with CommittedFile(path, writable=True):
        assert exit_status(write_and_read_meanwhile, path) == 0
    add_rows(path, 1)
    assert whole(path) == 3


def test_files_of_other_programs_are_read_but_not_changed(tmp_path):
    with h5py.File(tmp_path / "new.h5", "w", libver="latest") as file:
        file["rows"], file["sum"] = np.ones((2, 500)), 1000.0
    assert whole(tmp_path / "new.h5") == 2
    with pytest.raises(InputError, match="changed by another program"):
        CommittedFile(tmp_path / "new.h5", writable=True)


def test_reading_and_writing_as_a_file(tmp_path):
    path = make(tmp_path / "a.h5")
    content = path.read_bytes()
    size = len(content)
    raw = CommittedFile(path, writable=True)
    assert raw.seek(0, os.SEEK_END) == size
    raw.write(b"behind the end")
    raw.seek(100)
    raw.write(b"x" * 10)
    assert raw.tell() == 110
    raw.seek(95)
    expected = content[95:100] + b"x" * 10 + content[110:115]
    assert raw.read(20) == expected
    assert path.read_bytes() == content + b"behind the end"
    raw.commit()
    assert path.read_bytes()[95:115] == expected
    raw.seek(size)
    assert raw.read(100) == b"behind the end"
    raw.close()
    with CommittedFile(path) as reader, pytest.raises(OSError, match="open for reading"):
        reader.commit()
