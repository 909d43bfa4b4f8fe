"""A few songs as the text of a file: a playlist, or a table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from app.library.exporting import COLUMNS, song_row
from app.library.playlist import playlist_lines
from app.tables.files import json_line, write_delimited
from data_prep.catalogue import Song

PlaylistForm = Literal["m3u8", "csv", "jsonl"]
PLAYLIST_FORMS: Final[dict[PlaylistForm, str]] = {
    "m3u8": "application/vnd.apple.mpegurl; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
}
"""Form → media type."""


def playlist_of(songs: Sequence[Song], form: PlaylistForm, *, with_paths: bool) -> str:
    """Songs as a file's text.

    Parameters
    ----------
    with_paths
        Whether it names where files lie on this machine; else links alone.
    """
    told = songs if with_paths else [replace(song, path=None) for song in songs]
    if form == "m3u8":
        lines, _ = playlist_lines(told)
        return "".join(f"{line}\n" for line in lines)
    rows = [song_row(song) for song in told]
    if form == "jsonl":
        return "".join(json_line(row) for row in rows)
    stream = io.StringIO()
    write_delimited(stream, COLUMNS, rows, ",")
    return stream.getvalue()
