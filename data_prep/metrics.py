"""Measures of emotion estimates against a reference.

Conventions: ``reference`` and ``estimated`` are emotion distributions (n, 6);
``labels`` and ``predictions`` are class indices (n,); ``probabilities`` are
(n, n_classes) with rows that sum to one. Every function refuses empty input and
shapes that do not fit with an :class:`InputError`, because a mean over nothing
would pass for a figure.

Top-k agreement and its less strict forms are those of the published system: the
order of a vector is its argsort. Equal values are ordered by index, the lower
first, so that figures can be repeated.

Where a row may have several labels, ``reference`` and ``predicted`` are
*memberships*, boolean (n, n_classes).

An accuracy says little without the constant answer's accuracy beside it:
:func:`constant_prediction` and :func:`constant_distribution` give that baseline.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
Members = NDArray[np.bool_]

EXACT_BELOW: Final = 25  # discordant pairs from which on McNemar's statistic is chi-square enough

_RESAMPLES_AT_ONCE: Final = 32
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
    return float(np.mean(shared_of_top(reference, estimated, k) == k))


def less_strict_top1(reference: Floats, estimated: Floats) -> float:
    """Share of rows whose sets of the two strongest share at least one emotion."""
    return float(np.mean(shared_of_top(reference, estimated, 2) >= 1))


def less_strict_top2(reference: Floats, estimated: Floats) -> float:
    """Share of rows whose sets of the three strongest share at least two emotions."""
    return float(np.mean(shared_of_top(reference, estimated, 3) >= 2))


def shared_of_top(reference: Floats, estimated: Floats, k: int) -> NDArray[np.int64]:
    """How many of the k strongest columns each pair of rows has in common, (n,).

    Top-k agreement is the share of rows with k; the less strict forms are those
    with at least one of two, and two of three.
    """
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
    right = probabilities.argmax(axis=1) == labels
    return reliability(probabilities.max(axis=1), right, n_bins).ece


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often answers of each confidence are right: what a reliability diagram shows.

    Attributes
    ----------
    counts
        Rows in each of the equal bins over 0..1 (n_bins,).
    confidence, accuracy
        Means over the rows of each bin (n_bins,); NaN for an empty one.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Mean difference of the two, weighted by the rows in each bin."""
        filled = self.counts > 0
        gaps = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float((self.counts[filled] * gaps).sum() / self.counts.sum())

    def to_json(self) -> dict[str, Any]:
        """Lists of the three, ``None`` for the means of an empty bin."""
        filled = (self.counts > 0).tolist()
        means = {
            name: [
                round(float(v), 4) if is_there else None
                for v, is_there in zip(values, filled, strict=True)
            ]
            for name, values in (("confidence", self.confidence), ("accuracy", self.accuracy))
        }
        return {"counts": self.counts.tolist(), **means}


