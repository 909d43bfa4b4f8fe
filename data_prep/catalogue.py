"""The catalogue: songs, what is known of them, and their emotions by stage.

Every stage (lyrics, audio, fused) is kept apart with the hash of what made it, so
that a new fusion rule rescores without a model, and an update analyses only what it
must. ``lyrics`` and ``audio`` are the models' raw answers, before calibration. A
stage that is absent is absent (``None``, a row of NaN), never zeros.

Storage is SQLAlchemy Core: an SQLite file by default, PostgreSQL by URL. Every
write is one transaction; readers see the state before it or after it, and are not
kept waiting. ``sqlalchemy.orm`` is not imported: it would double the start-up time.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from data_prep import catalogue_files, catalogue_songs, catalogue_vectors
from data_prep import catalogue_tables as tables
from data_prep.catalogue_migration import OLD_VERSIONS, migrate
from data_prep.catalogue_place import Place, place_of
from data_prep.catalogue_vectors import FilterFacts, SongVectors
from data_prep.errors import CatalogueError, InputError
from data_prep.song import STAGES, Song, SongFilter, Stage, StageVector, fold, genre_names
from data_prep.song_file import SongFile
from data_prep.taxonomy import TAXONOMY_VERSION

__all__ = [
    "STAGES",
    "VARIABLE",
    "Catalogue",
    "Song",
    "SongFile",
    "SongFilter",
    "SongVectors",
    "Stage",
    "StageVector",
    "default_catalogue_path",
]

VARIABLE: Final = "MAEUM_CATALOGUE"

_READ_ALL_FROM: Final = 20_000  # ids that are looked for, from which all are read
_JUDGEMENTS: Final = "maeum_feedback"  # tables that lie beside a catalogue's, or before them


class _Transaction(threading.local):
    """The write transaction that the present thread is in."""

    connection: sa.Connection | None = None
    has_changed: bool = False


def default_catalogue_path() -> Path:
    """The user's own catalogue, whether it exists or not.

    ``maeum/catalogue.db`` in the platform's folder for data of applications:
    ``$XDG_DATA_HOME`` or ``~/.local/share``, ``~/Library/Application Support`` on
    macOS, ``%LOCALAPPDATA%`` on Windows.
    """
    home = Path.home()
    given = os.environ.get("XDG_DATA_HOME")
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif given:
        base = Path(given)
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = home / ".local" / "share"
    return base / "maeum" / "catalogue.db"


class Catalogue:
    """An open catalogue. Made by :meth:`open`; a context manager that closes it."""

    def __init__(self, place: Place, *, read_only: bool) -> None:
        self._place = place
        self._read_only = read_only
        self._transaction = _Transaction()
        self.name = place.name
        """Path or URL, without a password; for messages."""

    @classmethod
    def open(
        cls, url: str | Path | None = None, *, create: bool = False, read_only: bool = False
    ) -> Self:
        """Open a catalogue. One that an earlier version wrote is brought up to date first.

        Parameters
        ----------
        url
            Path of an SQLite file, or a database URL (``sqlite:///…``,
            ``postgresql+psycopg://…``). ``None``: the environment variable
            ``MAEUM_CATALOGUE``, else :func:`default_catalogue_path`.
        create
            Make the catalogue, with the folders above it, if there is none.
        read_only
            Refuse to write; an SQLite file is opened so that it cannot change.

        Raises
        ------
        CatalogueError
            If there is none, or what is there cannot be read as a catalogue of
            this version.
        """
        given = str(url or os.environ.get(VARIABLE) or default_catalogue_path())
        place = place_of(given, create=create, read_only=read_only)
        catalogue = cls(place, read_only=read_only)
        try:
            if catalogue._schema_version(create=create and not read_only) in OLD_VERSIONS:
                catalogue._bring_up_to_date(given)
            catalogue._check_versions()
        except BaseException:
            catalogue.close()
            raise
        return catalogue

    def disconnect(self) -> None:
        """Close the connections that are kept for the next reading."""
        self._place.engine.dispose()

    def close(self) -> None:
        """Release the file or connection. Closing twice does no harm."""
        self._place.engine.dispose()
        if not self._read_only:
            self._place.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Reading.

    def songs(self, where: SongFilter | None = None) -> list[Song]:
        """Songs that pass a filter, or all, in the order of their ids."""
        query = catalogue_songs.select_songs().where(*tables.conditions(where))
        with self._reading() as connection:
            found = catalogue_songs.read_songs(connection, query.order_by(tables.song_table.c.id))
        return [song for _, song in found]

    def page(
        self, where: SongFilter | None = None, search: str = "", *, offset: int = 0, limit: int
    ) -> list[Song]:
        """Some of the songs that pass a filter, in the order of their ids.

        Parameters
        ----------
        search
            Must be part of the title or of the artist's name, without regard to (ASCII) case.
        offset, limit
            How many to pass over, and how many to give at most.
        """
        c = tables.song_table.c
        query = catalogue_songs.select_songs().where(*tables.conditions(where))
        if search:
            wanted = fold(search) or ""
            named = [
                sa.func.lower(column).contains(wanted, autoescape=True)
                for column in (c.title, c.artist)
            ]
            query = query.where(sa.or_(*named))
        query = query.order_by(c.id).offset(offset).limit(limit)
        with self._reading() as connection:
            return [song for _, song in catalogue_songs.read_songs(connection, query)]

    def get(self, ids: Iterable[str]) -> list[Song]:
        """Songs by id, in the order asked for; ids that are not there are left out."""
        wanted = list(ids)
        found: dict[str, Song] = {}
        with self._reading() as connection:
            for part in tables.parts(wanted):
                query = catalogue_songs.select_songs().where(tables.song_table.c.id.in_(part))
                found.update((s.id, s) for _, s in catalogue_songs.read_songs(connection, query))
        return [found[song_id] for song_id in wanted if song_id in found]

    def by_number(self, numbers: Iterable[int] | NDArray[np.int64]) -> list[Song]:
        """Songs by number, in the order asked for; numbers that are not there are left out."""
        wanted = [int(number) for number in numbers]
        found = self.numbered(wanted)
        return [found[number] for number in wanted if number in found]

    def numbered(self, numbers: Iterable[int]) -> dict[int, Song]:
        """Number → song, of those numbers that are there."""
        found: dict[int, Song] = {}
        with self._reading() as connection:
            for part in tables.parts([int(number) for number in numbers]):
                query = catalogue_songs.select_songs().where(tables.song_table.c.number.in_(part))
                found.update(catalogue_songs.read_songs(connection, query))
        return found

    def number_of(self, song_id: str) -> int | None:
        """Number of a song by its id; ``None`` if it is not there."""
        return self.numbers_of([song_id]).get(song_id)

    def numbers_of(self, ids: Iterable[str]) -> dict[str, int]:
        """Song id → its number, of those that are there."""
        c, found, wanted = tables.song_table.c, dict[str, int](), list(ids)
        with self._reading() as connection:
            if len(wanted) > _READ_ALL_FROM:
                every = connection.execute(sa.select(c.id, c.number)).all()
                asked = set(wanted)
                return {str(i): int(n) for i, n in every if i in asked}
            for part in tables.parts(wanted):
                query = sa.select(c.id, c.number).where(c.id.in_(part))
                found.update((str(i), int(n)) for i, n in connection.execute(query).all())
        return found

    def genres(self) -> list[str]:
        """Every genre, by name; of several in one song each."""
        query = sa.select(tables.song_table.c.genre).distinct()
        with self._reading() as connection:
            return genre_names(connection.execute(query).scalars().all())

    def names(self) -> dict[int, tuple[str | None, str | None, str | None]]:
        """Number → title, artist and album, of all songs."""
        c = tables.song_table.c
        query = sa.select(c.number, c.title, c.artist, c.album)
        with self._reading() as connection:
            return {
                int(number): (title, artist, album)
                for number, title, artist, album in connection.execute(query).all()
            }

    def labels(
        self, numbers: Iterable[int] | NDArray[np.int64]
    ) -> list[tuple[str, str | None, str | None] | None]:
        """Id, title and artist of songs by number; ``None`` for one that is not there."""
        c = tables.song_table.c
        wanted = [int(number) for number in numbers]
        found = dict[int, tuple[str, str | None, str | None]]()
        with self._reading() as connection:
            for part in tables.parts(wanted):
                query = sa.select(c.number, c.id, c.title, c.artist).where(c.number.in_(part))
                found.update((int(n), (i, t, a)) for n, i, t, a in connection.execute(query).all())
        return [found.get(number) for number in wanted]

    def count(self, where: SongFilter | None = None) -> int:
        """Number of songs that pass a filter, or of all."""
        query = sa.select(sa.func.count()).select_from(tables.song_table)
        with self._reading() as connection:
            return int(connection.execute(query.where(*tables.conditions(where))).scalar_one())

    def numbers(self, where: SongFilter | None = None) -> NDArray[np.int64]:
        """Numbers (n,) of songs that pass a filter, or of all, in the order of their ids.

        A song keeps its number when it is written again.
        """
        with self._reading() as connection:
            return catalogue_vectors.read_numbers(connection, where)

    def vectors(
        self, made_by: str | None = None, *, stages: Collection[Stage] = STAGES
    ) -> SongVectors:
        """Vectors of all songs as arrays, in the order of their ids.

        Parameters
        ----------
        made_by
            Hash of fusion settings, to tell which fused vectors they made.
        stages
            Which to read; the fewer, the quicker.

        Raises
        ------
        CatalogueError
            If a vector is damaged; names it.
        """
        with self._reading() as connection:
            return catalogue_vectors.read_vectors(connection, made_by, stages)

    def branches_of(
        self, numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Raw lyric and audio answers of some songs, both (n, 6); NaN where there is none.

        Parameters
        ----------
        numbers
            Of the songs, each once, (n,).

        Raises
        ------
        CatalogueError
            If a vector is damaged; names it.
        """
        with self._reading() as connection:
            return catalogue_vectors.branches_of(connection, numbers)

    def vector_blocks(
        self, made_by: str | None = None, *, stages: Collection[Stage] = STAGES
    ) -> Iterator[SongVectors]:
        """The same in the order of the songs' numbers, some thousands at a time.

        In a transaction of this thread, the fused vectors of the songs that were
        given may be replaced before the next are taken.
        """
        with self._reading() as connection:
            yield from catalogue_vectors.vector_blocks(connection, made_by, stages)

    def filter_facts(self) -> Iterator[FilterFacts]:
        """What filters ask of all songs, some thousands at a time, by their numbers."""
        with self._reading() as connection:
            yield from catalogue_vectors.filter_facts(connection)

    def missing(self) -> NDArray[np.int64]:
        """Numbers (n,) of the songs whose file was found gone."""
        query = sa.select(tables.song_table.c.number).where(
            tables.song_table.c.missing_since.is_not(None)
        )
        with self._reading() as connection:
            return np.array(connection.execute(query).scalars().all(), dtype=np.int64)

    def files(self, ids: Iterable[str]) -> dict[str, SongFile]:
        """Song id → what its stages were made from, of those songs of which that is kept."""
        with self._reading() as connection:
            return catalogue_files.read_files(connection, list(ids))

    def placed_files(self, source: str) -> list[tuple[SongFile, str | None]]:
        """Files that were indexed in a folder called so, each with the song's path."""
        with self._reading() as connection:
            return catalogue_files.read_placed(connection, source)

    def meta(self) -> dict[str, str]:
        """Facts about the catalogue as a whole, ``schema_version`` among them."""
        with self._reading() as connection:
            return tables.meta_facts(connection)

    def fact(self, key: str) -> str | None:
        """One fact about the catalogue as a whole, if it is kept."""
        with self._reading() as connection:
            return tables.meta_facts(connection, [key]).get(key)

    def revision(self) -> str:
        """What names the present content; every transaction that writes changes it.

        No other catalogue has the same, not even a copy that was written to as often.
        """
        with self._reading() as connection:
            return tables.revision(connection)

    # Writing.

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what this thread reads and writes here one: all of it or none.

        Nobody else writes meanwhile, and readers see the state before. An exception
        takes everything back.

        Raises
        ------
        CatalogueError
            If the catalogue cannot be written.
        """
        with self._locked():
            yield

    def upsert(self, songs: Iterable[Song]) -> int:
        """Add songs; a song whose id is there replaces the old one as a whole.

        All or none: one transaction. Of songs with the same id the last counts.

        Returns
        -------
        Number of songs written.

        Raises
        ------
        InputError
            If a song has no id, or a vector is not a distribution.
        CatalogueError
            If the catalogue cannot be written.
        """
        by_id = {song.id: song for song in songs}
        with self._writing(bool(by_id)) as connection:
            catalogue_songs.write_songs(connection, list(by_id.values()))
        return len(by_id)

    def remove(self, ids: Iterable[str]) -> int:
        """Take songs out, in one transaction; gives the number that were there."""
        unwanted = list(ids)
        with self._writing(bool(unwanted)) as connection:
            return catalogue_songs.remove_songs(connection, unwanted)

    def replace_fused(
        self, numbers: NDArray[np.int64], vectors: NDArray[np.float32], made_by: str
    ) -> int:
        """Put fused vectors of songs in the place of their old ones, in one transaction.

        Parameters
        ----------
        numbers
            Of the songs (n,), each once; those that are not there are left out.
        vectors
            Distributions (n, 6).
        made_by
            Hash of the settings that made them.

        Returns
        -------
        Number of vectors written.

        Raises
        ------
        InputError
            If shapes do not fit, a number comes twice, or a row is no distribution.
        CatalogueError
            If the catalogue cannot be written.
        """
        with self._writing(len(numbers) > 0) as connection:
            return catalogue_vectors.write_fused(connection, numbers, vectors, made_by)

    def keep_files(self, files: Iterable[SongFile]) -> None:
        """Keep what the stages of songs were made from; no song changes by it.

        Raises
        ------
        CatalogueError
            If the catalogue cannot be written.
        """
        by_id = {file.song_id: file for file in files}
        with self._writing(changes=False) as connection:
            catalogue_files.write_files(connection, list(by_id.values()))

    def mark_missing(self, ids: Iterable[str], since: str) -> int:
        """Mark songs whose files are gone; those that are marked keep their date.

        Parameters
        ----------
        since
            Date, ISO 8601.

        Returns
        -------
        Number of songs that were marked.

        Raises
        ------
        CatalogueError
            If the catalogue cannot be written.
        """
        listed = list(ids)
        with self._writing(bool(listed)) as connection:
            return catalogue_songs.mark_missing(connection, listed, since)

    def set_meta(self, key: str, value: str) -> None:
        """Keep a fact about the catalogue as a whole."""
        if key in tables.OWN_KEYS:
            raise InputError(f"{key} is the catalogue's own and cannot be set")
        with self._writing() as connection:
            tables.put_meta(connection, {key: value})

    # The connection.

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """The connection of this thread's transaction, else one that sees one state."""
        if self._transaction.connection is not None:
            yield self._transaction.connection
        else:
            with self._place.connection(write=False) as connection:
                yield connection

    @contextmanager
    def _locked(self) -> Iterator[sa.Connection]:
        """The connection of this thread's transaction, which begins here if there is none."""
        if self._read_only:
            raise CatalogueError(f"{self.name} was opened read-only and cannot be written")
        held = self._transaction
        if held.connection is not None:
            yield held.connection
            return
        with self._place.connection(write=True) as connection:
            held.connection, held.has_changed = connection, False
            try:
                yield connection
            finally:
                held.connection = None

    @contextmanager
    def _writing(self, changes: bool = True) -> Iterator[sa.Connection]:
        """The same, for something that changes the catalogue or, as it turns out, does not."""
        with self._locked() as connection:
            if changes and not self._transaction.has_changed:
                tables.renew_revision(connection)
                self._transaction.has_changed = True
            yield connection

    # The schema.

    def _schema_version(self, *, create: bool) -> str | None:
        """Version of the tables that are there; they are made if there are none."""
        with self._reading() as connection:
            names = _table_names(connection)
            if tables.meta_table.name in names:
                return tables.meta_facts(connection, tables.OWN_KEYS).get("schema_version")
        others = [name for name in names if not name.startswith(_JUDGEMENTS)]
        foreign = bool(others) and self._place.engine.dialect.name == "sqlite"
        if foreign or not create:
            what = "is a database of something else" if foreign else "holds no catalogue"
            raise CatalogueError(
                f"{self.name} {what}: expected a catalogue made by "
                "`maeum index PATH --catalogue FILE`"
            )
        with self._locked() as connection:
            if tables.meta_table.name not in _table_names(connection):
                tables.create_tables(connection)
        return self._schema_version(create=False)

    def _bring_up_to_date(self, given: str) -> None:
        """Move a catalogue of an earlier schema into the tables of this one."""
        if not self._place.is_writable:
            raise CatalogueError(
                f"{self.name} was written by an earlier version of maeum and cannot be brought up "
                "to date, as it or its folder must not be written: run `maeum recommend joy "
                f"--catalogue {self.name}` as somebody who may, or on a copy elsewhere"
            )
        if self._read_only:
            Catalogue.open(given).close()
            return
        with self._locked() as connection:
            version = tables.meta_facts(connection, tables.OWN_KEYS).get("schema_version")
            if version in OLD_VERSIONS:  # nobody was quicker
                migrate(connection, version)
        self._place.shrink()

    def _check_versions(self) -> None:
        with self._reading() as connection:
            versions = tables.meta_facts(connection, tables.OWN_KEYS)
            names = _table_names(connection)
        expected = {
            "schema_version": tables.SCHEMA_VERSION,
            "taxonomy_version": TAXONOMY_VERSION,
        }
        for key, version in expected.items():
            if versions.get(key) != version:
                raise CatalogueError(
                    f"{self.name} has {key.replace('_', ' ')} {versions.get(key)}, this version "
                    f"of maeum reads {version}: index the songs again into a new catalogue"
                )
        if not names >= {
            t.name for t in (tables.song_table, tables.fused_table, tables.file_table)
        }:
            raise CatalogueError(f"{self.name} has no table of songs: the file is damaged")


def _table_names(connection: sa.Connection) -> set[str]:
    if connection.dialect.name == "sqlite":  # far faster than reflection
        rows = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {str(name) for (name,) in rows}
    return set(sa.inspect(connection).get_table_names())
