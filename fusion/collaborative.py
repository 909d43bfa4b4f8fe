"""What other listeners' playlists add: songs that are put beside each other are near.

A collaborative model has a vector for each song that is in playlists, learned by matrix
factorisation (:mod:`fusion.studies.collaborative_training`). Some songs that are known to be
wanted, a playlist's or one that others should be like, are folded in as a listener of their
own; how well another song fits them is a product of two vectors.

**Mixing** with emotion: ``w·playlists + (1 - w)·emotion``. The score of playlists is 0 for the
median song and 1 for the best that is not among those given, per query; below the median it is
0. A song that no playlist has scores 0 there, as one does that nobody put beside these: it can
come by its emotion alone. Where none of the songs given is in a playlist, emotion alone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from fusion.index_folder import load_index, save_index

CollaborativeMethod = Literal["als", "bpr"]
METHODS: Final[tuple[CollaborativeMethod, ...]] = get_args(CollaborativeMethod)

_KIND: Final = "collaborative"


@dataclass(frozen=True, eq=False)
class CollaborativeModel:
    """Vectors of songs, learned from playlists.

    Attributes
    ----------
    ids
        Of the songs, UTF-8, sorted (n,).
    factors
        Their vectors, float32 (n, f).
    gram
        ``factorsᵀ·factors`` with the regularisation on its diagonal, float64 (f, f); for BPR
        not used.
    method
        ``"als"`` (Hu, Koren and Volinsky 2008) or ``"bpr"`` (Rendle et al. 2009).
    alpha
        Confidence of a song that a playlist has, beside 1 of one that it has not; for ALS.
    weight
        Weight of playlists that was best on validation playlists, 0 to 1.
    facts
        What else is known of its making, as JSON.
    """

    ids: NDArray[np.bytes_]
    factors: NDArray[np.float32]
    gram: NDArray[np.float64]
    method: CollaborativeMethod
    alpha: float
    weight: float
    facts: dict[str, Any]

    def __post_init__(self) -> None:
        n, f = self.factors.shape
        if self.ids.shape != (n,) or self.gram.shape != (f, f) or self.method not in METHODS:
            raise InputError("a collaborative model whose parts do not belong together")
        if not 0.0 <= self.weight <= 1.0:
            raise InputError(f"weight of playlists {self.weight}: expected a number from 0 to 1")

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model folder, mapped into memory.

        Raises
        ------
        IndexFolderError
            If it is no such folder, or damaged.
        """
        facts, arrays = load_index(folder, _KIND, verify=False)
        own = {name: facts.pop(name) for name in ("method", "alpha", "weight")}
        return cls(
            arrays["ids"],
            arrays["factors"],
            arrays["gram"],
            own["method"],
            own["alpha"],
            own["weight"],
            facts,
        )

    def save(self, folder: Path) -> None:
        """Write a model folder, or put it in place of an older one.

        Raises
        ------
        InputError
            If the folder holds something else, or cannot be written.
        """
        arrays: dict[str, NDArray[Any]] = {
            "ids": self.ids, "factors": self.factors, "gram": self.gram,
        }  # fmt: skip
        own = {"method": self.method, "alpha": self.alpha, "weight": self.weight}
        save_index(folder, _KIND, self.facts | own, arrays)

    def places(self, song_ids: Sequence[str]) -> NDArray[np.intp]:
        """Places of songs in :attr:`ids`; -1 where a song is not there: (len(song_ids),)."""
        if not len(self):
            return np.full(len(song_ids), -1, np.intp)
        width = self.ids.dtype.itemsize
        wanted = [song_id.encode("utf-8", "surrogateescape") for song_id in song_ids]
        # one that is longer than any cannot be there, and must not be cut to one that is
        fits = np.array([len(one) <= width for one in wanted], np.bool_)
        array = np.array(wanted, dtype=f"S{width}")
        found = np.minimum(np.searchsorted(self.ids, array), len(self) - 1)
        is_there = fits & (np.asarray(self.ids[found]) == array)
        return np.where(is_there, found, -1).astype(np.intp)

    def listener(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """The vector of somebody who wants these songs, (f,).

        For ALS the least-squares solution with the songs' vectors held, as in its training; for
        BPR the mean of the songs' vectors, whose last number is the song's bias.
        """
        own = np.asarray(self.factors[places], np.float64)
        if self.method == "bpr":
            mean: NDArray[np.float64] = own.mean(axis=0)
            mean[-1] = 1.0
            return mean.astype(np.float32)
        left = self.gram + (self.alpha - 1.0) * own.T @ own
        solved: NDArray[np.float64] = np.linalg.solve(left, self.alpha * own.sum(axis=0))
        return solved.astype(np.float32)

    def scores(self, song_ids: Sequence[str]) -> NDArray[np.float32] | None:
        """How well each song (n,) fits some others, 0 to 1; those themselves have 0.

        ``None`` where none of them is in a playlist.
        """
        places = self.places(song_ids)
        places = np.unique(places[places >= 0])
        if not len(places):
            return None
        return scaled(np.asarray(self.factors) @ self.listener(places), places)


def scaled(raw: NDArray[np.float32], left_out: NDArray[np.intp]) -> NDArray[np.float32]:
    """Scores (n,) as the mixing takes them: 0 up to the median, 1 for the best of the others.

    Parameters
    ----------
    left_out
        Places that get 0, and are not looked at.
    """
    others = np.delete(raw, left_out)
    if not len(others):
        return np.zeros(len(raw), np.float32)
    middle, best = np.median(others), others.max()
    ratios = (raw - middle) / max(float(best - middle), 1e-12)
    found: NDArray[np.float32] = np.clip(ratios, 0.0, 1.0)
    found[left_out] = 0.0
    return found.astype(np.float32)
