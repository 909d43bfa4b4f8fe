"""Lyrics in text files: .txt and .lrc, beside recordings, in the encodings they come in."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath
from typing import Final

from data_prep.errors import InputError
from data_prep.remote_file import SongPath

MAX_BYTES: Final = 4_000_000
SUFFIXES: Final = (".lrc", ".txt")
"""Of lyrics beside a recording, in order of preference."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NOT_PRINTED: Final = "\n\r\t\u3000\u200b"
"""What stands in lyrics besides printed characters."""


class LyricFiles:
    """Files of a folder that may be the lyrics of recordings in it.

    Parameters
    ----------
    folder
        The folder.
    names
        Of the files in it.
    """

    def __init__(self, folder: SongPath, names: Iterable[str]) -> None:
        self._by_name: dict[str, list[SongPath]] = {}
        for name in sorted(names):
            if PurePath(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                self._by_name.setdefault(_folded(PurePath(name).stem), []).append(folder / name)

    def beside(self, name: str) -> tuple[SongPath, ...]:
        """Lyrics of the recording called so: its name with another ending, whatever the case
        and however Hangul is composed; those that are called exactly so first."""
        stem = PurePath(name).stem
        found = self._by_name.get(_folded(stem), [])
        order = sorted(
            found, key=lambda path: (SUFFIXES.index(path.suffix.lower()), path.stem != stem)
        )
        return tuple(order)


def read_lyric_file(path: SongPath) -> str:
    """Text of a lyric file: UTF-8, UTF-16, or CP949 (older Korean files).

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
        return _utf_16_without_mark(content, what)
    return _decoded(content, ("utf-8", "cp949"), what)


def _utf_16_without_mark(content: bytes, what: str) -> str:
    """Either order of bytes, told by what a space or a line end becomes in the wrong one."""
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if all(character.isprintable() or character in _NOT_PRINTED for character in text):
            return text
    raise _not_text(what)


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()


def _decoded(content: bytes, encodings: tuple[str, ...], what: str) -> str:
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _not_text(what)


def _not_text(what: str) -> InputError:
    return InputError(f"{what} is not text: expected UTF-8, UTF-16 or CP949")
