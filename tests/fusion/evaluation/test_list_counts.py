"""Counts of recommendations, by hand."""

import numpy as np
import pytest

from data_prep.errors import InputError
from fusion.evaluation.list_counts import ListCounts


def test_songs_that_are_recommended_alike():
    counts = ListCounts.of(np.array([[0, 1], [2, 3]]), 4)
    assert (counts.reached, counts.most, counts.coverage) == (4, 1, 1.0)
    assert counts.gini == pytest.approx(0.0)
    assert counts.skewness == 0.0


def test_one_song_in_every_list():
    counts = ListCounts.of(np.zeros((50, 1), dtype=int), 100)
    assert (counts.songs, counts.queries, counts.reached, counts.most) == (100, 50, 1, 50)
    assert counts.gini == pytest.approx(0.99)
    # 99 zeros and a fifty: skewness of a rare event of probability p is (1 - 2p) / sqrt(p (1 - p))
    assert counts.skewness == pytest.approx(0.98 / np.sqrt(0.01 * 0.99))


def test_counts_by_hand():
    counts = ListCounts.of(np.array([[0, 1], [0, 2], [0, 1]]), 4)  # 3, 2, 1, 0
    assert counts.reached == 3
    # rising 0 1 2 3 with weights -3 -1 1 3: 10 / (4 * 6)
    assert counts.gini == pytest.approx(10 / 24)
    assert counts.skewness == pytest.approx(0.0)


@pytest.mark.parametrize("rows", [np.zeros((0, 3), dtype=int), np.array([[4]]), np.array([[-1]])])
def test_rows_of_another_catalogue_are_refused(rows):
    with pytest.raises(InputError, match="0 to 3"):
        ListCounts.of(rows, 4)
