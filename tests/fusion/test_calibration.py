"""Calibration: identities, a hand-computed row, and temperatures recovered from their own data."""

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.temperature import fit_temperature
from fusion.calibration import calibrate, sharpened
from fusion.settings import BranchCalibration


@pytest.fixture
def distributions() -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(6, 0.7), size=200).astype(np.float32)


def test_the_default_calibration_changes_nothing(distributions):
    calibrated = calibrate(distributions, BranchCalibration())
    np.testing.assert_allclose(calibrated, distributions, atol=1e-6)
    assert calibrated.dtype == np.float32


def test_rows_sum_to_one(distributions):
    calibration = BranchCalibration(2.5, (0.5, 0.1, 0.1, 0.1, 0.1, 0.1), 0.8)
    sums = calibrate(distributions, calibration).sum(axis=1)
    np.testing.assert_allclose(sums, 1.0, atol=1e-5)


def test_permuting_the_emotions_permutes_the_answer(distributions):
    prior = np.array([0.3, 0.1, 0.2, 0.15, 0.05, 0.2])
    order = np.array([3, 0, 5, 1, 4, 2])
    straight = calibrate(distributions, BranchCalibration(1.7, tuple(prior), 0.6))
    permuted = calibrate(distributions[:, order], BranchCalibration(1.7, tuple(prior[order]), 0.6))
    np.testing.assert_allclose(permuted, straight[:, order], atol=1e-6)


def test_hand_computed_temperature_and_prior():
    # sqrt of (.64, .16, .04, .04, .04, .04, .04) would need seven; six: .64 .16 .16 .04 0 0
    row = np.array([0.64, 0.16, 0.16, 0.04, 0.0, 0.0])
    flat = calibrate(row, BranchCalibration(temperature=2.0))
    np.testing.assert_allclose(flat, np.array([8, 4, 4, 2, 0, 0]) / 18, atol=1e-6)
    prior = (0.5, 0.1, 0.1, 0.1, 0.1, 0.1)
    corrected = calibrate(np.full(6, 1 / 6), BranchCalibration(1.0, prior, 1.0))
    np.testing.assert_allclose(corrected, np.array([1, 5, 5, 5, 5, 5]) / 26, atol=1e-6)


def test_dividing_a_branch_by_its_own_answer_leaves_it_knowing_nothing():
    prior = (0.5, 0.1, 0.1, 0.1, 0.1, 0.1)
    corrected = calibrate(np.array(prior), BranchCalibration(1.0, prior, 1.0))
    np.testing.assert_allclose(corrected, 1 / 6, atol=1e-6)


def test_missing_rows_stay_missing(distributions):
    distributions[3] = np.nan
    calibrated = calibrate(distributions, BranchCalibration(1.3))
    assert np.isnan(calibrated[3]).all()
    assert np.isfinite(np.delete(calibrated, 3, axis=0)).all()


def test_a_wrong_shape_is_refused():
    with pytest.raises(InputError, match=r"\(4,\)"):
        calibrate(np.full(4, 0.25), BranchCalibration())


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true_temperature):
    rng = np.random.default_rng(1)
    honest = rng.dirichlet(np.full(6, 0.5), size=20_000)
    labels = (honest.cumsum(axis=1) > rng.random((len(honest), 1))).argmax(axis=1)
    # Answers as a network of that temperature would give them.
    answers = honest**true_temperature
    answers /= answers.sum(axis=1, keepdims=True)
    assert fit_temperature(answers, labels) == pytest.approx(true_temperature, rel=0.05)


def test_indices_and_shares_are_the_same_labels(distributions):
    labels = distributions.argmax(axis=1)
    labels[::3] = 2
    shares = np.eye(6)[labels]
    assert fit_temperature(distributions, labels) == pytest.approx(
        fit_temperature(distributions, shares)
    )


def test_nothing_to_fit_on_is_refused():
    with pytest.raises(InputError):
        fit_temperature(np.empty((0, 6)), np.empty(0, dtype=int))
    with pytest.raises(InputError, match="labels"):
        fit_temperature(np.full((3, 6), 1 / 6), np.zeros(2, dtype=int))


def test_vector_scaling_and_target_by_hand():
    given = np.array([0.5, 0.25, 0.25, 0.0, 0.0, 0.0])
    calibration = BranchCalibration(
        prior=(0.25, 0.25, 0.125, 0.125, 0.125, 0.125),
        prior_strength=1.0,
        target=(0.125, 0.25, 0.25, 0.125, 0.125, 0.125),
        scale=(2.0, 1.0, 1.0, 1.0, 1.0, 1.0),
        bias=(np.log(2.0), 0.0, 0.0, 0.0, 0.0, 0.0),
    )
    # 0.5**2 * 2 / 2, 0.25 * 1, 0.25 * 2
    np.testing.assert_allclose(calibrate(given, calibration), [0.25, 0.25, 0.5, 0, 0, 0], atol=1e-6)


def test_sharpened_by_hand():
    given = np.array([[0.6, 0.2, 0.2, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(sharpened(given, 1.0), given)
    np.testing.assert_allclose(sharpened(given, 0.5)[0, :2], [9 / 11, 1 / 11])
