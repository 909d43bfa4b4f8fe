"""Playlists: extended M3U in UTF-8 (.m3u8), which every usual player reads."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from app.atomic_file import atomic_file
from data_prep.catalogue import Song


def playlist_lines(songs: Iterable[Song]) -> tuple[list[str], int]:
    """Lines of a playlist, and how many songs have no file of their own.

    A song without a file is listed by its link, and left out if it has none.
    """
    lines = ["#EXTM3U"]
    without_file = 0
    for song in songs:
        if song.path is None:
            without_file += 1
        place = song.path or song.link
        if place is not None:
            name = " - ".join(_one_line(part) for part in (song.artist, song.title) if part)
            lines += [f"#EXTINF:-1,{name or song.id}", _one_line(place)]
    return lines, without_file


def print_playlist(songs: Iterable[Song], stream: TextIO) -> None:
    """Write a playlist to an open stream; says on standard error what has no file."""
    lines, without_file = playlist_lines(songs)
    stream.writelines(f"{line}\n" for line in lines)
    if without_file:
        print(
            f"{without_file:,} songs have no file here: those with a link are listed by it",
            file=sys.stderr,
        )


def write_playlist(songs: Iterable[Song], path: Path) -> None:
    """Write a playlist file, whole or not at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        print_playlist(songs, stream)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
