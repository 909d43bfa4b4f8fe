"""Priors of a branch: what it says of songs on average, and what their emotions really are.

A branch that learned from imbalanced labels says the frequent ones too often, and a whole
catalogue drowns in one emotion. Three estimates, each from answers alone, without a label:

- :func:`average_answer`: what the branch says on average;
- :func:`shares_by_em`: how frequent the emotions are in these songs, given how frequent they
  were in training (expectation maximisation of Saerens, Latinne and Decaestecker 2002);
- :func:`balancing_prior`: the prior whose division makes the average answer what one wants,
  by iterative scaling (Deming and Stephan 1940).

Answers are (n, 6) distributions; rows of NaN are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS

Answers = NDArray[np.floating[Any]]

SMALLEST: Final = 1e-3
"""Of an average answer and of a share: an emotion that was never said may still come."""

_ROUNDS: Final = 1_000
_SETTLED: Final = 1e-7
_UNIFORM: Final = (1.0 / N_EMOTIONS,) * N_EMOTIONS


def average_answer(answers: Answers) -> tuple[float, ...]:
    """Average answer of a branch (6,), each at least :data:`SMALLEST`, summing to one.

    Raises
    ------
    InputError
        If no row is left.
    """
    return _shares(_known(answers).mean(axis=0))


def shares_by_em(answers: Answers, trained_on: Sequence[float]) -> tuple[float, ...]:
    """How frequent the emotions are in the songs that were answered (6,).

    Each round corrects the answers by the shares found so far, ``p · share / trained_on``,
    and takes their mean as the new shares: the likelihood of the answers rises until it
    settles. Assumes that what songs of one emotion are like has not changed since training,
    and answers that are calibrated there.

    Parameters
    ----------
    answers
        (n, 6), calibrated on data like that of the training.
    trained_on
        Shares of the emotions in training (6,), each above 0.

    Raises
    ------
    InputError
        If no row is left, or ``trained_on`` is not six numbers above 0.
    """
    rows = _known(answers)
    before = _positive("trained_on", trained_on)
    shares = before
    for _ in range(_ROUNDS):
        corrected = rows * (shares / before)
        updated = (corrected / corrected.sum(axis=1, keepdims=True)).mean(axis=0)
        moved = float(np.abs(updated - shares).max())
        shares = updated
        if moved < _SETTLED:
            break
    return _shares(shares)


def balancing_prior(answers: Answers, target: Sequence[float] = _UNIFORM) -> tuple[float, ...]:
    """Prior (6,) whose division makes the mean of the answers ``target``.

    The mean of ``p / prior``, each row scaled to sum to one, is what is wanted; the prior
    is found by scaling it, round after round, by what the mean still has too much of. An
    emotion that no answer has any of stays without songs, and has the smallest prior.

    Parameters
    ----------
    answers
        (n, 6).
    target
        Wanted mean (6,), each above 0.

    Raises
    ------
    InputError
        If no row is left, or ``target`` is not six numbers above 0.
    """
    rows = _known(answers)
    wanted = _positive("target", target)
    prior = np.maximum(rows.mean(axis=0) / wanted, SMALLEST**2)
    prior /= prior.sum()
    for _ in range(_ROUNDS):
        corrected = rows / prior
        mean = (corrected / corrected.sum(axis=1, keepdims=True)).mean(axis=0)
        scaled = np.maximum(prior * (mean / wanted), SMALLEST**2)
        scaled /= scaled.sum()
        moved = float(np.abs(scaled - prior).max())
        prior = scaled
        if moved < _SETTLED:
            break
    return tuple(float(p) for p in prior)


def _known(answers: Answers) -> NDArray[np.float64]:
    array = np.asarray(answers, dtype=np.float64).reshape(-1, N_EMOTIONS)
    array = array[np.isfinite(array).all(axis=1)]
    if len(array) == 0:
        raise InputError("a prior needs at least one distribution, got none")
    return array


def _positive(name: str, shares: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(shares, dtype=np.float64)
    if array.shape != (N_EMOTIONS,) or not (array > 0).all() or not np.isfinite(array).all():
        raise InputError(f"{name} {list(shares)}: expected {N_EMOTIONS} numbers above 0")
    scaled: NDArray[np.float64] = array / array.sum()
    return scaled


def _shares(mean: NDArray[np.float64]) -> tuple[float, ...]:
    kept = np.maximum(mean, SMALLEST)
    return tuple(float(p) for p in kept / kept.sum())
