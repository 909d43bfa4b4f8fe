"""Playlists of the Melon Playlist data set (Kakao Arena, task 3): ``train.json``.

A list of records ``id, plylst_title, tags, songs, like_cnt, updt_date``; ``songs`` are numbers
of ``song_meta.json``. ``val.json`` and ``test.json`` have the same layout, with songs, tags or
titles left out of each.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.readers.json_list import records_of_list

_WHAT: Final = "Kakao Arena's playlists (train.json)"


@dataclass(frozen=True, eq=False)
class Playlists:
    """Playlists and their songs.

    Attributes
    ----------
    ids
        Numbers of the playlists (n,).
    starts
        (n + 1,): the songs of playlist i are ``songs[starts[i]:starts[i + 1]]``.
    songs
        Numbers of songs, each once in a playlist, in its order.
    empty
        Playlists of the file that name no song; they are not among the others.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    songs: NDArray[np.int64]
    empty: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, place: int) -> NDArray[np.int64]:
        """Songs of one playlist."""
        return self.songs[self.starts[place] : self.starts[place + 1]]

    def chosen(self, places: NDArray[np.intp]) -> Playlists:
        """Some of the playlists."""
        parts = [self.of(place) for place in places.tolist()]
        lengths = np.array([len(part) for part in parts], np.int64)
        return Playlists(
            self.ids[places],
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate(parts) if parts else np.empty(0, np.int64),
        )


def read_playlists(path: Path) -> Playlists:
    """Read a file of playlists.

    Raises
    ------
    InputError
        If it cannot be read or is something else, or no playlist names a song.
    """
    ids, starts, songs = array("q"), array("q", [0]), array("q")
    empty = 0
    for number, (_, _, record) in enumerate(records_of_list(path, _WHAT), start=1):
        own = _songs(path, number, record)
        if not own:
            empty += 1
            continue
        ids.append(_number(record.get("id"), path, number))
        songs.extend(dict.fromkeys(own))
        starts.append(len(songs))
    if not ids:
        raise InputError(f"{path} holds no playlist with songs: expected {_WHAT}")
    if len(set(ids)) != len(ids):
        raise InputError(f"{path} holds a playlist twice: expected {_WHAT}")
    return Playlists(
        np.array(ids, np.int64), np.array(starts, np.int64), np.array(songs, np.int64), empty
    )


def _songs(path: Path, number: int, record: Any) -> list[int]:
    songs = record.get("songs") if isinstance(record, dict) else None
    if not isinstance(songs, list):
        raise InputError(f"{path}: record {number:,} has no list of songs: expected {_WHAT}")
    return [_number(song, path, number) for song in songs]


def _number(value: Any, path: Path, number: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise InputError(f"{path}: record {number:,} has {value!r} where a number is expected")
    return value
