"""Figures of answers to recordings, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.metrics import pearson_r
from fusion.evaluation.audio_scores import (
    MainMeasure,
    axis_figures,
    calibration_figures,
    correlation_figures,
    mean_r,
)
from fusion.evaluation.emotion_classes import EmotionClasses

QUADRANTS = EmotionClasses.of("quadrants")


def test_arousal_and_valence_by_hand() -> None:
    labels = np.array([0, 1, 2, 3])
    shares = np.array(
        [
            [0.30, 0.25, 0.05, 0.40],  # arousal 0.55, valence 0.70: both right
            [0.45, 0.10, 0.25, 0.20],  # 0.55 right; 0.65 wrong
            [0.30, 0.30, 0.20, 0.20],  # 0.60 wrong; 0.50 is not more than half, right
            [0.10, 0.60, 0.10, 0.20],  # 0.70 wrong; 0.30 wrong
        ]
    )
    figures = axis_figures(QUADRANTS, labels, shares, resamples=50)
    assert (figures["arousal"], figures["valence"]) == (0.5, 0.5)
    low, high = figures["arousal_interval"]
    assert 0 <= low <= 0.5 <= high <= 1
    # Scaled or not, the sides are the same.
    assert axis_figures(QUADRANTS, labels, 0.5 * shares, resamples=50) == figures
    assert axis_figures(EmotionClasses.of("six"), labels, shares) == {}


def test_the_constant_of_an_axis_is_its_larger_side() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2, 2, 2])
    constant = np.tile(np.bincount(labels, minlength=4) / 8, (8, 1))
    figures = axis_figures(QUADRANTS, labels, constant, resamples=10)
    assert figures["arousal"] == 0.5  # half and half
    assert figures["valence"] == 5 / 8  # Q2 and Q3, though Q3 alone has four


def test_accuracy_counts_recordings_with_one_class() -> None:
    shares = np.array([[1, 0, 0, 0], [0, 0, 2, 1], [0.5, 0.5, 0, 0], [0, 0, 0, 1]])
    measure = MainMeasure.of(QUADRANTS, shares)
    assert measure is not None
    assert (measure.name, measure.kept.tolist()) == ("accuracy", [True, True, False, True])
    answers = np.eye(4)[[0, 1, 0, 3]]
    assert measure.value(answers) == pytest.approx(2 / 3)
    assert measure.constant() == pytest.approx(1 / 3)
    better = np.eye(4)[[0, 2, 0, 3]]
    low, high = measure.change_interval(answers, better, resamples=200)
    assert 0 <= low <= 1 / 3 <= high <= 1
    assert MainMeasure.of(QUADRANTS, shares[2:3]) is None


def test_scales_are_correlated() -> None:
    gems = EmotionClasses.of("emotify")
    ratings = np.random.default_rng(0).random((20, 9)).astype(np.float32)
    sums = gems.of_native(ratings)
    measure = MainMeasure.of(gems, ratings, sums=True)
    assert measure is not None
    assert measure.name == "mean_r"
    assert measure.value(sums * 0.5) == pytest.approx(1.0)
    assert measure.constant() == 0.0
    assert MainMeasure.of(gems, ratings[:2]) is None
    other = sums[::-1]
    by_hand = np.mean([pearson_r(sums[:, k], other[:, k]) for k in range(4)])
    assert measure.value(other) == pytest.approx(by_hand)
    figures = correlation_figures(gems.names, sums, other, resamples=20)
    assert figures["mean_r"] == pytest.approx(mean_r(sums, other))
    assert list(figures["r"]) == list(gems.names)


def test_calibration_by_hand() -> None:
    shares = np.array([[0.75, 0.25], [0.75, 0.25]])
    figures, bins = calibration_figures(np.array([0, 1]), shares, "_after")
    assert figures["ece_after"] == pytest.approx(0.25) == bins.ece
    assert figures["nll_after"] == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
