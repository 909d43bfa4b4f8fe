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
    """Correct sharpness and prior, as :class:`~fusion.settings.BranchCalibration` says.

    Parameters
    ----------
    distribution
        Array (..., 6), non-negative, each row summing to one, or NaN throughout.
    calibration
        Of the branch.

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
    prior, target = (np.asarray(p) / sum(p) for p in (calibration.prior, calibration.target))
    offset = np.asarray(calibration.bias) + calibration.prior_strength * np.log(target / prior)
    factor = np.asarray(calibration.scale) / calibration.temperature
    for_each = (-1, *(1,) * (array.ndim - 1))
    with np.errstate(divide="ignore"):
        logs = np.log(columns, out=columns)
    logs *= factor.reshape(for_each)
    logs += offset.reshape(for_each)
    shares = np.moveaxis(_normalised(logs), 0, -1)
    calibrated: NDArray[np.float32] = shares.astype(np.float32, order="C")
    return calibrated


def sharpened(distribution: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """``p ** (1 / temperature)``, renormalised over the last axis: (..., 6) → (..., 6)."""
    array = np.asarray(distribution, dtype=np.float64)
    if temperature == 1.0:
        return array
    columns = np.array(np.moveaxis(array, -1, 0), order="C")
    with np.errstate(divide="ignore"):
        logs = np.log(columns, out=columns)
    logs /= temperature
    return np.ascontiguousarray(np.moveaxis(_normalised(logs), 0, -1))


def _normalised(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares over the first axis; the logarithms are used up."""
    logs -= logs.max(axis=0, initial=-np.inf)
    powers = np.exp(logs, out=logs)
    powers /= powers.sum(axis=0)
    return powers
