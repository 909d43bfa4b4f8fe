"""Writing of tables: CSV, TSV, JSON lines, Parquet, by the file's ending.

``app.tables.output`` writes an analysed table with it, row by row.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.atomic_file import atomic_file
from data_prep.errors import InputError
from data_prep.readers.song_table import SUFFIXES
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


def write_rows(
    out: Path,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    suffix: str | None = None,
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
            _write_parquet(temporary, columns, list(rows))
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
        writer.writerow([cell(row.get(column)) for column in columns])


def cell(value: Any) -> str:
    """A value as the text of a CSV cell; nothing for ``None``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return "; ".join(value)
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _write_parquet(
    path: Path,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    import pyarrow
    import pyarrow.parquet

    types = dict.fromkeys((*EMOTION_COLUMNS, "confidence"), pyarrow.float64())
    types |= dict.fromkeys(("top", "detected_language", ERROR_COLUMN), pyarrow.string())
    types |= {"abstain": pyarrow.bool_(), "notes": pyarrow.list_(pyarrow.string())}
    types |= {"year": pyarrow.int64()}
    arrays = [_array([row.get(name) for row in rows], types.get(name)) for name in columns]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, names=list(columns)), path)


def _array(values: list[Any], type_: pyarrow.DataType | None) -> pyarrow.Array:
    import pyarrow

    if type_ is not None:
        return pyarrow.array(values, type=type_)
    try:
        found = pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):  # values of several kinds
        return pyarrow.array([None if v is None else cell(v) for v in values])
    return found.cast(pyarrow.string()) if pyarrow.types.is_null(found.type) else found
