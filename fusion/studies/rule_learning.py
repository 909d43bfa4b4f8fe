"""Learning of fusion rules, and of vector scaling, from labelled answers.

The weight of the mean is the one of :data:`WEIGHTS` with the best macro-F1, as published
systems that choose one do, ties decided by likelihood; every other rule minimises the
negative log-likelihood of the labels, with a penalty that keeps it near the plain rule where
there is little to learn from. All classes count alike: a label's weight is the inverse of its
frequency, or the rule would learn which emotions the labelled songs happen to have.

Convention: ``words`` and ``sound`` are calibrated answers (n, 6), ``labels`` emotions 0..5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.metrics import macro_f1
from data_prep.taxonomy import N_EMOTIONS
from data_prep.temperature import FLOOR
from fusion.rules import (
    EmotionMean,
    FusionRule,
    Gate,
    Mean,
    Method,
    Product,
    Stacking,
    log_of,
)

Distributions = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

WEIGHTS: Final = tuple(round(float(w), 2) for w in np.linspace(0.0, 1.0, 21))
"""Weights of the words that are tried for the mean."""

SHRINKAGE: Final = 1e-2
"""Penalty on the square of what a rule is away from the plain one."""

STACKING_C: Final = 1.0
"""Inverse penalty of the logistic regression, per song."""

VECTOR_SHRINKAGE: Final = 1e-3


def learn(method: Method, words: Distributions, sound: Distributions, labels: Labels) -> FusionRule:
    """A rule of this kind that fits labelled songs.

    Parameters
    ----------
    method
        Kind of rule.
    words, sound
        Calibrated answers (n, 6) to the same songs.
    labels
        (n,) emotions 0..5.

    Raises
    ------
    InputError
        If there is no song, or the shapes do not belong together.
    """
    labels = np.asarray(labels, dtype=np.int64)
    shape = (len(labels), N_EMOTIONS)
    if not len(labels) or words.shape != shape or sound.shape != shape:
        raise InputError(
            f"to learn a fusion rule takes answers {shape} of both branches, got {words.shape} "
            f"and {sound.shape}"
        )
    if labels.min() < 0 or labels.max() >= N_EMOTIONS:
        raise InputError("labels of songs: expected 0 to 5, the places of the six emotions")
    learners: dict[Method, Callable[[Distributions, Distributions, Labels], FusionRule]] = {
        "mean": _mean,
        "emotion-mean": _emotion_mean,
        "product": _product,
        "stacking": _stacking,
        "gate": _gate,
    }
    return learners[method](words, sound, labels)


def balanced_nll(probabilities: Distributions, labels: Labels) -> float:
    """Mean negative log-likelihood in nats, every emotion that occurs counting alike."""
    own = np.maximum(np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels], FLOOR)
    return float(-(_balance(labels) * np.log(own)).sum())


def fit_vector_scaling(
    answers: Distributions, labels: Labels
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scale and bias (6,) of vector scaling (Guo et al. 2017) by penalised likelihood.

    Parameters
    ----------
    answers
        Raw answers (n, 6).
    labels
        (n,) emotions 0..5.

    Returns
    -------
    What :class:`fusion.settings.BranchCalibration` takes, at temperature 1.
    """
    logs = log_of(answers)
    weights = _balance(labels)[:, None]
    target = np.eye(N_EMOTIONS)[labels]

    def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale, bias = np.exp(x[:N_EMOTIONS]), x[N_EMOTIONS:]
        logits = logs * scale + bias
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        error = weights * (np.exp(log_p) - target)
        gradient = np.concatenate([(error * logs).sum(axis=0) * scale, error.sum(axis=0)])
        value = -float((weights * target * log_p).sum())
        value += VECTOR_SHRINKAGE * float(x @ x)
        return value, gradient + 2 * VECTOR_SHRINKAGE * x

    from scipy.optimize import minimize

    bounds = [(np.log(0.02), np.log(50.0))] * N_EMOTIONS + [(-15.0, 15.0)] * N_EMOTIONS
    found = minimize(loss, np.zeros(2 * N_EMOTIONS), jac=True, method="L-BFGS-B", bounds=bounds).x
    bias = found[N_EMOTIONS:] - found[N_EMOTIONS:].mean()
    return tuple(np.exp(found[:N_EMOTIONS]).tolist()), tuple(bias.tolist())


