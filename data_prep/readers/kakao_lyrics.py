"""Lyrics for the songs of Kakao Arena, from a table of the user's own.

The set has no lyrics. A table in the set's folder, ``lyrics.csv``, ``.tsv``, ``.jsonl`` or
``.parquet``, has those that a user may use: columns ``song_id`` (or ``id``) and ``lyrics`` (or
``text``), in any order. It is read through once; the words wait in a temporary file, since
memory would not hold those of all songs.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.readers.table_rows import SUFFIXES, TableRow, open_table

STEM: Final = "lyrics"
_ID_COLUMNS: Final = ("song_id", "id")
_WORDS_COLUMNS: Final = ("lyrics", "text")


class ArenaLyrics:
    """Lyrics by the numbers of songs.

    Parameters
    ----------
    path
        The table.

    Attributes
    ----------
    ids
        Numbers (n,) int64 of the songs with lyrics, ascending.
    left_out
        Number of rows that could not be used, by reason.

    Raises
    ------
    InputError
        If the table cannot be read, or lacks a column.
    """

    def __init__(self, path: Path) -> None:
        self.left_out: Counter[str] = Counter()
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the object)
        self._ids, self._ends = array("q"), array("q")
        table = open_table(path, self._keep)
        columns = {column.strip().lower() for column in table.columns}
        for names in (_ID_COLUMNS, _WORDS_COLUMNS):
            if columns.isdisjoint(names):
                found = ", ".join(table.columns) or "none"
                raise InputError(f"{path} has no column {names[0]!r} (found: {found})")
        ids = np.array(self._ids, dtype=np.int64)
        ends = np.array(self._ends, dtype=np.int64)
        starts = np.concatenate([np.zeros(1, dtype=np.int64), ends])[: len(ids)]
        # of several rows of one song the first counts
        self.ids: NDArray[np.int64]
        self.ids, first = np.unique(ids, return_index=True)
        self.left_out["song twice"] += len(ids) - len(self.ids)
        self._starts, self._lengths = starts[first], (ends - starts)[first]

    def words(self, song_id: int) -> str | None:
        """Lyrics of a song, if there are any."""
        place = int(np.searchsorted(self.ids, song_id))
        if place == len(self.ids) or self.ids[place] != song_id:
            return None
        self._file.seek(int(self._starts[place]))
        return self._file.read(int(self._lengths[place])).decode("utf-8")

    def _keep(self, row: TableRow) -> None:
        song_id = _number(_value(row, _ID_COLUMNS))
        words = _value(row, _WORDS_COLUMNS)
        if row.problem is not None:
            self.left_out["malformed row"] += 1
        elif song_id is None:
            self.left_out["no song id"] += 1
        elif not isinstance(words, str) or not words.strip():
            self.left_out["no words"] += 1
        else:
            self._file.write(words.encode("utf-8", "replace"))
            self._ids.append(song_id)
            self._ends.append(self._file.tell())


def lyrics_table(folder: Path) -> Path | None:
    """The table of lyrics in a folder, if there is one.

    Raises
    ------
    InputError
        If there are several.
    """
    found = [folder / (STEM + suffix) for suffix in SUFFIXES]
    there = [path for path in found if path.is_file()]
    if len(there) > 1:
        names = " and ".join(path.name for path in there)
        raise InputError(f"{folder} holds {names}: expected one table of lyrics")
    return there[0] if there else None


def _value(row: TableRow, names: tuple[str, ...]) -> Any:
    values = {str(column).strip().lower(): value for column, value in row.values.items()}
    return next((values[name] for name in names if name in values), None)


def _number(value: Any) -> int | None:
    """A song's number; spreadsheets write whole numbers as ``12.0``."""
    text = str(value).strip().removesuffix(".0") if value is not None else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else None
