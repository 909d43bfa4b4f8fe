"""Figures of answers to labelled recordings: accuracy, correlation, axes of the emotion plane.

A recording whose labels have one strongest class is scored by the *accuracy* of
the strongest answer; scales by *Pearson's r* over recordings, its mean over the
four emotions that the scales map to. Intervals are 95%, bootstrap over
recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.metrics import (
    LEAST_FOR_R,
    Reliability,
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    ece,
    macro_f1,
    nll,
    pearson_r,
    reliability,
)
from fusion.evaluation.emotion_classes import EmotionClasses, class_shares
from fusion.evaluation.emotion_scores import RESAMPLES


@dataclass(frozen=True, eq=False)
class MainMeasure:
    """What a data set's answers are judged by; make one with :meth:`of`.

    Attributes
    ----------
    name
        ``"accuracy"`` or ``"mean_r"``.
    kept
        (n,) recordings that count: for accuracy those with one strongest class.
    """

    name: Literal["accuracy", "mean_r"]
    kept: NDArray[np.bool_]
    _reference: NDArray[Any]  # (kept,) classes, or (kept, classes)

    @classmethod
    def of(
        cls, classes: EmotionClasses, shares: NDArray[np.floating[Any]], *, sums: bool = False
    ) -> Self | None:
        """The measure of recordings with these labels (n, n_labels).

        Parameters
        ----------
        sums
            Answers to scales are sums, as of a native head, not shares.

        Returns
        -------
        ``None`` if the labels allow no figure.
        """
        if classes.are_scales:
            reference = classes.of_native(shares)
            if not sums:
                reference = class_shares(reference).astype(np.float32)
            kept = np.asarray((shares > 0).any(axis=1), dtype=np.bool_)
            return cls("mean_r", kept, reference[kept]) if kept.sum() >= LEAST_FOR_R else None
        labels, _ = classes.strongest(shares)
        kept = labels >= 0
        return cls("accuracy", kept, labels[kept]) if kept.any() else None

    def value(self, answers: NDArray[np.floating[Any]]) -> float:
        """The figure of answers (n, n_classes)."""
        return self._figure(self._reference, answers[self.kept])

    def interval(
        self, answers: NDArray[np.floating[Any]], *, seed: int = 0, resamples: int = RESAMPLES
    ) -> list[float]:
        """Its interval."""
        kept = answers[self.kept]
        return list(bootstrap_interval(self._figure, self._reference, kept, seed=seed, n=resamples))

    def change_interval(
        self,
        before: NDArray[np.floating[Any]],
        after: NDArray[np.floating[Any]],
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> list[float]:
        """Interval of the difference of two answers to the same recordings."""

        def change(reference: NDArray[Any], old: NDArray[Any], new: NDArray[Any]) -> float:
            return self._figure(reference, new) - self._figure(reference, old)

        rows = self._reference, before[self.kept], after[self.kept]
        return list(bootstrap_interval(change, *rows, seed=seed, n=resamples))

    def constant(self) -> float:
        """The figure of the best answer that is the same for every recording."""
        if self.name == "mean_r":
            return 0.0
        return float(np.bincount(self._reference).max() / len(self._reference))

    def _figure(self, reference: NDArray[Any], answers: NDArray[Any]) -> float:
        if self.name == "mean_r":
            return mean_r(reference, answers)
        return accuracy(reference, answers.argmax(axis=1))


def mean_r(reference: NDArray[Any], estimated: NDArray[Any]) -> float:
    """Mean over columns (n, columns) of Pearson's r."""
    columns = range(reference.shape[1])
    return float(np.mean([pearson_r(reference[:, k], estimated[:, k]) for k in columns]))


def correlation_figures(
    names: Sequence[str],
    reference: NDArray[Any],
    estimated: NDArray[Any],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """``mean_r`` with its interval, and ``r`` of each column (n, columns)."""
    interval = bootstrap_interval(mean_r, reference, estimated, seed=seed, n=resamples)
    return {
        "mean_r": mean_r(reference, estimated),
        "mean_r_interval": list(interval),
        "r": {name: pearson_r(reference[:, k], estimated[:, k]) for k, name in enumerate(names)},
    }


def answer_figures(
    labels: NDArray[np.int64], answers: NDArray[np.int64], n: int, *, seed: int = 0
) -> dict[str, Any]:
    """Macro-F1 and accuracy with intervals, and balanced accuracy, of classes given (n,)."""

    def f1(reference: NDArray[Any], estimated: NDArray[Any]) -> float:
        return macro_f1(reference, estimated, n)

    return {
        "macro_f1": f1(labels, answers),
        "macro_f1_interval": list(bootstrap_interval(f1, labels, answers, seed=seed)),
        "accuracy": accuracy(labels, answers),
        "accuracy_interval": list(bootstrap_interval(accuracy, labels, answers, seed=seed)),
        "balanced_accuracy": balanced_accuracy(labels, answers),
    }


def axis_figures(
    classes: EmotionClasses,
    labels: NDArray[np.int64],
    shares: NDArray[np.floating[Any]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Accuracy on each axis of the emotion plane, with its interval; empty where there is none.

    Parameters
    ----------
    labels
        (n,) classes.
    shares
        (n, n_classes): the answer is the side that has more than half.
    """
    figures: dict[str, Any] = {}
    for axis, high in classes.axes().items():
        answers = shares[:, high].sum(axis=1) > 0.5 * shares.sum(axis=1)
        sides = high[labels].astype(np.int64), answers.astype(np.int64)
        figures[axis] = accuracy(*sides)
        figures[f"{axis}_interval"] = list(
            bootstrap_interval(accuracy, *sides, seed=seed, n=resamples)
        )
    return figures


def calibration_figures(
    labels: NDArray[np.int64], shares: NDArray[np.floating[Any]], suffix: str = ""
) -> tuple[dict[str, float], Reliability]:
    """``nll`` and ``ece`` of shares (n, n_classes), and the bins of reliability."""
    right = shares.argmax(axis=1) == labels
    figures = {f"nll{suffix}": nll(shares, labels), f"ece{suffix}": ece(shares, labels)}
    return figures, reliability(shares.max(axis=1), right)
