"""Resampled groups: how often songs count, and figures of weighted songs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.metrics import accuracy, ece, macro_f1
from fusion.evaluation.group_resampling import (
    GroupResampling,
    weighted_ece,
    weighted_macro_f1,
    weighted_means,
)
from tests.fusion.toy_songs import made_songs


def test_one_grouping_is_drawn_once() -> None:
    groups = np.arange(24) // 2 + 5  # twelve groups of two songs, numbers from 5 on
    songs = replace(made_songs(24), word_groups=groups, sound_groups=groups)
    weights = GroupResampling([songs], n=200).weights(songs)
    assert weights.shape == (200, 24)
    np.testing.assert_array_equal(weights[:, ::2], weights[:, 1::2])
    # as many groups are drawn as there are, so songs count 24 in all, and once on average
    np.testing.assert_array_equal(weights.sum(axis=1), 24)
    assert (weights == weights.round()).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.35)
    assert weights.var() == pytest.approx(1 - 1 / 12, abs=0.1)  # of a binomial count


def test_words_and_sound_of_different_groups_are_drawn_each_for_itself() -> None:
    rows = np.arange(36)
    songs = replace(made_songs(36), word_groups=rows // 6, sound_groups=rows % 6)
    weights = GroupResampling([songs], n=300).weights(songs).reshape(300, 6, 6)
    lines = weights.sum(axis=2) / 6
    clips = weights.sum(axis=1) / 6
    np.testing.assert_allclose(weights, lines[:, :, None] * clips[:, None, :])
    np.testing.assert_allclose(lines.sum(axis=1), 6)
    np.testing.assert_allclose(clips.sum(axis=1), 6)
    assert not np.array_equal(lines, clips)
    # the variance of a product of two independent counts of mean 1 and variance 5/6
    assert weights.var() == pytest.approx((1 + 5 / 6) ** 2 - 1, rel=0.15)


def test_draws_share_how_often_a_group_comes() -> None:
    first, second = made_songs(12), made_songs(12, seed=1)
    moved = replace(second, word_groups=np.arange(12) + 6, sound_groups=np.arange(12) + 6)
    resampling = GroupResampling([first, moved], n=50)
    np.testing.assert_array_equal(
        resampling.weights(first)[:, 6:], resampling.weights(moved)[:, :6]
    )
    again = GroupResampling([first, moved], n=50)
    np.testing.assert_array_equal(resampling.weights(first), again.weights(first))
    other = GroupResampling([first, moved], n=50, seed=1)
    assert not np.array_equal(resampling.weights(first), other.weights(first))


@pytest.mark.parametrize("labels_of", [range(6), [3], [0, 4]])
def test_unit_weights_give_the_figures_of_the_metrics(labels_of) -> None:
    songs = made_songs(90, seed=3)
    songs = songs.chosen(np.isin(songs.labels, list(labels_of)))
    answers, labels = songs.words.astype(np.float64), songs.labels
    said = answers.argmax(axis=1)
    ones = np.ones((2, len(songs)))
    expected = macro_f1(labels, said, 6), accuracy(labels, said), ece(answers, labels)
    found = (
        weighted_macro_f1(labels, said, ones),
        weighted_means(said == labels, ones),
        weighted_ece(answers, labels, ones),
    )
    for figure, values in zip(expected, found, strict=True):
        np.testing.assert_allclose(values, [figure] * 2, atol=1e-12)


def test_a_weight_is_how_often_a_song_is_there() -> None:
    songs = made_songs(60, seed=4)
    answers = songs.sound.astype(np.float64)
    said = answers.argmax(axis=1)
    weights = np.random.default_rng(5).integers(0, 4, (20, 60))
    weights[0, songs.labels == 2] = 0  # of one emotion only what is wrongly said of others
    found = np.stack(
        [
            weighted_macro_f1(songs.labels, said, weights.astype(float)),
            weighted_means(said == songs.labels, weights.astype(float)),
            weighted_ece(answers, songs.labels, weights.astype(float)),
        ]
    )
    for resampling, counts in enumerate(weights):
        rows = np.repeat(np.arange(60), counts)
        expected = [
            macro_f1(songs.labels[rows], said[rows], 6),
            accuracy(songs.labels[rows], said[rows]),
            ece(answers[rows], songs.labels[rows]),
        ]
        np.testing.assert_allclose(found[:, resampling], expected, atol=1e-12)
