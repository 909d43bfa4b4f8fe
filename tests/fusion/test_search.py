"""Exact search by cosine against brute force, with large cells and with tiny ones."""

import math

import numpy as np
import pytest

from data_prep.data_folder import require
from data_prep.errors import InputError, MissingDataError
from fusion import cells, search
from fusion.search import EmotionIndex
from fusion.similarity import cosine

N = 400
CELL_SIZES = (3, 256)


@pytest.fixture(params=CELL_SIZES, ids=lambda size: f"cells-of-{size}", autouse=True)
def _cell_size(request, monkeypatch):
    """Tiny cells make a deep tree of few rows; masks are searched rather than scanned."""
    monkeypatch.setattr(cells, "CELL_SIZE", request.param)
    monkeypatch.setattr(search, "SCAN_BELOW", 0 if request.param == 3 else 20_000)


def vectors_of(kind: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "random":
        return rng.dirichlet(np.ones(6), size=N).astype(np.float32)
    if kind == "clustered":
        centres = rng.dirichlet(np.ones(6), size=4)
        near = centres[rng.integers(4, size=N)] + rng.normal(0, 1e-4, size=(N, 6))
        return np.abs(near).astype(np.float32)
    if kind == "duplicated":
        return rng.dirichlet(np.ones(6), size=7)[rng.integers(7, size=N)].astype(np.float32)
    if kind == "one":
        return np.tile(np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1], dtype=np.float32), (N, 1))
    if kind == "corners":
        return np.eye(6, dtype=np.float32)[rng.integers(6, size=N)]
    if kind == "nearly-equal":
        centres = rng.dirichlet(np.ones(6), size=3)
        return centres[rng.integers(3, size=N)] + rng.normal(0, 1e-9, size=(N, 6))
    if kind == "signed":
        return rng.normal(size=(N, 6))
    degenerate = rng.dirichlet(np.ones(6), size=N).astype(np.float32)
    degenerate[rng.random(N) < 0.3] = 0.0
    degenerate[rng.random(N) < 0.2] = np.nan
    degenerate[5, 2] = np.inf
    return degenerate


KINDS = ("random", "clustered", "duplicated", "one", "corners", "signed", "degenerate")


def brute_force(vectors, query, k, mask=None):
    """Row by row in plain Python: (score, row) sorted by score, then by row."""
    wanted = [float(q) for q in query]
    wanted_norm = math.sqrt(sum(q * q for q in wanted))
    scored = []
    for row, vector in enumerate(np.asarray(vectors, dtype=float).tolist()):
        norm = math.sqrt(sum(v * v for v in vector)) if np.isfinite(vector).all() else 0.0
        if norm > 0 and (mask is None or mask[row]):
            dot = sum((v / norm) * (q / wanted_norm) for v, q in zip(vector, wanted, strict=True))
            scored.append((round(-dot, 12), row))
    scored.sort()
    return [row for _, row in scored[:k]], [-score for score, _ in scored[:k]]


def by_cosine(vectors, query, k, mask=None):
    """Every row scored as the search scores it, then sorted: the answer to the last bit."""
    scores = cosine(np.asarray(query), vectors)
    usable = np.isfinite(scores) if mask is None else np.isfinite(scores) & mask
    rows = np.flatnonzero(usable)
    best = rows[np.lexsort((rows, -scores[rows]))][:k]
    return best, scores[best]


def queries_for(vectors):
    queries = [*np.random.default_rng(7).dirichlet(np.ones(6), size=4), np.eye(6)[3]]
    return queries + [v for v in vectors[:3] if np.isfinite(v).all() and v.any()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 60, N + 10])
def test_agrees_with_plain_python(kind, k):
    vectors = vectors_of(kind)
    index = EmotionIndex(vectors)
    for query in queries_for(vectors):
        rows, scores = index.query(query, k)
        expected_rows, expected_scores = brute_force(vectors, query, k)
        assert rows.tolist() == expected_rows
        np.testing.assert_allclose(scores, expected_scores, atol=1e-9)


@pytest.mark.parametrize("kind", [*KINDS, "nearly-equal"])
@pytest.mark.parametrize("k", [1, 5, 60, N + 10])
def test_one_and_many_agree_with_all_rows_scored(kind, k):
    vectors = vectors_of(kind, 1)
    index = EmotionIndex(vectors)
    queries = queries_for(vectors)
    many = index.query_many(np.array(queries), k)
    for number, query in enumerate(queries):
        expected = by_cosine(vectors, query, k)
        for found in (index.query(query, k), (many[0][number], many[1][number])):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])


def test_published_vectors_and_their_neighbours():
    try:
        vectors = np.load(require("published_vectors/2015lyric_mel.npy"))
    except MissingDataError as missing:
        pytest.skip(str(missing))
    vectors = np.concatenate([vectors[:20_000], vectors[:20_000:3]])  # many ties
    index = EmotionIndex(vectors)
    for query in (*np.eye(6), vectors[7], np.ones(6)):
        rows, scores = index.query(query, 50)
        expected = by_cosine(vectors, query, 50)
        np.testing.assert_array_equal(rows, expected[0])
        np.testing.assert_array_equal(scores, expected[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.7])
