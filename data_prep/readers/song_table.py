"""Tables of songs: CSV, TSV, JSON lines or Parquet.

Columns, by name, in any order and any case:

- ``id``: needed, unique.
- ``text`` or ``lyrics`` (the words themselves), ``lyrics_path``, ``audio_path``: at
  least one of these columns is needed. Paths are relative to the table.
- ``title, artist, album, year, genre, language, licence`` (or ``license``), ``link``
  (or ``url``): facts, kept in the catalogue.
- Others are kept as they are.

A row that cannot be used does not spoil the table: it is given with its
``problem``. What makes the whole table unusable (no such file, a missing column,
a damaged file) is an :class:`InputError`. CSV and TSV may be UTF-8, UTF-16 with
its mark, or CP949, as older Korean spreadsheets write it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from data_prep.errors import InputError

SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".parquet")

CONTENT_COLUMNS: Final = ("text", "lyrics", "lyrics_path", "audio_path")
FACT_COLUMNS: Final = (
    *("title", "artist", "album", "year", "genre", "language", "licence", "link"),
)
_OTHER_NAMES: Final = {"license": "licence", "url": "link"}

_MAX_FIELD_CHARACTERS: Final = 10_000_000
_SURPLUS: Final = "\0surplus"  # no column can have this name


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
    lyrics_path: Path | None
    audio_path: Path | None
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

    path: Path
    columns: tuple[str, ...]
    records: tuple[SongRecord, ...]


def read_song_table(path: Path) -> SongTable:
    """Read a table of songs.

    Raises
    ------
    InputError
        If the file is missing, of another kind, damaged, or lacks a needed column.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}: expected a table ({', '.join(SUFFIXES)})")
    suffix = path.suffix.lower()
    problems: dict[int, str] = {}
    try:
        if suffix in (".csv", ".tsv"):
            columns, rows = _read_delimited(path, "," if suffix == ".csv" else "\t", problems)
        elif suffix == ".jsonl":
            columns, rows = _read_json_lines(path, problems)
        elif suffix == ".parquet":
            columns, rows = _read_parquet(path)
        else:
            raise InputError(f"{path} is not a table: expected one of {', '.join(SUFFIXES)}")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    names = _names(path, columns)
    return SongTable(path, tuple(columns), tuple(_records(path, names, rows, problems)))


def _names(path: Path, columns: Iterable[str]) -> dict[str, str]:
    """Known name → the table's own name of that column."""
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


def _records(
    path: Path,
    names: Mapping[str, str],
    rows: Iterable[Mapping[str, Any]],
    problems: Mapping[int, str],
) -> Iterable[SongRecord]:
    row_of_id: dict[str, int] = {}
    for number, values in enumerate(rows, start=1):
        known = {name: _text(values.get(column)) for name, column in names.items()}
        song_id = (known["id"] or "").strip()
        problem = problems.get(number)
        if problem is None and not song_id:
            problem = "the row has no id"
        if problem is None and song_id in row_of_id:
            problem = f"row {row_of_id[song_id]} has the same id {song_id!r}"
        if problem is None and not any(known.get(name) for name in CONTENT_COLUMNS):
            problem = (
                f"the row has nothing in {', '.join(n for n in CONTENT_COLUMNS if n in names)}"
            )
        row_of_id.setdefault(song_id, number)
        facts: dict[str, Any] = {name: known.get(name) for name in FACT_COLUMNS}
        facts["year"] = _year(facts["year"])
        yield SongRecord(
            row=number,
            id=song_id,
            text=known.get("text") or known.get("lyrics"),
            lyrics_path=_path(path, known.get("lyrics_path")),
            audio_path=_path(path, known.get("audio_path")),
            **facts,
            values=values,
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


def _path(table: Path, value: str | None) -> Path | None:
    return None if value is None else table.parent / Path(value.strip()).expanduser()


def _read_delimited(
    path: Path, delimiter: str, problems: dict[int, str]
) -> tuple[list[str], list[dict[str, Any]]]:
    text = _decode(path)
    limit = csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    try:
        reader = csv.DictReader(
            io.StringIO(text, newline=""), delimiter=delimiter, restkey=_SURPLUS, strict=True
        )
        columns = list(reader.fieldnames or [])
        rows: list[dict[str, Any]] = []
        for record in reader:
            rows.append(record)
            if record.pop(_SURPLUS, None) is not None:
                problems[len(rows)] = (
                    "the row has more fields than there are columns: "
                    "a text that holds the separator needs quotes"
                )
            elif None in record.values():
                problems[len(rows)] = "the row has fewer fields than there are columns"
    except csv.Error as error:
        separator = "commas" if delimiter == "," else "tabs"
        raise InputError(f"{path} is not a table separated by {separator}: {error}") from error
    finally:
        csv.field_size_limit(limit)
    return columns, rows


def _decode(path: Path) -> str:
    content = path.read_bytes()
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp949"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError(f"{path} is not text: expected UTF-8, UTF-16 or CP949")


def _read_json_lines(
    path: Path, problems: dict[int, str]
) -> tuple[list[str], list[dict[str, Any]]]:
    columns: dict[str, None] = {}
    rows: list[dict[str, Any]] = []
    for line in _decode(path).split("\n"):
        if not line.strip():
            continue
        record: Any = None
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems[len(rows) + 1] = f"the line is not JSON: {error}"
        else:
            if not isinstance(record, dict):
                problems[len(rows) + 1] = f"the line is a {type(record).__name__}, not an object"
        rows.append(record if isinstance(record, dict) else {})
        columns.update(dict.fromkeys(rows[-1]))
    return list(columns), rows


def _read_parquet(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise InputError(f"{path} is not a Parquet table: {error}") from error
    return list(table.column_names), table.to_pylist()
