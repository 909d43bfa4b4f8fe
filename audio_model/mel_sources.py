"""What a store of mels is made from: Kakao Arena's tars or folders, or folders of sound."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audio_model.decode import SUFFIXES
from data_prep.errors import InputError
from data_prep.left_out import LeftOut
from data_prep.readers.kakao_mels import is_tar, song_folders_in, tars_in

_EXPECTED = (
    "expected arena_mel tars, a folder of them, a folder with {id // 1000}/{id}.npy, "
    "or a folder of sound files"
)


@dataclass(frozen=True)
class KakaoSources:
    """Mels that are there already.

    Attributes
    ----------
    tars
        Tars, in the order to read them.
    folders
        Unpacked folders ``{id // 1000}``.
    """

    tars: tuple[Path, ...]
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class SoundSources:
    """Recordings to make mels of.

    Attributes
    ----------
    folders
        As given.
    files
        Id and path of every recording; the id is the path below its folder.
    unread
        Folders within that cannot be read.
    """

    folders: tuple[Path, ...]
    files: tuple[tuple[str, Path], ...]
    unread: tuple[LeftOut, ...]


def recognise(paths: Sequence[Path]) -> KakaoSources | SoundSources:
    """What kind of sources these are, by their content.

    Raises
    ------
    InputError
        If one of them is neither, or they are of both kinds, or two recordings
        would have the same id.
    """
    tars: dict[Path, None] = {}
    song_folders: dict[Path, None] = {}
    sound: list[Path] = []
    for path in dict.fromkeys(paths):
        if not path.exists():
            raise InputError(f"{path} does not exist: {_EXPECTED}")
        if path.is_file():
            if not is_tar(path):
                raise InputError(f"{path} is a file, but no tar: {_EXPECTED}")
            tars[path] = None
            continue
        found = dict.fromkeys(tars_in(path)), dict.fromkeys(song_folders_in(path))
        if not any(found):
            sound.append(path)
            continue
        if any(map(_is_sound, path.iterdir())):
            raise InputError(f"{path} holds both mels and sound files: keep them in two folders")
        tars |= found[0]
        song_folders |= found[1]
    if not sound:
        return KakaoSources(tuple(tars), tuple(song_folders))
    recordings = _recordings(sound)
    if tars or song_folders:
        raise InputError(
            f"{sound[0]} holds sound and {next(iter(tars | song_folders))} mels: "
            "make one store of each"
        )
    return recordings


def _recordings(folders: Sequence[Path]) -> SoundSources:
    files: dict[str, Path] = {}
    unread: list[LeftOut] = []
    for folder in folders:
        n_before = len(files) + len(unread)
        for found in _walk(folder):
            if isinstance(found, LeftOut):
                unread.append(found)
                continue
            song_id = found.relative_to(folder).as_posix()
            if song_id in files:
                raise InputError(
                    f"{files[song_id]} and {found} would both be song {song_id!r}: "
                    "give the folder above them, or make two stores"
                )
            files[song_id] = found
        if len(files) + len(unread) == n_before:
            raise InputError(f"{folder} holds no mels and no sound files: {_EXPECTED}")
    return SoundSources(tuple(folders), tuple(files.items()), tuple(unread))


def _walk(folder: Path) -> Iterator[Path | LeftOut]:
    """Sound files below a folder, sorted, without hidden ones."""
    problems: list[OSError] = []
    for root, names_of_folders, names in os.walk(folder, onerror=problems.append):
        names_of_folders[:] = sorted(name for name in names_of_folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            if not name.startswith(".") and _is_sound(path):
                yield path
    for error in problems:
        why = f"the folder cannot be read: {error.strerror or error}"
        yield LeftOut(str(error.filename or folder), None, "unreadable folder", why)


def _is_sound(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES
