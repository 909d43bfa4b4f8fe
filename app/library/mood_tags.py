"""A song's mood in the tags of its file.

Two fields: the mood in a word, where players look for it, and the six shares in a field of
our own, which also says which word is ours.

=============================  ==============================  ==============================
format                         mood                            ours
=============================  ==============================  ==============================
ID3 (mp3, wav, aiff, dsf)      ``TMOO``                        ``TXXX:MAEUM``
Vorbis (flac, ogg, opus)       ``MOOD``                        ``MAEUM``
MP4 (m4a, mp4)                 ``----:com.apple.iTunes:MOOD``  ``----:com.apple.iTunes:MAEUM``
ASF (wma)                      ``WM/Mood``                     ``MAEUM``
=============================  ==============================  ==============================

Ours looks like ``joy=0.0123 tension=0.0204 … neutral=0.0061 mood=슬픔``. Tags stay of the
version that they are, and frames that are not understood are kept as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS

_WORD: Final = re.compile(r"\bmood=(.+)$")
_ID3V1_BYTES: Final = 128


@dataclass(frozen=True)
class MoodFields:
    """The two fields; ``None`` where a file has none.

    Attributes
    ----------
    mood
        The mood in words; several values are joined by ``; ``.
    ours
        The six shares, and the word that was written with them.
    """

    mood: str | None = None
    ours: str | None = None

    @property
    def is_our_mood(self) -> bool:
        """Whether the word is the one that was written here, not a person's."""
        said = _WORD.search(self.ours or "")
        return self.mood is not None and said is not None and said[1] == self.mood


def our_field(distribution: NDArray[np.float32], word: str | None) -> str:
    """What our own field says.

    Parameters
    ----------
    distribution
        Emotion distribution (6,).
    word
        The mood as it is written beside it; ``None`` if that is not ours.
    """
    parts = [f"{name}={p:.4f}" for name, p in zip(EMOTIONS, distribution, strict=True)]
    return " ".join([*parts, *([f"mood={word}"] if word else [])])


class TaggedFile:
    """A sound file whose tags can be written.

    Parameters
    ----------
    path
        The file; its content tells the format.

    Raises
    ------
    InputError
        If it cannot be read, or its format has no tags.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file, self._format = _opened(path)

    @property
    def fields(self) -> MoodFields:
        """The two fields as they are."""
        return MoodFields(self._text(self._format.mood), self._text(self._format.ours))

    @property
    def others(self) -> dict[str, list[str]]:
        """All other fields, for comparing: name → values."""
        found: dict[str, list[str]] = {}
        own = {self._format.mood.lower(), self._format.ours.lower()}
        for name, value in (self._file.tags or {}).items():
            if name.lower() not in own:
                found.setdefault(name, []).append(repr(value))
        return found

    def write(self, fields: MoodFields) -> None:
        """Put the two fields into the file, or take out those that are ``None``.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        if self._file.tags is None:
            self._file.add_tags()
        for name, text in ((self._format.mood, fields.mood), (self._format.ours, fields.ours)):
            if text == self._text(name):
                continue
            if text is None:
                del self._file.tags[name]
            else:
                self._file.tags[name] = self._format.made(name, text)
        try:
            self._format.save(self._file, self._path)
        except Exception as error:  # mutagen's writers raise whatever a file makes them raise
            raise InputError(f"its tags cannot be written: {error}") from error

    def _text(self, name: str) -> str | None:
        if self._file.tags is None or name not in self._file.tags:
            return None
        return "; ".join(self._format.texts(self._file.tags[name])) or None


@dataclass(frozen=True)
class _Format:
    """How the tags of one kind of file name, hold and write a field."""

    mood: str
    ours: str
    made: Callable[[str, str], Any]
    texts: Callable[[Any], list[str]]
    save: Callable[[Any, Path], None]


def _opened(path: Path) -> tuple[Any, _Format]:
    import mutagen
    from mutagen.aiff import AIFF
    from mutagen.asf import ASF
    from mutagen.dsf import DSF
    from mutagen.flac import FLAC
    from mutagen.id3 import ID3FileType
    from mutagen.mp4 import MP4
    from mutagen.ogg import OggFileType
    from mutagen.wave import WAVE

    try:
        file = mutagen.File(path)
        if isinstance(file, ID3FileType | AIFF | DSF | WAVE):
            # frames as they stand in the file, not as a newer version would have them
            kept = getattr(file.tags, "version", ())[:2] in ((2, 3), (2, 4))
            return (type(file)(path, translate=False) if kept else file), _ID3
        for kinds, form in (((FLAC, OggFileType), _VORBIS), ((MP4,), _MP4), ((ASF,), _ASF)):
            if isinstance(file, kinds):
                return file, form
    except Exception as error:  # mutagen's parsers raise whatever a file makes them raise
        raise InputError(f"its tags cannot be read: {error}") from error
    raise InputError(
        "its kind of file holds no tags: expected mp3, flac, ogg, opus, m4a, wav, aiff or wma"
    )


def _frame(name: str, text: str) -> Any:
    from mutagen.id3 import TMOO, TXXX

    kind, _, description = name.partition(":")
    if kind == "TXXX":
        return TXXX(encoding=3, desc=description, text=[text])  # type: ignore[no-untyped-call]
    return TMOO(encoding=3, text=[text])  # type: ignore[no-untyped-call]


def _save_id3(file: Any, path: Path) -> None:
    version = 3 if file.tags.version[:2] == (2, 3) else 4
    old = _old_tag(path)
    if not len(file.tags) and not getattr(file.tags, "unknown_frames", None):
        file.tags.delete(path)
    else:
        file.save(path, v2_version=version, v23_sep=None)
    if old:
        with path.open("ab") as end:
            end.write(old)


def _old_tag(path: Path) -> bytes:
    """The ID3v1 tag, cut off: mutagen would write it anew, with less in it."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        if size < _ID3V1_BYTES:
            return b""
        file.seek(size - _ID3V1_BYTES)
        old = file.read()
        if not old.startswith(b"TAG"):
            return b""
        file.truncate(size - _ID3V1_BYTES)
    return old


def _free_field(name: str, text: str) -> Any:
    from mutagen.mp4 import AtomDataType, MP4FreeForm

    value = MP4FreeForm(text.encode("utf-8"), AtomDataType.UTF8)  # type: ignore[no-untyped-call]
    return [value]


def _free_texts(values: Any) -> list[str]:
    return [bytes(value).decode("utf-8", "replace") for value in values]


def _listed(name: str, text: str) -> list[str]:
    return [text]


def _strings(values: Any) -> list[str]:
    return [str(value) for value in values]


def _save(file: Any, path: Path) -> None:
    file.save(path)


_ITUNES: Final = "----:com.apple.iTunes:"
_ID3: Final = _Format("TMOO", "TXXX:MAEUM", _frame, lambda frame: _strings(frame.text), _save_id3)
_VORBIS: Final = _Format("MOOD", "MAEUM", _listed, _strings, _save)
_MP4: Final = _Format(f"{_ITUNES}MOOD", f"{_ITUNES}MAEUM", _free_field, _free_texts, _save)
_ASF: Final = _Format("WM/Mood", "MAEUM", _listed, _strings, _save)
