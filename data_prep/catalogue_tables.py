"""The tables of a catalogue, third schema; facts about it as a whole; filters as conditions.

``maeum_songs`` has the facts of a song and the models' raw answers under a number
that it keeps for good. The fused vectors lie in ``maeum_fused``, by that number:
other fusion settings write this narrow table anew and touch nothing else.
``maeum_files`` tells what the stages of a song were made from. ``maeum_meta`` has facts about the
catalogue as a whole.

Text is compared by code point in either database, so that songs have one order,
and letters are folded alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from data_prep.errors import CatalogueError
from data_prep.song import STAGES, Song, SongFilter, Stage, enclosed, fold
from data_prep.taxonomy import TAXONOMY_VERSION

SCHEMA_VERSION: Final = "3"
REVISION_KEY: Final = "revision"
OWN_KEYS: Final = ("schema_version", "taxonomy_version", REVISION_KEY)

# In the order of Song's fields, without the stages: rows become songs by position.
FACTS: Final = tuple(
    field.name for field in fields(Song) if field.name not in STAGES and "_note" not in field.name
)
NOTES: Final = ("lyrics_note", "audio_note")

_SPACES_AT_A_SEPARATOR: Final = 3  # that a filter looks through, on each side
_ROWS_PER_STATEMENT: Final = 500

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

file_table = sa.Table(
    "maeum_files",
    metadata,
    sa.Column("song_id", _text, primary_key=True),
    sa.Column("source", _text),
    sa.Column("place", _text),
    sa.Column("size", sa.BigInteger),
    sa.Column("mtime_ns", sa.BigInteger),
    sa.Column("content", _text),
    sa.Column("lyrics", _text),
    sa.Column("audio", _text),
)

_songs = song_table.c


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


def revision(connection: sa.Connection) -> str:
    """What names the present content; empty if the catalogue is damaged."""
    return meta_facts(connection, [REVISION_KEY]).get(REVISION_KEY, "")


def renew_revision(connection: sa.Connection) -> None:
    """Give the catalogue a revision that no catalogue ever had: a counter and random digits.

    The digits are new each time. A copy that went its own way counts alike, and
    would be mistaken for its original by anything that stays the same.
    """
    counted = revision(connection).partition("-")[0]
    following = int(counted) + 1 if counted.isdecimal() else 1
    put_meta(connection, {REVISION_KEY: f"{following}-{os.urandom(8).hex()}"})


def insert_of(connection: sa.Connection) -> Any:
    """The ``INSERT`` of the database that knows ``ON CONFLICT``; only that one is imported."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert


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
            values = sa.func.lower(sa.func.trim(column), type_=sa.Text)
            for spaced in ("; ", " ;") * _SPACES_AT_A_SEPARATOR:
                values = sa.func.replace(values, spaced, ";", type_=sa.Text)
            whole = sa.literal(";") + values + sa.literal(";")
            found.append(whole.contains(enclosed(wanted), autoescape=True))
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


def damage(stage: Stage, song_id: str) -> CatalogueError:
    """What to say of a vector that is no distribution."""
    return CatalogueError(
        f"the {stage} vector of song {song_id!r} is damaged: index the songs again into a new "
        "catalogue, or bring back a copy of this one"
    )
