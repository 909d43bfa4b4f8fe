"""Heads: layout, activations, projection to the six."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from audio_model.heads import (
    N_LOGITS,
    four_emotions,
    head_labels,
    head_slices,
    probabilities,
    served_six,
)
from audio_model.labels import group_matrix, group_shares
from data_prep.taxonomy import EMOTIONS


def test_layout_covers_the_output_without_gaps():
    slices = list(head_slices().values())
    assert slices[0].start == 0
    assert all(a.stop == b.start for a, b in itertools.pairwise(slices))
    assert slices[-1].stop == N_LOGITS == 25


def test_activations():
    logits = np.zeros((2, N_LOGITS), dtype=np.float32)
    logits[1] = 1_000.0
    found = probabilities(logits)
    slices = head_slices()
    np.testing.assert_allclose(found[:, slices["six"]], 1 / 6, atol=1e-6)
    np.testing.assert_allclose(found[0, slices["emotify"]], 0.5)
    np.testing.assert_allclose(found[1, slices["emotify"]], 1.0)


def test_served_six_by_hand():
    probability = np.zeros(N_LOGITS, dtype=np.float32)
    slices = head_slices()
    probability[slices["quadrants"]] = [0.0, 1.0, 0.0, 0.0]  # Q2: tension or anger
    probability[slices["six"]] = [1.0, 0, 0, 0, 0, 0]
    found = served_six(probability, {"quadrants": 0.5, "six": 0.5})
    np.testing.assert_allclose(found, [0.5, 0.25, 0, 0, 0.25, 0])


def test_sums_of_scales_by_hand():
    labels = head_labels("emotify")
    scales = np.zeros(9, dtype=np.float32)
    scales[labels.index("amazement")] = 0.2
    scales[labels.index("joyful_activation")] = 0.3
    scales[labels.index("sadness")] = 0.4
    scales[labels.index("power")] = 0.9  # maps to nothing
    np.testing.assert_allclose(four_emotions(scales), [0.5, 0, 0, 0.4])


def test_groups_of_quadrants_and_scales():
    tension, anger = EMOTIONS.index("tension"), EMOTIONS.index("anger")
    assert np.flatnonzero(group_matrix("emopia")[1]).tolist() == [tension, anger]
    assert np.flatnonzero(group_matrix("emotify")[1]).tolist() == [tension, anger]
    np.testing.assert_array_equal(group_matrix("ravdess_song").sum(axis=0), np.ones(6))
    assert group_matrix("emopia")[:, EMOTIONS.index("neutral")].sum() == 0


@pytest.mark.parametrize(("dataset", "n"), [("ravdess_song", 6), ("emotify", 9), ("emopia", 4)])
def test_group_shares_sum_to_one_and_lie_in_groups(dataset, n):
    native = np.zeros(n, dtype=np.float32)
    native[0] = 1.0
    shares = group_shares(dataset, native)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares[group_matrix(dataset).sum(axis=1) == 0] == 0).all()
