"""A JSON list of many records, gone through in pieces: nothing is held but one record."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from data_prep.errors import InputError

_BLOCK_BYTES: Final = 1 << 20
_BEGINNING_BYTES: Final = 1 << 10
_LARGEST: Final = 1 << 22  # characters of one record
_SPACE: Final = re.compile(r"[ \t\r\n,]*")


def records_of_list(path: Path, what: str) -> Iterator[tuple[int, int, Any]]:
    """First byte, number of bytes and content of every record.

    Parameters
    ----------
    path
        A file with one JSON list, UTF-8.
    what
        What it should be, for messages.

    Raises
    ------
    InputError
        If it cannot be read, is cut off, or is something else.
    """
    decode = json.JSONDecoder().raw_decode
    number = 0
    try:
        with path.open("rb") as file:
            start = _first_byte(path, file, what)
            decoder = codecs.getincrementaldecoder("utf-8")()
            text, place, ended = "", 0, False
            while True:
                match = _SPACE.match(text, place)
                gap = match.end() if match else place
                start += gap - place  # spaces and commas have one byte each
                place = gap
                if text.startswith("]", place):
                    return
                try:
                    record, end = decode(text, place)
                except ValueError as error:
                    if ended or len(text) - place > _LARGEST:
                        raise _not_whole(path, number, start) from error
                    block = file.read(_BLOCK_BYTES)
                    ended = not block
                    text, place = text[place:] + decoder.decode(block, ended), 0
                    continue
                length = len(text[place:end].encode("utf-8"))
                yield start, length, record
                number += 1
                start += length
                place = end
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: expected {what}") from error
    except (OSError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _first_byte(path: Path, file: IO[bytes], what: str) -> int:
    """Where the records of a list begin; the file is left there."""
    begun = file.read(_BEGINNING_BYTES).removeprefix(codecs.BOM_UTF8)
    before = len(begun) - len(begun.lstrip())
    if begun[before : before + 1] != b"[":
        raise InputError(f"{path} is no JSON list: expected {what}")
    return file.seek(file.tell() - len(begun) + before + 1)


def _not_whole(path: Path, number: int, start: int) -> InputError:
    return InputError(
        f"{path} is damaged or cut off behind {number:,} records, at byte {start:,}: download it "
        "again"
    )