def reliability(confidence: Floats, right: Members, n_bins: int = 15) -> Reliability:
    """Bins of answers by their confidence.

    Parameters
    ----------
    confidence
        What the estimate gives its answer (n,), 0..1.
    right
        Whether the answer is right (n,).
    n_bins
        Bins of equal width; a confidence on an edge is in the lower one.
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(right, dtype=np.bool_)
    if confidence.ndim != 1 or confidence.shape != right.shape or not len(right):
        raise InputError(
            f"expected confidence and right of one shape (n,) with n > 0, "
            f"got {confidence.shape} and {right.shape}"
        )
    if n_bins < 1:
        raise InputError(f"n_bins must be positive, got {n_bins}")
    bins = bin_of(confidence, n_bins)
    counts = np.bincount(bins, minlength=n_bins)
    means = []
    for values in (confidence, right.astype(np.float64)):
        sums = np.bincount(bins, weights=values, minlength=n_bins)
        means.append(np.divide(sums, counts, out=np.full(n_bins, np.nan), where=counts > 0))
    return Reliability(counts.astype(np.int64), *means)


def bin_of(confidence: Floats, n_bins: int) -> NDArray[np.int64]:
    """Bin 0..n_bins-1 of each confidence (n,); one on an edge is in the lower bin."""
    bins = np.ceil(np.asarray(confidence, dtype=np.float64) * n_bins).astype(np.int64) - 1
    return np.clip(bins, 0, n_bins - 1)


@dataclass(frozen=True, eq=False)
class ClassFigures:
    """Figures of each class, all (n_classes,); F1, precision and recall are 0 where undefined.

    Attributes
    ----------
    f1, precision, recall
        Of each class.
    support
        Rows that have the class.
    present
        Whether the class is among the labels or the predictions: the classes a
        mean is over.
    micro_f1
        F1 of all decisions pooled; the accuracy where every row has one label
        and one prediction.
    """

    f1: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    support: NDArray[np.int64]
    present: Members
    micro_f1: float

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes present."""
        return float(self.f1[self.present].mean())

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes among the labels."""
        return float(self.recall[self.support > 0].mean())


def class_figures(reference: Members, predicted: Members) -> ClassFigures:
    """F1, precision and recall of each class, where a row may have several labels.

    Parameters
    ----------
    reference, predicted
        Memberships (n, n_classes).

    Raises
    ------
    InputError
        If they are not of one shape, or no row has a label.
    """
    reference, predicted = (np.asarray(a, dtype=np.bool_) for a in (reference, predicted))
    if reference.ndim != 2 or reference.shape != predicted.shape or not reference.any():
        raise InputError(
            "reference and predicted must be memberships of one shape (n, n_classes) with a "
            f"label among them, got {reference.shape} and {predicted.shape}"
        )
    hits = (reference & predicted).sum(axis=0)
    support, answers = reference.sum(axis=0), predicted.sum(axis=0)

    def share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
        shares: NDArray[np.float64] = np.zeros(len(part))
        np.divide(part, whole, out=shares, where=whole > 0)
        return shares

    return ClassFigures(
        f1=share(2 * hits, support + answers),
        precision=share(hits, answers),
        recall=share(hits, support),
        support=support.astype(np.int64),
        present=support + answers > 0,
        micro_f1=float(2 * hits.sum() / (support.sum() + answers.sum())),
    )


def memberships(labels: Labels, n_classes: int) -> Members:
    """Class indices (n,) as memberships (n, n_classes)."""
    labels, _ = _pair(labels, labels, n_classes)
    return np.asarray(np.arange(n_classes) == labels[:, None])


def cross_entropy(reference: Floats, estimated: Floats) -> float:
    """Mean cross-entropy of estimated distributions under reference ones, in nats.

    Parameters
    ----------
    reference, estimated
        Distributions (n, n_classes). Where the reference is one label a row,
        this is :func:`nll`; its least possible value is the reference's entropy.
    """
    return float(cross_entropies(reference, estimated).mean())


def cross_entropies(reference: Floats, estimated: Floats) -> NDArray[np.float64]:
    """Each row's part of :func:`cross_entropy`, (n,)."""
    reference, estimated = _distributions(reference, estimated)
    logs = np.log(np.maximum(estimated, _SMALLEST))
    entropies: NDArray[np.float64] = -(reference * logs).sum(axis=1)
    return entropies


def similarity_score(similarity: Floats, reference: Floats, estimated: Floats) -> float:
    """The published similarity-weighted score, divided by the number of rows.

    ``Σ_i Σ_j S[y_i, j] · P[i, j] / n``: probability on a label like the true one
    counts as much as the labels are alike. Where a row has several labels, their
    rows of S are averaged by its shares.

    Parameters
    ----------
    similarity
        S (n_classes, n_classes), 0..1 with ones on the diagonal, so that the
        score is 0..1 and 1 for an answer that is certain and right.
    reference
        Shares of the true labels (n, n_classes), each row summing to one.
    estimated
        P (n, n_classes), likewise.
    """
    return float(similarity_scores(similarity, reference, estimated).mean())


def similarity_scores(
    similarity: Floats, reference: Floats, estimated: Floats
) -> NDArray[np.float64]:
    """Each row's part of :func:`similarity_score`, (n,)."""
    reference, estimated = _distributions(reference, estimated)
    similarity = np.asarray(similarity, dtype=np.float64)
    if similarity.shape != (reference.shape[1],) * 2:
        raise InputError(
            f"similarity must be {(reference.shape[1],) * 2} for these classes, "
            f"got {similarity.shape}"
        )
    if similarity.min() < 0 or similarity.max() > 1 or not np.allclose(np.diag(similarity), 1.0):
        raise InputError("similarity must be from 0 to 1, with ones on the diagonal")
    scores: NDArray[np.float64] = ((reference @ similarity) * estimated).sum(axis=1)
    return scores


@dataclass(frozen=True)
class McNemar:
    """Whether two models' shares of right answers on the same rows differ (McNemar 1947).

    Attributes
    ----------
    only_first, only_second
        Rows that one model alone has right: the discordant pairs.
    statistic
        Chi-square with continuity correction; ``None`` where the test is exact.
    p_value
        Two-sided.
    """

    only_first: int
    only_second: int
    statistic: float | None
    p_value: float

    @property
    def exact(self) -> bool:
        """Whether the binomial distribution was used."""
        return self.statistic is None


