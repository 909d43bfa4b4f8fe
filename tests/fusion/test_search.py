"""Exact search against brute force, by scan and by tree."""

import math

import numpy as np
import pytest

from data_prep.data_folder import require
from data_prep.errors import InputError, MissingDataError
from fusion.search import EmotionIndex

N = 400
PATHS = {"scan": 10**9, "tree": 1}


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
    degenerate = rng.dirichlet(np.ones(6), size=N).astype(np.float32)
    degenerate[rng.random(N) < 0.3] = 0.0
    degenerate[rng.random(N) < 0.2] = np.nan
    degenerate[5, 2] = np.inf
    return degenerate


KINDS = ("random", "clustered", "duplicated", "one", "corners", "degenerate")


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


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 5, 60, N + 10])
def test_agrees_with_brute_force(path, kind, k):
    vectors = vectors_of(kind)
    index = EmotionIndex(vectors, tree_from=PATHS[path])
    queries = [*np.random.default_rng(7).dirichlet(np.ones(6), size=5), np.eye(6)[3]]
    queries += [v for v in vectors[:3] if np.isfinite(v).all() and v.any()]
    for query in queries:
        rows, scores = index.query(query, k)
        expected_rows, expected_scores = brute_force(vectors, query, k)
        assert rows.tolist() == expected_rows
        np.testing.assert_allclose(scores, expected_scores, atol=1e-9)


def test_published_vectors_with_their_many_ties():
    try:
        vectors = np.load(require("published_vectors/2015lyric_mel.npy"))
    except MissingDataError as missing:
        pytest.skip(str(missing))
    scan, tree = EmotionIndex(vectors, tree_from=10**9), EmotionIndex(vectors, tree_from=1)
    unit = vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    for query in (*np.eye(6), vectors[7], np.ones(6)):
        rows, scores = scan.query(query, 50)
        for one, other in zip((rows, scores), tree.query(query, 50), strict=True):
            np.testing.assert_array_equal(one, other)
        cosines = unit @ (query / np.linalg.norm(query))
        np.testing.assert_allclose(scores, np.sort(cosines)[::-1][:50], atol=1e-9)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("share", [0.1, 0.7])
def test_a_mask_is_a_search_among_the_rest(path, share):
    vectors = vectors_of("duplicated", 3)
    mask = np.random.default_rng(4).random(N) < share
    rows, _ = EmotionIndex(vectors, tree_from=PATHS[path]).query(np.ones(6), 8, mask)
    assert rows.tolist() == brute_force(vectors, np.ones(6), 8, mask)[0]
    nothing, scores = EmotionIndex(vectors).query(np.ones(6), 8, np.zeros(N, dtype=bool))
    assert len(nothing) == len(scores) == 0


def test_ties_keep_the_order_of_the_rows():
    for tree_from in PATHS.values():
        rows, scores = EmotionIndex(vectors_of("one"), tree_from=tree_from).query(np.eye(6)[0], 9)
        assert rows.tolist() == list(range(9))
        assert len(set(scores.tolist())) == 1


def test_scan_and_tree_agree_on_many_rows():
    vectors = np.random.default_rng(5).dirichlet(np.full(6, 0.3), size=20_000)
    vectors = np.round(vectors, 2)  # many equal rows, some all but zero
    scan, tree = EmotionIndex(vectors, tree_from=10**9), EmotionIndex(vectors, tree_from=1)
    for query in np.random.default_rng(6).dirichlet(np.ones(6), size=20):
        for one, other in zip(scan.query(query, 25), tree.query(query, 25), strict=True):
            np.testing.assert_array_equal(one, other)


def test_scale_does_not_matter():
    vectors = vectors_of("random")
    rows, _ = EmotionIndex(vectors).query(np.arange(6), 10)
    scaled, _ = EmotionIndex(vectors * 4).query(np.arange(6) * 0.5, 10)
    assert rows.tolist() == scaled.tolist()


@pytest.mark.parametrize("path", PATHS)
def test_no_rows(path):
    rows, scores = EmotionIndex(np.empty((0, 6)), tree_from=PATHS[path]).query(np.ones(6), 3)
    assert rows.shape == scores.shape == (0,)
    unusable = EmotionIndex(np.zeros((9, 6)), tree_from=PATHS[path])
    assert len(unusable.query(np.ones(6), 3)[0]) == 0


@pytest.mark.parametrize(
    "query", [np.zeros(6), np.full(6, np.nan), np.ones(5), np.ones((1, 6)), np.full(6, np.inf)]
)
def test_a_query_without_a_direction_is_refused(query):
    with pytest.raises(InputError, match="query"):
        EmotionIndex(vectors_of("random")).query(query, 3)


def test_other_wrong_arguments_are_refused():
    index = EmotionIndex(vectors_of("random"))
    with pytest.raises(InputError, match="k = 0"):
        index.query(np.ones(6), 0)
    with pytest.raises(InputError, match="mask"):
        index.query(np.ones(6), 1, np.ones(3, dtype=bool))
    with pytest.raises(InputError, match=r"\(3, 5\)"):
        EmotionIndex(np.ones((3, 5)))
