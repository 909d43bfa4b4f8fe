"""Measures of emotion estimates against a reference.

Conventions: ``reference`` and ``estimated`` are emotion distributions (n, 6);
``labels`` and ``predictions`` are class indices (n,); ``probabilities`` are
(n, n_classes) with rows that sum to one. Every function refuses empty input and
shapes that do not fit with an :class:`InputError`, because a mean over nothing
would pass for a figure.

Top-k agreement and its less strict forms are those of the published system: the
order of a vector is its argsort. Equal values are ordered by index, the lower
first, so that figures can be repeated.

An accuracy says little without the constant answer's accuracy beside it:
:func:`constant_prediction` and :func:`constant_distribution` give that baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

_SMALLEST: Final = 1e-12  # a probability of zero would make the likelihood infinite


def top_k_agreement(reference: Floats, estimated: Floats, k: int) -> float:
    """Share of rows whose k strongest emotions are the same set.

    Parameters
    ----------
    reference, estimated
        Arrays (n, 6).
    k
        1, 2 or 3 in the published tables.
    """
    return float(np.mean(_shared_of_top(reference, estimated, k) == k))


def less_strict_top1(reference: Floats, estimated: Floats) -> float:
    """Share of rows whose sets of the two strongest share at least one emotion."""
    return float(np.mean(_shared_of_top(reference, estimated, 2) >= 1))


def less_strict_top2(reference: Floats, estimated: Floats) -> float:
    """Share of rows whose sets of the three strongest share at least two emotions."""
    return float(np.mean(_shared_of_top(reference, estimated, 3) >= 2))


def _shared_of_top(reference: Floats, estimated: Floats, k: int) -> NDArray[np.int64]:
    """How many of the k strongest columns each pair of rows has in common, (n,)."""
    reference, estimated = np.asarray(reference), np.asarray(estimated)
    if reference.ndim != 2 or reference.shape != estimated.shape or not len(reference):
        raise InputError(
            "reference and estimated must be of one shape (n, 6) with n > 0, "
            f"got {reference.shape} and {estimated.shape}"
        )
    if not 1 <= k <= reference.shape[1]:
        raise InputError(f"k must be 1 to {reference.shape[1]}, got {k}")
    members = np.zeros((2, *reference.shape), dtype=np.int64)
    for member, vectors in zip(members, (reference, estimated), strict=True):
        np.put_along_axis(member, np.argsort(-vectors, axis=1, kind="stable")[:, :k], 1, axis=1)
    shared: NDArray[np.int64] = (members[0] & members[1]).sum(axis=1)
    return shared


def accuracy(labels: Labels, predictions: Labels) -> float:
    """Share of predictions that are right."""
    labels, predictions = _pair(labels, predictions)
    return float(np.mean(labels == predictions))


def confusion(labels: Labels, predictions: Labels, n_classes: int) -> NDArray[np.int64]:
    """Counts (n_classes, n_classes): rows are labels, columns predictions."""
    labels, predictions = _pair(labels, predictions, n_classes)
    counts = np.bincount(labels * n_classes + predictions, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def macro_f1(labels: Labels, predictions: Labels, n_classes: int) -> float:
    """Mean over classes of the harmonic mean of precision and recall.

    Classes that are neither among the labels nor among the predictions are left
    out of the mean, as scikit-learn does; a class that is only among one of them
    counts as 0.
    """
    counts = confusion(labels, predictions, n_classes)
    support = counts.sum(axis=0) + counts.sum(axis=1)
    present = support > 0
    return float(np.mean(2.0 * np.diag(counts)[present] / support[present]))


def balanced_accuracy(labels: Labels, predictions: Labels) -> float:
    """Mean recall over the classes among the labels; a constant answer scores 1/n of them."""
    labels, predictions = _pair(labels, predictions)
    return float(np.mean([np.mean(predictions[labels == c] == c) for c in np.unique(labels)]))


def nll(probabilities: Floats, labels: Labels) -> float:
    """Mean negative log-likelihood of the labels, in nats."""
    probabilities, labels = _scored(probabilities, labels)
    of_labels = probabilities[np.arange(len(labels)), labels]
    return float(-np.mean(np.log(np.maximum(of_labels, _SMALLEST))))


def ece(probabilities: Floats, labels: Labels, n_bins: int = 15) -> float:
    """Expected calibration error of the top class, 0..1 (Guo et al. 2017).

    Rows are put into ``n_bins`` equal bins by their largest probability; the
    difference between mean confidence and accuracy is averaged, weighted by the
    rows in each bin.
    """
    probabilities, labels = _scored(probabilities, labels)
    if n_bins < 1:
        raise InputError(f"n_bins must be positive, got {n_bins}")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(labels))


def pearson_r(reference: Floats, estimated: Floats) -> float:
    """Pearson correlation of two arrays (n,); 0 where one of them is constant.

    A constant estimate explains nothing, so it scores as the baseline, not NaN.
    """
    x = np.asarray(reference, dtype=np.float64)
    y = np.asarray(estimated, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise InputError(f"expected two arrays (n,) with n > 1, got {x.shape} and {y.shape}")
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > _SMALLEST else 0.0


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: NDArray[Any],
    seed: int,
    n: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a statistic over resampled rows.

    Parameters
    ----------
    statistic
        Takes arrays of as many rows as ``arrays`` have, gives one number.
    arrays
        Arrays with the same first axis; rows are drawn together.
    seed
        Of the resampling.
    n
        Number of resamplings.
    level
        Share of them inside the interval.

    Returns
    -------
    Lower and upper end.
    """
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(f"expected arrays with as many rows each, more than none, got {lengths}")
    if n < 1 or not 0.0 < level < 1.0:
        raise InputError(f"expected n > 0 and a level between 0 and 1, got {n} and {level}")
    (rows,) = lengths
    generator = np.random.default_rng(seed)
    values = np.empty(n)
    for i in range(n):
        drawn = generator.integers(rows, size=rows)
        values[i] = statistic(*(array[drawn] for array in arrays))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def constant_prediction(labels: Labels, n: int) -> NDArray[np.int64]:
    """The most frequent label of one set (the lower of equals) as the answer to n rows."""
    labels = np.asarray(labels)
    if not labels.size:
        raise InputError("no labels to take the most frequent of")
    values, counts = np.unique(labels, return_counts=True)
    return np.full(n, values[counts.argmax()], dtype=np.int64)


