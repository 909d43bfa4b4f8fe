"""Playlists: extended M3U in UTF-8 without a mark (.m3u8), which every usual player reads.

A line is a directive or comment if it begins with ``#``, else the place of a song: an
address, or a path, relative to the playlist's folder where the two have a folder in common,
so that both can be moved together. Lengths are not known, which is written as -1.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TextIO

from app.atomic_file import atomic_file
from data_prep.catalogue import Song

_MISREAD: Final = re.compile(r"[#\s~]|[A-Za-z][A-Za-z0-9+.-]*:")
"""What a relative path must not begin with: a comment, a space, or what looks like an address."""


def playlist_lines(
    songs: Iterable[Song], *, folder: Path | None = None, title: str | None = None
) -> tuple[list[str], int]:
    """Lines of a playlist, and how many of its songs have no file of their own.

    A song without a file is listed by its link, and left out if it has none. A song whose
    file is gone (``missing_since``) is left out.

    Parameters
    ----------
    folder
        Where the playlist will lie; paths are absolute if ``None``.
    title
        Of the playlist.
    """
    lines = ["#EXTM3U"]
    if title:
        lines.append(f"#PLAYLIST:{_one_line(title)}")
    without_file = 0
    for song in songs:
        if song.missing_since is not None:
            continue
        place = None
        if song.path is not None and not set(song.path) & {"\n", "\r"}:
            place = song.path if folder is None else _seen_from(folder, song.path)
        if place is None:
            without_file += 1
            place = _one_line(song.link) if song.link else None
        if place is not None:
            name = " - ".join(_one_line(part) for part in (song.artist, song.title) if part)
            lines += [f"#EXTINF:-1,{name or song.id}", place]
    return lines, without_file


def print_playlist(
    songs: Sequence[Song],
    stream: TextIO,
    *,
    folder: Path | None = None,
    title: str | None = None,
) -> None:
    """Write a playlist to an open stream; says on standard error what has no file."""
    lines, without_file = playlist_lines(songs, folder=folder, title=title)
    stream.writelines(f"{line}\n" for line in lines)
    if without_file:
        print(
            f"{without_file:,} songs have no file here: those with a link are listed by it",
            file=sys.stderr,
        )
    gone = sum(song.missing_since is not None for song in songs)
    if gone:
        print(f"{gone:,} songs were left out: their files are gone", file=sys.stderr)


def write_playlist(songs: Sequence[Song], path: Path, *, absolute: bool = False) -> None:
    """Write a playlist file, whole or not at all, called as the file is.

    Parameters
    ----------
    absolute
        Whether paths are absolute, also where they could be relative to the playlist.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    folder = None if absolute else path.absolute().parent
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as stream,
    ):
        print_playlist(songs, stream, folder=folder, title=path.stem)


def _seen_from(folder: Path, path: str) -> str:
    """A path relative to a folder; itself where they have no folder in common."""
    # players go up from where the folder really is, whatever links led there
    start = os.path.realpath(folder)
    parent, name = os.path.split(path)
    found = []
    for target in (path, os.path.join(os.path.realpath(parent), name)):
        try:
            common = os.path.commonpath([start, target])
            relative = os.path.relpath(target, start)
        except ValueError:  # another drive, or not an absolute path
            continue
        if os.path.dirname(common) != common:  # not the root alone
            found.append(Path(relative))
    if not found:
        return path
    nearest = min(found, key=lambda one: one.parts.count(os.pardir)).as_posix()
    return f"./{nearest}" if _MISREAD.match(nearest) else nearest


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
