"""Songs to index: folders of music, single recordings, tables.

A folder's song is what its tags and the files beside it say: ``song.lrc`` or ``song.txt``
beside ``song.mp3`` are its lyrics, before lyrics embedded in the tags; case does not matter,
nor how Hangul is composed. Its id is a hash of the source's name and the path inside the
folder, so that a moved or renamed music folder can be indexed again under the same
``--source``. A file that was moved inside the folder keeps the id of its song
(:mod:`app.library.file_identity`).

A folder of Kakao Arena's is another kind (:mod:`app.library.kakao_arena`).
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from app.library.kakao_arena import KakaoMels, is_kakao_arena, kakao_sources
from app.library.lyric_files import LyricFiles, read_lyric_file
from app.library.song_material import PlacedFile, SongMaterial, SongSource, search_link
from app.library.tags import from_file_name, read_tags
from data_prep.catalogue import Song
from data_prep.errors import InputError
from data_prep.readers.song_table import SUFFIXES as TABLE_SUFFIXES
from data_prep.readers.song_table import SongRecord, read_song_table
from data_prep.remote_file import RemoteFile, SongPath

_PART: Final = ".parquet"

__all__ = [
    "PlacedFile",
    "SongMaterial",
    "SongSource",
    "id_of_place",
    "music_files",
    "search_link",
    "song_sources",
]


def song_sources(
    path: SongPath,
    source: str | None = None,
    *,
    mels: KakaoMels | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Sequence[SongSource]:
    """The songs of a folder, of one sound file, or of a table, in a fixed order.

    Parameters
    ----------
    path
        What to index, wherever it is. A folder with ``song_meta.json`` is one of Kakao Arena's;
        one that has Parquet files and no music is a table in parts.
    source
        Name to keep with the songs; by default the folder's or the table's.
    mels
        Where Kakao Arena's mels lie and which model is to read them; in the folder, for the
        embedded model, if ``None``.
    say
        Receives what is to be known of a folder as a whole.

    Raises
    ------
    InputError
        If there is no such path, it is of no such kind, or holds no songs.
    """
    try:
        is_there, is_folder = path.exists(), path.is_dir()
    except OSError as error:
        raise InputError(f"{path} cannot be reached: {error.strerror or error}") from error
    if not is_there:
        raise InputError(f"{path} does not exist: expected a folder of music, a song or a table")
    if is_folder:
        name = source or _folder_name(path)
        if isinstance(path, Path) and is_kakao_arena(path):
            return kakao_sources(path, name, mels or KakaoMels(), say)
        return _of_folder(path, name)
    if path.suffix.lower() in TABLE_SUFFIXES:
        return _of_table(path, source or _table_name(path))
    if path.suffix.lower() in _sound_suffixes():
        folder: SongPath = path.absolute().parent
        name = source or _folder_name(folder)
        return [_of_file(path, _lyrics_beside(path), folder, name, is_of_folder=False)]
    expected = ", ".join((*TABLE_SUFFIXES, *sorted(_sound_suffixes())))
    raise InputError(f"{path} is neither a folder nor a file ending {expected}")


def _of_folder(folder: SongPath, source: str) -> list[SongSource]:
    found: list[SongSource] = []
    files = [] if isinstance(folder, Path) else folder.files()
    for entry in music_files(folder) if isinstance(folder, Path) else _music_among(folder, files):
        if isinstance(entry, OSError):
            found.append(_unread(entry, folder))
        else:
            found.append(_of_file(*entry, folder, source, is_of_folder=True))
    if found:
        return found
    every = sorted(folder.rglob("*")) if isinstance(folder, Path) else files
    parts = [path for path in every if path.suffix.lower() == _PART and not _is_hidden(path)]
    if not parts:
        endings = ", ".join(sorted(_sound_suffixes()))
        raise InputError(
            f"{folder} holds no music: expected files ending {endings}, or a table in parts "
            f"(*{_PART})"
        )
    return [one for part in parts for one in _of_table(part, source)]


def _music_among(
    folder: RemoteFile, files: Sequence[RemoteFile]
) -> Iterator[tuple[SongPath, tuple[SongPath, ...]] | OSError]:
    """As :func:`music_files`, of files of another file system."""
    names: dict[str, list[str]] = {}
    for file in files:
        names.setdefault(file.parent.path, []).append(file.name)
    suffixes = _sound_suffixes()
    for file in files:
        inside = file.path.removeprefix(folder.path)
        is_hidden = any(part.startswith(".") for part in inside.split("/"))
        if file.suffix.lower() in suffixes and not is_hidden:
            yield file, LyricFiles(file.parent, names[file.parent.path]).beside(file.name)


def _is_hidden(path: SongPath) -> bool:
    return path.name.startswith((".", "_"))


def music_files(folder: Path) -> Iterator[tuple[Path, tuple[SongPath, ...]] | OSError]:
    """Sound files below a folder, sorted, without hidden ones, each with what may be its
    lyrics; errors in place of folders."""
    problems: list[OSError] = []
    suffixes = _sound_suffixes()
    for root, folders, names in os.walk(folder, onerror=problems.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        lyrics = LyricFiles(Path(root), names)
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield Path(root) / name, lyrics.beside(name)
    yield from problems


def _unread(error: OSError, folder: SongPath) -> SongSource:
    name = str(error.filename or folder)
    message = f"the folder cannot be read: {error.strerror or error}"
    return SongSource(name, None, partial(_refuse, message))


def _lyrics_beside(path: SongPath) -> tuple[SongPath, ...]:
    try:
        if isinstance(path, RemoteFile):
            names = [file.name for file in path.parent.files() if file.parent == path.parent]
            return LyricFiles(path.parent, names).beside(path.name)
        return LyricFiles(path.parent, os.listdir(path.parent)).beside(path.name)
    except OSError:  # the folder may be passed through, but not listed
        return ()


def _of_file(
    path: SongPath,
    lyrics: tuple[SongPath, ...],
    folder: SongPath,
    source: str,
    *,
    is_of_folder: bool,
) -> SongSource:
    if isinstance(path, Path):
        inside = path.absolute().relative_to(str(folder.absolute())).as_posix()
    else:
        inside = str(path).removeprefix(str(folder)).lstrip("/")
    # File systems differ in how they write Hangul: composed or taken apart.
    place = unicodedata.normalize("NFC", inside)
    file = PlacedFile(path, source, place, is_of_folder)
    song_id = id_of_place(file)
    load = partial(_load_file, path, lyrics, song_id, source)
    return SongSource(str(path), song_id, load, file)


def id_of_place(file: PlacedFile, number: int = 1) -> str:
    """Id of the song that is found at a place first, or of a later one by its number."""
    name = unicodedata.normalize("NFC", f"{file.source}/{file.place}")
    if number > 1:
        name += f"\0{number}"
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _load_file(
    path: SongPath, lyrics: tuple[SongPath, ...], song_id: str, source: str
) -> SongMaterial:
    if not str(path).isascii() and str(path).encode("utf-8", "replace").decode() != str(path):
        raise InputError("the file's name is not valid text: rename it")
    tags = read_tags(path)
    artist_named, title_named = from_file_name(path)
    title = tags.title or title_named
    artist = tags.artist or (artist_named if tags.title is None else None)
    song = Song(
        id=song_id,
        title=title,
        artist=artist,
        album=tags.album,
        year=tags.year,
        genre=tags.genre,
        language=tags.language,
        licence=tags.licence,
        link=tags.link or search_link(title, artist),
        path=str(path.absolute()),
        source=source,
    )
    return SongMaterial(song, _first_text(lyrics) or tags.lyrics, path)


def _first_text(files: tuple[SongPath, ...]) -> str | None:
    for path in files:
        if path.is_file():
            text = read_lyric_file(path)
            if text.strip():
                return text
    return None


def _of_table(path: SongPath, source: str) -> list[SongSource]:
    records = read_song_table(path).records
    if not records:
        raise InputError(f"{path} has no rows: expected one per song")
    return [
        SongSource(
            f"{path}, row {record.row}", record.id or None, partial(_load_record, record, source)
        )
        for record in records
    ]


def _load_record(record: SongRecord, source: str) -> SongMaterial:
    if record.problem is not None:
        raise InputError(record.problem)
    text = record.text
    if text is None and record.lyrics_path is not None:
        text = read_lyric_file(record.lyrics_path)
    song = Song(
        id=record.id,
        title=record.title,
        artist=record.artist,
        album=record.album,
        year=record.year,
        genre=record.genre,
        language=record.language,
        licence=record.licence,
        link=record.link or search_link(record.title, record.artist),
        path=str(record.audio_path.absolute()) if record.audio_path is not None else None,
        source=source,
    )
    return SongMaterial(song, text, record.audio_path)


def _refuse(message: str) -> SongMaterial:
    raise InputError(message)


def _folder_name(folder: SongPath) -> str:
    if isinstance(folder, RemoteFile):
        return folder.name or "music"
    return folder.absolute().resolve().name or "music"


def _table_name(path: SongPath) -> str:
    """A table called ``index`` is named after its folder."""
    stem = path.stem
    return _folder_name(path.absolute().parent) if stem.lower() == "index" else stem


def _sound_suffixes() -> frozenset[str]:
    from audio_model.decode import SUFFIXES

    return SUFFIXES
