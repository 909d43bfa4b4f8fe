"""How often each song is recommended: coverage, inequality, hubs.

``k``-occurrence is the number of lists of k that a song is in. In spaces of many dimensions,
or where songs lie in a corner that queries do not ask for, few songs are in most lists
(hubs) and most in none; its skewness measures that (Radovanović, Nanopoulos and Ivanović
2010). The Gini coefficient is 0 where all songs are recommended alike and near 1 where one
song has all lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError


@dataclass(frozen=True)
class ListCounts:
    """Figures of the lists that a catalogue gave to many queries.

    Attributes
    ----------
    songs, queries
        Of the catalogue; that were asked.
    reached
        Songs that are in some list.
    most
        Lists that the most recommended song is in.
    gini
        Of the k-occurrences, 0 to 1.
    skewness
        Of the k-occurrences; 0 where all songs are in as many lists.
    """

    songs: int
    queries: int
    reached: int
    most: int
    gini: float
    skewness: float

    @classmethod
    def of(cls, rows: NDArray[np.integer[Any]], n_songs: int) -> Self:
        """Of lists of rows (queries, k) of a catalogue of so many songs.

        Raises
        ------
        InputError
            If there is no list, or a row is not of the catalogue.
        """
        if not rows.size or rows.min() < 0 or rows.max() >= n_songs:
            raise InputError(f"expected lists of rows from 0 to {n_songs - 1}, got {rows.shape}")
        counts = np.bincount(rows.ravel(), minlength=n_songs).astype(np.float64)
        rising = np.sort(counts)
        places = 2.0 * np.arange(1, n_songs + 1) - n_songs - 1.0
        centred = counts - counts.mean()
        spread = float(np.sqrt((centred**2).mean()))
        return cls(
            songs=n_songs,
            queries=len(rows),
            reached=int((counts > 0).sum()),
            most=int(counts.max()),
            gini=float(places @ rising / (n_songs * rising.sum())),
            skewness=float((centred**3).mean() / spread**3) if spread > 0 else 0.0,
        )

    @property
    def coverage(self) -> float:
        """Share of the songs that are in some list."""
        return self.reached / self.songs
