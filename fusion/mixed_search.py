"""Search by emotion and by playlists together: exact, by looking at every song."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from fusion.collaborative import CollaborativeModel
from fusion.search import Results, SimilarityIndex, best_rows
from fusion.similarity import similarity

if TYPE_CHECKING:
    from fusion.shelf import Shelf

_SONGS_AT_ONCE: Final = 1 << 17


class PlaylistSignal:
    """A collaborative model, and where its songs are on a shelf; thread-safe.

    Parameters
    ----------
    model
        The model.
    """

    def __init__(self, model: CollaborativeModel) -> None:
        self.model = model
        self._placed: tuple[weakref.ref[Any], NDArray[np.intp]] | None = None

    def rows_on(self, shelf: Shelf) -> NDArray[np.intp]:
        """Row of each song of the model on a shelf, -1 where it is not there; kept for the last
        shelf."""
        placed = self._placed
        if placed is None or placed[0]() is not shelf:
            names = [each.decode("utf-8", "surrogateescape") for each in self.model.ids.tolist()]
            placed = weakref.ref(shelf), shelf.rows_of(names)
            self._placed = placed
        return placed[1]


@dataclass(frozen=True, eq=False)
class Beside:
    """Songs that others should go with.

    Attributes
    ----------
    signal
        What playlists say.
    songs
        Ids of the songs; those that are in no playlist say nothing.
    weight
        Of playlists, 0 to 1; the model's own if ``None``.
    """

    signal: PlaylistSignal
    songs: tuple[str, ...]
    weight: float | None = None

    def __post_init__(self) -> None:
        if self.weight is not None and not 0.0 <= self.weight <= 1.0:
            raise InputError(f"weight of playlists {self.weight}: expected a number from 0 to 1")


class MixedIndex:
    """Songs of a shelf, to be searched by emotion and by playlists.

    Parameters
    ----------
    shelf
        The songs.
    index
        Their emotions; its measure is that of emotion.
    beside
        Songs that others should go with. Where none of them is in a playlist, emotion alone
        decides.
    """

    def __init__(self, shelf: Shelf, index: SimilarityIndex, beside: Beside) -> None:
        self._index = index
        self._weight = 0.0
        self._playlists: NDArray[np.float32] | None = None
        scores = beside.signal.model.scores(beside.songs)
        if scores is not None:
            rows = beside.signal.rows_on(shelf)
            is_here = rows >= 0
            self._playlists = np.zeros(len(index), np.float32)
            self._playlists[rows[is_here]] = scores[is_here]
            own = beside.weight
            self._weight = beside.signal.model.weight if own is None else own

    @property
    def vectors(self) -> NDArray[np.floating[Any]]:
        """Fused vectors (n, 6)."""
        return self._index.vectors

    def query(
        self,
        vector: NDArray[np.floating[Any]],
        k: int,
        mask: NDArray[np.bool_] | None = None,
        *,
        same_top_first: bool = False,
    ) -> Results:
        """As :meth:`fusion.search.SimilarityIndex.query`, by the mixed score."""
        if self._playlists is None:
            return self._index.query(vector, k, mask, same_top_first=same_top_first)
        rows, scores = self._scored(np.asarray(vector, np.float64), mask)
        if not same_top_first:
            return best_rows(rows, scores, k)
        same = np.argmax(self._index.vectors[rows], axis=1) == int(np.argmax(vector))
        first = best_rows(rows[same], scores[same], k)
        if len(first[0]) >= k:
            return first
        others = best_rows(rows[~same], scores[~same], k - len(first[0]))
        return np.append(first[0], others[0]), np.append(first[1], others[1])

    def _scored(self, query: NDArray[np.float64], mask: NDArray[np.bool_] | None) -> Results:
        """Rows that may come, ascending, and their mixed scores."""
        assert self._playlists is not None, "there are playlists"
        _, score = similarity(self._index.measure)
        looked_at = np.arange(len(self._index)) if mask is None else np.flatnonzero(mask)
        parts: list[Results] = []
        for start in range(0, len(looked_at), _SONGS_AT_ONCE):
            rows = looked_at[start : start + _SONGS_AT_ONCE]
            emotion = score(query, self._index.vectors[rows])
            mixed = self._weight * self._playlists[rows] + (1.0 - self._weight) * emotion
            known = np.isfinite(emotion)
            parts.append((rows[known], mixed[known]))
        if not parts:
            return np.empty(0, np.intp), np.empty(0)
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([s for _, s in parts])
