"""Intervals of figures over songs that share lines and clips.

Songs of a benchmark are not independent: a line comes twice, an actor sings a hundred clips.
What is drawn with replacement is therefore groups of lines and groups of clips, each for
itself, and a song counts as often as its line's group times its clip's group was drawn
(the pigeonhole bootstrap of Owen 2007, which is never too narrow on average). Where words and
sound have the same groups, as a table by artist has, they are drawn once.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.metrics import bin_of
from data_prep.taxonomy import N_EMOTIONS
from fusion.evaluation.labelled_songs import LabelledSongs

RESAMPLES: Final = 1_000
_BINS: Final = 15

Weights = NDArray[np.float64]


class GroupResampling:
    """How often each group was drawn, in each of many resamplings.

    Parameters
    ----------
    songs
        Draws of one benchmark, whose groups have the same numbers, or one table.
    seed
        Of the resampling.
    n
        Number of resamplings.
    """

    def __init__(self, songs: list[LabelledSongs], *, seed: int = 0, n: int = RESAMPLES) -> None:
        random = np.random.default_rng(seed)
        self._same = all(np.array_equal(s.word_groups, s.sound_groups) for s in songs)
        self._words = _drawn([s.word_groups for s in songs], random, n)
        self._sound = None if self._same else _drawn([s.sound_groups for s in songs], random, n)

    def weights(self, songs: LabelledSongs) -> Weights:
        """How often each song counts in each resampling: (n, songs)."""
        counts: Weights = self._words[:, songs.word_groups]
        return counts if self._sound is None else counts * self._sound[:, songs.sound_groups]


def _drawn(groups: list[NDArray[np.int64]], random: np.random.Generator, n: int) -> Weights:
    """(n, largest number + 1): how often each group that occurs was drawn."""
    present = np.unique(np.concatenate(groups))
    counts = np.zeros((n, int(present[-1]) + 1))
    counts[:, present] = random.multinomial(len(present), [1 / len(present)] * len(present), n)
    return counts


def weighted_macro_f1(
    labels: NDArray[np.int64], answers: NDArray[np.int64], weights: Weights
) -> NDArray[np.float64]:
    """Macro-F1 of each resampling (n,), over the emotions that occur in it.

    Parameters
    ----------
    labels, answers
        (songs,) emotions 0..5.
    weights
        (n, songs).
    """
    pairs = np.eye(N_EMOTIONS * N_EMOTIONS)[labels * N_EMOTIONS + answers]
    table = (weights @ pairs).reshape(-1, N_EMOTIONS, N_EMOTIONS)  # (n, label, answer)
    hits = np.einsum("nii->ni", table)
    both = table.sum(axis=1) + table.sum(axis=2)
    f1 = np.divide(2 * hits, both, out=np.full(hits.shape, np.nan), where=both > 0)
    return np.asarray(np.nanmean(f1, axis=1))


def weighted_means(values: NDArray[Any], weights: Weights) -> NDArray[np.float64]:
    """Mean of a figure of each song, in each resampling (n,)."""
    means: NDArray[np.float64] = weights @ np.asarray(values, np.float64) / weights.sum(axis=1)
    return means


def weighted_ece(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.int64], weights: Weights
) -> NDArray[np.float64]:
    """Expected calibration error of each resampling (n,), as :func:`data_prep.metrics.ece`."""
    confidence = np.asarray(probabilities, np.float64).max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    gaps = np.eye(_BINS)[bin_of(confidence, _BINS)] * (right - confidence)[:, None]
    errors: NDArray[np.float64] = np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)
    return errors
