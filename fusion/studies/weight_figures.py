"""Figures of a study's rows: means over draws of a benchmark, and intervals over its groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.metrics import accuracy, cross_entropies, ece, macro_f1, percentile_interval
from data_prep.taxonomy import N_EMOTIONS
from fusion.evaluation.group_resampling import (
    GroupResampling,
    Weights,
    weighted_ece,
    weighted_macro_f1,
    weighted_means,
)
from fusion.evaluation.labelled_songs import LabelledSongs
from fusion.studies.weight_rows import Answers

FIGURES: Final = {"macro_f1": "macro-F1", "accuracy": "accuracy", "ece": "ECE", "nll": "NLL"}


class Figures:
    """Figures of rows, means over the draws, with 95% intervals over resampled groups.

    Parameters
    ----------
    draws
        Draws of one benchmark, or one table.
    answers
        What each row said of the songs of each draw.
    """

    def __init__(self, draws: Sequence[LabelledSongs], answers: Sequence[Answers]) -> None:
        self._draws = list(zip(draws, answers, strict=True))

    def row(self, row: str, names: Iterable[str] = FIGURES) -> dict[str, Any]:
        """Figures of one row by some names of :data:`FIGURES`, and ``…_interval`` of each."""
        found: dict[str, Any] = {}
        for name in names:
            found[name] = self.value(row, name)
            found[f"{name}_interval"] = self._interval(row, name)
        return found

    def value(self, row: str, name: str) -> float:
        """One figure of one row."""
        return float(np.mean([_value(name, songs, own[row]) for songs, own in self._draws]))

    def difference(self, row: str, base: str, name: str = "macro_f1") -> dict[str, Any]:
        """How much more of a figure a row has than a base, with its interval; the same songs
        are drawn for both."""
        resampled = self._resampled(row, name) - self._resampled(base, name)
        return {
            "row": row,
            "base": base,
            "figure": name,
            "mean": self.value(row, name) - self.value(base, name),
            "interval": list(percentile_interval(resampled)),
        }

    @cached_property
    def _weights(self) -> list[Weights]:
        """How often each song counts in each resampling, of each draw; resampled alike."""
        resampling = GroupResampling([songs for songs, _ in self._draws])
        return [resampling.weights(songs) for songs, _ in self._draws]

    def _interval(self, row: str, name: str) -> list[float]:
        resampled = self._resampled(row, name)
        if name == "ece":
            # what is drawn twice errs twice the same way, which looks like miscalibration
            resampled = np.maximum(resampled - resampled.mean() + self.value(row, name), 0.0)
        return list(percentile_interval(resampled))

    def _resampled(self, row: str, name: str) -> NDArray[np.float64]:
        """A figure in each resampling, mean over the draws (n,)."""
        each = [
            _resampled(name, songs, own[row], weights)
            for (songs, own), weights in zip(self._draws, self._weights, strict=True)
        ]
        return np.asarray(np.mean(each, axis=0))


def _value(name: str, songs: LabelledSongs, answers: NDArray[np.float64]) -> float:
    if name == "macro_f1":
        return macro_f1(songs.labels, answers.argmax(axis=1), N_EMOTIONS)
    if name == "accuracy":
        return accuracy(songs.labels, answers.argmax(axis=1))
    return ece(answers, songs.labels) if name == "ece" else float(_losses(songs, answers).mean())


def _resampled(
    name: str, songs: LabelledSongs, answers: NDArray[np.float64], weights: Weights
) -> NDArray[np.float64]:
    if name == "macro_f1":
        return weighted_macro_f1(songs.labels, answers.argmax(axis=1), weights)
    if name == "accuracy":
        return weighted_means(answers.argmax(axis=1) == songs.labels, weights)
    if name == "ece":
        return weighted_ece(answers, songs.labels, weights)
    return weighted_means(_losses(songs, answers), weights)


def _losses(songs: LabelledSongs, answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Negative log-likelihood of each song (n,), in nats."""
    return cross_entropies(np.eye(N_EMOTIONS)[songs.labels], answers)
