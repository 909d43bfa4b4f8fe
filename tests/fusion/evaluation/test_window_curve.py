"""Accuracy over the windows heard, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.evaluation.audio_scores import MainMeasure
from fusion.evaluation.emotion_classes import EmotionClasses
from fusion.evaluation.window_curve import curve_lines, evenly_spaced, window_curve

QUADRANTS = EmotionClasses.of("quadrants")


@pytest.mark.parametrize(
    ("n", "count", "expected"),
    [
        (1, 1, [0]),
        (7, 1, [3]),
        (8, 1, [4]),
        (8, 2, [2, 6]),
        (7, 4, [0, 2, 4, 6]),
        (3, 4, [0, 1, 2]),
        (3, None, [0, 1, 2]),
        (24, 8, [1, 4, 7, 10, 13, 16, 19, 22]),
    ],
)
def test_windows_are_evenly_spaced(n: int, count: int | None, expected: list[int]) -> None:
    assert evenly_spaced(n, count).tolist() == expected


def test_a_curve_by_hand() -> None:
    q1, q2 = np.eye(4, dtype=np.float32)[:2]
    long = np.stack([q1, q1, q2])  # its middle window alone is right, and so are all three
    late = np.stack(
        [0.4 * q1 + 0.6 * q2, q2, q1]
    )  # the middle one misleads; the mean is Q2, 1.6:1.4
    short = q2[None]
    measure = MainMeasure.of(QUADRANTS, np.stack([q1, q1, q2]))
    assert measure is not None
    curve = window_curve({"toy": (measure, [long, late, short])}, resamples=20)
    assert curve is not None
    assert curve.counts == (1, 2, None)
    assert curve.heard == pytest.approx((1, 5 / 3, 7 / 3))
    # two windows are the first and the last: Q1 against Q2 ties (Q1 first), 1.4 Q1 against 0.6
    assert curve.values["toy"] == pytest.approx((2 / 3, 1.0, 2 / 3))
    content = curve.to_json()
    assert content["counts"] == [1, 2, "all"]
    lines = curve_lines(content)
    assert lines[2] == "| windows | heard, mean | toy |"
    assert lines[4].startswith("| 1 | 1.0 | 0.667 (")
    assert lines[6].startswith("| all | 2.3 | 0.667 (")


def test_no_curve_of_single_windows() -> None:
    q1 = np.eye(4, dtype=np.float32)[:1]
    measure = MainMeasure.of(QUADRANTS, q1)
    assert measure is not None
    assert window_curve({"toy": (measure, [q1])}) is None
    assert window_curve({}) is None
