"""Taste: what a listener's judgements change in what is searched for.

Rocchio's rule (1971) on emotion distributions: the query moves towards the mean of the songs
that were liked and away from the mean of those that were not. Two bounds keep a mood what it
is: the query moves by ``MOST_MOVED`` at most (total variation), and its strongest emotion stays
its strongest. A judgement counts as far as what was searched for then is like what is searched
for now, so that what is liked on a sad evening changes sad evenings; few judgements change
little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TOWARDS: Final = 0.5
AWAY: Final = 0.25
"""Shares of the way that many judgements move a query, 👍 and 👎: Rocchio's customary half for
what was not wanted."""

HALF_AT: Final = 5.0
"""Judgements that count for half of those shares."""

NEARNESS: Final = 4
"""Power of the cosine between then and now: at 0.5 a judgement counts for a sixteenth."""

MOST_MOVED: Final = 0.2
"""Most of a query's total that is ever moved from one emotion to others."""

Vector = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Judged:
    """A song that was judged.

    Attributes
    ----------
    song
        Its fused emotion distribution (6,).
    query
        What had been searched for (6,).
    is_liked
        👍, or else 👎.
    """

    song: Vector
    query: Vector
    is_liked: bool


@dataclass(frozen=True)
class Taste:
    """What a listener likes.

    Attributes
    ----------
    judged
        Songs that were judged and whose emotion is known.
    disliked
        Ids of songs that are not wanted again.
    """

    judged: Sequence[Judged] = ()
    disliked: frozenset[str] = frozenset()

    def leaning(self, query: Vector) -> NDArray[np.float32]:
        """A query as this listener means it: (6,), a distribution with the same strongest emotion.

        Parameters
        ----------
        query
            Emotion distribution (6,).
        """
        asked = np.asarray(query, dtype=np.float64)
        moved = np.zeros_like(asked)
        for is_liked, share in ((True, TOWARDS), (False, -AWAY)):
            of_kind = [each for each in self.judged if each.is_liked == is_liked]
            if not of_kind:
                continue
            songs = np.array([each.song for each in of_kind], dtype=np.float64)
            weights = np.array([_cosine(each.query, asked) ** NEARNESS for each in of_kind])
            total = float(weights.sum())
            if total > 0.0:
                mean = weights @ songs / total
                moved += share * total / (total + HALF_AT) * (mean - asked)
        wanted = np.clip(asked + moved, 0.0, None)
        wanted /= wanted.sum()
        step = wanted - asked
        variation = 0.5 * float(np.abs(step).sum())
        if variation > MOST_MOVED:
            step *= MOST_MOVED / variation
        return (asked + _longest(asked, step) * step).astype(np.float32)


def _longest(asked: NDArray[np.float64], step: NDArray[np.float64]) -> float:
    """How much of a step, 0 to 1, leaves the strongest emotion the strongest."""
    top = int(asked.argmax())
    gains = step - step[top]
    leads = asked[top] - asked
    catching = (gains > 0.0) & (np.arange(len(asked)) != top)
    if not catching.any():
        return 1.0
    return float(min(1.0, 0.999 * (leads[catching] / gains[catching]).min()))


def _cosine(first: Vector, second: Vector) -> float:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    return max(0.0, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))
