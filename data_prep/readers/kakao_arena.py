"""Songs of the Melon Playlist data set (Kakao Arena, task 3), read without holding the set.

Files of one folder, wherever a user keeps it:

- ``song_meta.json``: a list of 707,989 records ``id, song_name, artist_name_basket,
  artist_id_basket, album_name, album_id, issue_date`` (``YYYYMMDD``; parts that are not known
  are zeros), ``song_gn_gnr_basket, song_gn_dtl_gnr_basket`` (codes of main and of finer genres).
- ``genre_gn_all.json``: code → name. GN9000 is "unknown"; a finer genre called 세부장르전체
  stands for all of a main genre.
- lyrics, which the set does not have: ``lyrics.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` of
  the user's own, with the columns ``song_id`` and ``lyrics``, in any order and for any songs.

The list is read through once, in pieces: where each record begins, and its id, is all that is
kept. A song is read from its place when it is asked for.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.readers.json_list import records_of_list

CITATION: Final = (
    "Ferraro et al. (2021): Melon Playlist Dataset: a public dataset for audio-based playlist "
    "generation and music tagging, ICASSP (arXiv 2102.00201)"
)
LICENCE: Final = "non-profit research; no redistribution"
SOURCE_URL: Final = "https://arena.kakao.com/melon_dataset"

SONGS_NAME: Final = "song_meta.json"
GENRES_NAME: Final = "genre_gn_all.json"

_WHAT: Final = "Kakao Arena's list of songs"
_NO_GENRES: Final = ("GN9000",)
_ALL_OF_A_GENRE: Final = "세부장르전체"
_YEARS: Final = range(1860, 2101)


@dataclass(frozen=True)
class ArenaSong:
    """What the set says of one song; ``None`` where it does not.

    Attributes
    ----------
    id
        Number of the song, as text.
    title, artist, album
        Several artists are joined by ``; ``.
    year
        Of issue.
    genre
        Names of main and finer genres, joined by ``; ``.
    """

    id: str
    title: str | None
    artist: str | None
    album: str | None
    year: int | None
    genre: str | None


class ArenaSongs:
    """The songs of a folder; opening it reads the list through once.

    Parameters
    ----------
    folder
        Where ``song_meta.json`` lies.

    Attributes
    ----------
    path
        The list.
    ids
        Numbers (n,) int64 of the songs, in the order of the list.

    Raises
    ------
    InputError
        If a file cannot be read, or is not what it should be.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / SONGS_NAME
        self._genres = read_genres(folder / GENRES_NAME)
        ids, starts, lengths = array("q"), array("q"), array("l")
        for start, length, record in records_of_list(self.path, _WHAT):
            ids.append(_number(self.path, len(ids), record))
            starts.append(start)
            lengths.append(length)
        self.ids: NDArray[np.int64] = np.array(ids, dtype=np.int64)
        self._starts = np.array(starts, dtype=np.int64)
        self._lengths = np.array(lengths, dtype=np.int64)
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def song(self, place: int) -> ArenaSong:
        """The song at a place in :attr:`ids`.

        Raises
        ------
        InputError
            If the list can no longer be read, or changed.
        """
        try:
            if self._file is None:
                self._file = self.path.open("rb")
            self._file.seek(int(self._starts[place]))
            record = json.loads(self._file.read(int(self._lengths[place])))
            if _number(self.path, place, record) != self.ids[place]:
                raise ValueError("another song")
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path} changed while it was being read: start again") from error
        return _song(record, self._genres)


def read_genres(path: Path) -> dict[str, str]:
    """Names of genres by their codes; none where there is no such file.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: expected code → name")
    return {str(code): str(name) for code, name in content.items()}


def _song(record: Mapping[str, Any], genres: Mapping[str, str]) -> ArenaSong:
    return ArenaSong(
        id=str(record["id"]),
        title=_text(record.get("song_name")),
        artist=_joined(record.get("artist_name_basket")),
        album=_text(record.get("album_name")),
        year=_year(record.get("issue_date")),
        genre=_genre(record, genres),
    )


def _genre(record: Mapping[str, Any], genres: Mapping[str, str]) -> str | None:
    codes = [*_list(record.get("song_gn_gnr_basket")), *_list(record.get("song_gn_dtl_gnr_basket"))]
    names = [genres.get(str(code)) for code in codes if code not in _NO_GENRES]
    return _joined([name for name in names if name != _ALL_OF_A_GENRE])


def _year(date: Any) -> int | None:
    match = re.match(r"\d{4}", str(date or ""))
    return int(match[0]) if match and int(match[0]) in _YEARS else None


def _joined(values: Any) -> str | None:
    texts = [text for value in _list(values) if (text := _text(value))]
    return "; ".join(dict.fromkeys(texts)) or None


def _list(values: Any) -> list[Any]:
    if values is None:
        return []
    return values if isinstance(values, list) else [values]


def _text(value: Any) -> str | None:
    text = str(value).strip() if value is not None else ""
    # lone surrogates, which a damaged escape leaves, cannot be kept anywhere
    return text.encode("utf-8", "replace").decode("utf-8") or None


def _number(path: Path, place: int, record: Any) -> int:
    number = record.get("id") if isinstance(record, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 62:
        raise InputError(
            f"{path}: record {place + 1:,} has no id that is a number: expected the list of songs "
            "of Kakao Arena's task 3"
        )
    return number
