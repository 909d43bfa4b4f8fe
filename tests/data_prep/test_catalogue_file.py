"""A catalogue in a file: one file to copy, readable where nothing can be written, never half."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.engine.default import DefaultDialect

from data_prep import catalogue_migration
from data_prep.catalogue import Catalogue, Song, StageVector
from data_prep.errors import CatalogueError
from tests.children import die_at, exit_status
from tests.data_prep.old_catalogue import write_old_catalogue

VECTORS = np.random.default_rng(0).dirichlet(np.ones(6), size=(40, 3)).astype(np.float32)
SONGS = [
    Song(
        f"{i:02}",
        title=f"Song {i}",
        lyrics=StageVector(VECTORS[i, 0], "words"),
        audio=StageVector(VECTORS[i, 1], "sound"),
        fused=StageVector(VECTORS[i, 2], "rule"),
    )
    for i in range(40)
]


def run(path: Path) -> Callable[[str, list], None]:
    def execute(statement: str, rows: list) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany(statement, rows)

    return execute


def journal(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def files(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "songs.db"
    with Catalogue.open(path, create=True) as catalogue:
        catalogue.upsert(SONGS)
    return path


def test_a_closed_catalogue_is_one_file(path: Path) -> None:
    assert files(path.parent) == ["songs.db"]
    assert journal(path) == "delete"
    with Catalogue.open(path) as catalogue, Catalogue.open(path, read_only=True) as reader:
        assert reader.count() == 40
        assert files(path.parent) == ["songs.db"], "nothing was written yet"
        catalogue.upsert([Song("new")])
        assert journal(path) == "wal"
        assert reader.count() == 41
    assert files(path.parent) == ["songs.db"]
    assert journal(path) == "delete"


def test_a_reader_in_the_middle_keeps_the_writer_from_nothing(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        with Catalogue.open(path) as catalogue:
            catalogue.upsert([Song("first")])
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM maeum_songs").fetchone() == (41,)
            catalogue.upsert([Song("second")])
            assert catalogue.count() == 42
            assert reader.execute("SELECT count(*) FROM maeum_songs").fetchone() == (41,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM maeum_songs").fetchone() == (42,)
    with Catalogue.open(path) as catalogue:
        assert catalogue.count() == 42
    assert files(path.parent) == ["songs.db"]


def test_a_copy_that_goes_its_own_way_has_revisions_of_its_own(path: Path) -> None:
    copy = shutil.copy(path, path.with_name("copy.db"))
    revisions = []
    for file in (path, copy):
        with Catalogue.open(file) as catalogue:
            catalogue.upsert([Song("new", title=str(file))])
            revisions.append(catalogue.revision())
    assert revisions[0] != revisions[1]


# Folders that cannot be written, for an account that may not.


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that others may look into, below folders that others may enter."""
    folder = Path(tempfile.mkdtemp(prefix="maeum-shelf-"))
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


def read_as_nobody(path: Path, warm: Path) -> None:
    with Catalogue.open(warm, read_only=True) as catalogue:
        catalogue.songs()  # what is imported late must be imported before
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 65534)
    assert not os.access(path.parent, os.W_OK)
    with Catalogue.open(path, read_only=True) as catalogue:
        assert [song.title for song in catalogue.songs()] == [song.title for song in SONGS]
        assert len(catalogue.vectors()) == 40


def fail_as_nobody(path: Path, warm: Path) -> None:
    with pytest.raises(CatalogueError, match=r"maeum recommend joy --catalogue .*songs\.db"):
        read_as_nobody(path, warm)


def closed_to_others(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)


def test_a_catalogue_is_read_where_nothing_can_be_written(path: Path, shelf: Path) -> None:
    shutil.copy(path, shelf / "songs.db")
    closed_to_others(shelf)
    assert exit_status(read_as_nobody, shelf / "songs.db", path) == 0
    assert files(shelf) == ["songs.db"]


def test_so_is_a_copy_that_was_taken_while_it_was_written(path: Path, shelf: Path) -> None:
    with Catalogue.open(path) as catalogue:
        catalogue.set_meta("made", "today")
        shutil.copy(path, shelf / "songs.db")
    assert (shelf / "songs.db").read_bytes()[18:20] == b"\x02\x02", "it has a log elsewhere"
    closed_to_others(shelf)
    assert exit_status(read_as_nobody, shelf / "songs.db", path) == 0
    assert files(shelf) == ["songs.db"]


def test_an_old_one_there_says_what_brings_it_up_to_date(path: Path, shelf: Path) -> None:
    write_old_catalogue(run(shelf / "songs.db"), SONGS, {})
    before = (shelf / "songs.db").read_bytes()
    closed_to_others(shelf)
    assert exit_status(fail_as_nobody, shelf / "songs.db", path) == 0
    assert (shelf / "songs.db").read_bytes() == before


# Migration.


def test_a_migrated_catalogue_is_one_file_without_gaps(tmp_path: Path) -> None:
    path = tmp_path / "songs.db"
    many = [replace(song, id=f"{i}-{song.id}", title="x" * 80) for i in range(20) for song in SONGS]
    write_old_catalogue(run(path), many, {})
    before = path.stat().st_size
    with Catalogue.open(path, read_only=True) as catalogue:
        numbers = catalogue.numbers()
        assert numbers.tolist() == list(range(1, len(many) + 1))
    assert files(tmp_path) == ["songs.db"]
    assert path.stat().st_size < before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def die_migrating(path: Path, statement: int) -> None:
    catalogue_migration._ROWS_PER_BLOCK = 7
    die_at(DefaultDialect, "do_execute", statement)
    Catalogue.open(path)


def count_migrating(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Number of statements that a whole migration executes."""
    calls = []
    real = DefaultDialect.do_execute
    monkeypatch.setattr(catalogue_migration, "_ROWS_PER_BLOCK", 7)
    monkeypatch.setattr(
        DefaultDialect, "do_execute", lambda *given: (calls.append(1), real(*given))[1]
    )
    Catalogue.open(path).close()
    monkeypatch.undo()
    return len(calls)


def test_a_killed_migration_leaves_the_old_catalogue(tmp_path: Path, monkeypatch) -> None:
    path, trial = tmp_path / "songs.db", tmp_path / "trial.db"
    write_old_catalogue(run(path), SONGS, {"made": "today"})
    shutil.copy(path, trial)
    last = count_migrating(trial, monkeypatch)
    before = dump(path)
    # From the begin of the transaction to its end, which three statements follow.
    moments = np.random.default_rng().choice(np.arange(6, last - 2), size=3, replace=False)
    for moment in moments:
        assert exit_status(die_migrating, path, int(moment)) == -signal.SIGKILL
        assert dump(path) == before, f"killed at statement {moment} of {last}"
    with Catalogue.open(path, read_only=True) as catalogue:
        assert [song.title for song in catalogue.songs()] == [song.title for song in SONGS]
        np.testing.assert_array_equal(catalogue.vectors().fused, VECTORS[:, 2])
        assert catalogue.fact("made") == "today"


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())
