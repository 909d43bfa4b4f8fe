"""Tables of songs read row by row: the records of ``song_table`` in bounded memory.

Columns and rules are those of :mod:`data_prep.readers.song_table`. Opening a
table reads it through once: the number of its rows and the rows that repeat an
id are known before any song is read. That takes eight bytes of memory a row.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.song_table import SongRecord, known_names, row_id, song_record
from data_prep.readers.table_rows import StreamedTable, TableRow, open_table
from data_prep.remote_file import SongPath

_NO_ID: Final = 0


@dataclass(frozen=True, eq=False)
class SongStream:
    """A table of songs; make one with :func:`open_song_stream`.

    Attributes
    ----------
    table
        The rows as they stand.
    place
        Where the table is, to which paths are relative: elsewhere if ``table`` is a copy.
    repeated, first
        Row numbers, ascending, that have the id of an earlier row, and the first
        row with that id; both (repeats,).
    """

    table: StreamedTable
    place: SongPath
    repeated: NDArray[np.int64]
    first: NDArray[np.int64]

    @property
    def path(self) -> Path:
        """The file on this machine."""
        return self.table.path

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return self.table.columns

    @property
    def length(self) -> int:
        """Number of rows."""
        return self.table.length

    def records(self, *, after: int = 0) -> Iterator[SongRecord]:
        """One pass over the songs, in order.

        Parameters
        ----------
        after
            Number of rows at the beginning to pass over.

        Raises
        ------
        InputError
            If the file changed or cannot be read any more.
        """
        names = known_names(self.place, self.columns)
        position = int(np.searchsorted(self.repeated, after, side="right"))
        for row in self.table.rows():
            if row.number <= after:
                continue
            earlier = None
            if position < len(self.repeated) and self.repeated[position] == row.number:
                earlier = int(self.first[position])
                position += 1
            yield song_record(self.place, names, row, earlier)


def open_song_stream(path: Path, place: SongPath | None = None) -> SongStream:
    """Open a table of songs.

    Parameters
    ----------
    path
        The file.
    place
        Where it is, if the file is a copy of it.

    Raises
    ------
    InputError
        If the file is missing, of another kind, damaged, or lacks a needed column.
    """
    hashes = array("Q")
    table = open_table(path, lambda row: hashes.append(_id_hash(row)))
    known_names(place or path, table.columns)  # refuses a table without the columns
    repeated, first = _repeats(np.frombuffer(hashes, dtype=np.uint64))
    return SongStream(table, place or path, repeated, first)


def _id_hash(row: TableRow) -> int:
    """64 bits of a row's id: two of ten million ids collide once in 400,000 tables."""
    song_id = row_id(row)
    if not song_id:
        return _NO_ID
    digest = hashlib.blake2b(song_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def _repeats(hashes: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (from 1) whose hash an earlier row has, ascending, and the first such rows."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else order
    group = np.repeat(starts, np.diff(np.r_[starts, len(order)])) if len(order) else order
    repeats = (group != np.arange(len(order))) & (ordered != _NO_ID)
    rows = order[repeats] + 1
    first = order[group[repeats]] + 1
    ascending = np.argsort(rows)
    return rows[ascending].astype(np.int64), first[ascending].astype(np.int64)
