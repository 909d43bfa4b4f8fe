"""Songs ready to be searched: what recommendation asks of them, and the songs of a list.

A shelf knows its songs by row, 0 to n - 1, in the order of their ids; equal scores keep that
order. That of a whole catalogue is :mod:`fusion.catalogue_shelf`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from fusion.combination import Fused
from fusion.hygiene import Hygiene, SongName, hygiene_of
from fusion.rescoring import fused_songs, song_vectors
from fusion.search import SimilarityIndex
from fusion.settings import FusionSettings
from fusion.similarity import SimilarityName

if TYPE_CHECKING:
    from data_prep.catalogue import Song, SongFilter


class Shelf(Protocol):
    """What recommendation asks of songs."""

    @property
    def settings(self) -> FusionSettings:
        """What the songs are fused with."""

    def __len__(self) -> int: ...

    def index(self, similarity: SimilarityName = "cosine") -> SimilarityIndex:
        """The fused vectors of all songs, to be searched by a measure."""

    def songs(self, rows: Sequence[int]) -> list[Song | None]:
        """Songs of rows; ``None`` for one that is not there any more."""

    def fused(self, songs: Sequence[Song]) -> list[Fused]:
        """Fused answers of songs, with their calibrated branches."""

    def mask(self, where: SongFilter) -> NDArray[np.bool_]:
        """Which rows pass a filter: (n,)."""

    def row_of(self, song_id: str) -> int | None:
        """Row of a song; ``None`` if it is not here."""

    def rows_of(self, song_ids: Sequence[str]) -> NDArray[np.intp]:
        """Rows of songs, -1 for one that is not here: (len(song_ids),)."""

    def vectors_of(self, song_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Song id → its fused vector (6,), of songs that are here and of which it is known."""

    def hygiene(self) -> Hygiene:
        """Which songs are left out by the published hygiene, and why."""


class ListShelf:
    """Songs of a list; one whose file is gone (``missing_since``) is never found.

    Parameters
    ----------
    songs
        In their order.
    settings
        Fusion settings; ``None`` takes those of the embedded models.
    """

    def __init__(self, songs: Sequence[Song], settings: FusionSettings | None = None) -> None:
        self._songs = songs
        self.settings = settings if settings is not None else FusionSettings.load()
        self._indexes: dict[SimilarityName, SimilarityIndex] = {}

    def __len__(self) -> int:
        return len(self._songs)

    def index(self, similarity: SimilarityName = "cosine") -> SimilarityIndex:
        """The fused vectors of all songs, to be searched by a measure."""
        if similarity not in self._indexes:
            vectors = song_vectors(self._songs, self.settings)
            vectors[[song.missing_since is not None for song in self._songs]] = np.nan
            self._indexes[similarity] = SimilarityIndex(vectors, similarity)
        return self._indexes[similarity]

    def songs(self, rows: Sequence[int]) -> list[Song | None]:
        """Songs of rows."""
        return [self._songs[row] for row in rows]

    def fused(self, songs: Sequence[Song]) -> list[Fused]:
        """Fused answers of songs, with their calibrated branches."""
        return fused_songs(songs, self.settings)

    def mask(self, where: SongFilter) -> NDArray[np.bool_]:
        """Which rows pass a filter: (n,)."""
        return np.array([where.accepts(song) for song in self._songs], dtype=np.bool_)

    def row_of(self, song_id: str) -> int | None:
        """Row of a song; ``None`` if it is not here."""
        return next((i for i, song in enumerate(self._songs) if song.id == song_id), None)

    def rows_of(self, song_ids: Sequence[str]) -> NDArray[np.intp]:
        """Rows of songs, -1 for one that is not here: (len(song_ids),)."""
        rows = {song.id: row for row, song in enumerate(self._songs)}
        return np.array([rows.get(song_id, -1) for song_id in song_ids], np.intp)

    def vectors_of(self, song_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Song id → its fused vector (6,), of songs that are here and of which it is known."""
        rows = {song_id: self.row_of(song_id) for song_id in song_ids}
        return known_vectors(self.index(), rows)

    def hygiene(self) -> Hygiene:
        """Which songs are left out by the published hygiene, and why."""
        return hygiene_of([SongName(song.title, song.artist, song.album) for song in self._songs])


def known_vectors(
    index: SimilarityIndex, rows: dict[str, int | None]
) -> dict[str, NDArray[np.float32]]:
    """Song id → its vector (6,), of songs that have a row and a vector."""
    vectors = {
        song_id: np.array(index.vectors[row], np.float32)
        for song_id, row in rows.items()
        if row is not None
    }
    return {song_id: v for song_id, v in vectors.items() if np.isfinite(v).all()}
