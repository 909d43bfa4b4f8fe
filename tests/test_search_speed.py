"""The benchmark of the search, on a few songs: it checks its answers and fills its table."""

import importlib.util

import pytest

from benchmarks import search_speed as benchmark


@pytest.mark.parametrize("n_songs", [2_000])
def test_every_line_is_measured(n_songs):
    for library in ("faiss", "torch", "sklearn"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    lines = benchmark.search_speed(repeats=1, sizes=[n_songs])
    assert len(lines) == 2 + 4 + 2 + 1
    assert all(line.ours_ms > 0 for line in lines)
    compared = [line for line in lines if line.reference]
    assert len({(line.what, line.reference) for line in compared}) == 7
    assert all(line.p95_ms >= line.ours_ms for line in compared)
    assert lines[0].memory_mb is not None
    assert lines[1].memory_mb is not None


def test_songs_are_distributions_and_the_same_each_time():
    made = benchmark.songs(500, 3)
    assert made.shape == (500, 6)
    assert (made >= 0).all()
    assert abs(made.sum(axis=1) - 1).max() < 1e-5
    assert (made == benchmark.songs(500, 3)).all()
    assert (made != benchmark.songs(500, 4)).any()


def test_other_rows_than_the_best_are_noticed():
    vectors = benchmark.songs(300, 1)
    query = benchmark.songs(5, 2)[0]
    rows, scores = benchmark.EmotionIndex(vectors).query(query, benchmark.K)
    benchmark._check("songs", (rows, scores), vectors, query, None)
    with pytest.raises(AssertionError, match="other rows"):
        benchmark._check("songs", (rows[::-1], scores[::-1]), vectors, query, None)
