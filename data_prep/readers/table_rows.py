"""Tables of any columns, row by row: CSV, TSV, JSON lines or Parquet, in bounded memory.

CSV and TSV have a header and may be UTF-8, UTF-16 with its mark, or CP949, as
older Korean spreadsheets write it; JSON lines likewise, one object a line.
Parquet is read by row groups. A row that is malformed does not spoil the table:
it is given with its ``problem``, in its place.

A table is opened by reading it once from end to end: its alphabet, the hash of
its bytes, its columns and the number of its rows are known before any work on
it begins. Each pass over its rows afterwards reads the file anew.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, TextIO

from data_prep.errors import InputError

SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".parquet")
MAX_FIELD_CHARACTERS: Final = 10_000_000
MAX_LINE_CHARACTERS: Final = 2 * MAX_FIELD_CHARACTERS

_BLOCK_BYTES: Final = 1 << 20
_BLOCK_ROWS: Final = 64
_BLOCK_CHARACTERS: Final = 1_000_000
_PARQUET_ROWS: Final = 256
_SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes
    ----------
    number
        From 1, the header not counted.
    values
        By the table's own column names; what a malformed row still has of them.
    problem
        Why the row cannot be used; ``None`` if it can.
    """

    number: int
    values: Mapping[str, Any]
    problem: str | None


@dataclass(frozen=True)
class StreamedTable:
    """A table that was read through once; make one with :func:`open_table`.

    Attributes
    ----------
    path
        The file.
    columns
        Names in order; those of all lines for JSON lines.
    length
        Number of rows.
    content_hash
        SHA-256 of the file's bytes.
    encoding
        Of the text; ``None`` for Parquet.
    stamp
        Size and time of change, to notice a file that is written to meanwhile.
    """

    path: Path
    columns: tuple[str, ...]
    length: int
    content_hash: str
    encoding: str | None
    stamp: tuple[int, int]

    def rows(self) -> Iterator[TableRow]:
        """One pass over the rows, in order.

        Raises
        ------
        InputError
            If the file has changed since it was opened, or can no longer be read.
        """
        if not self.path.is_file() or _stamp(self.path) != self.stamp:
            raise InputError(f"{self.path} changed while it was being read: start again")
        return _rows(self.path, self.encoding)


def open_table(path: Path, visit: Callable[[TableRow], None] | None = None) -> StreamedTable:
    """Read a table through once and say what is in it.

    Parameters
    ----------
    path
        Its ending says the format.
    visit
        Called with every row on the way.

    Raises
    ------
    InputError
        If the file is missing, of another kind, no text, or damaged as a whole.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}: expected a table ({', '.join(SUFFIXES)})")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path} is not a table: expected one of {', '.join(SUFFIXES)}")
    try:
        stamp = _stamp(path)
        with path.open("rb") as content:
            content_hash = hashlib.file_digest(content, "sha256").hexdigest()
        encoding = None if suffix == ".parquet" else _encoding(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    columns = dict.fromkeys(_header(path, encoding))
    length = 0
    for row in _rows(path, encoding):
        length += 1
        if suffix == ".jsonl":
            columns.update(dict.fromkeys(row.values))
        if visit is not None:
            visit(row)
    return StreamedTable(path, tuple(columns), length, content_hash, encoding, stamp)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _encoding(path: Path) -> str:
    """The first alphabet that the whole file fits, without holding the file."""
    with path.open("rb") as content:
        marked = content.read(2) in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp949"):
        if _fits(path, encoding):
            return encoding
    raise InputError(f"{path} is not text: expected UTF-8, UTF-16 or CP949")


def _fits(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as content:
        try:
            while block := content.read(_BLOCK_BYTES):
                if "\0" in decoder.decode(block):
                    return False
            return "\0" not in decoder.decode(b"", True)
        except UnicodeDecodeError:
            return False


def _header(path: Path, encoding: str | None) -> list[str]:
    """Column names that the file states at its beginning; none for JSON lines."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return list(_parquet(path).schema_arrow.names)
    if suffix == ".jsonl":
        return []
    try:
        with path.open(encoding=encoding, newline="") as file:
            return next(_reader(file, suffix), [])
    except csv.Error as error:
        raise _not_delimited(path, error) from error


def _rows(path: Path, encoding: str | None) -> Iterator[TableRow]:
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _parquet_rows(path)
            return
        with path.open(encoding=encoding, newline="" if suffix in _SEPARATORS else "\n") as file:
            yield from _json_rows(file) if suffix == ".jsonl" else _delimited_rows(file, suffix)
    except csv.Error as error:
        raise _not_delimited(path, error) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _reader(file: TextIO, suffix: str) -> Iterator[list[str]]:
    return csv.reader(file, delimiter=_SEPARATORS[suffix], strict=True)


def _delimited_rows(file: TextIO, suffix: str) -> Iterator[TableRow]:
    reader = _reader(file, suffix)
    columns = next(reader, [])
    number = 0
    while block := _block(reader):
        for cells in block:
            if not cells:  # an empty line
                continue
            number += 1
            problem = None
            if len(cells) > len(columns):
                problem = (
                    "the row has more fields than there are columns: "
                    "a text that holds the separator needs quotes"
                )
            elif len(cells) < len(columns):
                problem = "the row has fewer fields than there are columns"
            values = dict(zip_longest(columns, cells[: len(columns)]))
            yield TableRow(number, values, problem)


def _block(reader: Iterator[list[str]]) -> list[list[str]]:
    """The next few records; none at the end.

    The largest size of a field is a setting of the whole process, so it is
    raised for these records alone.
    """
    limit = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    block: list[list[str]] = []
    characters = 0
    try:
        for cells in reader:
            block.append(cells)
            characters += sum(map(len, cells))
            if len(block) == _BLOCK_ROWS or characters > _BLOCK_CHARACTERS:
                break
    finally:
        csv.field_size_limit(limit)
    return block


def _json_rows(file: TextIO) -> Iterator[TableRow]:
    number = 0
    for line in _lines(file):
        if line is not None and not line.strip():
            continue
        number += 1
        values: dict[str, Any] = {}
        problem: str | None = None
        if line is None:
            problem = f"the line is longer than {MAX_LINE_CHARACTERS:,} characters"
        else:
            try:
                record: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                problem = f"the line is not JSON: {error}"
            else:
                if isinstance(record, dict):
                    values = record
                else:
                    problem = f"the line is a {type(record).__name__}, not an object"
        yield TableRow(number, values, problem)


def _lines(file: TextIO) -> Iterator[str | None]:
    """Lines of a bounded length; ``None`` in the place of a longer one."""
    while line := file.readline(MAX_LINE_CHARACTERS):
        if line.endswith("\n") or len(line) < MAX_LINE_CHARACTERS:
            yield line
            continue
        while rest := file.readline(MAX_LINE_CHARACTERS):
            if rest.endswith("\n"):
                break
        yield None


def _parquet(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowException as error:
        raise InputError(f"{path} is not a Parquet table: {error}") from error


def _parquet_rows(path: Path) -> Iterator[TableRow]:
    import pyarrow

    number = 0
    with _parquet(path) as file:
        try:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield TableRow(number, values, None)
        except pyarrow.ArrowException as error:
            raise InputError(f"{path} is damaged after row {number:,}: {error}") from error


def _not_delimited(path: Path, error: csv.Error) -> InputError:
    separator = "commas" if path.suffix.lower() == ".csv" else "tabs"
    return InputError(f"{path} is not a table separated by {separator}: {error}")