def constant_distribution(reference: Floats, n: int) -> NDArray[np.float64]:
    """The mean distribution of one set (m, 6) as the answer to n rows, (n, 6)."""
    reference = np.asarray(reference, dtype=np.float64)
    if reference.ndim != 2 or not len(reference):
        raise InputError(f"expected distributions (m, 6) with m > 0, got {reference.shape}")
    return np.tile(reference.mean(axis=0), (n, 1))


def _pair(
    labels: Labels, predictions: Labels, n_classes: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pair = []
    for name, array in (("labels", labels), ("predictions", predictions)):
        array = np.asarray(array)
        if array.ndim != 1 or not array.size or not np.issubdtype(array.dtype, np.integer):
            raise InputError(
                f"{name} must be class indices (n,) with n > 0, got {array.dtype} {array.shape}"
            )
        if array.min() < 0 or (n_classes is not None and array.max() >= n_classes):
            top = "" if n_classes is None else f" to {n_classes - 1}"
            raise InputError(f"{name} must be from 0{top}, got {array.min()} to {array.max()}")
        pair.append(array.astype(np.int64))
    if pair[0].shape != pair[1].shape:
        raise InputError(f"{pair[0].size} labels, but {pair[1].size} predictions")
    return pair[0], pair[1]


def _scored(probabilities: Floats, labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    scores = np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 2 or not len(scores) or len(scores) != len(labels):
        raise InputError(
            f"probabilities must be (n, n_classes) for {len(labels)} labels, got {scores.shape}"
        )
    if scores.min() < 0 or np.abs(scores.sum(axis=1) - 1.0).max() > 1e-3:
        raise InputError("probabilities must be non-negative and sum to 1 in each row")
    classes, _ = _pair(labels, labels, scores.shape[1])
    return scores, classes
