"""Evaluation of what playlists add: half of a held-out playlist is hidden, and is to be found.

**Queries** are playlists that nothing was learned from. Half of a playlist's songs, drawn by
its number, are given; the others are to come first among all songs of the catalogue. Songs that
the catalogue does not hold can be neither given nor found.

- **nDCG@100**: those hidden among the first hundred, earlier ones counting more
  (``1 / log2(rank + 1)``), over what all of them in front would give: the measure of Kakao
  Arena's contest for songs.
- **Recall@100**: share of the hidden songs among the first hundred.
- **Novelty**: mean of ``-log2`` of the share of training playlists that have a recommended song
  (a song that none has counts as half a playlist's).

Rows: songs in random order, the most popular, emotion alone (the mean of the songs given),
playlists alone, and both mixed by the model's own weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.metrics import percentile_interval
from data_prep.readers.arena_playlists import Playlists
from fusion.collaborative import CollaborativeModel
from fusion.search import best_rows
from fusion.similarity import cosine

FIRST: Final = 100
LEAST_SONGS: Final = 4
"""Songs of the catalogue that a playlist must have, to be asked."""
RESAMPLES: Final = 1_000

RANDOM: Final = "random"
POPULAR: Final = "most popular"
EMOTION: Final = "emotion alone"
PLAYLISTS: Final = "playlists alone"
MIXED: Final = "mixed"
ROWS: Final = (RANDOM, POPULAR, EMOTION, PLAYLISTS, MIXED)
FIGURES: Final = {"ndcg": "nDCG@100", "recall": "recall@100", "novelty": "novelty"}

_DISCOUNTS: Final = 1.0 / np.log2(np.arange(2, FIRST + 2))

Figures = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class EmotionSpace:
    """Songs that can be recommended.

    Attributes
    ----------
    songs
        Their numbers in the playlists, ascending (n,).
    vectors
        Their fused emotions (n, 6); NaN where nothing is known.
    counts
        Training playlists that have each (n,).
    playlists
        Training playlists.
    """

    songs: NDArray[np.int64]
    vectors: NDArray[np.float32]
    counts: NDArray[np.int64]
    playlists: int

    @classmethod
    def of(
        cls, songs: NDArray[np.int64], vectors: NDArray[np.float32], training: Playlists
    ) -> Self:
        """From songs in any order."""
        order = np.argsort(songs)
        ascending = songs[order]
        places, is_here = _places(ascending, training.songs)
        counts = np.bincount(places[is_here], minlength=len(songs))
        return cls(ascending, vectors[order], counts.astype(np.int64), len(training))

    def __len__(self) -> int:
        return len(self.songs)


@dataclass(frozen=True, eq=False)
class Continuation:
    """Playlists of which half is given.

    Attributes
    ----------
    given, hidden
        Rows of the songs in the space, by playlist.
    """

    given: list[NDArray[np.intp]]
    hidden: list[NDArray[np.intp]]

    @classmethod
    def of(cls, playlists: Playlists, space: EmotionSpace, *, most: int, seed: int = 1) -> Self:
        """Split playlists; at most so many, drawn by the seed.

        Raises
        ------
        InputError
            If no playlist has enough songs that the catalogue holds.
        """
        given, hidden = [], []
        for place in np.random.default_rng(seed).permutation(len(playlists)).tolist():
            rows, is_here = _places(space.songs, playlists.of(place))
            rows = np.unique(rows[is_here])
            if len(rows) < LEAST_SONGS:
                continue
            order = np.random.default_rng(int(playlists.ids[place])).permutation(len(rows))
            half = len(rows) // 2
            given.append(rows[order[:half]])
            hidden.append(rows[order[half:]])
            if len(given) == most:
                break
        if not given:
            raise InputError(
                f"no held-out playlist has {LEAST_SONGS} songs of the catalogue: are the ids of "
                "its songs those of the playlists?"
            )
        return cls(given, hidden)

    def __len__(self) -> int:
        return len(self.given)

    def figures(
        self, model: CollaborativeModel | None, space: EmotionSpace, weights: Sequence[float]
    ) -> list[Figures]:
        """nDCG, recall and novelty of each playlist, (q,), by mixtures of some weights.

        Parameters
        ----------
        model
            ``None`` for emotion alone.
        weights
            Of playlists.
        """
        judges = [_Judge(space) for _ in weights]
        pairs = zip(self.given, self.hidden, strict=True)
        for (given, hidden), (emotion, listed) in zip(
            pairs, self._branches(model, space), strict=True
        ):
            for weight, judge in zip(weights, judges, strict=True):
                mixed = emotion if listed is None else weight * listed + (1.0 - weight) * emotion
                judge.add(mixed, given, hidden)
        return [judge.figures() for judge in judges]

    def baseline(self, row: str, space: EmotionSpace, *, seed: int = 1) -> Figures:
        """The same for songs at random, or the most popular."""
        random, judge = np.random.default_rng(seed), _Judge(space)
        popular = space.counts + 1e-9 * random.random(len(space))  # equal ones at random
        for given, hidden in zip(self.given, self.hidden, strict=True):
            own = random.random(len(space)) if row == RANDOM else popular
            judge.add(own, given, hidden)
        return judge.figures()

    def _branches(
        self, model: CollaborativeModel | None, space: EmotionSpace
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float32] | None]]:
        """What emotion and playlists say of every song (n,), playlist by playlist."""
        known = np.isfinite(space.vectors[:, 0])
        names = [str(song) for song in space.songs.tolist()]
        places = None if model is None else model.places(names)
        for given in self.given:
            emotion = np.zeros(len(space))
            own = given[known[given]]
            if len(own):
                mean = space.vectors[own].astype(np.float64).mean(axis=0)
                emotion[known] = cosine(mean, space.vectors[known])
            scores = None if model is None else model.scores([names[row] for row in given])
            if scores is None or places is None:
                yield emotion, None
            else:
                yield emotion, np.where(places >= 0, scores[places], np.float32(0.0))


class _Judge:
    """Figures of lists, one after the other."""

    def __init__(self, space: EmotionSpace) -> None:
        self._surprise = -np.log2(np.maximum(space.counts, 0.5) / max(space.playlists, 1))
        self._found: dict[str, list[float]] = {name: [] for name in FIGURES}

    def add(
        self, scores: NDArray[np.float64], given: NDArray[np.intp], hidden: NDArray[np.intp]
    ) -> None:
        """Scores (n,) of all songs."""
        ranked = _first(scores, given)
        hits = np.isin(ranked, hidden)
        best = _DISCOUNTS[: min(len(hidden), FIRST)].sum()
        self._found["ndcg"].append(float(_DISCOUNTS[: len(ranked)][hits].sum() / best))
        self._found["recall"].append(float(hits.sum() / len(hidden)))
        self._found["novelty"].append(float(self._surprise[ranked].mean()))

    def figures(self) -> Figures:
        """By name, (q,) each."""
        return {name: np.array(values) for name, values in self._found.items()}


def evaluate_continuation(
    model: CollaborativeModel, test: Playlists, space: EmotionSpace, *, most: int
) -> dict[str, Any]:
    """Figures of all rows with 95% intervals, and how much better the mixture is.

    Parameters
    ----------
    test
        Playlists that neither the model nor its weight has seen.
    most
        Most playlists that are asked.
    """
    asked = Continuation.of(test, space, most=most)
    each = {
        RANDOM: asked.baseline(RANDOM, space),
        POPULAR: asked.baseline(POPULAR, space),
        EMOTION: asked.figures(None, space, [0.0])[0],
        **dict(
            zip((PLAYLISTS, MIXED), asked.figures(model, space, [1.0, model.weight]), strict=True)
        ),
    }
    drawn = np.random.default_rng(0).multinomial(
        len(asked), np.full(len(asked), 1.0 / len(asked)), RESAMPLES
    )

    def told(values: NDArray[np.float64]) -> dict[str, Any]:
        interval = percentile_interval(drawn @ values / len(asked))
        return {"mean": float(values.mean()), "interval": list(interval)}

    return {
        "playlists": len(asked),
        "songs": len(space),
        "weight": model.weight,
        "rows": {
            row: {name: told(values) for name, values in own.items()} for row, own in each.items()
        },
        "ndcg_differences": {
            row: told(each[MIXED]["ndcg"] - each[row]["ndcg"]) for row in ROWS if row != MIXED
        },
    }


def _first(scores: NDArray[np.float64], given: NDArray[np.intp]) -> NDArray[np.intp]:
    """The hundred best rows that are not given; equal ones by row."""
    others = np.delete(np.arange(len(scores)), given)
    return best_rows(others, scores[others], FIRST)[0]


def _places(
    ascending: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Places of numbers in an ascending array, and which of them are there."""
    if not len(ascending):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), np.bool_)
    found = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return found, ascending[found] == wanted
