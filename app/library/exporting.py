"""Export of a catalogue: tables of facts and vectors, and playlists.

``lyrics_*`` and ``audio_*`` are the models' raw answers as the catalogue keeps
them, ``fused_*`` the calibrated combination.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from app.library.playlist import print_playlist, write_playlist
from app.tables.files import json_line, write_delimited, write_rows
from data_prep.catalogue import STAGES, Song
from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS, top_emotion

Format = Literal["csv", "jsonl", "parquet", "m3u8"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_FACTS: Final = tuple(f.name for f in fields(Song) if f.name not in STAGES)
COLUMNS: Final = (
    *_FACTS,
    "top",
    *(f"{stage}_{name}" for stage in STAGES for name in EMOTIONS),
    *(f"{stage}_made_by" for stage in STAGES),
)


def export_songs(
    songs: Sequence[Song], form: Format, out: Path | None, *, absolute: bool = False
) -> None:
    """Write songs to a file, or to standard output.

    Parameters
    ----------
    songs
        Rows of a catalogue.
    form
        ``"csv"``, ``"jsonl"``, ``"parquet"`` or ``"m3u8"``.
    out
        File to write; ``None`` is standard output, which Parquet refuses.
    absolute
        Of a playlist: whether paths are absolute, also where they could be relative to it.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    if form == "m3u8":
        if out is None:
            print_playlist(songs, sys.stdout)
        else:
            write_playlist(songs, out, absolute=absolute)
        return
    rows = (song_row(song) for song in songs)
    if out is not None:
        # The format is what was asked for, whatever the file is called.
        write_rows(out, COLUMNS, rows, suffix=f".{form}")
    elif form == "csv":
        write_delimited(sys.stdout, COLUMNS, rows, ",")
    elif form == "jsonl":
        sys.stdout.writelines(json_line(row) for row in rows)
    else:
        raise InputError("a Parquet table cannot be printed: name a file with --out")


def song_row(song: Song) -> dict[str, Any]:
    """One song as a flat row; ``None`` where something is absent."""
    row: dict[str, Any] = {name: getattr(song, name) for name in _FACTS}
    row["top"] = top_emotion(song.fused.distribution) if song.fused is not None else None
    for stage in STAGES:
        vector = getattr(song, stage)
        for i, name in enumerate(EMOTIONS):
            value = None if vector is None else round(float(vector.distribution[i]), 7)
            row[f"{stage}_{name}"] = value
        row[f"{stage}_made_by"] = None if vector is None else vector.made_by
    return {column: row[column] for column in COLUMNS}
