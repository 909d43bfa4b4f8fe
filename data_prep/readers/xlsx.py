"""Spreadsheets of labelled text (.xlsx), streamed row by row.

The first sheet that has the needed columns is read; its header may stand below a
title. Other columns, as notes beside the table, do not matter. A column is found
by its name, whatever its case and spaces.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from data_prep.errors import InputError, MissingExtraError

_HEADER_WITHIN: Final = 10
_ERROR_VALUE: Final = re.compile(r"#(?:N/A|REF!|NAME\?|VALUE!|DIV/0!|NULL!|NUM!)")


def records(
    path: Path, needed: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Row number (as the spreadsheet counts, from 1) and cells by column name.

    Parameters
    ----------
    needed, optional
        Column names. A cell is given as it stands; one that is empty, or whose
        column is not there, is ``""``. Rows in which all are empty are passed over.

    Raises
    ------
    MissingExtraError
        If openpyxl is not installed.
    InputError
        If the file is not a readable .xlsx file, or no sheet has the needed columns.
    """
    try:
        import openpyxl
        from openpyxl.utils.exceptions import (
            InvalidFileException,
        )
    except ImportError as error:
        raise MissingExtraError("reading .xlsx files") from error
    workbook: Any = None
    try:
        with warnings.catch_warnings():  # of styles and extensions, which no label needs
            warnings.simplefilter("ignore")
            workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
        yield from _rows(path, workbook, needed, optional)
    except (
        InvalidFileException,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        OSError,
        ParseError,
        ValueError,
    ) as error:
        raise InputError(
            f"{path} is not a readable .xlsx file ({error}): download it again, or if it is an "
            "older or protected spreadsheet, save it as .xlsx without a password"
        ) from error
    finally:
        if workbook is not None:
            workbook.close()


def is_error_value(cell: str) -> bool:
    """Whether a cell holds what spreadsheets show for a formula that failed, as ``#REF!``."""
    return _ERROR_VALUE.fullmatch(cell.strip()) is not None


def _rows(
    path: Path, workbook: Any, needed: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    headers: list[str] = []
    for sheet in workbook.worksheets:
        sheet.reset_dimensions()  # some programs write a wrong size, which hides columns
        places: dict[str, int] = {}
        for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            if places:
                row = {
                    name: _text(cells[place]) if place < len(cells) else ""
                    for name, place in places.items()
                }
                if any(row.values()):
                    yield number, {name: row.get(name, "") for name in (*needed, *optional)}
                continue
            if number > _HEADER_WITHIN:
                break
            places = _places(cells, needed, optional)
            if not places and not headers:
                headers = [text.strip() for cell in cells if (text := _text(cell))]
        if places:
            return
    raise InputError(
        f"{path} has no sheet with the columns {', '.join(needed)} "
        f"(found: {', '.join(headers[:20]) or 'nothing'})"
    )


def _places(cells: Sequence[Any], needed: Sequence[str], optional: Sequence[str]) -> dict[str, int]:
    """Column name → place in the row; empty if a needed one is not there."""
    found: dict[str, int] = {}
    for place, cell in enumerate(cells):
        found.setdefault(_folded(_text(cell)), place)
    if not all(_folded(name) in found for name in needed):
        return {}
    return {name: found[_folded(name)] for name in (*needed, *optional) if _folded(name) in found}


def _folded(name: str) -> str:
    return "".join(unicodedata.normalize("NFC", name).lower().split())


def _text(cell: Any) -> str:
    text = "" if cell is None else str(cell)
    return text if text.strip() else ""
