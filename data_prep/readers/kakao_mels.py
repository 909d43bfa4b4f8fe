"""The mels of the Melon Playlist data set (Kakao Arena, task 3), read without unpacking them.

Files, wherever a user keeps them: ``arena_mel_0.tar`` to ``arena_mel_39.tar``, some 240 GB
in all, or what was unpacked from them. Either holds ``{id // 1000}/{id}.npy`` (a tar maybe
with ``./`` before), one array per song: 48 mel bands by frames, 1,876 of them for over 99%
of the songs, taken from 0:20 to 0:50. The bands are those of
:data:`audio_model.log_mel.KAKAO`. Number type and range are not stated: any float is
taken here, and the range is told by :mod:`data_prep.mel_values`.

Nothing but arrays of numbers is read: no pickled objects, and no links.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.left_out import LeftOut, UnusableSongError

CITATION: Final = (
    "Ferraro et al. (2021): Melon Playlist Dataset: a public dataset for audio-based playlist "
    "generation and music tagging, ICASSP (arXiv 2102.00201)"
)
LICENCE: Final = "non-profit research; no redistribution"
SOURCE_URL: Final = "https://arena.kakao.com/melon_dataset"

N_MELS: Final = 48
N_FRAMES: Final = 1876
"""Frames of nearly every song, and of the longest one kept."""

SONG: Final = re.compile(r"(?:^|/)(\d{1,9})/(\d{1,12})\.npy$", re.ASCII)
"""Name of a song's file: its folder, and the song."""
_TAR_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz")
_LARGEST: Final = 64 << 20  # bytes; a song of ten minutes in double precision has 14 MB
_BLOCK: Final = 512


@dataclass(frozen=True)
class StoredMel:
    """One song's file, not looked into yet.

    Attributes
    ----------
    id
        The song's id, as in ``song_meta.json``.
    where
        File, or tar and member.
    content
        The bytes of the npy file.
    """

    id: str
    where: str
    content: bytes

    def array(self) -> NDArray[np.floating]:
        """The mel (48, n_frames), as it is in the file, at least in single precision.

        Raises
        ------
        UnusableSongError
            If it is no whole array of floats with 48 rows.
        """
        return parse_mel(self.content)


