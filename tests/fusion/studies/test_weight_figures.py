"""Figures of rows over draws, and their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.metrics import accuracy, ece, macro_f1, nll
from fusion.evaluation.group_resampling import GroupResampling, weighted_ece
from fusion.evaluation.labelled_songs import LabelledSongs
from fusion.studies.weight_figures import FIGURES, Figures
from tests.fusion.toy_songs import made_songs


@pytest.fixture(scope="module")
def draws() -> list[LabelledSongs]:
    return [made_songs(120, seed=seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def figures(draws) -> Figures:
    return Figures(
        draws,
        [
            {
                "words": songs.words.astype(float),
                "sound": songs.sound.astype(float),
                "sure": np.eye(6)[songs.words.argmax(axis=1)],
                "uniform": np.full((120, 6), 1 / 6),
            }
            for songs in draws
        ],
    )


def test_figures_are_means_over_draws(draws, figures) -> None:
    row = figures.row("words")
    assert list(row) == [name for figure in FIGURES for name in (figure, f"{figure}_interval")]
    expected = np.mean(
        [
            [
                macro_f1(songs.labels, songs.words.argmax(axis=1), 6),
                accuracy(songs.labels, songs.words.argmax(axis=1)),
                ece(songs.words, songs.labels),
                nll(songs.words, songs.labels),
            ]
            for songs in draws
        ],
        axis=0,
    )
    np.testing.assert_allclose([row[name] for name in FIGURES], expected, atol=1e-6)


@pytest.mark.parametrize("row", ["words", "sound", "sure", "uniform"])
def test_every_interval_is_around_its_figure(figures, row) -> None:
    found = figures.row(row)
    for name in FIGURES:
        low, high = found[f"{name}_interval"]
        assert low - 1e-9 <= found[name] <= high + 1e-9, name
        assert low >= 0
    assert found["macro_f1_interval"][0] < found["macro_f1"] < found["macro_f1_interval"][1]


def test_what_is_drawn_twice_is_no_miscalibration() -> None:
    songs, random = made_songs(600, seed=4), np.random.default_rng(4)
    answers = songs.words.astype(float)
    truth = [random.choice(6, p=row / row.sum()) for row in answers]
    calibrated = replace(songs, labels=np.array(truth))
    found = Figures([calibrated], [{"words": answers}]).row("words", ["ece"])
    low, high = found["ece_interval"]
    weights = GroupResampling([calibrated]).weights(calibrated)
    resampled = weighted_ece(answers, calibrated.labels, weights)
    assert low < found["ece"] < high < 0.1
    assert found["ece"] < np.quantile(resampled, 0.05)
    # as wide as what was resampled, and around the figure
    assert high - low == pytest.approx(np.ptp(np.quantile(resampled, [0.025, 0.975])))


def test_an_answer_that_is_sure_and_wrong_has_the_same_likelihood_in_its_interval(figures) -> None:
    found = figures.row("sure", ["nll"])
    # wrong answers cost log 1e-12 each, in the figure as in the interval
    wrong = 1 - figures.value("sure", "accuracy")
    assert found["nll"] == pytest.approx(-wrong * np.log(1e-12))
    assert found["nll_interval"][0] < found["nll"] < found["nll_interval"][1]


def test_differences_are_of_the_same_resampled_songs(figures) -> None:
    none = figures.difference("words", "words")
    assert (none["mean"], none["interval"]) == (0.0, [0.0, 0.0])
    found = figures.difference("words", "uniform")
    assert (found["row"], found["base"], found["figure"]) == ("words", "uniform", "macro_f1")
    words, uniform = figures.row("words"), figures.row("uniform")
    assert found["mean"] == pytest.approx(words["macro_f1"] - uniform["macro_f1"])
    assert found["interval"][0] > 0.2
    turned = figures.difference("uniform", "words")
    assert turned["mean"] == pytest.approx(-found["mean"])
    np.testing.assert_allclose(turned["interval"][::-1], np.negative(found["interval"]))


def test_fewer_groups_make_wider_intervals() -> None:
    songs = made_songs(240, seed=3)
    answers = [{"words": songs.words.astype(float)}]

    def width(groups: np.ndarray) -> float:
        grouped = replace(songs, word_groups=groups, sound_groups=groups)
        low, high = Figures([grouped], answers).row("words", ["nll"])["nll_interval"]
        return high - low

    hard = np.argsort(np.argsort(songs.words[np.arange(240), songs.labels]))
    # groups of twenty songs that are hard alike say less than songs drawn one by one
    assert width(hard // 20) > 2 * width(np.arange(240))