def mcnemar(first_right: Members, second_right: Members) -> McNemar:
    """Test of two models on the same rows.

    Below ``EXACT_BELOW`` discordant pairs the test is the exact binomial one;
    from there on the chi-square one with one degree of freedom and Edwards'
    continuity correction. Without discordant pairs p is 1.

    Parameters
    ----------
    first_right, second_right
        Whether each model's answer is right (n,).
    """
    first, second = (np.asarray(a, dtype=np.bool_) for a in (first_right, second_right))
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise InputError(
            f"expected two arrays (n,) with n > 0, got {first.shape} and {second.shape}"
        )
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    pairs = only_first + only_second
    if pairs < EXACT_BELOW:
        fewer = min(only_first, only_second)
        tail = sum(math.comb(pairs, i) for i in range(fewer + 1)) / 2**pairs
        return McNemar(only_first, only_second, None, min(1.0, 2.0 * tail))
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / pairs
    # The upper tail of chi-square with one degree of freedom, which is a squared normal.
    return McNemar(only_first, only_second, statistic, math.erfc(math.sqrt(statistic / 2.0)))


LEAST_FOR_R: Final = 3
"""Values below which a correlation says nothing."""


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


def total_variation(reference: Floats, estimated: Floats) -> NDArray[np.float64]:
    """Total-variation distance of each pair of distributions (n, n_classes), (n,) from 0 to 1.

    Half the sum of absolute differences: the share of probability that has to move.
    """
    reference, estimated = _distributions(reference, estimated)
    distances: NDArray[np.float64] = 0.5 * np.abs(reference - estimated).sum(axis=1)
    return distances


def wilson_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a share of ``n`` independent trials (Wilson 1927).

    Unlike the plain normal interval it stays within 0..1 and does not shrink to
    nothing where every trial, or none, succeeds.

    Parameters
    ----------
    successes, n
        How many trials succeeded, and how many there were.
    level
        Of confidence, between 0 and 1.
    """
    if n < 1 or not 0 <= successes <= n or not 0.0 < level < 1.0:
        raise InputError(
            f"expected 0 to n successes of n > 0 trials and a level between 0 and 1, "
            f"got {successes} of {n} and {level}"
        )
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    share = successes / n
    centre = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1.0 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return 0.0 if successes == 0 else low, 1.0 if successes == n else high


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
    return percentile_interval(values, level)


def resampled_sums(columns: Floats, *, seed: int, n: int = 1000) -> NDArray[np.float64]:
    """Column sums over resampled rows, many times over: intervals of whatever is made of sums.

    With the same seed the rows drawn are those of :func:`bootstrap_interval`, in
    a fraction of the time.

    Parameters
    ----------
    columns
        (rows, columns).
    seed, n
        Of the resampling; number of resamplings.

    Returns
    -------
    (n, columns).
    """
    columns = np.asarray(columns, dtype=np.float64)
    if columns.ndim != 2 or not len(columns) or n < 1:
        raise InputError(
            f"expected columns (rows, columns) with rows > 0 and n > 0, got {columns.shape} and {n}"
        )
    generator = np.random.default_rng(seed)
    rows = len(columns)
    sums = np.empty((n, columns.shape[1]))
    for start in range(0, n, _RESAMPLES_AT_ONCE):
        some = range(start, min(start + _RESAMPLES_AT_ONCE, n))
        times = np.empty((len(some), rows))  # how often each row was drawn
        for drawn in times:
            drawn[:] = np.bincount(generator.integers(rows, size=rows), minlength=rows)
        sums[some.start : some.stop] = times @ columns
    return sums


def percentile_interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Lower and upper end of the middle ``level`` of some values (n,)."""
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


def _distributions(
    reference: Floats, estimated: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pair = []
    for name, array in (("reference", reference), ("estimated", estimated)):
        rows = np.asarray(array, dtype=np.float64)
        if rows.ndim != 2 or not len(rows):
            raise InputError(f"{name} must be (n, n_classes) with n > 0, got {rows.shape}")
        if not rows.min() >= 0 or np.abs(rows.sum(axis=1) - 1.0).max() > 1e-3:
            raise InputError(f"{name} must be non-negative and sum to 1 in each row")
        pair.append(rows)
    if pair[0].shape != pair[1].shape:
        raise InputError(f"reference is {pair[0].shape}, but estimated {pair[1].shape}")
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
