"""Groups of equal rows against a dictionary."""

import numpy as np
import pytest

from fusion import equal_rows
from fusion.equal_rows import EqualRows


def groups_of(equal):
    return [
        equal.rows[begin : begin + size].tolist()
        for begin, size in zip(equal.begins, equal.sizes, strict=True)
    ]


def by_dictionary(vectors, rows):
    groups = {}
    for row in rows:
        groups.setdefault(tuple((vectors[row] + 0.0).tolist()), []).append(row)
    return list(groups.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_rows", [0, 1, 2, 500])
def test_agrees_with_a_dictionary(dtype, n_rows):
    generator = np.random.default_rng(1)
    vectors = generator.integers(-1, 2, size=(n_rows, 6)).astype(dtype)
    vectors[vectors == 0] *= generator.choice([-1, 1], size=(vectors == 0).sum())  # -0.0 is 0.0
    rows = np.flatnonzero(generator.random(n_rows) < 0.9)
    equal = EqualRows.of(vectors, rows)
    assert groups_of(equal) == by_dictionary(vectors, rows.tolist())
    assert equal.first_rows().tolist() == [group[0] for group in groups_of(equal)]


def test_different_rows_are_apart():
    vectors = np.random.default_rng(2).random((300, 6))
    assert groups_of(EqualRows.of(vectors, np.arange(300))) == [[row] for row in range(300)]


def test_hashes_that_meet_part_groups_but_never_join_them(monkeypatch):
    monkeypatch.setattr(equal_rows, "_hashes", lambda v: np.zeros(len(v), dtype=np.uint64))
    vectors = np.eye(6)[[0, 1, 1, 0, 0, 2]]
    groups = groups_of(EqualRows.of(vectors, np.arange(6)))
    assert groups == [[0], [1, 2], [3, 4], [5]]
