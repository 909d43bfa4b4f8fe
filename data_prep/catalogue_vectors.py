"""Vectors and numbers of all songs of a catalogue, read and written in bulk.

No song becomes an object: columns go from the driver into arrays, and thousands
of vectors into the database as one value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from data_prep.catalogue_tables import conditions, damage, fused_table, parts, revision, song_table
from data_prep.errors import InputError
from data_prep.song import STAGES, SongFilter, Stage
from data_prep.stored_vectors import TOLERANCE, VECTOR_BYTES, are_distributions, decode, encode
from data_prep.taxonomy import N_EMOTIONS

_BRANCHES: Final[tuple[Stage, ...]] = ("lyrics", "audio")
_VECTORS_PER_STATEMENT: Final = 16_384
_ROWS_PER_BLOCK: Final = 16_384
_ROWS_PER_FETCH: Final = 512

_songs = song_table.c
_fused = fused_table.c

# One statement for thousands of vectors: the numbers as a list, the vectors as one value.
_PUT_VECTORS: Final = {
    "sqlite": f"""
        INSERT INTO maeum_fused (number, vector, made_by)
        SELECT value, substr(?2, {VECTOR_BYTES} * key + 1, {VECTOR_BYTES}), ?3 FROM json_each(?1)
        WHERE value IN (SELECT number FROM maeum_songs)
        ON CONFLICT (number) DO UPDATE SET vector = excluded.vector, made_by = excluded.made_by
    """,
    "postgresql": f"""
        INSERT INTO maeum_fused (number, vector, made_by)
        SELECT number, substr(%s, ({VECTOR_BYTES} * (place - 1) + 1)::integer, {VECTOR_BYTES}), %s
        FROM unnest(%s::bigint[]) WITH ORDINALITY AS listed (number, place)
        WHERE number IN (SELECT number FROM maeum_songs)
        ON CONFLICT (number) DO UPDATE SET vector = excluded.vector, made_by = excluded.made_by
    """,
}


@dataclass(frozen=True, eq=False)
class SongVectors:
    """Vectors of songs of a catalogue as arrays.

    Attributes
    ----------
    numbers
        The catalogue's number of each song, int64 (n,).
    lyrics, audio, fused
        Emotion distributions, float32 (n, 6); NaN where there is none, and
        throughout for a stage that was not asked for.
    current
        Whether the fused vector was made by the hash that was asked about, (n,).
    revision
        Of the catalogue when they were read.
    """

    numbers: NDArray[np.int64]
    lyrics: NDArray[np.float32]
    audio: NDArray[np.float32]
    fused: NDArray[np.float32]
    current: NDArray[np.bool_]
    revision: str

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, eq=False)
class FilterFacts:
    """What filters ask of some songs, column by column, each as long as ``numbers``.

    Attributes
    ----------
    numbers
        The catalogue's number of each song.
    years, genre, artist, language, source
        As stored; ``None`` where unknown.
    has_lyrics, has_audio
        Whether there is an answer of the stage.
    """

    numbers: list[int]
    years: list[int | None]
    genre: list[str | None]
    artist: list[str | None]
    language: list[str | None]
    source: list[str | None]
    has_lyrics: list[bool]
    has_audio: list[bool]


def filter_facts(connection: sa.Connection) -> Iterator[FilterFacts]:
    """What filters ask of all songs, thousands at a time, in the order of their numbers."""
    columns = [_songs[name] for name in ("number", "year", "genre", "artist", "language", "source")]
    stages = [_songs[stage].is_not(None) for stage in ("lyrics", "audio")]
    query = sa.select(*columns, *stages).order_by(_songs.number)
    for block in _columns(connection, query):
        yield FilterFacts(*block)


def read_vectors(
    connection: sa.Connection, made_by: str | None, stages: Collection[Stage]
) -> SongVectors:
    """Vectors of all songs in the order of their ids; see :meth:`Catalogue.vectors`.

    They are read in the order of the table and put into that of the ids, which an
    index of its own holds: going through the table by id takes three times as long.
    """
    blocks = list(vector_blocks(connection, made_by, stages))
    if not blocks:
        return _no_vectors(connection)
    numbers = read_numbers(connection, None)
    ascending = np.concatenate([block.numbers for block in blocks])
    if ascending[-1] - ascending[0] == len(ascending) - 1:  # none is missing
        rows = numbers - ascending[0]
    else:
        rows = np.searchsorted(ascending, numbers)
    return SongVectors(
        numbers=numbers,
        lyrics=np.concatenate([block.lyrics for block in blocks])[rows],
        audio=np.concatenate([block.audio for block in blocks])[rows],
        fused=np.concatenate([block.fused for block in blocks])[rows],
        current=np.concatenate([block.current for block in blocks])[rows],
        revision=blocks[0].revision,
    )


def branches_of(
    connection: sa.Connection, numbers: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Raw answers of some songs; see :meth:`Catalogue.branches_of`."""
    place = {number: i for i, number in enumerate(numbers.tolist())}
    found = np.full((2, len(numbers), N_EMOTIONS), np.nan, dtype=np.float32)
    for part in parts(list(place)):
        columns = (_songs.number, _songs.id, _songs.lyrics, _songs.audio)
        rows = connection.execute(sa.select(*columns).where(_songs.number.in_(part))).all()
        at = [place[int(row[0])] for row in rows]
        for branch, stage in enumerate(_BRANCHES):
            vectors, damaged = decode([row[2 + branch] for row in rows])
            if damaged.any():
                raise damage(stage, rows[int(damaged.argmax())][1])
            found[branch, at] = vectors
    return found[0], found[1]


