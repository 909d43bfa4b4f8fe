"""Another way to mix words and sound, tried on a catalogue without changing it.

The calibrated answers of both branches are kept as arrays; a rule combines and a scan searches
them, so that a slider can be moved while one looks.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.service.songs import KeptSongs
from data_prep.song import Song
from data_prep.taxonomy import N_EMOTIONS
from fusion.combination import fuse_many
from fusion.rules import FusionRule
from fusion.settings import FusionSettings

SHOWN = 10


@dataclass(frozen=True, eq=False)
class Trial:
    """What a rule makes of a catalogue.

    Attributes
    ----------
    settings
        The catalogue's own, with the rule.
    before, after
        Songs nearest to the mood, and their places in the other list (from 0; ``None`` if
        they are not in it): by the catalogue's own rule and by this one.
    tops_before, tops_after
        Share of the songs of which each emotion is the strongest, (6,).
    """

    settings: FusionSettings
    before: list[tuple[Song, int | None]]
    after: list[tuple[Song, int | None]]
    tops_before: NDArray[np.float64]
    tops_after: NDArray[np.float64]

    @property
    def changed(self) -> int:
        """Songs of the new list that are not in the old one."""
        return sum(place is None for _, place in self.after)


class Laboratory:
    """Trials on one catalogue; thread-safe.

    Parameters
    ----------
    songs
        The catalogue's songs.
    """

    def __init__(self, songs: KeptSongs) -> None:
        self._songs = songs
        self._lock = threading.Lock()
        self._revision = ""
        self._lyrics = np.empty((0, N_EMOTIONS), np.float32)
        self._audio = np.empty((0, N_EMOTIONS), np.float32)

    def trial(self, rule: FusionRule, query: NDArray[np.floating], k: int = SHOWN) -> Trial:
        """Mix by a rule, and search.

        Parameters
        ----------
        rule
            In place of the catalogue's own.
        query
            Emotion distribution (6,).
        k
            Songs of each list.

        Raises
        ------
        CatalogueError
            If the catalogue cannot be read.
        """
        shelf = self._songs.shelf()
        with self._lock:
            if self._revision != shelf.revision:
                found = self._songs.catalogue.vectors(stages=("lyrics", "audio"))
                gone = np.isin(found.numbers, self._songs.catalogue.missing())
                self._lyrics, self._audio = found.lyrics, found.audio
                self._lyrics[gone] = self._audio[gone] = np.nan
                self._numbers = found.numbers
                self._revision = shelf.revision
            lyrics, audio, numbers = self._lyrics, self._audio, self._numbers
        settings = replace(shelf.settings, rule=rule)
        now = fuse_many(lyrics, audio, shelf.settings).distribution
        then = fuse_many(lyrics, audio, settings).distribution
        rows = [nearest(vectors, query, k) for vectors in (now, then)]
        songs = self._songs.catalogue.numbered(numbers[np.concatenate(rows)].tolist())
        lists = []
        for own, other in (rows, rows[::-1]):
            places = {int(row): place for place, row in enumerate(other)}
            of_list = [(songs.get(int(numbers[row])), places.get(int(row))) for row in own]
            lists.append([(song, place) for song, place in of_list if song is not None])
        return Trial(settings, lists[0], lists[1], _tops(now), _tops(then))


def nearest(vectors: NDArray[np.floating], query: NDArray[np.floating], k: int) -> NDArray[np.intp]:
    """Rows of the k nearest by cosine, the best first, equal ones by row; rows of NaN never."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    scores = vectors @ np.asarray(query, vectors.dtype) / np.maximum(lengths, 1e-12)
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    taken = min(k, len(scores))
    if taken == 0:
        return np.empty(0, np.intp)
    bound = np.partition(scores, len(scores) - taken)[len(scores) - taken]
    likely = np.flatnonzero((scores >= bound) & np.isfinite(scores))
    order = np.lexsort((likely, -scores[likely]))
    found: NDArray[np.intp] = likely[order][:taken]
    return found


def _tops(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    known = vectors[np.isfinite(vectors[:, 0])]
    counts = np.bincount(known.argmax(axis=1), minlength=N_EMOTIONS) if len(known) else np.zeros(6)
    shares: NDArray[np.float64] = counts / max(len(known), 1)
    return shares
