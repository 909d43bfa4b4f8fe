"""The songs of a catalogue as points: their names and shares, small enough for a browser."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.service.songs import KeptSongs
from data_prep.catalogue import Catalogue
from data_prep.taxonomy import EMOTIONS
from fusion.catalogue_shelf import CatalogueShelf

MOST_POINTS: Final = 20_000
"""Songs on a map; more would only cover each other."""


@dataclass(frozen=True, eq=False)
class SongMap:
    """Points of a map.

    Attributes
    ----------
    count
        Songs of the catalogue whose emotion is known.
    ids, titles, artists
        Of those shown; empty where unknown.
    shares
        Their fused emotions, uint8 (n, 6): shares of 255.
    """

    count: int
    ids: list[str]
    titles: list[str]
    artists: list[str]
    shares: NDArray[np.uint8]

    def to_json(self) -> dict[str, Any]:
        """As a browser takes it."""
        return {
            "count": self.count,
            "shown": len(self.ids),
            "emotions": list(EMOTIONS),
            "ids": self.ids,
            "titles": self.titles,
            "artists": self.artists,
            "shares": base64.b64encode(self.shares.tobytes()).decode("ascii"),
        }


def song_map(songs: KeptSongs, most: int = MOST_POINTS) -> SongMap:
    """At most so many songs, evenly taken, as they are fused now.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be read.
    """
    return songs.derived(f"map of {most}", lambda shelf: _map_of(shelf, songs.catalogue, most))


def _map_of(shelf: CatalogueShelf, catalogue: Catalogue, most: int) -> SongMap:
    vectors = shelf.index().vectors
    known = np.flatnonzero(np.isfinite(vectors[:, 0]))
    rows = known[:: max(-(-len(known) // most), 1)]
    named = catalogue.labels(shelf.numbers[rows])
    shown = [(row, *label) for row, label in zip(rows, named, strict=True) if label is not None]
    ids, titles, artists = ([str(each[i] or "") for each in shown] for i in (1, 2, 3))
    taken = np.array([each[0] for each in shown], dtype=np.intp)
    shares = np.rint(255.0 * np.asarray(vectors[taken], np.float64)).astype(np.uint8)
    return SongMap(len(known), ids, titles, artists, shares.reshape(-1, len(EMOTIONS)))
