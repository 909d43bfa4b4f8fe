"""Writing of an analysed table row by row, whatever its length.

CSV, TSV and JSON lines are written line by line. Parquet needs the type of each
column before the first row: a Parquet input says it, the cells of CSV and TSV
are text, and JSON lines are read through once more for it. A column whose values
are of several kinds becomes text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.atomic_file import atomic_file
from app.tables.files import (
    EMOTION_COLUMNS,
    ERROR_COLUMN,
    RESULT_COLUMNS,
    cell,
    write_rows,
)
from data_prep.readers.song_stream import SongStream

if TYPE_CHECKING:
    import pyarrow

_ROWS_PER_GROUP: Final = 2_048
_ROWS_PER_LOOK: Final = 1_024
_NO_RESULT: Final[dict[str, Any]] = dict.fromkeys(RESULT_COLUMNS)


def write_analysed(
    out: Path,
    table: SongStream,
    renamed: Mapping[str, str],
    rows: Iterable[tuple[Mapping[str, Any], dict[str, Any]]],
) -> None:
    """Write a table with its results.

    Parameters
    ----------
    out
        Written whole or not at all; its ending says the format.
    table
        The input: its columns come first, in their order.
    renamed
        New names of the columns that have a result column's name.
    rows
        Per row, in order, its values as they stood and its result, which is
        valid text; a result column that is absent is empty.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    columns = [*(renamed.get(column, column) for column in table.columns), *RESULT_COLUMNS]
    merged = (_merged(values, result, renamed) for values, result in rows)
    if out.suffix.lower() != ".parquet":
        write_rows(out, columns, merged)
        return
    types = _input_types(table, renamed) | _result_types()
    with atomic_file(out) as temporary:
        _write_parquet(temporary, {column: types[column] for column in columns}, merged)


def _merged(
    values: Mapping[str, Any], result: dict[str, Any], renamed: Mapping[str, str]
) -> dict[str, Any]:
    own = {renamed.get(str(name), str(name)): _encodable(value) for name, value in values.items()}
    return own | _NO_RESULT | result


def _encodable(value: Any) -> Any:
    """A value whose text has no lone surrogates, which UTF-8 cannot carry."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_encodable(part) for part in value]
    if isinstance(value, dict):
        return {_encodable(name): _encodable(part) for name, part in value.items()}
    return value


def _result_types() -> dict[str, pyarrow.DataType]:
    import pyarrow

    return (
        dict.fromkeys((*EMOTION_COLUMNS, "confidence"), pyarrow.float64())
        | dict.fromkeys(("top", "detected_language", ERROR_COLUMN), pyarrow.string())
        | {"abstain": pyarrow.bool_(), "notes": pyarrow.list_(pyarrow.string())}
    )


def _input_types(table: SongStream, renamed: Mapping[str, str]) -> dict[str, pyarrow.DataType]:
    """Types of the table's own columns, by their names in the output."""
    import pyarrow
    import pyarrow.parquet

    suffix = table.path.suffix.lower()
    if suffix == ".parquet":
        found = {field.name: field.type for field in pyarrow.parquet.read_schema(table.path)}
    elif suffix == ".jsonl":
        found = _seen_types(table)
    else:
        found = dict.fromkeys(table.columns, pyarrow.string())
    return {renamed.get(column, column): type_ for column, type_ in found.items()}


def _seen_types(table: SongStream) -> dict[str, pyarrow.DataType]:
    """Types that hold every value of each column of JSON lines."""
    import pyarrow

    types = dict.fromkeys(table.columns, pyarrow.null())
    rows = (row.values for row in table.table.rows())
    while block := list(islice(rows, _ROWS_PER_LOOK)):
        for column, type_ in types.items():
            if pyarrow.types.is_string(type_):
                continue  # text holds everything
            types[column] = _common_type(type_, [_encodable(row.get(column)) for row in block])
    return {
        column: pyarrow.string() if pyarrow.types.is_null(type_) else type_
        for column, type_ in types.items()
    }


def _common_type(type_: pyarrow.DataType, values: list[Any]) -> pyarrow.DataType:
    """A type for values of ``type_`` as well as these; text where there is no other."""
    import pyarrow

    try:
        found = pyarrow.array(values).type
        fields = [pyarrow.schema([("column", each)]) for each in (type_, found)]
        return pyarrow.unify_schemas(fields, promote_options="permissive").field("column").type
    except (pyarrow.ArrowException, OverflowError):
        return pyarrow.string()


def _write_parquet(
    path: Path, types: Mapping[str, pyarrow.DataType], rows: Iterable[Mapping[str, Any]]
) -> None:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(list(types.items()))
    left: Iterator[Mapping[str, Any]] = iter(rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while block := list(islice(left, _ROWS_PER_GROUP)):
            arrays = [_array([row.get(name) for row in block], types[name]) for name in types]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _array(values: list[Any], type_: pyarrow.DataType) -> pyarrow.Array:
    import pyarrow

    if pyarrow.types.is_string(type_):
        values = [v if v is None or isinstance(v, str) else cell(v) for v in values]
    elif pyarrow.types.is_floating(type_):
        values = [float(v) if isinstance(v, int) else v for v in values]
    return pyarrow.array(values, type=type_)
