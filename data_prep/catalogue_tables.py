"""The tables of a catalogue, second schema, and songs as rows of them.

``maeum_songs`` has the facts of a song and the models' raw answers under a number
that it keeps for good. The fused vectors lie in ``maeum_fused``, by that number:
other fusion settings write this narrow table anew and touch nothing else.
``maeum_meta`` has facts about the catalogue as a whole.

Text is compared by code point in either database, so that songs have one order,
and letters are folded alike.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any, Final, TypeVar

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from data_prep.catalogue_vectors import VECTOR_BYTES, SongVectors, are_distributions, decode, encode
from data_prep.errors import CatalogueError, InputError
from data_prep.song import STAGES, Song, SongFilter, Stage, StageVector, fold
from data_prep.taxonomy import N_EMOTIONS, TAXONOMY_VERSION, check_distribution

SCHEMA_VERSION: Final = "2"
REVISION_KEY: Final = "revision"
OWN_KEYS: Final = ("schema_version", "taxonomy_version", REVISION_KEY)

# In the order of Song's fields, without the stages: rows become songs by position.
FACTS: Final = tuple(
    field.name for field in fields(Song) if field.name not in STAGES and "_note" not in field.name
)
NOTES: Final = ("lyrics_note", "audio_note")

_ROWS_PER_STATEMENT: Final = 500
_VECTORS_PER_STATEMENT: Final = 16_384
_ROWS_PER_BLOCK: Final = 16_384
_ROWS_PER_FETCH: Final = 512

_TOLERANCE: Final = 1e-3  # of a sum; that of check_distribution, which names what fails

_T = TypeVar("_T")

metadata = sa.MetaData()

_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's own number of a row

meta_table = sa.Table(
    "maeum_meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# The vectors come first: what reads them alone need not step over the facts.
song_table = sa.Table(
    "maeum_songs",
    metadata,
    sa.Column("number", _number, sa.Identity(), primary_key=True),
    sa.Column("id", _text, nullable=False, unique=True),
    sa.Column("lyrics", sa.LargeBinary),
    sa.Column("audio", sa.LargeBinary),
    sa.Column("lyrics_made_by", _text),
    sa.Column("audio_made_by", _text),
    *(sa.Column(name, sa.Integer if name == "year" else _text) for name in FACTS[1:]),
    *(sa.Column(name, _text) for name in NOTES),
)

fused_table = sa.Table(
    "maeum_fused",
    metadata,
    sa.Column("number", _number, primary_key=True, autoincrement=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("made_by", _text, nullable=False),
)

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


def create_tables(connection: sa.Connection) -> None:
    """Make the tables of an empty catalogue."""
    metadata.create_all(connection)
    facts = {"schema_version": SCHEMA_VERSION, "taxonomy_version": TAXONOMY_VERSION}
    put_meta(connection, facts)
    renew_revision(connection)


def meta_facts(connection: sa.Connection, keys: Sequence[str] | None = None) -> dict[str, str]:
    """Facts about the catalogue as a whole: those asked for that are there, or all."""
    query = sa.select(meta_table.c.key, meta_table.c.value)
    if keys is not None:
        query = query.where(meta_table.c.key.in_(keys))
    return {str(key): str(value) for key, value in connection.execute(query).all()}


def put_meta(connection: sa.Connection, facts: Mapping[str, str]) -> None:
    """Keep facts about the catalogue as a whole."""
    connection.execute(sa.delete(meta_table).where(meta_table.c.key.in_(list(facts))))
    rows = [{"key": key, "value": value} for key, value in facts.items()]
    connection.execute(sa.insert(meta_table), rows)


def renew_revision(connection: sa.Connection) -> None:
    """Give the catalogue a revision that no catalogue ever had: a counter and random digits.

    The digits are new each time. A copy that went its own way counts alike, and
    would be mistaken for its original by anything that stays the same.
    """
    counted = _revision(connection).partition("-")[0]
    following = int(counted) + 1 if counted.isdecimal() else 1
    put_meta(connection, {REVISION_KEY: f"{following}-{os.urandom(8).hex()}"})


def parts(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Items in lists that fit into one statement."""
    for start in range(0, len(items), _ROWS_PER_STATEMENT):
        yield items[start : start + _ROWS_PER_STATEMENT]


