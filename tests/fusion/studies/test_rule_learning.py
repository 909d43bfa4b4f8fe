"""Learned rules on made-up branches whose errors are known."""

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.metrics import ece, macro_f1
from fusion.calibration import calibrate, sharpened
from fusion.rules import METHODS, Mean
from fusion.settings import BranchCalibration
from fusion.studies.rule_learning import WEIGHTS, balanced_nll, fit_vector_scaling, learn


def branch(labels: np.ndarray, strength: np.ndarray, seed: int) -> np.ndarray:
    """Answers that are sure where they heard much: unit noise, and ``strength`` (6,) of each
    emotion in its own place; the posterior of equal emotions if all strengths are one."""
    rng = np.random.default_rng(seed)
    heard = rng.normal(0, 1, (len(labels), 6))
    heard[np.arange(len(labels)), labels] += strength[labels]
    powers = np.exp(heard * strength.mean())
    return powers / powers.sum(axis=1, keepdims=True)


def songs(n: int, words: list[float], sound: list[float], seed: int = 0):
    labels = np.random.default_rng(seed).integers(6, size=n)
    return (
        branch(labels, np.array(words), seed + 1),
        branch(labels, np.array(sound), seed + 2),
        labels,
    )


WORDS_KNOW_HALF = [3.0, 3.0, 3.0, 0.2, 0.2, 0.2]
SOUND_KNOWS_HALF = [0.2, 0.2, 0.2, 3.0, 3.0, 3.0]


def f1(rule, words, sound, labels) -> float:
    return macro_f1(labels, rule.combine(words, sound).argmax(axis=1), 6)


@pytest.mark.parametrize("method", METHODS)
def test_a_branch_that_is_surer_than_right_weighs_less(method):
    good, bad, labels = songs(1_500, [3.0] * 6, [0.4] * 6)
    boasting = sharpened(bad, 0.1)
    rule = learn(method, good, boasting, labels)
    assert rule.lyrics_weights(good, boasting).mean() > 0.6
    mirrored = learn(method, boasting, good, labels)
    assert mirrored.lyrics_weights(boasting, good).mean() < 0.4


@pytest.mark.parametrize("method", METHODS)
def test_learned_rules_are_no_worse_than_either_branch_on_new_songs(method):
    rule = learn(method, *songs(3_000, [1.5] * 6, [1.8] * 6))
    words, sound, labels = songs(3_000, [1.5] * 6, [1.8] * 6, seed=50)
    alone = max(macro_f1(labels, each.argmax(axis=1), 6) for each in (words, sound))
    assert f1(rule, words, sound, labels) > alone + 0.02


@pytest.mark.parametrize("method", ["emotion-mean", "stacking"])
def test_rules_by_emotion_know_who_knows_what(method):
    rule = learn(method, *songs(3_000, WORDS_KNOW_HALF, SOUND_KNOWS_HALF))
    words, sound, labels = songs(3_000, WORDS_KNOW_HALF, SOUND_KNOWS_HALF, seed=50)
    best = max(f1(Mean(w), words, sound, labels) for w in WEIGHTS)
    assert f1(rule, words, sound, labels) > best + 0.01


def test_frequent_emotions_do_not_win_by_being_frequent():
    words, sound, labels = songs(6_000, [1.0] * 6, [1.0] * 6)
    kept = (labels == 3) | (np.random.default_rng(1).random(6_000) < 0.1)
    assert (labels[kept] == 3).mean() > 0.6
    rule = learn("stacking", words[kept], sound[kept], labels[kept])
    answers = rule.combine(words, sound).argmax(axis=1)
    assert (answers == 3).mean() < 0.25


def test_the_likelihood_counts_emotions_alike():
    probabilities = np.array([[0.5, 0.5, 0, 0, 0, 0]] * 3 + [[0.25, 0.75, 0, 0, 0, 0]])
    labels = np.array([0, 0, 0, 1])
    expected = -(np.log(0.5) + np.log(0.75)) / 2
    assert balanced_nll(probabilities, labels) == pytest.approx(expected)


def test_vector_scaling_mends_what_a_temperature_cannot():
    labels = np.random.default_rng(3).integers(6, size=4_000)
    plain = branch(labels, np.array([2.0] * 6), 4)
    distorted = np.log(plain) * [3, 1, 1, 1, 1, 1] + [0, 2, 0, 0, 0, 0]
    distorted = np.exp(distorted) / np.exp(distorted).sum(axis=1, keepdims=True)
    scale, bias = fit_vector_scaling(distorted[:2_000], labels[:2_000])
    mended = calibrate(distorted[2_000:], BranchCalibration(scale=scale, bias=bias))
    assert ece(mended, labels[2_000:]) < 0.05 < ece(distorted[2_000:], labels[2_000:])


@pytest.mark.parametrize(
    ("words", "labels", "says"),
    [
        (np.empty((0, 6)), np.empty(0, dtype=int), "takes answers"),
        (np.full((3, 6), 1 / 6), np.zeros(2, dtype=int), "takes answers"),
        (np.full((2, 6), 1 / 6), np.array([0, 6]), "0 to 5"),
        (np.full((2, 6), 1 / 6), np.array([0, 1]), "all six"),
    ],
)
def test_songs_that_teach_nothing_are_refused(words, labels, says):
    with pytest.raises(InputError, match=says):
        learn("stacking", words, words, labels)
