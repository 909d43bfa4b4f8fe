"""Similarity measures against values computed by hand, and searched by each exactly."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from data_prep.errors import InputError
from fusion import cells
from fusion.search import SimilarityIndex
from fusion.similarity import (
    SIMILARITIES,
    cosine,
    hellinger,
    jensen_shannon,
    similarity,
    strongest,
    weighted_cosine,
)

SONGS = np.array([[3.0, 4, 0, 0, 0, 0], [0, 0, 2, 0, 0, 0], [1, 0, 0, 1, 0, 0]])
JOY = np.eye(6)[0]


@pytest.fixture(autouse=True)
def _tiny_cells(monkeypatch):
    monkeypatch.setattr(cells, "CELL_SIZE", 5)


def test_cosine_by_hand():
    np.testing.assert_allclose(cosine(JOY, SONGS), [0.6, 0.0, math.sqrt(0.5)], atol=1e-15)
    np.testing.assert_allclose(cosine(np.array([4.0, 3, 0, 0, 0, 0]), SONGS[:1]), [24 / 25])


def test_weighted_cosine_by_hand():
    # Song 0 is strongest in tension: weights 1 and 2, so 3·1 / √(1·1 · (9 + 2·16)).
    # Song 2 has two strongest, of which the first counts: 2·1 / √(2 · (2 + 1)).
    expected = [3 / math.sqrt(41), 0.0, 2 / math.sqrt(6)]
    np.testing.assert_allclose(weighted_cosine(JOY, SONGS), expected, atol=1e-15)


def test_hellinger_by_hand():
    # As distributions 3/7 and 4/7, all of it calm, and a half each.
    expected = [1 - math.sqrt(1 - math.sqrt(3 / 7)), 0.0, 1 - math.sqrt(1 - math.sqrt(0.5))]
    np.testing.assert_allclose(hellinger(JOY, SONGS), expected, atol=1e-12)


def test_jensen_shannon_by_hand():
    # JOY with a half each: the middle is 3/4 and 1/4.
    divergence = 0.5 * math.log2(4 / 3) + 0.25 * math.log2(2 / 3) + 0.25 * math.log2(2)
    scores = jensen_shannon(JOY, SONGS)
    np.testing.assert_allclose(scores[1:], [0.0, 1 - math.sqrt(divergence)], atol=1e-12)


def test_jensen_shannon_agrees_with_scipy():
    songs = np.random.default_rng(1).dirichlet(np.full(6, 0.3), size=50)
    for query in (*songs[:5], JOY):
        expected = 1 - jensenshannon(query[None], songs, base=2, axis=1)
        np.testing.assert_allclose(jensen_shannon(query, songs), expected, atol=1e-7)


@pytest.mark.parametrize("name", SIMILARITIES)
def test_what_every_measure_has_in_common(name):
    measure = SIMILARITIES[name]
    songs = np.random.default_rng(2).dirichlet(np.ones(6), size=40)
    itself = measure(songs, songs)
    np.testing.assert_allclose(itself, 1.0, atol=1e-7)
    for query in songs[:4]:
        scores = measure(query, songs)
        assert scores.max() <= 1 + 1e-12
        np.testing.assert_allclose(measure(3 * query, 0.5 * songs), scores, atol=1e-7)
        # The same to the last bit, however they are laid out.
        for same in (np.asfortranarray(songs), songs[::-1][::-1], songs.repeat(2, axis=0)[::2]):
            np.testing.assert_array_equal(measure(query, same), scores)
        for row in range(3):
            assert measure(query, songs[row : row + 1])[0] == scores[row]
            assert measure(query, songs[row]) == scores[row]
    unplaced = np.array([np.zeros(6), np.full(6, np.nan), np.full(6, np.inf)])
    assert np.isnan(measure(songs[0], unplaced)).all()


def test_measures_of_distributions_refuse_what_is_below_zero():
    below = np.array([[0.9, 0.3, -0.2, 0, 0, 0]])
    for measure in (hellinger, jensen_shannon):
        assert np.isnan(measure(JOY, below)).all()
    for name in ("hellinger", "jensen-shannon"):
        index = SimilarityIndex(np.vstack([below, SONGS]), name)
        assert 0 not in index.query(JOY, 9)[0]
        with pytest.raises(InputError, match="none below zero"):
            index.query(below[0], 2)


def test_the_bound_between_jensen_shannon_and_hellinger():
    """ln 2 · h² ≤ JS ≤ h² in nats, on which the search by Jensen-Shannon rests."""
    generator = np.random.default_rng(3)
    songs = generator.dirichlet(np.full(6, 0.2), size=4_000)
    songs[:50] = np.eye(6)[generator.integers(6, size=50)]
    for query in (*songs[:3], *songs[-3:]):
        squared = (1 - hellinger(query, songs)) ** 2
        divergence = (1 - jensen_shannon(query, songs)) ** 2 * math.log(2)
        assert (divergence <= squared + 1e-12).all()
        assert (divergence >= math.log(2) * squared - 1e-12).all()


def songs_of(kind: str) -> np.ndarray:
    generator = np.random.default_rng(5)
    songs = generator.dirichlet(np.full(6, 0.5), size=600)
    if kind == "rounded":
        return np.round(songs, 1)
    if kind == "corners":
        return np.eye(6, dtype=np.float32)[generator.integers(6, size=600)]
    if kind == "degenerate":
        songs[::3] = 0
        songs[1::7] = np.nan
    return songs.astype(np.float32)


def all_scored(name, songs, query, k, mask):
    scores = SIMILARITIES[name](query, songs)
    rows = np.flatnonzero(np.isfinite(scores) & mask)
    return rows[np.lexsort((rows, -scores[rows]))][:k], scores


@pytest.mark.parametrize("name", SIMILARITIES)
@pytest.mark.parametrize("kind", ["random", "rounded", "corners", "degenerate"])
def test_search_by_every_measure_is_exact(name, kind, tmp_path):
    songs = songs_of(kind)
    index = SimilarityIndex(songs, name)
    index.save(tmp_path / "index")
    loaded = SimilarityIndex.load(tmp_path / "index")
    assert loaded.measure == name
    generator = np.random.default_rng(6)
    queries = np.array([*generator.dirichlet(np.ones(6), size=4), JOY, np.ones(6)])
    everything = np.ones(len(songs), dtype=bool)
    mask = generator.random(len(songs)) < 0.3
    for k in (1, 25, 700):
        many = index.query_many(queries, k)
        for number, query in enumerate(queries):
            expected, scores = all_scored(name, songs, query, k, everything)
            for rows, found in (
                (many[0][number], many[1][number]),
                index.query(query, k),
                loaded.query(query, k),
            ):
                np.testing.assert_array_equal(rows, expected)
                np.testing.assert_array_equal(found, scores[expected])
            rows, _ = index.query(query, k, mask)
            np.testing.assert_array_equal(rows, all_scored(name, songs, query, k, mask)[0])


@pytest.mark.parametrize("name", SIMILARITIES)
def test_the_same_strongest_emotion_first(name):
    songs = songs_of("random")
    index = SimilarityIndex(songs, name)
    mask = np.random.default_rng(8).random(len(songs)) < 0.5
    query = np.array([0.1, 0.1, 0.5, 0.1, 0.1, 0.1])
    same = strongest(songs) == 2
    first, _ = all_scored(name, songs, query, 600, mask & same)
    then, _ = all_scored(name, songs, query, 600, mask & ~same)
    for k in (3, len(first) + 5, 900):
        rows, scores = index.query(query, k, mask, same_top_first=True)
        np.testing.assert_array_equal(rows, np.append(first, then)[:k])
        np.testing.assert_array_equal(scores, SIMILARITIES[name](query, songs)[rows])


def test_an_unknown_measure_is_refused():
    with pytest.raises(InputError, match=r"euclid.*weighted-cosine"):
        similarity("euclid")
    with pytest.raises(InputError, match="euclid"):
        SimilarityIndex(SONGS, "euclid")
