import numpy as np
import pytest

from data_prep.labels import six_label, six_labels
from data_prep.taxonomy import emotion_index, native_label_set


def shares(label_set: str, **values: float) -> np.ndarray:
    labels = native_label_set(label_set)
    array = np.zeros(len(labels.labels), np.float32)
    for label, value in values.items():
        array[labels.index(label)] = value
    return array


def test_sums_decide_not_single_shares() -> None:
    row = shares("goemotions", anger=0.5, joy=0.3, love=0.3)
    assert six_label(row, "goemotions") == emotion_index("joy")


def test_ties_and_unmapped_rows_have_no_label() -> None:
    assert six_label(shares("goemotions", anger=1, joy=1), "goemotions") is None
    assert six_label(shares("emotify", power=1), "emotify") is None
    assert six_label(shares("quadrants", Q2=1), "quadrants") is None  # tension or anger
    tie = shares("kote", 슬픔=0.2, 절망=0.4)
    tie[native_label_set("kote").index("화남/분노")] = 0.6
    assert six_label(tie, "kote") is None  # 0.2 + 0.4 and 0.6 differ in float32 only


def test_many_rows() -> None:
    rows = np.stack(
        [
            shares("ravdess_song", sad=1),
            shares("ravdess_song", fearful=1),
            shares("ravdess_song", calm=1, angry=1),
        ]
    )
    assert six_labels(rows, "ravdess_song").tolist() == [3, 1, -1]


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows(n: int) -> None:
    assert six_labels(np.ones((n, 7)), "aihub_single_7").shape == (n,)