def parse_mel(content: bytes) -> NDArray[np.floating]:
    """As :meth:`StoredMel.array`."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
        else:
            shape, fortran, kind = np.lib.format.read_array_header_2_0(file)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise UnusableSongError("damaged file", f"it is no npy file: {first}") from error
    if kind.hasobject:
        raise UnusableSongError("number type", "it holds Python objects, which are not loaded")
    if kind.kind != "f" or kind.itemsize not in (2, 4, 8):
        raise UnusableSongError(
            "number type", f"its numbers are {kind}: expected float16, float32 or float64"
        )
    if len(shape) != 2 or shape[0] != N_MELS or shape[1] < 1:
        turned = " (turned round?)" if len(shape) == 2 and shape[1] == N_MELS else ""
        raise UnusableSongError(
            "shape", f"its shape is {shape}{turned}: expected ({N_MELS}, frames)"
        )
    there, expected = len(content) - file.tell(), shape[0] * shape[1] * kind.itemsize
    if there != expected:
        raise UnusableSongError(
            "damaged file", f"it has {there:,} bytes of numbers, and its header says {expected:,}"
        )
    values = np.frombuffer(content, dtype=kind, offset=file.tell())
    mel = values.reshape(shape, order="F" if fortran else "C")
    single = np.dtype(np.float32)
    return mel.astype(np.promote_types(kind.newbyteorder("="), single), copy=False)


def is_tar(path: Path) -> bool:
    """Whether a file is a tar by its name, or else by its content."""
    return path.name.lower().endswith(_TAR_SUFFIXES) or tarfile.is_tarfile(path)


def tars_in(folder: Path) -> list[Path]:
    """The tars of a folder, by their numbers: ``arena_mel_2.tar`` before ``arena_mel_10.tar``."""
    found = [p for p in folder.iterdir() if p.name.lower().endswith(_TAR_SUFFIXES) and p.is_file()]
    return sorted(found, key=lambda path: _natural(path.name))


def song_folders_in(folder: Path) -> list[Path]:
    """The folders ``{id // 1000}`` of what was unpacked into a folder, or one below it."""
    found = _numbered(folder)
    if not found:
        for child in sorted(folder.iterdir(), key=lambda path: _natural(path.name)):
            if child.is_dir():
                found += _numbered(child)
    return [path for path in found if _has_song(path)]


def _numbered(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.isdecimal() and entry.is_dir()]
    return [folder / name for name in sorted(names, key=int)]


def _has_song(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(SONG.search(f"{folder.name}/{entry.name}") for entry in entries)


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def read_folder(folder: Path, *, known: Container[str] = ()) -> Iterator[StoredMel | LeftOut]:
    """The songs of one folder ``{id // 1000}``, by their numbers.

    Parameters
    ----------
    known
        Ids of songs that are not wanted; their files are not opened.
    """
    for path in sorted(folder.iterdir(), key=lambda path: _natural(path.name)):
        name = f"{folder.name}/{path.name}"
        song_id = _song_id(name, str(path))
        if isinstance(song_id, LeftOut):
            yield song_id
        elif song_id not in known:
            try:
                size = path.stat().st_size
                if size > _LARGEST:
                    yield _too_large(str(path), song_id, size)
                else:
                    yield StoredMel(song_id, str(path), path.read_bytes())
            except OSError as error:
                why = f"it cannot be read: {error.strerror or error}"
                yield LeftOut(str(path), song_id, "damaged file", why)


def read_tar(
    path: Path,
    *,
    known: Container[str] = (),
    at: Callable[[int], None] = lambda position: None,
) -> Iterator[StoredMel | LeftOut]:
    """The songs of a tar in the order they lie in it, one in memory at a time.

    Parameters
    ----------
    known
        As in :func:`read_folder`.
    at
        Is told how many bytes of the file are done.

    Raises
    ------
    InputError
        Where the tar is damaged, or ends too early; what lies before has been given.
    """
    where, position = "its beginning", 0
    try:
        with path.open("rb", buffering=1 << 20) as file, tarfile.open(fileobj=file) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # or all headers are kept
                where, position = member.name, member.offset
                at(file.tell())
                if member.isdir():
                    continue
                full_name = f"{path}:{member.name}"
                song_id = _song_id(member.name, full_name)
                if isinstance(song_id, LeftOut):
                    yield song_id
                elif member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                    yield LeftOut(full_name, song_id, "no song", "it is a link, not a file")
                elif member.size > _LARGEST:
                    yield _too_large(full_name, song_id, member.size)
                elif song_id not in known:
                    yield StoredMel(song_id, full_name, _content(tar, member))
            where, position = "its end", tar.offset
            _check_end(tar)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path} is damaged or cut off at byte {position:,} ({where}: {why}): what lies before "
            "was read; download it again"
        ) from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = _stream(tar)
    file.seek(member.offset_data)
    content = file.read(member.size)
    if len(content) != member.size:
        raise tarfile.ReadError("the file ends within it")
    return content


def _check_end(tar: tarfile.TarFile) -> None:
    """Refuse a tar that does not end in a block of zeros, which tarfile does not."""
    file = _stream(tar)
    file.seek(tar.offset)
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise tarfile.ReadError("there is no end mark")
    if block.strip(b"\0"):
        raise tarfile.ReadError("this is not the header of a file")


def _stream(tar: tarfile.TarFile) -> IO[bytes]:
    file = tar.fileobj
    assert file is not None, "opened with one"
    return file  # type: ignore[return-value]  # typeshed knows its methods only in part


def _song_id(name: str, where: str) -> str | LeftOut:
    match = SONG.search(name)
    if match is None:
        return LeftOut(where, None, "no song", "it is not named {id // 1000}/{id}.npy")
    folder, song_id = (int(number) for number in match.groups())
    if folder != song_id // 1000:
        error = f"song {song_id} belongs into folder {song_id // 1000}, not {folder}"
        return LeftOut(where, str(song_id), "no song", error)
    return str(song_id)


def _too_large(where: str, song_id: str, size: int) -> LeftOut:
    return LeftOut(where, song_id, "damaged file", f"it has {size:,} bytes: too many for a song")
