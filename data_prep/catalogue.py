"""The catalogue: songs, what is known of them, and their emotions by stage.

One table of songs with one column group per stage (lyrics, audio, fused): six
probabilities and the hash of what made them, so that a new fusion rule rescores
without a model, and an update analyses only what it must. ``lyrics`` and
``audio`` are the models' raw answers, before calibration. A stage that is absent
is absent (``None``), never zeros.

Storage is SQLAlchemy Core: an SQLite file by default, PostgreSQL by URL. Every
write is one transaction; readers of an SQLite file see the state before it or
after it. ``sqlalchemy.orm`` is not imported: it would double the start-up time.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import quote

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from data_prep.errors import CatalogueError, InputError
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS, TAXONOMY_VERSION, check_distribution

SCHEMA_VERSION: Final = "1"
VARIABLE: Final = "MAEUM_CATALOGUE"

Stage = Literal["lyrics", "audio", "fused"]
STAGES: Final[tuple[Stage, ...]] = ("lyrics", "audio", "fused")

_ROWS_PER_STATEMENT: Final = 500
_BUSY_S: Final = 30.0

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False, slots=True)
class StageVector:
    """What one stage says of a song.

    Attributes
    ----------
    distribution
        Emotion distribution, float32 (6,), sums to one.
    made_by
        Hash of the model folder or of the fusion settings that made it.
    """

    distribution: NDArray[np.float32]
    made_by: str


@dataclass(frozen=True, eq=False, slots=True)
class Song:
    """One song of a catalogue.

    Attributes
    ----------
    id
        Unique within the catalogue.
    title, artist, album, genre, language, licence, link, path, source
        Facts; ``None`` where unknown. ``genre`` and ``artist`` may hold several
        values separated by ``;``. ``link`` is where the song can be heard,
        ``path`` a file of the user's own, ``source`` where the row came from.
    year
        Of release.
    lyrics, audio
        The models' raw answers, before calibration.
    fused
        The calibrated combination.
    lyrics_note, audio_note
        Why a branch gave no answer, or what to know about it.
    """

    id: str
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    year: int | None = None
    genre: str | None = None
    language: str | None = None
    licence: str | None = None
    link: str | None = None
    path: str | None = None
    source: str | None = None
    lyrics: StageVector | None = None
    audio: StageVector | None = None
    fused: StageVector | None = None
    lyrics_note: str | None = None
    audio_note: str | None = None


@dataclass(frozen=True)
class SongFilter:
    """Which songs to take; ``None`` does not restrict.

    Text is compared without regard to (ASCII) case; ``genre`` and ``artist``
    match any of several values separated by ``;``. A song without a year passes
    no year limit. ``has_lyrics`` and ``has_audio`` ask for the stage's vector.
    """

    year_from: int | None = None
    year_to: int | None = None
    genre: str | None = None
    artist: str | None = None
    language: str | None = None
    source: str | None = None
    has_lyrics: bool | None = None
    has_audio: bool | None = None

    def __post_init__(self) -> None:
        if self.year_from and self.year_to and self.year_from > self.year_to:
            raise InputError(f"no year is from {self.year_from} on and up to {self.year_to}")

    def accepts(self, song: Song) -> bool:
        """Whether a song passes: the same answer as :meth:`Catalogue.songs` gives."""
        return (
            (self.year_from is None or (song.year is not None and song.year >= self.year_from))
            and (self.year_to is None or (song.year is not None and song.year <= self.year_to))
            and _has_value(song.genre, self.genre)
            and _has_value(song.artist, self.artist)
            and (self.language is None or _fold(song.language) == _fold(self.language))
            and (self.source is None or _fold(song.source) == _fold(self.source))
            and self.has_lyrics in (None, song.lyrics is not None)
            and self.has_audio in (None, song.audio is not None)
        )


def _fold(text: str | None) -> str | None:
    """Lower case as SQLite's ``lower`` does it: ASCII only."""
    if text is None:
        return None
    return "".join(c.lower() if c.isascii() else c for c in text.strip())


def _has_value(values: str | None, wanted: str | None) -> bool:
    if wanted is None:
        return True
    parts = (_fold(values) or "").replace("; ", ";")
    return f";{_fold(wanted)};" in f";{parts};"


_metadata = sa.MetaData()

_meta_table = sa.Table(
    "maeum_meta",
    _metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# In the order of Song's fields, without the stages: rows become songs by position.
_FACTS: Final = tuple(
    field.name for field in fields(Song) if field.name not in STAGES and "_note" not in field.name
)
_NOTES: Final = ("lyrics_note", "audio_note")
_MADE_BY: Final = tuple(f"{stage}_made_by" for stage in STAGES)
_VALUES: Final = tuple(f"{stage}_{emotion}" for stage in STAGES for emotion in EMOTIONS)


def _column(name: str) -> sa.Column[Any]:
    kind: Any = sa.REAL if name in _VALUES else sa.Integer if name == "year" else sa.Text
    return sa.Column(name, kind, primary_key=name == "id")


_song_table = sa.Table(
    "maeum_songs", _metadata, *map(_column, (*_FACTS, *_NOTES, *_MADE_BY, *_VALUES))
)
_columns = _song_table.c


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

    def __init__(self, engine: sa.Engine, name: str, *, read_only: bool) -> None:
        self._engine = engine
        self._read_only = read_only
        self.name = name
        """Path or URL, without a password; for messages."""

    @classmethod
    def open(
        cls, url: str | Path | None = None, *, create: bool = False, read_only: bool = False
    ) -> Self:
        """Open a catalogue.

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
        location = _parse(given)
        if location.get_backend_name() == "sqlite":
            engine, name = _sqlite_engine(location, create=create, read_only=read_only)
        else:
            engine, name = _server_engine(location)
        catalogue = cls(engine, name, read_only=read_only)
        try:
            catalogue._check_schema(create=create and not read_only)
        except BaseException:
            catalogue.close()
            raise
        return catalogue

    def close(self) -> None:
        """Release the file or connection. Closing twice does no harm."""
        self._engine.dispose()

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
        query = sa.select(_song_table).where(*_conditions(where)).order_by(_columns.id)
        with self._connection() as connection:
            return _songs(connection.execute(query).all())

    def get(self, ids: Iterable[str]) -> list[Song]:
        """Songs by id, in the order asked for; ids that are not there are left out."""
        wanted = list(ids)
        found: dict[str, Song] = {}
        with self._connection() as connection:
            for part in _parts(wanted):
                query = sa.select(_song_table).where(_columns.id.in_(part))
                found.update((song.id, song) for song in _songs(connection.execute(query).all()))
        return [found[song_id] for song_id in wanted if song_id in found]

    def count(self, where: SongFilter | None = None) -> int:
        """Number of songs that pass a filter, or of all."""
        query = sa.select(sa.func.count()).select_from(_song_table).where(*_conditions(where))
        with self._connection() as connection:
            return int(connection.execute(query).scalar_one())

    def meta(self) -> dict[str, str]:
        """Facts about the catalogue as a whole, ``schema_version`` among them."""
        with self._connection() as connection:
            rows = connection.execute(sa.select(_meta_table.c.key, _meta_table.c.value)).all()
        return {str(key): str(value) for key, value in rows}

    # Writing.

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
        rows = [_row(song) for song in by_id.values()]
        with self._connection(write=True) as connection:
            for part in _parts(rows):
                ids = [row["id"] for row in part]
                connection.execute(sa.delete(_song_table).where(_columns.id.in_(ids)))
                connection.execute(sa.insert(_song_table), part)
        return len(rows)

    def remove(self, ids: Iterable[str]) -> int:
        """Take songs out, in one transaction; gives the number that were there."""
        removed = 0
        with self._connection(write=True) as connection:
            for part in _parts(list(ids)):
                statement = sa.delete(_song_table).where(_columns.id.in_(part))
                removed += connection.execute(statement).rowcount
        return removed

    def set_meta(self, key: str, value: str) -> None:
        """Keep a fact about the catalogue as a whole."""
        if key == "schema_version":
            raise InputError("schema_version is the catalogue's own and cannot be set")
        with self._connection(write=True) as connection:
            _put_meta(connection, {key: value})

    # The connection.

    @contextmanager
    def _connection(self, *, write: bool = False) -> Iterator[sa.Connection]:
        """A connection in a transaction; failures of the database become CatalogueErrors."""
        if write and self._read_only:
            raise CatalogueError(f"{self.name} was opened read-only and cannot be written")
        try:
            with (
                self._engine.connect() as plain,
                plain.execution_options(maeum_write=write) as connection,
                connection.begin(),
            ):
                yield connection
        except sa.exc.DBAPIError as error:
            raise CatalogueError(f"{self.name}: {_explain(error)}") from error

    def _check_schema(self, *, create: bool) -> None:
        with self._connection(write=create) as connection:
            tables = _table_names(connection)
            if _meta_table.name not in tables:
                foreign = bool(tables) and self._engine.dialect.name == "sqlite"
                if foreign or not create:
                    what = "is a database of something else" if foreign else "holds no catalogue"
                    raise CatalogueError(
                        f"{self.name} {what}: expected a catalogue made by "
                        "`maeum index PATH --catalogue FILE`"
                    )
                _metadata.create_all(connection)
                facts = {"schema_version": SCHEMA_VERSION, "taxonomy_version": TAXONOMY_VERSION}
                _put_meta(connection, facts)
                return
            versions = dict(
                connection.execute(sa.select(_meta_table.c.key, _meta_table.c.value)).tuples().all()
            )
        expected = {"schema_version": SCHEMA_VERSION, "taxonomy_version": TAXONOMY_VERSION}
        for key, version in expected.items():
            if versions.get(key) != version:
                raise CatalogueError(
                    f"{self.name} has {key.replace('_', ' ')} {versions.get(key)}, this version "
                    f"of maeum reads {version}: index the songs again into a new catalogue"
                )
        if _song_table.name not in tables:
            raise CatalogueError(f"{self.name} has no table of songs: the file is damaged")


def _parse(given: str) -> sa.URL:
    if "://" not in given:
        return sa.URL.create("sqlite", database=str(Path(given).expanduser()))
    try:
        return sa.make_url(given)
    except (sa.exc.ArgumentError, ValueError) as error:
        scheme = given.partition("://")[0]
        raise CatalogueError(
            f"the catalogue URL that begins {scheme}:// cannot be read: expected a path, "
            "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        ) from error


def _sqlite_engine(location: sa.URL, *, create: bool, read_only: bool) -> tuple[sa.Engine, str]:
    if location.database in (None, "", ":memory:"):
        engine = sa.create_engine(
            "sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False}
        )
        _let_us_begin(engine)
        return engine, "the catalogue in memory"
    path = Path(str(location.database))
    _check_file(path, create=create, read_only=read_only)
    mode = "ro" if read_only else "rwc" if create else "rw"
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=_BUSY_S, check_same_thread=False)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool)
    _let_us_begin(engine)
    return engine, str(path)


def _check_file(path: Path, *, create: bool, read_only: bool) -> None:
    """Say clearly what SQLite would call ``unable to open database file``."""
    if path.is_dir():
        raise CatalogueError(f"{path} is a folder: expected the file of a catalogue")
    if path.exists():
        if not path.is_file() or not os.access(path, os.R_OK):
            raise CatalogueError(f"{path} cannot be read: expected the file of a catalogue")
        return
    if not create or read_only:
        raise CatalogueError(
            f"{path} does not exist: make a catalogue with `maeum index PATH --catalogue {path}`"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogueError(f"{path.parent} cannot be made for a catalogue: {error}") from error


def _let_us_begin(engine: sa.Engine) -> None:
    """Take transactions away from the sqlite3 module, which begins them late.

    A write takes the lock at once, so that it never fails half way for a reader
    that became a writer before it; a read sees one state throughout.
    """

    def on_connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    def on_begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("maeum_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    sa.event.listen(engine, "connect", on_connect)
    sa.event.listen(engine, "begin", on_begin)


def _server_engine(location: sa.URL) -> tuple[sa.Engine, str]:
    try:
        return sa.create_engine(location), location.render_as_string(hide_password=True)
    except (sa.exc.ArgumentError, ImportError) as error:
        raise CatalogueError(
            f"no driver for {location.drivername!r} databases: expected a path, sqlite:///FILE or "
            f"postgresql+psycopg://… with `pip install 'psycopg[binary]'` ({error})"
        ) from error


def _table_names(connection: sa.Connection) -> set[str]:
    if connection.dialect.name == "sqlite":  # far faster than reflection
        rows = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {str(name) for (name,) in rows}
    return set(sa.inspect(connection).get_table_names())


def _explain(error: sa.exc.DBAPIError) -> str:
    text = " ".join(str(error.orig).split())
    if "not a database" in text:
        return "not a catalogue: expected a file made by `maeum index PATH --catalogue FILE`"
    if "locked" in text:
        return "another process is writing to it; try again when that has finished"
    if "malformed" in text or "no such" in text:
        return f"the file is damaged or not a catalogue ({text}); index the songs again"
    if "readonly" in text or "unable to open" in text:
        return f"no permission to write it or its folder ({text})"
    return text


def _put_meta(connection: sa.Connection, facts: Mapping[str, str]) -> None:
    connection.execute(sa.delete(_meta_table).where(_meta_table.c.key.in_(list(facts))))
    rows = [{"key": key, "value": value} for key, value in facts.items()]
    connection.execute(sa.insert(_meta_table), rows)


def _parts(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), _ROWS_PER_STATEMENT):
        yield items[start : start + _ROWS_PER_STATEMENT]


def _conditions(where: SongFilter | None) -> list[sa.ColumnElement[bool]]:
    if where is None:
        return []
    conditions: list[sa.ColumnElement[bool]] = []
    if where.year_from is not None:
        conditions.append(_columns.year >= where.year_from)
    if where.year_to is not None:
        conditions.append(_columns.year <= where.year_to)
    for column, wanted in ((_columns.genre, where.genre), (_columns.artist, where.artist)):
        if wanted is not None:
            values = sa.func.replace(sa.func.lower(sa.func.trim(column)), "; ", ";", type_=sa.Text)
            enclosed = sa.literal(";") + values + sa.literal(";")
            conditions.append(enclosed.contains(f";{_fold(wanted)};", autoescape=True))
    for column, wanted in ((_columns.language, where.language), (_columns.source, where.source)):
        if wanted is not None:
            conditions.append(sa.func.lower(sa.func.trim(column)) == _fold(wanted))
    for column, wanted_stage in (
        (_columns.lyrics_made_by, where.has_lyrics),
        (_columns.audio_made_by, where.has_audio),
    ):
        if wanted_stage is not None:
            conditions.append(column.is_not(None) if wanted_stage else column.is_(None))
    return conditions


def _row(song: Song) -> dict[str, Any]:
    if not song.id:
        raise InputError(f"a song needs an id: {song.title!r} by {song.artist!r} has none")
    row: dict[str, Any] = {name: getattr(song, name) for name in (*_FACTS, *_NOTES)}
    for stage in STAGES:
        vector: StageVector | None = getattr(song, stage)
        row[f"{stage}_made_by"] = None if vector is None else vector.made_by
        values: list[float] | list[None] = [None] * N_EMOTIONS
        if vector is not None:
            values = _checked(vector, f"{stage} of song {song.id!r}")
        row.update(zip((f"{stage}_{emotion}" for emotion in EMOTIONS), values, strict=True))
    return row


def _checked(vector: StageVector, what: str) -> list[float]:
    if not vector.made_by:
        raise InputError(f"{what}: made_by is empty, expected the hash of what made the vector")
    values: list[float] = check_distribution(vector.distribution, what).tolist()
    return values


def _songs(rows: Sequence[sa.Row[Any]]) -> list[Song]:
    """Songs from rows of the whole table; views of one array hold all their vectors."""
    n_facts = len(_FACTS)
    n_notes = n_facts + len(_NOTES)
    n_heads = n_notes + len(_MADE_BY)
    plain = [tuple(row) for row in rows]
    try:
        values = np.array([row[n_heads:] for row in plain], dtype=np.float32)  # None → NaN
    except (TypeError, ValueError) as error:
        raise CatalogueError(f"an emotion in the catalogue is not a number: {error}") from error
    vectors = values.reshape(-1, N_EMOTIONS)  # (n * 3, 6): lyrics, audio, fused of each song
    made_by = [hash_ for row in plain for hash_ in row[n_notes:n_heads]]
    stages = [
        None if hash_ is None else StageVector(vector, hash_)
        for vector, hash_ in zip(vectors, made_by, strict=True)
    ]
    present = np.array([hash_ is not None for hash_ in made_by], dtype=np.bool_)
    damaged = np.flatnonzero(present & ~np.isfinite(vectors).all(axis=1))
    if damaged.size:
        song, stage = divmod(int(damaged[0]), len(STAGES))
        raise CatalogueError(
            f"the {STAGES[stage]} vector of song {plain[song][0]!r} is incomplete: index it again"
        )
    return [
        Song(*row[:n_facts], *stages[3 * i : 3 * i + 3], *row[n_facts:n_notes])
        for i, row in enumerate(plain)
    ]
