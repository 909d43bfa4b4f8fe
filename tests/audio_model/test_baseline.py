"""Baselines on mel statistics."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model.baseline import CLASSIFIERS, REGRESSORS, classify, mel_statistics, regress
from data_prep.errors import InputError


def test_statistics_by_hand():
    log_mel = np.array([[0.0, 2.0, 0.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    found = mel_statistics(log_mel)
    np.testing.assert_allclose(found[:4], [1, 1, 1, 0])
    np.testing.assert_allclose(found[4:], [np.std([2, -2, 2]), 0], atol=1e-6)


def test_one_frame_is_refused():
    with pytest.raises(InputError, match="two frames"):
        mel_statistics(np.zeros((48, 1)))


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers_separate_what_is_separable(kind):
    pytest.importorskip("sklearn", reason="scikit-learn is in the extra `train`")
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    statistics = (rng.normal(0, 0.1, (60, 5)) + labels[:, None]).astype(np.float32)
    found = classify(kind, statistics[:40], labels[:40], statistics[40:])
    np.testing.assert_array_equal(found, labels[40:])


@pytest.mark.parametrize("kind", REGRESSORS)
def test_regressors_follow_a_line(kind):
    pytest.importorskip("sklearn", reason="scikit-learn is in the extra `train`")
    rng = np.random.default_rng(0)
    statistics = rng.normal(0, 1, (200, 3)).astype(np.float32)
    targets = statistics @ np.array([[0.2, 0.0], [0.0, 0.1], [0.1, 0.1]], dtype=np.float32)
    found = regress(kind, statistics[:150], targets[:150], statistics[150:])
    for k in range(2):
        assert np.corrcoef(found[:, k], targets[150:, k])[0, 1] > 0.9
