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
    prior, target = (np.asarray(p) / sum(p) for p in (calibration.prior, calibration.target))
    offset = np.asarray(calibration.bias) + calibration.prior_strength * np.log(target / prior)
    with np.errstate(divide="ignore"):
        logs = np.log(array) * (np.asarray(calibration.scale) / calibration.temperature)
    calibrated: NDArray[np.float32] = _normalised(logs + offset).astype(np.float32)
    return calibrated


def sharpened(distribution: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """``p ** (1 / temperature)``, renormalised over the last axis: (..., 6) → (..., 6)."""
    array = np.asarray(distribution, dtype=np.float64)
    if temperature == 1.0:
        return array
    with np.errstate(divide="ignore"):
        return _normalised(np.log(array) / temperature)


def _normalised(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logs - logs.max(axis=-1, keepdims=True, initial=-np.inf))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares
