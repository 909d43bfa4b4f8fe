"""Calibration of one branch's answers.

Convention: a distribution has the six emotions on its last axis; a row of NaN
is a missing answer and stays one. Arithmetic is float64, results are float32.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS
from fusion.settings import BranchCalibration

# Where a probability must have a logarithm, nothing is less likely than this.
FLOOR: Final = 1e-9


def calibrate(
    distribution: NDArray[np.floating[Any]], calibration: BranchCalibration
) -> NDArray[np.float32]:
    """Correct sharpness and prior: ``p ** (1 / T) / prior ** strength``, renormalised.

    Parameters
    ----------
    distribution
        Array (..., 6), non-negative, each row summing to one, or NaN throughout.
    calibration
        Temperature, prior and strength of the branch.

    Returns
    -------
    Array (..., 6) of the same shape; rows sum to one. A zero stays zero.

    Raises
    ------
    InputError
        If the last axis is not 6.
    """
    array = np.asarray(distribution, dtype=np.float64)
    if array.shape[-1:] != (N_EMOTIONS,):
        raise InputError(f"expected distributions over 6 emotions, got shape {array.shape}")
    prior = np.asarray(calibration.prior, dtype=np.float64)
    with np.errstate(divide="ignore"):
        logs = np.log(array) / calibration.temperature
    logs -= calibration.prior_strength * np.log(prior / prior.sum())
    logs -= logs.max(axis=-1, keepdims=True, initial=-np.inf)
    powers = np.exp(logs)
    calibrated: NDArray[np.float32] = (powers / powers.sum(axis=-1, keepdims=True)).astype(
        np.float32
    )
    return calibrated


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
        True emotions: indices (n,), or shares (n, 6) that sum to one per row.
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
    logs = np.log(np.maximum(array, FLOOR))

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


def estimate_prior(distributions: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Average answer of a branch (6,), each at least 0.001, summing to one.

    Parameters
    ----------
    distributions
        Answers (n, 6); rows of NaN are left out.

    Raises
    ------
    InputError
        If no row is left.
    """
    array = np.asarray(distributions, dtype=np.float64).reshape(-1, N_EMOTIONS)
    array = array[np.isfinite(array).all(axis=1)]
    if len(array) == 0:
        raise InputError("a prior needs at least one distribution, got none")
    mean = np.maximum(array.mean(axis=0), 1e-3)
    return tuple(float(p) for p in mean / mean.sum())


def _as_shares(labels: NDArray[Any], n: int) -> NDArray[np.float64]:
    labels = np.asarray(labels)
    if labels.shape == (n, N_EMOTIONS):
        return labels.astype(np.float64)
    if labels.shape != (n,):
        raise InputError(f"labels: expected shape ({n},) or ({n}, 6), got {labels.shape}")
    return np.eye(N_EMOTIONS)[labels.astype(np.int64)]
