"""Tables of songs: CSV, TSV, JSON lines or Parquet.

Columns, by name, in any order and any case:

- ``id``: needed, unique.
- ``text`` or ``lyrics`` (the words themselves), ``lyrics_path``, ``audio_path``: at
  least one of these columns is needed. Paths are relative to the table, or URLs.
- ``title, artist, album, year, genre, language, licence`` (or ``license``), ``link``
  (or ``url``): facts, kept in the catalogue.
- Others are kept as they are.

A row that cannot be used does not spoil the table: it is given with its
``problem``. What makes the whole table unusable (no such file, a missing column,
a damaged file) is an :class:`InputError`. CSV and TSV may be UTF-8, UTF-16 with
its mark, or CP949, as older Korean spreadsheets write it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from data_prep.errors import InputError
from data_prep.readers.table_rows import SUFFIXES, TableRow, open_table
from data_prep.remote_file import SongPath, at_hand, is_url, place_of_file

__all__ = [
    "SUFFIXES",
    "SongRecord",
    "SongTable",
    "known_names",
    "read_song_table",
    "row_id",
    "song_record",
]

CONTENT_COLUMNS: Final = ("text", "lyrics", "lyrics_path", "audio_path")
FACT_COLUMNS: Final = (
    *("title", "artist", "album", "year", "genre", "language", "licence", "link"),
)
_OTHER_NAMES: Final = {"license": "licence", "url": "link"}


@dataclass(frozen=True)
class SongRecord:
    """One row of a song table.

    Attributes
    ----------
    row
        Number of the row, from 1, the header not counted.
    id
        As in the table; ``""`` if the row has none (then ``problem`` says so).
    text
        The words, not cleaned; ``None`` if the row has none of its own.
    lyrics_path, audio_path
        Resolved against the table's folder; not checked to exist.
    title, artist, album, year, genre, language, licence, link
        Facts; ``None`` where empty. A year is taken from the first four digits
        of a date.
    values
        The row as it stood, by the table's own column names.
    problem
        Why the row cannot be used; ``None`` if it can.
    """

    row: int
    id: str
    text: str | None
    lyrics_path: SongPath | None
    audio_path: SongPath | None
    title: str | None
    artist: str | None
    album: str | None
    year: int | None
    genre: str | None
    language: str | None
    licence: str | None
    link: str | None
    values: Mapping[str, Any]
    problem: str | None


@dataclass(frozen=True)
class SongTable:
    """A song table: its column names in order, and its rows in order."""

    path: SongPath
    columns: tuple[str, ...]
    records: tuple[SongRecord, ...]


def read_song_table(path: SongPath) -> SongTable:
    """Read a table of songs, wherever it is.

    Raises
    ------
    InputError
        If the file is missing, of another kind, damaged, or lacks a needed column.
    """
    rows: list[TableRow] = []
    with at_hand(path) as file:
        table = open_table(file, rows.append)
    names = known_names(path, table.columns)
    first: dict[str, int] = {}
    records = []
    for row in rows:
        song_id = row_id(row)
        earlier = first.setdefault(song_id, row.number) if song_id else row.number
        records.append(song_record(path, names, row, earlier if earlier != row.number else None))
    return SongTable(path, table.columns, tuple(records))


def known_names(path: SongPath, columns: Iterable[str]) -> dict[str, str]:
    """Known name → the table's own name of that column.

    Raises
    ------
    InputError
        If a needed column is missing.
    """
    names: dict[str, str] = {}
    for column in columns:
        known = column.strip().lower()
        names.setdefault(_OTHER_NAMES.get(known, known), column)
    found = ", ".join(columns) or "none"
    if "id" not in names:
        raise InputError(f"{path} has no column 'id' (found: {found}): give every song an id")
    if not any(name in names for name in CONTENT_COLUMNS):
        raise InputError(
            f"{path} has none of the columns {', '.join(CONTENT_COLUMNS)} (found: {found}): "
            "expected at least one of them"
        )
    return names


def row_id(row: TableRow) -> str:
    """The id a row states, ``""`` if none."""
    for column, value in row.values.items():
        if isinstance(column, str) and column.strip().lower() == "id":
            return (_text(value) or "").strip()
    return ""


def song_record(
    path: SongPath, names: Mapping[str, str], row: TableRow, earlier: int | None
) -> SongRecord:
    """A row as a song.

    Parameters
    ----------
    path
        The table, to which paths are relative.
    names
        As :func:`known_names` gives them.
    row
        As it stands.
    earlier
        The first row with the same id; ``None`` if there is none.
    """
    known = {name: _text(row.values.get(column)) for name, column in names.items()}
    song_id = (known["id"] or "").strip()
    problem = row.problem
    if problem is None and not song_id:
        problem = "the row has no id"
    if problem is None and earlier is not None:
        problem = f"row {earlier} has the same id {song_id!r}"
    if problem is None and not any(known.get(name) for name in CONTENT_COLUMNS):
        problem = f"the row has nothing in {', '.join(n for n in CONTENT_COLUMNS if n in names)}"
    files: dict[str, SongPath | None] = {"lyrics_path": None, "audio_path": None}
    try:
        files = {name: _path(path, known.get(name)) for name in files}
    except InputError as error:
        problem = problem or str(error)
    facts: dict[str, Any] = {name: known.get(name) for name in FACT_COLUMNS}
    facts["year"] = _year(facts["year"])
    return SongRecord(
        row=row.number,
        id=song_id,
        text=known.get("text") or known.get("lyrics"),
        lyrics_path=files["lyrics_path"],
        audio_path=files["audio_path"],
        **facts,
        values=row.values,
        problem=problem,
    )


def _text(value: Any) -> str | None:
    """A cell as text; ``None`` for an empty cell, the whole number for 12.0."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else str(value)
    return text if text.strip() else None


def _year(value: str | None) -> int | None:
    match = re.match(r"\s*(\d{4})(?!\d{1,3}(?:\D|$))", value or "")
    return int(match.group(1)) or None if match else None


def _path(table: SongPath, value: str | None) -> SongPath | None:
    if value is None:
        return None
    named = value.strip()
    if is_url(named):
        return place_of_file(named)
    if isinstance(table, Path):
        return table.parent / Path(named).expanduser()
    return table.parent / named
