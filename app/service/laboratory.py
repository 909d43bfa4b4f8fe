"""Another way to mix words and sound, tried on a catalogue without changing it.

The calibrated answers of both branches are kept as arrays, with what the catalogue's own rule
makes of them; another rule combines and a scan searches them, so that a slider can be moved while
one looks.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.service.songs import KeptSongs
from data_prep.catalogue import Catalogue
from data_prep.song import Song
from data_prep.taxonomy import N_EMOTIONS
from fusion.catalogue_shelf import CatalogueShelf
from fusion.combination import combined, fuse_many
from fusion.rules import FusionRule
from fusion.search import scan
from fusion.settings import FusionSettings

SHOWN = 10
WHOLE_UP_TO: Final = 800_000
"""Songs up to which all are tried; of more, some that are evenly taken."""
SAMPLE: Final = 100_000


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
    tried, songs
        How many songs it was tried on, evenly taken, and how many there are.
    """

    settings: FusionSettings
    before: list[tuple[Song, int | None]]
    after: list[tuple[Song, int | None]]
    tops_before: NDArray[np.float64]
    tops_after: NDArray[np.float64]
    tried: int
    songs: int

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
        shares = kept.tops, _tops(then)
        return Trial(settings, lists[0], lists[1], *shares, len(kept.numbers), kept.songs)

    def _as_now(self) -> _Kept:
        shelf = self._songs.shelf()
        with self._lock:
            if self._kept is None or self._kept.revision != shelf.revision:
                self._kept = _read(shelf, self._songs.catalogue)
            return self._kept


@dataclass(frozen=True, eq=False)
class _Kept:
    """A catalogue as its own settings have it: calibrated and fused rows of its songs."""

    revision: str
    settings: FusionSettings
    songs: int
    numbers: NDArray[np.int64]
    words: NDArray[np.float32]
    sound: NDArray[np.float32]
    fused: NDArray[np.float32]
    tops: NDArray[np.float64]


def _read(shelf: CatalogueShelf, catalogue: Catalogue) -> _Kept:
    step = 1 if len(shelf) <= WHOLE_UP_TO else -(-len(shelf) // SAMPLE)
    if step == 1:
        found = catalogue.vectors(stages=("lyrics", "audio"))
        numbers, lyrics, audio = found.numbers, found.lyrics, found.audio
    else:
        numbers = np.array(shelf.numbers[::step])
        lyrics, audio = catalogue.branches_of(numbers)
    gone = np.isin(numbers, catalogue.missing())
    lyrics[gone] = audio[gone] = np.nan
    many = fuse_many(lyrics, audio, shelf.settings)
    return _Kept(
        shelf.revision,
        shelf.settings,
        len(shelf),
        numbers,
        many.lyrics,
        many.audio,
        many.distribution,
        _tops(many.distribution),
    )


def _tops(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    known = vectors[np.isfinite(vectors[:, 0])]
    counts = (
        np.bincount(known.argmax(axis=1), minlength=N_EMOTIONS)
        if len(known)
        else np.zeros(N_EMOTIONS)
    )
    shares: NDArray[np.float64] = counts / max(len(known), 1)
    return shares