def conditions(where: SongFilter | None) -> list[sa.ColumnElement[bool]]:
    """A filter as conditions on the table of songs."""
    if where is None:
        return []
    found: list[sa.ColumnElement[bool]] = []
    if where.year_from is not None:
        found.append(_songs.year >= where.year_from)
    if where.year_to is not None:
        found.append(_songs.year <= where.year_to)
    for column, wanted in ((_songs.genre, where.genre), (_songs.artist, where.artist)):
        if wanted is not None:
            values = sa.func.replace(sa.func.lower(sa.func.trim(column)), "; ", ";", type_=sa.Text)
            enclosed = sa.literal(";") + values + sa.literal(";")
            found.append(enclosed.contains(f";{fold(wanted)};", autoescape=True))
    for column, wanted in ((_songs.language, where.language), (_songs.source, where.source)):
        if wanted is not None:
            found.append(sa.func.lower(sa.func.trim(column)) == fold(wanted))
    for column, wanted_stage in (
        (_songs.lyrics, where.has_lyrics),
        (_songs.audio, where.has_audio),
    ):
        if wanted_stage is not None:
            found.append(column.is_not(None) if wanted_stage else column.is_(None))
    return found


# Songs.


def select_songs() -> sa.Select[Any]:
    """A query of whole songs, for :func:`read_songs`; to be narrowed and ordered."""
    columns = (*FACTS, *NOTES, "lyrics_made_by", "audio_made_by", "lyrics", "audio")
    return sa.select(
        *(_songs[name] for name in columns), _fused.made_by, _fused.vector, _songs.number
    ).select_from(sa.outerjoin(song_table, fused_table, _songs.number == _fused.number))


def read_songs(connection: sa.Connection, query: sa.Select[Any]) -> list[tuple[int, Song]]:
    """Songs with their numbers, by a query that :func:`select_songs` began.

    Raises
    ------
    CatalogueError
        If a vector is damaged; names it.
    """
    rows = [tuple(row) for row in connection.execute(query).all()]
    if not rows:
        return []
    n_facts = len(FACTS)
    n_notes = n_facts + len(NOTES)
    columns = list(zip(*rows, strict=True))
    lyrics_by, audio_by, lyrics, audio, fused_by, fused, numbers = columns[n_notes:]
    stages = []
    for stage, made_by, blobs in zip(
        STAGES, (lyrics_by, audio_by, fused_by), (lyrics, audio, fused), strict=True
    ):
        vectors, damaged = decode(blobs)
        if damaged.any():
            raise damage(stage, columns[0][int(damaged.argmax())])
        stages.append(
            [
                None if blob is None else StageVector(vector, str(hash_))
                for blob, vector, hash_ in zip(blobs, vectors, made_by, strict=True)
            ]
        )
    return [
        (int(number), Song(*row[:n_facts], *of_song, *row[n_facts:n_notes]))
        for number, row, *of_song in zip(numbers, rows, *stages, strict=True)
    ]


def damage(stage: Stage, song_id: str) -> CatalogueError:
    """What to say of a vector that is no distribution."""
    return CatalogueError(
        f"the {stage} vector of song {song_id!r} is damaged: index the songs again into a new "
        "catalogue, or bring back a copy of this one"
    )


def write_songs(connection: sa.Connection, songs: Sequence[Song]) -> None:
    """Add songs of different ids; one whose id is there keeps its number and nothing else.

    Raises
    ------
    InputError
        If a song has no id, or a vector is not a distribution.
    """
    for part in parts(songs):
        rows = _rows(part)
        statement = _insert(connection)(song_table)
        new = {name: statement.excluded[name] for name in rows[0] if name != "id"}
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=new), rows)
        _write_fused_of(connection, part)


