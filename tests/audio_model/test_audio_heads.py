"""Heads: layout, activations, projection to the six."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from audio_model.heads import (
    N_LOGITS,
    four_emotions,
    group_matrix,
    group_shares,
    head_labels,
    head_slices,
    labels_for,
    probabilities,
    served_six,
)
from data_prep.taxonomy import EMOTIONS


def test_layout_covers_the_output_without_gaps():
    slices = list(head_slices().values())
    assert slices[0].start == 0
    assert all(a.stop == b.start for a, b in itertools.pairwise(slices))
    assert slices[-1].stop == N_LOGITS == 28


def test_activations():
    logits = np.zeros((2, N_LOGITS), dtype=np.float32)
    logits[1] = 1_000.0
    found = probabilities(logits)
    slices = head_slices()
    np.testing.assert_allclose(found[:, slices["six"]], 1 / 6, atol=1e-6)
    np.testing.assert_allclose(found[0, slices["emotify"]], 0.5)
    np.testing.assert_allclose(found[1, slices["emotify"]], 1.0)


def six_of(**shares: float) -> list[float]:
    return [shares.get(emotion, 0.0) for emotion in EMOTIONS]


def answer(labels, **heads):
    slices = head_slices(labels)
    probability = np.zeros(sum(len(names) for names in labels.values()), dtype=np.float32)
    for head, values in heads.items():
        probability[slices[head]] = values
    return probability


def test_a_native_head_decides_between_groups_and_the_six_within():
    labels = labels_for(["quadrants"])  # of one label set: no source
    six = six_of(joy=0.4, tension=0.1, calm=0.1, sadness=0.0, anger=0.3, neutral=0.1)
    sure = answer(labels, quadrants=[0.0, 1.0, 0.0, 0.0], six=six)  # Q2: tension or anger
    # all but neutral, which quadrants do not know, goes to Q2, one to three as the six has it
    expected = six_of(tension=0.9 / 4, anger=0.9 * 3 / 4, neutral=0.1)
    np.testing.assert_allclose(served_six(sure, labels), expected, atol=1e-6)
    # a head that says what the six says changes nothing
    same = answer(labels, quadrants=np.array([0.4, 0.4, 0.0, 0.1]) / 0.9, six=six)
    np.testing.assert_allclose(served_six(same, labels), six, atol=1e-6)
    # a share of the answer may be the six alone
    np.testing.assert_allclose(
        served_six(sure, labels, 0.5), 0.5 * np.array(expected) + 0.5 * np.array(six), atol=1e-6
    )


def test_the_source_weighs_the_native_heads():
    labels = labels_for(["ravdess_song", "quadrants"])
    assert labels["source"] == ["ravdess_song", "quadrants"]
    six = [1 / 6] * 6
    angry, happy = np.eye(6)[4], [1.0, 0.0, 0.0, 0.0]  # RAVDESS: angry; Q1: joy
    found = served_six(
        answer(labels, ravdess_song=angry, quadrants=happy, six=six, source=[0.75, 0.25]), labels
    )
    expected = 0.75 * np.array(six_of(anger=1.0)) + 0.25 * np.array(
        six_of(joy=5 / 6, neutral=1 / 6)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_network_of_the_six_alone_is_served_as_it_is():
    labels = labels_for(["six"])
    assert list(labels) == ["six"]
    six = six_of(joy=0.5, sadness=0.5)
    np.testing.assert_allclose(served_six(answer(labels, six=six), labels), six, atol=1e-6)


@pytest.mark.parametrize("sets", [["ravdess_song", "emotify", "quadrants"], ["emotify", "six"]])
def test_whatever_the_heads_say_a_distribution_is_served(sets):
    random = np.random.default_rng(0)
    labels = labels_for(sets)
    logits = random.normal(0, 8, (50, 3, sum(len(names) for names in labels.values())))
    found = served_six(probabilities(logits.astype(np.float32), head_slices(labels)), labels, 0.2)
    assert found.shape == (50, 3, 6)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=-1), 1.0, atol=1e-5)


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
