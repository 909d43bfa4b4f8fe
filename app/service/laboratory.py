"""Another way to mix words and sound, tried on a catalogue without changing it.

The calibrated answers of both branches are kept as arrays, with what the catalogue's own rule
makes of them; another rule combines and a scan searches them, so that a slider can be moved while
one looks.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.service.songs import KeptSongs
from data_prep.song import Song
from data_prep.taxonomy import N_EMOTIONS
from fusion.combination import combined, fuse_many
from fusion.rules import FusionRule
from fusion.search import scan
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
        self._kept: _Kept | None = None

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
        kept = self._as_now()
        settings = replace(kept.settings, rule=rule)
        then = combined(kept.words, kept.sound, settings)
        rows = [scan(vectors, query, k)[0] for vectors in (kept.fused, then)]
        songs = self._songs.catalogue.numbered(kept.numbers[np.concatenate(rows)].tolist())
        lists = []
        for own, other in (rows, rows[::-1]):
            places = {int(row): place for place, row in enumerate(other)}
            of_list = [(songs.get(int(kept.numbers[row])), places.get(int(row))) for row in own]
            lists.append([(song, place) for song, place in of_list if song is not None])
        return Trial(settings, lists[0], lists[1], kept.tops, _tops(then))

    def _as_now(self) -> _Kept:
        shelf = self._songs.shelf()
        with self._lock:
            if self._kept is None or self._kept.revision != shelf.revision:
                found = self._songs.catalogue.vectors(stages=("lyrics", "audio"))
                gone = np.isin(found.numbers, self._songs.catalogue.missing())
                found.lyrics[gone] = found.audio[gone] = np.nan
                many = fuse_many(found.lyrics, found.audio, shelf.settings)
                self._kept = _Kept(
                    shelf.revision,
                    shelf.settings,
                    found.numbers,
                    many.lyrics,
                    many.audio,
                    many.distribution,
                    _tops(many.distribution),
                )
            return self._kept


@dataclass(frozen=True, eq=False)
class _Kept:
    """A catalogue as its own settings have it: calibrated and fused rows of its songs."""

    revision: str
    settings: FusionSettings
    numbers: NDArray[np.int64]
    words: NDArray[np.float32]
    sound: NDArray[np.float32]
    fused: NDArray[np.float32]
    tops: NDArray[np.float64]


def _tops(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    known = vectors[np.isfinite(vectors[:, 0])]
    counts = (
        np.bincount(known.argmax(axis=1), minlength=N_EMOTIONS)
        if len(known)
        else np.zeros(N_EMOTIONS)
    )
    shares: NDArray[np.float64] = counts / max(len(known), 1)
    return shares
