"""Temperature scaling: how sharp answers may be, fitted on labelled ones."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS

# Where a probability must have a logarithm, nothing is less likely than this.
FLOOR: Final = 1e-9


def fit_temperature(
    probabilities: NDArray[np.floating[Any]],
    labels: NDArray[Any],
    *,
    low: float = 0.05,
    high: float = 20.0,
) -> float:
    """Temperature that minimises the negative log-likelihood (Guo et al. 2017).

    Parameters
    ----------
    probabilities
        Raw answers (n, 6) on validation data.
    labels
        True emotions: indices (n,), of which -1 is left out, or shares (n, 6) that sum to
        one per row.
    low, high
        Range of the search.

    Raises
    ------
    InputError
        If there is nothing to fit on, or the shapes do not belong together.
    """
    array = np.asarray(probabilities, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != N_EMOTIONS or len(array) == 0:
        raise InputError(f"temperature needs probabilities (n, 6), got shape {array.shape}")
    shares = _as_shares(labels, len(array))
    known = shares.any(axis=1)
    if not known.any():
        raise InputError("temperature needs a label, got none")
    shares, logs = shares[known], np.log(np.maximum(array[known], FLOOR))

    def loss(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        top = scaled.max(axis=1, keepdims=True)
        normaliser = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
        return float(np.mean(normaliser - (shares * scaled).sum(axis=1)))

    # The loss is convex in 1 / T, hence has one valley in log T as well.
    left, right = float(np.log(low)), float(np.log(high))
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    inner_left = right - ratio * (right - left)
    inner_right = left + ratio * (right - left)
    loss_left, loss_right = loss(inner_left), loss(inner_right)
    while right - left > 1e-4:
        if loss_left <= loss_right:
            right, inner_right, loss_right = inner_right, inner_left, loss_left
            inner_left = right - ratio * (right - left)
            loss_left = loss(inner_left)
        else:
            left, inner_left, loss_left = inner_left, inner_right, loss_right
            inner_right = left + ratio * (right - left)
            loss_right = loss(inner_right)
    return float(np.exp((left + right) / 2.0))


def _as_shares(labels: NDArray[Any], n: int) -> NDArray[np.float64]:
    labels = np.asarray(labels)
    if labels.shape == (n, N_EMOTIONS):
        return labels.astype(np.float64)
    if labels.shape != (n,):
        raise InputError(f"labels: expected shape ({n},) or ({n}, 6), got {labels.shape}")
    # the last row is that of -1, which decides for nothing
    return np.vstack([np.eye(N_EMOTIONS), np.zeros(N_EMOTIONS)])[labels.astype(np.int64)]
