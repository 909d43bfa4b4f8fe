"""Tags of sound files: title, artist, year, embedded lyrics.

ID3 (mp3, wav, aiff), MP4 atoms, Vorbis comments (flac, ogg, opus), APE and ASF,
read by mutagen. ID3 text that older Korean programs wrote as CP949 under the
label Latin-1 is read as what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from data_prep.remote_file import SongPath

# Tag → its names by format, in order of preference: ID3, MP4, Vorbis and APE, ASF.
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "title": ("TIT2", "\xa9nam", "title", "Title"),
    "artist": ("TPE1", "\xa9ART", "artist", "Artist", "Author", "albumartist", "TPE2", "aART"),
    "album": ("TALB", "\xa9alb", "album", "Album", "WM/AlbumTitle"),
    "year": ("TDRC", "TDOR", "TYER", "\xa9day", "date", "year", "Year", "WM/Year"),
    "genre": ("TCON", "\xa9gen", "genre", "Genre", "WM/Genre"),
    "language": ("TLAN", "language", "Language", "WM/Language"),
    "licence": ("WCOP", "license", "licence", "License", "WM/Copyright"),
    "link": ("WOAF", "WOAS", "contact", "website", "WM/AudioFileURL"),
}  # fmt: skip
_LYRICS: Final = (
    *("USLT", "SYLT", "TXXX:LYRICS", "TXXX:UNSYNCEDLYRICS", "TXXX:UNSYNCED LYRICS"),
    *("\xa9lyr", "----:com.apple.iTunes:LYRICS", "----:com.apple.iTunes:UNSYNCEDLYRICS"),
    *("lyrics", "unsyncedlyrics", "unsynced lyrics", "syncedlyrics"),
    *("Lyrics", "WM/Lyrics", "WM/Lyrics_Synchronised"),
)
_SUNG: Final = (0, 1, 2)  # kinds of synchronised text: other, lyrics, transcription

_LANGUAGES: Final = {"kor": "ko", "korean": "ko", "eng": "en", "english": "en"}
_YEAR: Final = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d|21\d\d)(?!\d)")
_HANGUL: Final = re.compile("[가-힣]")


@dataclass(frozen=True)
class Tags:
    """What a file's tags say; ``None`` where they do not."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    year: int | None = None
    genre: str | None = None
    language: str | None = None
    licence: str | None = None
    link: str | None = None
    lyrics: str | None = None


def read_tags(path: SongPath) -> Tags:
    """Tags of a file; none of them where the file has none or they are damaged.

    A file that is no sound is not refused here: decoding it says better what is
    wrong.
    """
    import mutagen

    try:
        if isinstance(path, Path):
            file = mutagen.File(path)
        else:
            with path.open() as content:
                file = mutagen.File(content)
    except Exception:  # mutagen's parsers raise whatever a damaged file makes them raise
        return Tags()
    tags = getattr(file, "tags", None)
    if not tags:
        return Tags()
    found = {tag: _first(tags, names) for tag, names in _NAMES.items()}
    link = found["link"]
    return Tags(
        title=found["title"],
        artist=found["artist"],
        album=found["album"],
        year=_year(found["year"]),
        genre=found["genre"],
        language=_language(found["language"]),
        licence=found["licence"],
        link=link if link and link.startswith(("http://", "https://")) else None,
        lyrics=_lyrics(tags),
    )


def from_file_name(path: SongPath) -> tuple[str | None, str]:
    """Artist and title as a name like ``Artist - Title.mp3`` says them."""
    stem = re.sub(r"^\d{1,3}[.)\-_ ]+(?=\D)", "", path.stem).strip() or path.stem
    artist, dash, title = stem.partition(" - ")
    if dash and artist.strip() and title.strip():
        return artist.strip(), title.strip()
    return None, stem


def _lyrics(tags: Any) -> str | None:
    """The first lyrics there are; the same words may stand in a file in several languages."""
    for name in _LYRICS:
        for value in _values(tags, name):
            if text := _text(value):
                return text
    return None


def _first(tags: Any, names: Iterable[str]) -> str | None:
    """First of the names that has any text; several values are joined by ``; ``."""
    for name in names:
        texts = [text for value in _values(tags, name) if (text := _text(value))]
        if texts:
            return "; ".join(dict.fromkeys(texts))
    return None


def _values(tags: Any, name: str) -> list[Any]:
    frames = getattr(tags, "getall", None)  # ID3 alone has several frames under one name
    if frames is not None:
        return [value for frame in frames(name) for value in _frame_values(frame)]
    try:
        values = tags[name]
    except (KeyError, ValueError):  # Vorbis comments refuse keys that are not ASCII
        return []
    if isinstance(values, list | tuple):
        return [_decoded(value) for value in values]
    listed = getattr(values, "value", values)  # an APE value holds its text
    return str(listed).split("\0")


def _decoded(value: Any) -> Any:
    """Free fields of MP4 are bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _frame_values(frame: Any) -> list[Any]:
    if frame.FrameID == "SYLT":
        return _synchronised(frame)
    values = getattr(frame, "genres", None) or getattr(frame, "text", None)
    if values is None:
        values = getattr(frame, "url", None)
    if values is None:
        return []
    texts = values if isinstance(values, list) else [values]
    latin = getattr(frame, "encoding", None) == 0
    return [_as_korean(str(text)) if latin else str(text) for text in texts]


def _synchronised(frame: Any) -> list[str]:
    """Words of a frame of words with times, in order; a piece begins a line if it says so, and
    where none does, each is a line."""
    if frame.type not in _SUNG:
        return []
    pieces = [str(text) for text, _ in sorted(frame.text, key=lambda piece: piece[1])]
    separator = "" if any("\n" in piece for piece in pieces) else "\n"
    text = separator.join(pieces)
    return [_as_korean(text) if frame.encoding == 0 else text]


def _text(value: Any) -> str | None:
    text = str(value).replace("\0", " ").strip()
    return text or None


def _as_korean(text: str) -> str:
    """CP949 that was labelled Latin-1, where the bytes make Hangul; else the text itself."""
    if text.isascii():
        return text
    try:
        korean = text.encode("latin-1").decode("cp949")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return text
    return korean if _HANGUL.search(korean) else text


def _year(text: str | None) -> int | None:
    match = _YEAR.search(text or "")
    return int(match[1]) if match else None


def _language(text: str | None) -> str | None:
    if not text:
        return None
    first = text.split(";")[0].strip().lower()
    return _LANGUAGES.get(first, first.split("-")[0] or None)
