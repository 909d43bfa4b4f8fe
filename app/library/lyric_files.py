"""Lyrics in text files: .txt and .lrc, in the encodings they come in."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from data_prep.errors import InputError

MAX_BYTES: Final = 4_000_000

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_lyric_file(path: Path) -> str:
    """Text of a lyric file: UTF-8, UTF-16 with its mark, or CP949 (older Korean files).

    Raises
    ------
    InputError
        If the file is missing, too large, or not text.
    """
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is too large for lyrics: expected at most 4 MB of text")
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: expected a text file with lyrics") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder: expected a text file with lyrics") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return decode_text(content, str(path))


def decode_text(content: bytes, what: str) -> str:
    """Text from bytes of unknown encoding.

    Raises
    ------
    InputError
        If they are not text; the message names ``what``.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decoded(content, (encoding,), what)
    if b"\0" in content:
        raise InputError(f"{what} is not text: expected UTF-8, UTF-16 or CP949")
    return _decoded(content, ("utf-8", "cp949"), what)


def _decoded(content: bytes, encodings: tuple[str, ...], what: str) -> str:
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(f"{what} is not text: expected UTF-8, UTF-16 or CP949")
