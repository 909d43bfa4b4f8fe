"""Ranges of stored mels: told apart, by hand; converted to dB."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.left_out import UnusableSongError
from data_prep.mel_values import RANGES, DecidedRange, decide, extremes, to_decibels


def songs(smallest: float, largest: float, n: int = 8) -> list[tuple[float, float]]:
    return [(smallest, largest - k * (largest - smallest) / 100) for k in range(n)]


@pytest.mark.parametrize(
    ("smallest", "largest", "expected"),
    [
        (-100, 10, "db"),
        (-100, -35, "db"),
        (-80, 0, "db"),
        (-200, 25, "db"),
        (0, 110, "shifted"),
        (0, 65, "shifted"),
        (15, 125, "shifted"),
        (0.27, 1.37, "scaled"),
        (0.27, 0.9, "scaled"),
    ],
)
def test_ranges_are_told_apart(smallest, largest, expected):
    decided = decide(songs(smallest, largest))
    assert decided.range.name == expected
    assert (decided.n_songs, decided.n_fitting) == (8, 8)
    fitting = [name for name, one in RANGES.items() if one.fits(smallest, largest)]
    assert fitting == [expected]


def test_a_few_odd_songs_do_not_change_the_decision():
    decided = decide(songs(-100, 10, 6) + songs(0, 100, 2))
    assert decided.range.name == "db"
    assert decided.n_fitting == 6
    assert decided.sentence() == (
        "the values are dB: 6 of the first 8 songs fit, typically -100 to 8.35"
    )


@pytest.mark.parametrize(
    "found",
    [
        songs(0, 255),
        songs(-8, 9),
        songs(-3, 3),
        songs(0, 1),
        songs(-1, 1),
        songs(-1e4, 1e4),
        songs(0, 1e-3) + songs(-100, 10),
        songs(-100, 10) + songs(0, 100),
    ],
)
def test_what_is_neither_is_refused(found):
    with pytest.raises(InputError, match=r"neither dB, dB \+ 100 nor .* --values db, shifted or"):
        decide(found)


def test_nothing_to_decide_from():
    with pytest.raises(InputError, match="no usable song"):
        decide([])


def test_what_was_given_is_said():
    assert DecidedRange(RANGES["scaled"]).sentence() == (
        "the values are read as (dB + 127) / 100, as asked for"
    )


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("db", [-100.0, -27.0, 10.0]),
        ("shifted", [0.0, 73.0, 110.0]),
        ("scaled", [0.27, 1.0, 1.37]),
    ],
)
def test_conversion_by_hand(name, stored):
    found = to_decibels(np.array([stored]), RANGES[name])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[-100.0, -27.0, 10.0]], atol=1e-4)


@pytest.mark.parametrize(
    ("mel", "reason", "error"),
    [
        ([[-50.0, np.nan], [-40.0, 0.0]], "not finite", "1 of its 4 values are not finite"),
        ([[-50.0, np.inf], [-np.inf, 0.0]], "not finite", "2 of its 4 values"),
        ([[-100.0, -100.0]], "silence", "it is silent: every value is -100"),
        ([[-100.0, -99.9]], "silence", "differ by less than 0.5 dB"),
        ([[0.0, 110.0]], "value range", "from 0 to 110 do not fit dB: expected the smallest"),
        ([[-100.0, 1e6]], "value range", "-90 to 60"),
    ],
)
def test_songs_that_cannot_be_used(mel, reason, error):
    with pytest.raises(UnusableSongError, match=error) as caught:
        to_decibels(np.array(mel), RANGES["db"])
    assert caught.value.reason == reason


def test_extremes():
    assert extremes(np.array([[3.0, -4.0], [0.5, 2.0]])) == (-4.0, 3.0)
