"""Comma-separated index files with a header, as the sound data sets have them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.errors import InputError


def records(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number (from 1, header included) and fields by column name of each record.

    Raises
    ------
    InputError
        If a needed column is missing, or a record is too short to have it.
    """
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in needed if name not in (reader.fieldnames or [])]
        if missing:
            raise InputError(
                f"{path} has no column {', '.join(missing)}: "
                f"found {reader.fieldnames or 'no header'}"
            )
        for record in reader:
            if any(record[name] is None for name in needed):
                raise InputError(f"{path}, line {reader.line_num}: fewer fields than columns")
            yield reader.line_num, record
