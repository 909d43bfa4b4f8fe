"""Search of long embeddings: exact against all rows scored, approximate against exact."""

import importlib.util
import sys

import numpy as np
import pytest

from data_prep.errors import IndexFolderError, InputError, MissingExtraError
from fusion import embedding_search
from fusion.approximate_search import ApproximateIndex
from fusion.embedding_search import EmbeddingIndex, cosines

N, D = 900, 64


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(embedding_search, "_BLOCK_BYTES", 70 * 4 * D)


def embeddings_of(kind: str, dtype=np.float32) -> np.ndarray:
    generator = np.random.default_rng(1)
    made = generator.normal(size=(N, D))
    if kind == "duplicated":
        made = made[generator.integers(9, size=N)]
    if kind == "nearly-equal":
        made = made[generator.integers(3, size=N)] + generator.normal(0, 1e-6, size=(N, D))
    if kind == "one-hot":
        made = np.eye(D)[generator.integers(D, size=N)]
    if kind == "degenerate":
        made[::4] = 0
        made[1::5] = np.nan
        made[7, 3] = np.inf
    return made.astype(dtype)


def all_scored(embeddings, query, k, mask=None):
    scores = cosines(query, embeddings)
    rows = np.flatnonzero(np.isfinite(scores) & (True if mask is None else mask))
    best = rows[np.lexsort((rows, -scores[rows]))][:k]
    return best, scores[best]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("kind", ["random", "duplicated", "nearly-equal", "one-hot", "degenerate"])
def test_agrees_with_all_rows_scored(kind, dtype, tmp_path):
    embeddings = embeddings_of(kind, dtype)
    index = EmbeddingIndex(embeddings)
    index.save(tmp_path / "index")
    loaded = EmbeddingIndex.load(tmp_path / "index")
    generator = np.random.default_rng(2)
    queries = np.concatenate([generator.normal(size=(3, D)), embeddings[2:4], np.eye(D)[:1]])
    queries = queries[np.isfinite(queries).all(axis=1)]
    for k in (1, 10, N + 5):
        many = index.query_many(queries, k)
        for number, query in enumerate(queries):
            rows, scores = all_scored(embeddings, query, k)
            for found in (
                index.query(query, k),
                loaded.query(query, k),
                (many[0][number], many[1][number]),
            ):
                np.testing.assert_array_equal(found[0], rows)
                np.testing.assert_array_equal(found[1], scores)
            for share in (0.0, 0.05, 0.8):
                mask = generator.random(N) < share
                expected = all_scored(embeddings, query, k, mask)
                np.testing.assert_array_equal(index.query(query, k, mask)[0], expected[0])


def test_cosine_by_hand():
    embeddings = np.array([[3, 4], [0, 2], [-1, 0], [0, 0]], dtype=np.float16)
    rows, scores = EmbeddingIndex(embeddings).query(np.array([2.0, 0]), 9)
    assert rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(scores, [0.6, 0.0, -1.0])


def test_no_rows_and_no_queries():
    index = EmbeddingIndex(np.empty((0, D), dtype=np.float32))
    assert index.query(np.ones(D), 3)[0].shape == (0,)
    assert index.query_many(np.ones((2, D)), 3)[0].shape == (2, 0)
    assert index.query_many(np.empty((0, D)), 3)[0].shape == (0, 0)


def test_wrong_arguments_are_refused(tmp_path):
    for wrong, message in (
        (np.ones(3, dtype=np.float32), "shape"),
        (np.ones((3, 2)), "float64"),
        (np.full((3, 2), 1e15, dtype=np.float32), "embedding 0 has length"),
    ):
        with pytest.raises(InputError, match=message):
            EmbeddingIndex(wrong)
    index = EmbeddingIndex(embeddings_of("random"))
    for query in (np.ones(3), np.zeros(D), np.full(D, np.nan)):
        with pytest.raises(InputError, match="quer"):
            index.query(query, 3)
    with pytest.raises(InputError, match="k = 0"):
        index.query(np.ones(D), 0)
    with pytest.raises(InputError, match="mask"):
        index.query(np.ones(D), 1, np.ones(2, dtype=bool))
    index.save(tmp_path / "index")
    with (tmp_path / "index" / "lengths.npy").open("ab") as file:
        file.write(b"more")
    with pytest.raises(IndexFolderError, match=r"lengths\.npy"):
        EmbeddingIndex.load(tmp_path / "index")


def test_recall_of_the_approximate_index():
    if importlib.util.find_spec("faiss") is None:
        pytest.skip("faiss is not installed")
    embeddings = embeddings_of("random")
    embeddings[5::50] = 0
    exact, nearly = EmbeddingIndex(embeddings), ApproximateIndex(embeddings)
    generator = np.random.default_rng(3)
    mask = generator.random(N) < 0.5
    hits = 0
    for query in generator.normal(size=(20, D)):
        rows, scores = nearly.query(query, 10)
        hits += len(np.intersect1d(rows, exact.query(query, 10)[0]))
        np.testing.assert_array_equal(scores, cosines(query, embeddings)[rows])
        assert (np.diff(scores) <= 0).all()
        masked, _ = nearly.query(query, 10, mask)
        assert mask[masked].all()
        assert len(masked) == 10
    assert hits >= 190  # of 200
    assert len(nearly.query(np.ones(D), 5, np.zeros(N, dtype=bool))[0]) == 0
    empty = ApproximateIndex(np.empty((0, D), dtype=np.float16))
    assert len(empty.query(np.ones(D), 5)[0]) == 0
    with pytest.raises(InputError, match="query"):
        nearly.query(np.ones(3), 5)
    with pytest.raises(InputError, match="mask"):
        nearly.query(np.ones(D), 5, np.ones(2, dtype=bool))


def test_without_faiss_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"maeum\[approximate\]"):
        ApproximateIndex(embeddings_of("random"))
