"""Taste: bounded, local to a mood, nothing without judgements, and worth having."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.taste import HALF_AT, MOST_MOVED, TOWARDS, Judged, Taste

RNG = np.random.default_rng


def leaning(emotion: int, strength: float = 0.7) -> np.ndarray:
    vector = np.full(6, (1 - strength) / 5)
    vector[emotion] = strength
    return vector


def test_nothing_without_judgements() -> None:
    query = RNG(1).dirichlet(np.ones(6))
    assert Taste().leaning(query) == pytest.approx(query, abs=1e-7)


def test_one_like_moves_as_rocchio_says() -> None:
    query, song = leaning(3, 0.7), leaning(3, 0.6)
    share = TOWARDS * 1 / (1 + HALF_AT)
    expected = query + share * (song - query)
    found = Taste([Judged(song, query, True)]).leaning(query)
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_dislike_moves_away() -> None:
    query, song = leaning(3, 0.5), np.array([0.0, 0.4, 0.0, 0.6, 0.0, 0.0])
    found = Taste([Judged(song, query, False)]).leaning(query)
    assert found[1] < query[1]
    assert found.sum() == pytest.approx(1.0, abs=1e-6)


def test_what_was_liked_in_another_mood_does_not_count() -> None:
    sad, glad = np.eye(6)[3], np.eye(6)[0]
    taste = Taste([Judged(leaning(1), glad, True)] * 50)
    assert taste.leaning(sad) == pytest.approx(sad, abs=1e-7)


def test_a_mood_stays_that_mood_whatever_is_judged() -> None:
    rng = RNG(2)
    for _ in range(300):
        query = rng.dirichlet(np.full(6, rng.choice([0.2, 1.0, 5.0])))
        judged = [
            Judged(rng.dirichlet(np.full(6, 0.3)), query, bool(rng.integers(2)))
            for _ in range(int(rng.integers(1, 200)))
        ]
        found = Taste(judged).leaning(query)
        assert found.sum() == pytest.approx(1.0, abs=1e-5)
        assert found.min() >= 0.0
        assert 0.5 * np.abs(found - query).sum() <= MOST_MOVED + 1e-6
        assert found.argmax() == query.argmax()


def test_listeners_who_like_brighter_songs_get_lists_that_they_like_better() -> None:
    """Simulated: within each mood they want more joy than they asked for, and judge ten songs."""
    rng = RNG(3)
    songs = rng.dirichlet(np.full(6, 0.6), size=4_000)
    units = songs / np.linalg.norm(songs, axis=1, keepdims=True)

    def nearest(vector: np.ndarray, k: int) -> np.ndarray:
        return np.argsort(-(units @ vector), kind="stable")[:k]

    gains = []
    for _ in range(150):
        query = rng.dirichlet(np.full(6, 0.8))
        wanted = 0.8 * query + 0.2 * np.eye(6)[0]
        worth = units @ (wanted / np.linalg.norm(wanted))
        shown = nearest(query, 40)[rng.permutation(40)[:10]]
        judged = [Judged(songs[i], query, bool(worth[i] >= np.median(worth[shown]))) for i in shown]
        after = nearest(Taste(judged).leaning(query), 10)
        gains.append(worth[after].mean() - worth[nearest(query, 10)].mean())
    mean, half = np.mean(gains), 1.96 * np.std(gains, ddof=1) / np.sqrt(len(gains))
    assert mean - half > 0.0
