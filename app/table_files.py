"""Writing of analysed tables: CSV, TSV, JSON lines, Parquet, by the file's ending.

The table's own columns come first, as they were; then the result columns.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.atomic_file import atomic_file
from data_prep.errors import InputError
from data_prep.readers.song_table import SUFFIXES, SongTable
from data_prep.taxonomy import EMOTIONS

if TYPE_CHECKING:
    import pyarrow

EMOTION_COLUMNS: Final = tuple(
    f"{branch}_{name}" for branch in ("lyrics", "audio", "fused") for name in EMOTIONS
)
ERROR_COLUMN: Final = "error"
RESULT_COLUMNS: Final = (
    *EMOTION_COLUMNS,
    *("top", "confidence", "abstain", "detected_language", "notes", ERROR_COLUMN),
)


def check_suffix(path: Path) -> None:
    """Refuse a file whose ending names no table format.

    Raises
    ------
    InputError
        With the endings there are.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: the ending {path.suffix!r} names no table format, "
            f"expected one of {', '.join(SUFFIXES)}"
        )


def write_table(
    out: Path,
    table: SongTable,
    renamed: Mapping[str, str],
    results: Iterable[Mapping[str, Any]],
) -> None:
    """Write a table with its results.

    Parameters
    ----------
    out
        Written whole or not at all.
    table
        The input.
    renamed
        New names of the columns that have a result column's name.
    results
        One per row, in order; a result column that is absent is empty.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    columns = [renamed.get(column, column) for column in table.columns]
    rows = (
        {
            renamed.get(str(name), str(name)): _encodable(value)
            for name, value in record.values.items()
        }
        | {name: _encodable(result.get(name)) for name in RESULT_COLUMNS}
        for record, result in zip(table.records, results, strict=True)
    )
    write_rows(out, [*columns, *RESULT_COLUMNS], rows, original=table.path, renamed=renamed)


def write_rows(
    out: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    suffix: str | None = None,
    original: Path | None = None,
    renamed: Mapping[str, str] | None = None,
) -> None:
    """Write rows to a file.

    Parameters
    ----------
    columns
        Names in order.
    rows
        Values by name; absent or ``None`` is empty.
    suffix
        Ending that says the format; that of ``out`` if ``None``.
    original, renamed
        A Parquet file whose column types are kept, and its renamed columns.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    if suffix is None:
        check_suffix(out)
        suffix = out.suffix.lower()
    with atomic_file(out) as temporary:
        if suffix == ".parquet":
            _write_parquet(temporary, columns, list(rows), original, renamed or {})
            return
        with temporary.open("w", encoding="utf-8", newline="") as file:
            if suffix == ".jsonl":
                file.writelines(json_line(row) for row in rows)
            else:
                write_delimited(file, columns, rows, "," if suffix == ".csv" else "\t")


def json_line(row: Mapping[str, Any]) -> str:
    """One row as a line of JSON."""
    return json.dumps(row, ensure_ascii=False, default=str) + "\n"


def write_delimited(
    file: Any, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], delimiter: str
) -> None:
    """Write rows as CSV or TSV with a header to an open text file."""
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return "; ".join(value)
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _encodable(value: Any) -> Any:
    """Text without lone surrogates, which UTF-8 cannot carry."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_encodable(part) for part in value]
    return value


def _write_parquet(
    path: Path,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    original: Path | None,
    renamed: Mapping[str, str],
) -> None:
    import pyarrow
    import pyarrow.parquet

    types = dict(_original_types(original, renamed))
    types |= dict.fromkeys((*EMOTION_COLUMNS, "confidence"), pyarrow.float64())
    types |= dict.fromkeys(("top", "detected_language", ERROR_COLUMN), pyarrow.string())
    types |= {"abstain": pyarrow.bool_(), "notes": pyarrow.list_(pyarrow.string())}
    types |= {"year": pyarrow.int64()} if original is None else {}
    arrays = [_array([row.get(name) for row in rows], types.get(name)) for name in columns]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, names=list(columns)), path)


def _original_types(
    original: Path | None, renamed: Mapping[str, str]
) -> Iterator[tuple[str, pyarrow.DataType]]:
    import pyarrow.parquet

    if original is not None and original.suffix.lower() == ".parquet":
        for field in pyarrow.parquet.read_schema(original):
            yield renamed.get(field.name, field.name), field.type


def _array(values: list[Any], type_: pyarrow.DataType | None) -> pyarrow.Array:
    import pyarrow

    if type_ is not None:
        return pyarrow.array(values, type=type_)
    try:
        found = pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):  # values of several kinds
        return pyarrow.array([None if v is None else _cell(v) for v in values])
    return found.cast(pyarrow.string()) if pyarrow.types.is_null(found.type) else found
