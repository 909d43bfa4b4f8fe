"""Calibration of one branch's answers.

Convention: a distribution has the six emotions on its last axis; a row of NaN
is a missing answer and stays one. Arithmetic is float64, results are float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS
from fusion.settings import BranchCalibration


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
    # Emotions first: maxima and sums over them are then taken song beside song.
    columns = np.array(np.moveaxis(array, -1, 0), order="C")
    prior = np.asarray(calibration.prior, dtype=np.float64)
    offset = calibration.prior_strength * np.log(prior / prior.sum())
    with np.errstate(divide="ignore"):
        logs = np.log(columns, out=columns)
    logs /= calibration.temperature
    logs -= offset.reshape(-1, *(1,) * (array.ndim - 1))
    logs -= logs.max(axis=0, initial=-np.inf)
    powers = np.exp(logs, out=logs)
    powers /= powers.sum(axis=0)
    calibrated: NDArray[np.float32] = np.moveaxis(powers, 0, -1).astype(np.float32, order="C")
    return calibrated


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