def _balance(labels: Labels) -> NDArray[np.float64]:
    """Weight of each song (n,): every emotion that occurs has the same in all, which sum to one."""
    counts = np.bincount(labels, minlength=N_EMOTIONS)
    weights: NDArray[np.float64] = 1.0 / (counts[labels] * np.count_nonzero(counts))
    return weights


def _mean(words: Distributions, sound: Distributions, labels: Labels) -> Mean:
    def merit(rule: Mean) -> tuple[float, float]:
        answers = rule.combine(words, sound)
        f1 = macro_f1(labels, answers.argmax(axis=1), N_EMOTIONS)
        return round(f1, 6), -balanced_nll(answers, labels)

    return max((Mean(w) for w in WEIGHTS), key=merit)


def _emotion_mean(words: Distributions, sound: Distributions, labels: Labels) -> EmotionMean:
    def rule_of(x: NDArray[np.float64]) -> EmotionMean:
        return EmotionMean(tuple((1.0 / (1.0 + np.exp(-x))).tolist()))

    return rule_of(_minimise(rule_of, np.zeros(N_EMOTIONS), words, sound, labels))


def _product(words: Distributions, sound: Distributions, labels: Labels) -> Product:
    def rule_of(x: NDArray[np.float64]) -> Product:
        return Product(*np.exp(np.clip(x, -4.0, 4.0)).tolist())

    return rule_of(_minimise(rule_of, np.zeros(2), words, sound, labels))


def _gate(words: Distributions, sound: Distributions, labels: Labels) -> Gate:
    def rule_of(x: NDArray[np.float64]) -> Gate:
        return Gate(*np.clip(x, -50.0, 50.0).tolist())

    return rule_of(_minimise(rule_of, np.zeros(3), words, sound, labels))


def _minimise(
    rule_of: Callable[[NDArray[np.float64]], FusionRule],
    start: NDArray[np.float64],
    words: Distributions,
    sound: Distributions,
    labels: Labels,
) -> NDArray[np.float64]:
    """Numbers of a rule that fit the labels best; those of ``start`` are the plain rule's."""
    from scipy.optimize import minimize

    def loss(x: NDArray[np.float64]) -> float:
        fit = balanced_nll(rule_of(x).combine(words, sound), labels)
        return fit + SHRINKAGE * float((x - start) @ (x - start))

    found: NDArray[np.float64] = minimize(loss, start, method="L-BFGS-B").x
    return found


def _stacking(words: Distributions, sound: Distributions, labels: Labels) -> Stacking:
    from sklearn.linear_model import LogisticRegression

    present = np.unique(labels)
    if len(present) < N_EMOTIONS:
        raise InputError(
            "stacking is learned from songs of all six emotions; of some there is none: take "
            "another method"
        )
    # divided by its spread, the penalty means the same for sharp answers and flat ones
    features = np.hstack([log_of(words), log_of(sound)])
    spread = max(float(features.std()), FLOOR)
    weights = _balance(labels) * len(labels)
    model = LogisticRegression(C=STACKING_C, max_iter=5_000)
    model.fit(features / spread, labels, sample_weight=weights)
    matrix = model.coef_ / spread
    bias = model.intercept_ - model.intercept_.mean()
    return Stacking(
        tuple(map(tuple, matrix[:, :N_EMOTIONS].tolist())),
        tuple(map(tuple, matrix[:, N_EMOTIONS:].tolist())),
        tuple(bias.tolist()),
    )
