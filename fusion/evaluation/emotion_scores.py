"""Figures of one model's answers to labelled texts, over the six and over native labels.

**Six emotions**: an answer (6,) against the strongest of a row's labels,
projected onto the six. **Native labels**: a text may have several. An answer is
then every label with a probability of at least the threshold, or the strongest
alone where none has it; where each text has one label, it is the strongest.
``accuracy`` is the share of texts whose strongest answer is among their labels.

``cross_entropy`` is against the label of the six; ``cross_entropy_shares``
against the distribution, where some row has more than one emotion; for native
labels it is between the shares and the probabilities, each scaled to sum to one.
``ece`` is of the answers as they are, ``ece_calibrated`` after the model's
temperature. Top-k figures are the published ones (``data_prep.metrics``) and are
there only where the reference is a distribution. ``similarity`` is the published
similarity-weighted score (``fusion.evaluation.label_similarity`` says what S is).

The constant answer is the best of its kind: the shares of the labels it is
scored on, and for Top-k figures the mean distribution. A figure that does not
surpass it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.metrics import (
    Reliability,
    bin_of,
    class_figures,
    confusion,
    cross_entropies,
    ece,
    memberships,
    nll,
    percentile_interval,
    reliability,
    resampled_sums,
    shared_of_top,
    similarity_scores,
)
from data_prep.readers.labelled_table import SIX, LabelSet
from data_prep.taxonomy import EMOTIONS, project
from fusion.calibration import calibrate
from fusion.evaluation.label_similarity import LabelSimilarity
from fusion.settings import BranchCalibration

THRESHOLD: Final = 0.3
RESAMPLES: Final = 1_000
TIE: Final = 1e-5  # emotions whose shares differ by less tie

COLUMNS: Final[dict[str, str]] = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "cross_entropy": "cross-entropy",
    "cross_entropy_shares": "cross-entropy of shares",
    "ece": "ECE",
    "ece_calibrated": "ECE calibrated",
    "similarity": "similarity-weighted",
    "top1": "Top-1",
    "top2": "Top-2",
    "top3": "Top-3",
    "less_strict1": "less strict Top-1",
    "less_strict2": "less strict Top-2",
    "arousal": "arousal accuracy",
    "valence": "valence accuracy",
    "mean_r": "mean r",
}
"""Figures in the order of the tables, and their headings."""

_ORDERINGS: Final = {
    "top1": (1, 1),
    "top2": (2, 2),
    "top3": (3, 3),
    "less_strict1": (2, 1),
    "less_strict2": (3, 2),
}
"""Of so many strongest emotions, so many have to be the same."""


@dataclass(frozen=True, eq=False)
class Scored:
    """One model's figures on one test, with what plots and comparisons need.

    Attributes
    ----------
    figures
        By the names of ``COLUMNS``; ``{name}_interval`` is a 95% bootstrap
        interval; ``per_class`` and ``confusion`` as well.
    right
        Whether the strongest answer is right (rows,).
    bins
        Of reliability.
    counts
        Confusion matrix (labels, labels); ``None`` where texts have several.
    """

    figures: dict[str, Any]
    right: NDArray[np.bool_]
    bins: Reliability
    counts: NDArray[np.int64] | None


def strongest_of_six(
    label_set: LabelSet, shares: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    """Reference distributions of rows over the six.

    Parameters
    ----------
    shares
        (rows, labels).

    Returns
    -------
    reference
        (rows, 6); zeros where the labels stand for none of the six.
    labels
        (rows,) strongest emotion; -1 where there is none, or a tie.
    ties
        (rows,) whether the strongest two tie.
    """
    if label_set.name == SIX:
        reference = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    else:
        reference = project(label_set.name, shares)
    second, first = np.sort(reference, axis=1)[:, -2:].T
    known = first > 0
    ties = known & (first - second <= TIE)
    return reference, np.where(known & ~ties, reference.argmax(axis=1), -1), ties


def score_six(
    labels: NDArray[np.int64],
    reference: NDArray[np.floating[Any]],
    answer: NDArray[np.floating[Any]] | None,
    *,
    similarity: LabelSimilarity | None = None,
    temperature: float | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Scored:
    """Figures over the six emotions.

    Parameters
    ----------
    labels
        (rows,) 0..5.
    reference
        (rows, 6) distributions.
    answer
        (rows, 6) distributions; ``None`` for the constant answer.
    similarity
        S of the six.
    temperature
        Of the model, for ``ece_calibrated``.
    """
    calibrated = None
    if temperature is not None and answer is not None:
        calibrated = calibrate(_scaled(answer), BranchCalibration(temperature=temperature))
    scored = score_classes(
        EMOTIONS,
        labels,
        reference,
        answer,
        calibrated=calibrated,
        similarity=similarity,
        seed=seed,
        resamples=resamples,
    )
    if calibrated is not None:
        scored.figures["temperature"] = temperature
    return scored


def score_classes(
    names: Sequence[str],
    labels: NDArray[np.int64],
    reference: NDArray[np.floating[Any]],
    answer: NDArray[np.floating[Any]] | None,
    *,
    calibrated: NDArray[np.floating[Any]] | None = None,
    similarity: LabelSimilarity | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Scored:
    """Figures over classes of which each row has one strongest.

    Parameters
    ----------
    names
        Of the classes.
    labels
        (rows,) the strongest class.
    reference
        (rows, classes) distributions.
    answer
        (rows, classes) non-negative; ``None`` for the constant answer.
    calibrated
        The answer after the model's temperature.
    similarity
        S of the classes.
    """
    n = len(names)
    orderings = answer
    if answer is None:
        shares = np.bincount(labels, minlength=n) / len(labels)
        answer = np.tile(shares, (len(labels), 1))
        orderings = np.tile(np.asarray(reference, np.float64).mean(axis=0), (len(labels), 1))
    scaled = _scaled(answer)
    predictions = scaled.argmax(axis=1)
    right = predictions == labels
    hard = np.eye(n)[labels]
    found = _Figures(seed, resamples)
    found.add_classes(memberships(labels, n), memberships(predictions, n), names)
    found.add_mean("accuracy", right)
    found.add_mean("cross_entropy", cross_entropies(hard, scaled))
    bins = found.add_ece(scaled.max(axis=1), right)
    if calibrated is not None:
        after = _scaled(calibrated)
        found.figures["ece_calibrated"] = ece(after, labels)
        found.figures["cross_entropy_calibrated"] = nll(after, labels)
    if similarity is not None:
        found.add_mean("similarity", similarity_scores(similarity.matrix, hard, scaled))
    if _is_distribution(reference):
        found.add_mean("cross_entropy_shares", cross_entropies(reference, scaled))
        assert orderings is not None, "the constant answer has its own"
        for name, (k, least) in _ORDERINGS.items():
            if least > 2 * k - n:  # so many are shared by any two answers
                found.add_mean(name, shared_of_top(reference, orderings, k) >= least)
    counts = confusion(labels, predictions, n)
    found.figures["confusion"] = counts.tolist()
    return Scored(found.figures, right, bins, counts)


def _scaled(answer: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    values = np.asarray(answer, dtype=np.float64)
    scaled: NDArray[np.float64] = values / values.sum(axis=1, keepdims=True)
    return scaled


def score_native(
    label_set: LabelSet,
    shares: NDArray[np.floating[Any]],
    answer: NDArray[np.floating[Any]] | None,
    *,
    threshold: float = THRESHOLD,
    similarity: LabelSimilarity | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Scored:
    """Figures over the labels of a native set.

    Parameters
    ----------
    shares
        (rows, labels), non-negative, some label in every row.
    answer
        (rows, labels) probabilities, which need not sum to one; ``None`` for the
        constant answer: the share of rows that have each label.
    threshold
        Least probability of a label that is part of the answer, and least share
        (of the largest of its row) of a label that is part of the reference.
    """
    single = bool((np.count_nonzero(shares, axis=1) == 1).all())
    reference = np.asarray(shares, np.float64) / shares.sum(axis=1, keepdims=True)
    has = shares >= threshold * shares.max(axis=1, keepdims=True)
    if answer is None:
        answer = np.tile(has.mean(axis=0), (len(shares), 1))
    probabilities = np.asarray(answer, dtype=np.float64)
    scaled = probabilities / probabilities.sum(axis=1, keepdims=True)
    top = probabilities.argmax(axis=1)
    predicted = np.arange(len(label_set.labels)) == top[:, None]
    if not single:
        above = probabilities >= threshold
        predicted = np.where(above.any(axis=1, keepdims=True), above, predicted)
    right = np.asarray(has[np.arange(len(top)), top])
    confidence = np.clip(probabilities[np.arange(len(top)), top], 0.0, 1.0)
    found = _Figures(seed, resamples)
    found.add_classes(has, predicted, label_set.labels)
    found.add_mean("accuracy", right)
    found.add_mean("cross_entropy", cross_entropies(reference, scaled))
    bins = found.add_ece(confidence, right)
    if similarity is not None:
        found.add_mean("similarity", similarity_scores(similarity.matrix, reference, scaled))
    counts = None
    if single:
        counts = confusion(shares.argmax(axis=1), top, len(label_set.labels))
        found.figures["confusion"] = counts.tolist()
    return Scored(found.figures, right, bins, counts)


class _Figures:
    """Collects figures with their 95% bootstrap intervals.

    Every figure is made of sums over rows, so that one resampling of sums gives
    the interval of all that are made of them.
    """

    def __init__(self, seed: int, resamples: int) -> None:
        self.figures: dict[str, Any] = {}
        self._seed = seed
        self._resamples = resamples

    def add_classes(
        self, reference: NDArray[np.bool_], predicted: NDArray[np.bool_], names: Sequence[str]
    ) -> None:
        """Macro and micro F1, balanced accuracy, and figures of each class.

        Parameters
        ----------
        reference, predicted
            Memberships (rows, classes).
        names
            Of the classes.
        """
        found = class_figures(reference, predicted)
        columns = np.concatenate([reference & predicted, reference, predicted], axis=1)
        hits, support, answers = np.split(self._sums(columns), 3, axis=1)  # (resamples, classes)
        both = support + answers
        f1 = np.divide(2 * hits, both, out=np.full(hits.shape, np.nan), where=both > 0)
        recall = np.divide(hits, support, out=np.full(hits.shape, np.nan), where=support > 0)
        self._add("macro_f1", found.macro_f1, np.nanmean(f1, axis=1))
        self._add("micro_f1", found.micro_f1, 2 * hits.sum(axis=1) / both.sum(axis=1))
        self._add("balanced_accuracy", found.balanced_accuracy, np.nanmean(recall, axis=1))
        self.figures["per_class"] = {
            name: {
                "f1": float(found.f1[i]),
                "precision": float(found.precision[i]),
                "recall": float(found.recall[i]),
                "support": int(found.support[i]),
            }
            for i, name in enumerate(names)
        }

    def add_mean(self, name: str, of_rows: NDArray[Any]) -> None:
        """A figure that is a mean over rows."""
        values = of_rows.astype(np.float64)
        self._add(name, float(values.mean()), self._sums(values[:, None])[:, 0] / len(values))

    def add_ece(self, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Reliability:
        """Expected calibration error; gives the bins it is made of."""
        bins = reliability(confidence, right)
        gaps = np.eye(len(bins.counts))[bin_of(confidence, len(bins.counts))]
        sums = self._sums(gaps * (right - confidence)[:, None])
        self._add("ece", bins.ece, np.abs(sums).sum(axis=1) / len(right))
        return bins

    def _sums(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        return resampled_sums(columns, seed=self._seed, n=self._resamples)

    def _add(self, name: str, value: float, resampled: NDArray[np.float64]) -> None:
        self.figures[name] = value
        self.figures[f"{name}_interval"] = list(percentile_interval(resampled))


def _is_distribution(reference: NDArray[np.floating[Any]]) -> bool:
    """Whether the order of emotions is known beyond the first for some row."""
    return bool((np.count_nonzero(reference, axis=1) > 1).any())
