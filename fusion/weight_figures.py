"""Figures of a study's rows: means over draws of a benchmark, and intervals over its groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.metrics import accuracy, ece, macro_f1, nll, percentile_interval
from data_prep.taxonomy import N_EMOTIONS
from data_prep.temperature import FLOOR
from fusion.group_resampling import (
    GroupResampling,
    weighted_ece,
    weighted_macro_f1,
    weighted_means,
)
from fusion.labelled_songs import LabelledSongs
from fusion.weight_rows import Answers

FIGURES: Final = {"macro_f1": "macro-F1", "accuracy": "accuracy", "ece": "ECE", "nll": "NLL"}


@dataclass(frozen=True, eq=False)
class Draw:
    """One set of labelled songs, what each row said of them, and how they are resampled."""

    songs: LabelledSongs
    answers: Answers
    weights: NDArray[np.float64]


class Figures:
    """Figures of rows, means over the draws, with 95% intervals over resampled groups.

    Parameters
    ----------
    draws
        Sets of labelled songs with the answers to them.
    """

    def __init__(self, draws: Sequence[Draw]) -> None:
        self._draws = draws

    @classmethod
    def of(cls, songs: Sequence[LabelledSongs], answers: Sequence[Answers]) -> Figures:
        """Of draws and the answers to each, resampled alike."""
        resampling = GroupResampling(list(songs))
        return cls(
            [
                Draw(each, own, resampling.weights(each))
                for each, own in zip(songs, answers, strict=True)
            ]
        )

    def row(self, row: str, names: Iterable[str] = FIGURES) -> dict[str, Any]:
        """Figures of one row by some names of :data:`FIGURES`, and ``…_interval`` of each."""
        found: dict[str, Any] = {}
        for name in names:
            found[name] = self.value(row, name)
            found[f"{name}_interval"] = list(percentile_interval(self._resampled(name, row)))
        return found

    def value(self, row: str, name: str) -> float:
        """One figure of one row."""
        return float(np.mean([_value(name, draw, row) for draw in self._draws]))

    def difference(self, row: str, base: str, name: str = "macro_f1") -> dict[str, Any]:
        """How much more of a figure a row has than a base, with its interval; the same songs
        are drawn for both."""
        mean = np.mean([_value(name, d, row) - _value(name, d, base) for d in self._draws])
        resampled = self._resampled(name, row) - self._resampled(name, base)
        return {
            "row": row,
            "base": base,
            "figure": name,
            "mean": float(mean),
            "interval": list(percentile_interval(resampled)),
        }

    def _resampled(self, name: str, row: str) -> NDArray[np.float64]:
        each = [_resampled(name, draw, row) for draw in self._draws]
        return np.asarray(np.mean(each, axis=0))


def _value(name: str, draw: Draw, row: str) -> float:
    answers, labels = draw.answers[row], draw.songs.labels
    if name == "macro_f1":
        return macro_f1(labels, answers.argmax(axis=1), N_EMOTIONS)
    if name == "accuracy":
        return accuracy(labels, answers.argmax(axis=1))
    return ece(answers, labels) if name == "ece" else nll(answers, labels)


def _resampled(name: str, draw: Draw, row: str) -> NDArray[np.float64]:
    answers, labels = draw.answers[row], draw.songs.labels
    if name == "macro_f1":
        return weighted_macro_f1(labels, answers.argmax(axis=1), draw.weights)
    if name == "accuracy":
        return weighted_means(answers.argmax(axis=1) == labels, draw.weights)
    if name == "ece":
        return weighted_ece(answers, labels, draw.weights)
    own = np.maximum(answers[np.arange(len(labels)), labels], FLOOR)
    return weighted_means(-np.log(own), draw.weights)