def vector_blocks(
    connection: sa.Connection, made_by: str | None, stages: Collection[Stage]
) -> Iterator[SongVectors]:
    """The same in the order of their numbers, thousands at a time.

    Fused vectors of songs that were given may be written before the next are taken.
    """
    tables: sa.FromClause = song_table
    columns: list[sa.ColumnElement[Any]] = [_songs.number]
    columns += [_songs[stage] for stage in ("lyrics", "audio") if stage in stages]
    if "fused" in stages:
        tables = sa.outerjoin(song_table, fused_table, _songs.number == _fused.number)
        columns += [_fused.made_by == sa.literal(made_by, sa.Text), _fused.vector]
    query = sa.select(*columns).select_from(tables).order_by(_songs.number)
    read_at = revision(connection)
    for numbers, *values in _columns(connection, query):
        current = values.pop(-2) if "fused" in stages else ()
        found: dict[Stage, NDArray[np.float32]] = {}
        for stage, blobs in zip([s for s in STAGES if s in stages], values, strict=True):
            found[stage], damaged = decode(blobs)
            if damaged.any():
                wanted = _songs.number == numbers[int(damaged.argmax())]
                song_id = connection.execute(sa.select(_songs.id).where(wanted)).scalar_one()
                raise damage(stage, song_id)
        absent = np.full((len(numbers), N_EMOTIONS), np.nan, dtype=np.float32)
        yield SongVectors(
            numbers=np.array(numbers, dtype=np.int64),
            lyrics=found.get("lyrics", absent),
            audio=found.get("audio", absent),
            fused=found.get("fused", absent),
            current=np.array([bool(one) for one in current] or [False] * len(numbers)),
            revision=read_at,
        )


def _no_vectors(connection: sa.Connection) -> SongVectors:
    none = np.empty((0, N_EMOTIONS), dtype=np.float32)
    numbers, current = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
    return SongVectors(numbers, none, none, none, current, revision(connection))


def read_numbers(connection: sa.Connection, where: SongFilter | None) -> NDArray[np.int64]:
    """Numbers of songs that pass a filter, or of all, in the order of their ids."""
    wanted = conditions(where)
    # A filter needs the facts of every song: SQLite would fetch them in the order of an
    # ascending id, one here and one there. Of an expression it has no index to be led by.
    order = _songs.id.concat("") if wanted else _songs.id
    query = sa.select(_songs.number).where(*wanted).order_by(order)
    blocks = [np.array(numbers, dtype=np.int64) for (numbers,) in _columns(connection, query)]
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.int64)


def _columns(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[list[list[Any]]]:
    """Columns of a result, thousands of rows at a time, as the driver gives them."""
    # Few at a time, or Python looks for garbage among them again and again.
    n_rows = min(_ROWS_PER_FETCH, _ROWS_PER_BLOCK)
    if connection.dialect.name == "sqlite":
        result = connection.execute(query)
        assert result.cursor is not None, "a query has a cursor"
        fetch: Callable[[int], Sequence[Any]] = result.cursor.fetchmany  # makes no row objects
    else:  # of itself a server gives its whole answer at once
        result = connection.execute(query, execution_options={"yield_per": _ROWS_PER_BLOCK})
        fetch = result.fetchmany
    n_columns = len(result.keys())
    while rows := fetch(n_rows):
        columns: list[list[Any]] = [[] for _ in range(n_columns)]
        while rows:
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                column.extend(values)
            is_full = len(columns[0]) >= _ROWS_PER_BLOCK
            rows = [] if is_full else fetch(n_rows)
        yield columns
    result.close()


def write_fused(
    connection: sa.Connection,
    numbers: NDArray[np.int64],
    vectors: NDArray[np.float32],
    made_by: str,
) -> int:
    """Put fused vectors of songs in the place of their old ones.

    Parameters
    ----------
    numbers
        Of the songs, each once; those that are not there are left out.
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
    """
    if vectors.shape != (len(numbers), N_EMOTIONS):
        raise InputError(
            f"fused vectors of {len(numbers)} songs: expected an array of shape "
            f"({len(numbers)}, {N_EMOTIONS}), got {vectors.shape}"
        )
    if not made_by:
        raise InputError("fused vectors: made_by is empty, expected the hash of the settings")
    order = np.argsort(numbers, kind="stable")  # in the order of the table: twice as fast
    ascending = numbers[order]
    twice = np.flatnonzero(ascending[1:] == ascending[:-1])
    if twice.size:
        raise InputError(f"fused vectors: song number {ascending[twice[0]]} comes twice")
    fits = are_distributions(vectors, tolerance=TOLERANCE)
    if not fits.all():
        row = int(fits.argmin())
        raise InputError(
            f"fused vector of song number {numbers[row]}: expected non-negative numbers that sum "
            f"to 1, got {vectors[row].tolist()}"
        )
    statement = _PUT_VECTORS[connection.dialect.name]
    written = 0
    for start in range(0, len(order), _VECTORS_PER_STATEMENT):
        rows = order[start : start + _VECTORS_PER_STATEMENT]
        listed, values = numbers[rows].tolist(), encode(vectors[rows])
        if connection.dialect.name == "sqlite":
            given: tuple[Any, ...] = (json.dumps(listed), values, made_by)
        else:
            given = (values, made_by, listed)
        written += connection.exec_driver_sql(statement, given).rowcount
    return written
