"""Histogram matching of a catalogue's emotions."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from data_prep.errors import InputError
from fusion.quantile_map import QuantileMap, log_ratios


def songs_and_moods(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    timid = rng.dirichlet([2.0, 0.4, 1.5, 14.0, 0.6, 1.0], size=4_000)
    moods = rng.dirichlet(np.full(6, 0.4), size=3_000)
    return timid, moods


def test_songs_spread_as_moods_do():
    songs, moods = songs_and_moods()
    mapped = QuantileMap.fit(songs, moods)(songs)
    np.testing.assert_allclose(mapped.sum(axis=1), 1.0)
    before = np.bincount(songs.argmax(axis=1), minlength=6) / len(songs)
    after = np.bincount(mapped.argmax(axis=1), minlength=6) / len(songs)
    assert before.max() > 0.95
    assert after.max() < 0.3
    # as sure as moods are, by and large
    assert mapped.max(axis=1).mean() == pytest.approx(moods.max(axis=1).mean(), abs=0.12)


def test_a_catalogue_that_is_like_moods_is_left_alone():
    _, moods = songs_and_moods()
    np.testing.assert_allclose(QuantileMap.fit(moods, moods)(moods), moods, atol=1e-6)


def test_a_map_by_hand():
    knots = ((-1.0, 0.0, 1.0),) * 6
    doubled = QuantileMap(knots, ((-2.0, 0.0, 2.0),) * 6)
    log = np.array([[0.5, -0.5, 0.25, -0.25, 0.0, 0.0]])
    given = np.exp(log) / np.exp(log).sum()
    np.testing.assert_allclose(log_ratios(given), log, atol=1e-12)
    expected = np.exp(2 * log) / np.exp(2 * log).sum()
    np.testing.assert_allclose(doubled(given), expected)
    # three beyond the highest knot: as far beyond it as before
    far = np.array([[3.0, -0.6, -0.6, -0.6, -0.6, -0.6]])
    moved = np.array([[2.0 + 2.0, -1.2, -1.2, -1.2, -1.2, -1.2]])
    np.testing.assert_allclose(
        doubled(np.exp(far) / np.exp(far).sum()), np.exp(moved) / np.exp(moved).sum()
    )


def test_order_by_each_log_ratio_stays_nearly():
    songs, moods = songs_and_moods(1)
    before, after = log_ratios(songs), log_ratios(QuantileMap.fit(songs, moods)(songs))
    for emotion in range(6):
        ranks = [np.argsort(np.argsort(each[:, emotion])) for each in (before, after)]
        assert np.corrcoef(ranks)[0, 1] > 0.95


def test_missing_answers_stay_missing_and_are_not_fitted_on():
    songs, moods = songs_and_moods(2)
    songs[::3] = np.nan
    mapping = QuantileMap.fit(songs, moods)
    assert mapping == QuantileMap.fit(songs[~np.isnan(songs[:, 0])], moods)
    mapped = mapping(songs)
    assert np.isnan(mapped[::3]).all()
    assert np.isfinite(mapped[1::3]).all()


def test_sure_answers_stay_finite():
    songs, moods = songs_and_moods(3)
    mapped = QuantileMap.fit(songs, moods)(np.eye(6))
    assert np.isfinite(mapped).all()
    np.testing.assert_array_equal(mapped.argmax(axis=1), range(6))


def test_it_lies_in_a_file_as_json():
    mapping = QuantileMap.fit(*songs_and_moods())
    assert QuantileMap(**json.loads(json.dumps(asdict(mapping)))) == mapping


@pytest.mark.parametrize(
    "make",
    [
        lambda: QuantileMap(((0.0, 1.0),) * 5, ((0.0, 1.0),) * 6),
        lambda: QuantileMap(((0.0, 1.0),) * 6, ((0.0, 1.0, 2.0),) * 6),
        lambda: QuantileMap(((1.0, 0.0),) * 6, ((0.0, 1.0),) * 6),
        lambda: QuantileMap(((0.0, float("inf")),) * 6, ((0.0, 1.0),) * 6),
        lambda: QuantileMap(3, 4),
        lambda: QuantileMap.fit(np.full((19, 6), 1 / 6), songs_and_moods()[1]),
    ],
)
def test_quantiles_that_make_no_sense_are_refused(make):
    with pytest.raises(InputError):
        make()