def _insert(connection: sa.Connection) -> Any:
    """The ``INSERT`` of the database that knows ``ON CONFLICT``; only that one is imported."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert


def _rows(songs: Sequence[Song]) -> list[dict[str, Any]]:
    for song in songs:
        if not song.id:
            raise InputError(f"a song needs an id: {song.title!r} by {song.artist!r} has none")
    stored = {stage: _encoded(songs, stage) for stage in STAGES}  # all of them are checked
    rows = []
    for i, song in enumerate(songs):
        row: dict[str, Any] = {name: getattr(song, name) for name in (*FACTS, *NOTES)}
        row |= {"lyrics": stored["lyrics"][i], "audio": stored["audio"][i]}
        row["lyrics_made_by"] = None if song.lyrics is None else song.lyrics.made_by
        row["audio_made_by"] = None if song.audio is None else song.audio.made_by
        rows.append(row)
    return rows


def _encoded(songs: Sequence[Song], stage: Stage) -> list[bytes | None]:
    present: list[tuple[int, NDArray[np.float32]]] = []
    for place, song in enumerate(songs):
        vector: StageVector | None = getattr(song, stage)
        if vector is not None and not vector.made_by:
            raise InputError(
                f"{stage} of song {song.id!r}: made_by is empty, expected the hash of what made "
                "the vector"
            )
        if vector is not None:
            present.append((place, vector.distribution))
    try:
        vectors = np.array([vector for _, vector in present], dtype=np.float32)
        fit = vectors.shape[1:] == (N_EMOTIONS,) and bool(
            are_distributions(vectors, tolerance=_TOLERANCE).all()
        )
    except (TypeError, ValueError):  # of different lengths
        fit = False
    if not fit:
        vectors = np.array(
            [check_distribution(v, f"{stage} of song {songs[place].id!r}") for place, v in present]
        )
    blobs: list[bytes | None] = [None] * len(songs)
    for (place, _), checked in zip(present, vectors, strict=True):
        blobs[place] = encode(checked)
    return blobs


def _write_fused_of(connection: sa.Connection, songs: Sequence[Song]) -> None:
    query = sa.select(_songs.id, _songs.number).where(_songs.id.in_([song.id for song in songs]))
    numbers = dict(connection.execute(query).tuples().all())
    by_maker: dict[str, list[Song]] = {}
    without = []
    for song in songs:
        if song.fused is None:
            without.append(numbers[song.id])
        else:
            by_maker.setdefault(song.fused.made_by, []).append(song)
    if without:
        connection.execute(sa.delete(fused_table).where(_fused.number.in_(without)))
    for made_by, made in by_maker.items():
        vectors = np.array([song.fused.distribution for song in made if song.fused is not None])
        of_songs = np.array([numbers[song.id] for song in made], dtype=np.int64)
        write_fused(connection, of_songs, vectors.astype(np.float32), made_by)


def remove_songs(connection: sa.Connection, ids: Sequence[str]) -> int:
    """Take songs out; gives the number that were there."""
    removed = 0
    for part in parts(ids):
        found = sa.select(_songs.number).where(_songs.id.in_(part))
        connection.execute(sa.delete(fused_table).where(_fused.number.in_(found)))
        removed += connection.execute(sa.delete(song_table).where(_songs.id.in_(part))).rowcount
    return removed


# Vectors in bulk.


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
        columns += [_fused.made_by == sa.literal(made_by, _text), _fused.vector]
    query = sa.select(*columns).select_from(tables).order_by(_songs.number)
    revision = _revision(connection)
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
            revision=revision,
        )


def _no_vectors(connection: sa.Connection) -> SongVectors:
    none = np.empty((0, N_EMOTIONS), dtype=np.float32)
    numbers, current = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
    return SongVectors(numbers, none, none, none, current, _revision(connection))


def _revision(connection: sa.Connection) -> str:
    return meta_facts(connection, [REVISION_KEY]).get(REVISION_KEY, "")


def read_numbers(connection: sa.Connection, where: SongFilter | None) -> NDArray[np.int64]:
    """Numbers of songs that pass a filter, or of all, in the order of their ids."""
    wanted = conditions(where)
    # A filter needs the facts of every song: SQLite would fetch them in the order of an
    # ascending id, one here and one there. Of an expression it has no index to be led by.
    order = _songs.id.concat("") if wanted else _songs.id
    query = sa.select(_songs.number).where(*wanted).order_by(order)
    cursor = connection.execute(query).cursor
    assert cursor is not None, "a query has a cursor"
    return np.fromiter(chain.from_iterable(cursor.fetchall()), dtype=np.int64)


def _columns(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[list[list[Any]]]:
    """Columns of a result, thousands of rows at a time, as the driver gives them."""
    result = connection.execute(query)
    cursor = result.cursor
    assert cursor is not None, "a query has a cursor"
    n_columns = len(cursor.description)
    # Few at a time, or Python looks for garbage among them again and again.
    n_rows = min(_ROWS_PER_FETCH, _ROWS_PER_BLOCK)
    while rows := cursor.fetchmany(n_rows):
        columns: list[list[Any]] = [[] for _ in range(n_columns)]
        while rows:
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                column.extend(values)
            is_full = len(columns[0]) >= _ROWS_PER_BLOCK
            rows = [] if is_full else cursor.fetchmany(n_rows)
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
    fits = are_distributions(vectors, tolerance=_TOLERANCE)
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