def test_a_mask_is_a_search_among_the_rest(kind, share):
    vectors = vectors_of(kind, 3)
    index = EmotionIndex(vectors)
    mask = np.random.default_rng(4).random(N) < share
    for query in queries_for(vectors):
        for k in (1, 8, N):
            rows, scores = index.query(query, k, mask)
            expected = by_cosine(vectors, query, k, mask)
            np.testing.assert_array_equal(rows, expected[0])
            np.testing.assert_array_equal(scores, expected[1])


def test_a_mask_far_from_the_query():
    vectors = np.random.default_rng(5).dirichlet(np.full(6, 0.3), size=5_000)
    far = vectors[:, 4] > 0.8
    rows, _ = EmotionIndex(vectors).query(np.eye(6)[0], 12, far)
    np.testing.assert_array_equal(rows, by_cosine(vectors, np.eye(6)[0], 12, far)[0])


def test_millions_of_equal_songs_share_a_place():
    vectors = np.tile(np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1], dtype=np.float32), (50_000, 1))
    vectors[[7, 40_000]] = np.eye(6)[1]
    index = EmotionIndex(vectors)
    rows, scores = index.query(np.eye(6)[1], 5)
    assert rows.tolist() == [7, 40_000, 0, 1, 2]
    assert scores[:2].tolist() == [1.0, 1.0]
    late = np.arange(len(vectors)) > 45_000
    assert index.query(np.eye(6)[0], 3, late)[0].tolist() == [45_001, 45_002, 45_003]
    assert index.query_many(np.eye(6), 3)[0].shape == (6, 3)


def test_ties_keep_the_order_of_the_rows():
    rows, scores = EmotionIndex(vectors_of("one")).query(np.eye(6)[0], 9)
    assert rows.tolist() == list(range(9))
    assert len(set(scores.tolist())) == 1


def test_different_vectors_that_score_equally_keep_the_order_of_the_rows():
    # Mirror images of each other about the query.
    vectors = np.tile([[1.0, 0.5, 0, 0, 0, 0], [1.0, 0, 0, 0.5, 0, 0]], (20, 1))
    rows, scores = EmotionIndex(vectors).query(np.eye(6)[0], 7)
    assert rows.tolist() == list(range(7))
    assert len(set(scores.tolist())) == 1


def test_scale_does_not_matter():
    vectors = vectors_of("random")
    rows, _ = EmotionIndex(vectors).query(np.arange(6), 10)
    scaled, _ = EmotionIndex(vectors * 4).query(np.arange(6) * 0.5, 10)
    assert rows.tolist() == scaled.tolist()


def test_no_rows():
    for vectors in (np.empty((0, 6)), np.zeros((9, 6)), np.full((3, 6), np.nan)):
        index = EmotionIndex(vectors)
        rows, scores = index.query(np.ones(6), 3)
        assert rows.shape == scores.shape == (0,)
        assert index.query(np.ones(6), 3, np.ones(len(vectors), dtype=bool))[0].shape == (0,)
        assert index.query_many(np.ones((4, 6)), 3)[0].shape == (4, 0)


def test_no_queries():
    rows, scores = EmotionIndex(vectors_of("random")).query_many(np.empty((0, 6)), 3)
    assert rows.shape == scores.shape == (0, 3)


def test_what_is_searched_does_not_change_with_the_callers_array():
    vectors = vectors_of("random")
    index = EmotionIndex(vectors)
    before = index.query(np.ones(6), 5)[0].tolist()
    vectors[:] = vectors[::-1].copy()
    assert index.query(np.ones(6), 5)[0].tolist() == before


@pytest.mark.parametrize(
    "query", [np.zeros(6), np.full(6, np.nan), np.ones(5), np.ones((1, 6)), np.full(6, np.inf)]
)
def test_a_query_without_a_direction_is_refused(query):
    with pytest.raises(InputError, match="query"):
        EmotionIndex(vectors_of("random")).query(query, 3)
    if query.shape == (6,):
        with pytest.raises(InputError, match="query"):
            EmotionIndex(vectors_of("random")).query_many(np.stack([np.ones(6), query]), 3)


def test_other_wrong_arguments_are_refused():
    index = EmotionIndex(vectors_of("random"))
    with pytest.raises(InputError, match="k = 0"):
        index.query(np.ones(6), 0)
    with pytest.raises(InputError, match="mask"):
        index.query(np.ones(6), 1, np.ones(3, dtype=bool))
    with pytest.raises(InputError, match="bool"):
        index.query(np.ones(6), 1, np.ones(N, dtype=np.int64))
    with pytest.raises(InputError, match="k = -1"):
        index.query_many(np.ones((2, 6)), -1)
    with pytest.raises(InputError, match=r"\(6,\)"):
        index.query_many(np.ones(6), 1)
    with pytest.raises(InputError, match=r"\(3, 5\)"):
        EmotionIndex(np.ones((3, 5)))
