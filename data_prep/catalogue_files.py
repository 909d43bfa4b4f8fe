"""Files of songs as rows of a catalogue's table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, Final

import sqlalchemy as sa

from data_prep.catalogue_tables import file_table, insert_of, parts, song_table
from data_prep.song_file import SongFile

_files = file_table.c
_COLUMNS: Final = tuple(_files[field.name] for field in fields(SongFile))


def read_files(connection: sa.Connection, song_ids: Sequence[str]) -> dict[str, SongFile]:
    """Song id → its file, of those that are there."""
    found: dict[str, SongFile] = {}
    for part in parts(song_ids):
        query = sa.select(*_COLUMNS).where(_files.song_id.in_(part))
        found.update((row[0], SongFile(*row)) for row in connection.execute(query).all())
    return found


def read_placed(connection: sa.Connection, source: str) -> list[tuple[SongFile, str | None]]:
    """Files with a place in a source, each with the song's path, in the order of their places."""
    query = (
        sa.select(*_COLUMNS, song_table.c.path)
        .join(song_table, song_table.c.id == _files.song_id)
        .where(_files.source == source, _files.place.is_not(None))
        .order_by(_files.place, _files.song_id)
    )
    return [(SongFile(*row[:-1]), row[-1]) for row in connection.execute(query).all()]


def write_files(connection: sa.Connection, files: Sequence[SongFile]) -> None:
    """Keep files of different songs; what was kept of a song is replaced."""
    for part in parts(files):
        rows: list[dict[str, Any]] = [asdict(file) for file in part]
        statement = insert_of(connection)(file_table)
        new = {name: statement.excluded[name] for name in rows[0] if name != "song_id"}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["song_id"], set_=new), rows
        )


def remove_files(connection: sa.Connection, song_ids: Sequence[str]) -> None:
    """Forget the files of songs."""
    for part in parts(song_ids):
        connection.execute(sa.delete(file_table).where(_files.song_id.in_(part)))
