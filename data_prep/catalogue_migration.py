"""Bringing a catalogue of an earlier schema up to date, without analysing a song again.

The first schema kept everything in one table, a column for each of the eighteen
probabilities. It and the second kept what a song's stages were made from among the facts
about the catalogue as a whole, as JSON under ``inputs:ID``. All is moved in the transaction
of the caller: a run that is broken off leaves the catalogue as it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from data_prep.catalogue_files import write_files
from data_prep.catalogue_songs import write_songs
from data_prep.catalogue_tables import (
    FACTS,
    NOTES,
    SCHEMA_VERSION,
    damage,
    meta_table,
    metadata,
    put_meta,
    renew_revision,
    song_table,
)
from data_prep.errors import CatalogueError
from data_prep.song import STAGES, Song, StageVector
from data_prep.song_file import SongFile
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS

OLD_VERSIONS: Final = ("1", "2")

_ROWS_PER_BLOCK: Final = 2_000
_INPUTS: Final = "inputs:"
_OLD_FACTS: Final = tuple(name for name in FACTS if name != "missing_since")
_HASHES: Final = tuple(f"{stage}_made_by" for stage in STAGES)
_VALUES: Final = tuple(f"{stage}_{emotion}" for stage in STAGES for emotion in EMOTIONS)
_old_table: Final = sa.Table(
    "maeum_songs_1",
    sa.MetaData(),
    *(
        sa.Column(name, sa.REAL if name in _VALUES else sa.Text)
        for name in (*_OLD_FACTS, *NOTES, *_HASHES, *_VALUES)
    ),
)


def migrate(connection: sa.Connection, version: str) -> None:
    """Move a catalogue of an earlier schema into the tables of this one.

    Parameters
    ----------
    version
        Its schema's, one of ``OLD_VERSIONS``.

    Raises
    ------
    CatalogueError
        If a vector is damaged; names it.
    """
    if version == "1":
        _move_songs(connection)
    else:
        column = song_table.c.missing_since
        kind = column.type.compile(connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE maeum_songs ADD COLUMN {column.name} {kind}")
        metadata.create_all(connection)
    _move_inputs(connection)
    put_meta(connection, {"schema_version": SCHEMA_VERSION})
    renew_revision(connection)


def _move_inputs(connection: sa.Connection) -> None:
    """Hashes of what was read, from facts about the catalogue into a table of their own."""
    listed = meta_table.c.key.startswith(_INPUTS, autoescape=True)
    rows = connection.execute(sa.select(meta_table).where(listed)).all()
    write_files(connection, [_old_file(key.removeprefix(_INPUTS), text) for key, text in rows])
    connection.execute(sa.delete(meta_table).where(listed))


def _old_file(song_id: str, text: str) -> SongFile:
    try:
        kept = json.loads(text)
        size, mtime_ns = kept.get("stat") or (None, None)
        audio = kept.get("audio")
        content = audio.partition(":")[0] if audio else None
        return SongFile(
            song_id,
            size=size,
            mtime_ns=mtime_ns,
            content=content,
            lyrics=kept.get("lyrics"),
            audio=audio,
        )
    except (ValueError, TypeError, AttributeError):
        return SongFile(song_id)  # whatever it was, it vouches for nothing


def _move_songs(connection: sa.Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE maeum_songs RENAME TO maeum_songs_1")
    if connection.dialect.name == "postgresql":  # the index of a key keeps its name
        connection.exec_driver_sql("ALTER INDEX maeum_songs_pkey RENAME TO maeum_songs_1_pkey")
    metadata.create_all(connection)
    id_order: sa.ColumnElement[Any] = _old_table.c.id
    if connection.dialect.name == "postgresql":
        id_order = sa.collate(id_order, "C")
    query = sa.select(_old_table).order_by(id_order)
    result = connection.execute(query, execution_options={"yield_per": _ROWS_PER_BLOCK})
    for rows in result.partitions():
        write_songs(connection, _old_songs(rows))
    connection.exec_driver_sql("DROP TABLE maeum_songs_1")


def _old_songs(rows: Sequence[sa.Row[Any]]) -> list[Song]:
    n_facts = len(_OLD_FACTS)
    n_notes = n_facts + len(NOTES)
    n_heads = n_notes + len(_HASHES)
    try:
        values = np.array([tuple(row)[n_heads:] for row in rows], dtype=np.float32)  # None → NaN
    except (TypeError, ValueError) as error:
        raise CatalogueError(f"an emotion in the catalogue is not a number: {error}") from error
    vectors = values.reshape(-1, len(STAGES), N_EMOTIONS)
    complete = np.asarray(np.isfinite(vectors).all(axis=2))
    songs = []
    for row, of_song, are_complete in zip(rows, vectors, complete, strict=True):
        stages: list[StageVector | None] = []
        for place, made_by in enumerate(row[n_notes:n_heads]):
            if made_by is not None and not are_complete[place]:
                raise damage(STAGES[place], row[0])
            stages.append(None if made_by is None else StageVector(of_song[place], made_by))
        known = dict(zip(_OLD_FACTS, row[:n_facts], strict=True))
        known |= dict(zip(STAGES, stages, strict=True))
        known |= dict(zip(NOTES, row[n_facts:n_notes], strict=True))
        songs.append(Song(**known))
    return songs
