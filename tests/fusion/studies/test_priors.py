"""Priors from answers alone: averages, expectation maximisation, balancing."""

import numpy as np
import pytest

from data_prep.errors import InputError
from fusion.calibration import calibrate
from fusion.settings import BranchCalibration
from fusion.studies.priors import average_answer, balancing_prior, shares_by_em

UNIFORM = np.full(6, 1 / 6)
RARE = np.array([0.05, 0.05, 0.1, 0.6, 0.1, 0.1])


def answers_of(shares: np.ndarray, trained_on: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """Answers of a classifier that is right for ``trained_on``, to songs of other shares.

    Song of emotion e: a number drawn around e on a line; the answer is the true posterior
    under the shares of the training.
    """
    rng = np.random.default_rng(seed)
    emotion = rng.choice(6, size=n, p=shares)
    heard = emotion + rng.normal(0, 0.6, n)
    likelihood = np.exp(-0.5 * ((heard[:, None] - np.arange(6)) / 0.6) ** 2)
    posterior = likelihood * trained_on
    return posterior / posterior.sum(axis=1, keepdims=True)


def test_the_average_is_the_mean_without_missing_rows():
    rows = np.array([[1, 0, 0, 0, 0, 0], [np.nan] * 6, [0, 1, 0, 0, 0, 0]], dtype=float)
    prior = average_answer(rows)
    assert sum(prior) == pytest.approx(1.0)
    assert prior[0] == pytest.approx(prior[1])
    assert 0 < prior[5] < 0.002
    BranchCalibration(prior=prior)  # fits the settings


def test_em_finds_the_shares_that_the_average_misses():
    trained_on = np.array([0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
    answers = answers_of(RARE, trained_on, 20_000)
    found = np.array(shares_by_em(answers, trained_on))
    assert np.abs(found - RARE).max() < 0.02
    assert np.abs(np.array(average_answer(answers)) - RARE).max() > 0.05


def test_em_leaves_what_is_right_alone():
    found = shares_by_em(answers_of(RARE, RARE, 20_000, seed=1), RARE)
    assert np.abs(np.array(found) - RARE).max() < 0.02


def test_known_shares_beat_those_of_the_training():
    """Correction by the shares that EM found makes more answers right than none."""
    rng_shares, trained_on = RARE, UNIFORM
    answers = answers_of(rng_shares, trained_on, 20_000, seed=2)
    emotion = np.random.default_rng(2).choice(6, size=20_000, p=rng_shares)
    calibration = BranchCalibration(
        prior=tuple(trained_on), target=shares_by_em(answers, trained_on), prior_strength=1.0
    )
    corrected = calibrate(answers, calibration).argmax(axis=1)
    assert (corrected == emotion).mean() > (answers.argmax(axis=1) == emotion).mean() + 0.01


@pytest.mark.parametrize("target", [UNIFORM, np.array([0.3, 0.1, 0.2, 0.2, 0.1, 0.1])])
def test_a_balancing_prior_makes_the_mean_what_is_wanted(target):
    answers = np.random.default_rng(3).dirichlet([0.5, 0.05, 0.4, 3.0, 0.1, 0.2], size=5_000)
    prior = balancing_prior(answers, target)
    corrected = calibrate(answers, BranchCalibration(prior=prior, prior_strength=1.0))
    np.testing.assert_allclose(corrected.mean(axis=0), target, atol=1e-3)


def test_an_emotion_that_is_never_said_stays_without_songs():
    answers = np.zeros((100, 6))
    answers[:, :5] = np.random.default_rng(4).dirichlet(np.ones(5), size=100)
    prior = balancing_prior(answers)
    BranchCalibration(prior=prior)
    assert min(prior) == prior[5]


@pytest.mark.parametrize("prior", [average_answer, balancing_prior])
def test_nothing_to_estimate_from_is_refused(prior):
    with pytest.raises(InputError, match="at least one"):
        prior(np.full((3, 6), np.nan))


def test_impossible_shares_are_refused():
    with pytest.raises(InputError, match="trained_on"):
        shares_by_em(UNIFORM[None], [1, 0, 0, 0, 0, 0])
    with pytest.raises(InputError, match="target"):
        balancing_prior(UNIFORM[None], [0.5, 0.5])
