"""What the numbers of a stored log-mel spectrogram mean: decibels, or decibels shifted or scaled.

The Kakao Arena set states neither; its users treat it as dB, as dB to which 100
was added, or as ``(dB + 127) / 100``. The three do not overlap, since Essentia's
decibels end at -100: a recording's smallest value in dB lies far below zero, shifted it
lies about zero with a largest value of tens, scaled everything lies between 0.27 and
about 1.5. Standardised values, and such from 0 to 1, are none of them. One recording is
put into a range by its smallest and largest value (:data:`RANGES`); a set has the range
that at least three quarters of its first recordings fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.left_out import UnusableSongError

RangeName = Literal["db", "shifted", "scaled"]

DECIDED_OVER: Final = 64
"""Recordings that the range of a set is decided from."""
_LEAST_SHARE: Final = 0.75
_SILENT_DB: Final = 0.5  # a recording whose values differ by less has nothing in it


@dataclass(frozen=True)
class ValueRange:
    """One meaning of the numbers: ``dB = value * scale + shift``.

    Attributes
    ----------
    name, meaning
        For options, and for sentences.
    smallest, largest
        Lowest and highest that a recording's smallest, and its largest, value may be.
    scale, shift
        To decibels.
    """

    name: RangeName
    meaning: str
    smallest: tuple[float, float]
    largest: tuple[float, float]
    scale: float
    shift: float

    def fits(self, smallest: float, largest: float) -> bool:
        """Whether a recording with these extremes has this range."""
        return (
            self.smallest[0] <= smallest <= self.smallest[1]
            and self.largest[0] <= largest <= self.largest[1]
        )


RANGES: Final[dict[RangeName, ValueRange]] = {
    "db": ValueRange("db", "dB", (-250.0, -10.0), (-90.0, 60.0), 1.0, 0.0),
    "shifted": ValueRange("shifted", "dB + 100", (-9.9, 100.0), (15.0, 160.0), 1.0, -100.0),
    "scaled": ValueRange("scaled", "(dB + 127) / 100", (0.1, 2.0), (0.3, 2.5), 100.0, -127.0),
}
"""Every range of a set, by name. A loud sine has some +25 dB in our settings, silence -100."""
OWN_DB: Final = ValueRange("db", "dB", (-250.0, 60.0), (-250.0, 60.0), 1.0, 0.0)
"""What is known to be in dB."""


@dataclass(frozen=True)
class DecidedRange:
    """A set's range, and what it was decided from.

    Attributes
    ----------
    range
        The range.
    by_store
        Whether it is that of the store.
    n_songs, n_fitting
        Recordings looked at, and those of them in the range; 0 if it was given.
    smallest, largest
        Medians of the recordings' smallest and largest values; ``None`` if it was given.
    """

    range: ValueRange
    by_store: bool = False
    n_songs: int = 0
    n_fitting: int = 0
    smallest: float | None = None
    largest: float | None = None

    def sentence(self) -> str:
        """For the user."""
        if self.by_store:
            return f"the values are read as {self.range.meaning}, as when the store was made"
        if not self.n_songs:
            return f"the values are read as {self.range.meaning}, as asked for"
        return (
            f"the values are {self.range.meaning}: {self.n_fitting} of the first {self.n_songs} "
            f"songs fit, typically {self.smallest:.4g} to {self.largest:.4g}"
        )

    def to_json(self) -> dict[str, Any]:
        """For the store, and for ``--json``."""
        return {
            "range": self.range.name,
            "meaning": self.range.meaning,
            "songs": self.n_songs,
            "fitting": self.n_fitting,
            "smallest": self.smallest,
            "largest": self.largest,
        }


def extremes(mel: NDArray[np.floating]) -> tuple[float, float]:
    """Smallest and largest value of a spectrogram in numbers as they are stored.

    Raises
    ------
    UnusableSongError
        If a value is not a finite number, or all are the same.
    """
    smallest, largest = float(mel.min()), float(mel.max())
    # a NaN anywhere makes both extremes NaN, an infinity is one of them
    if not (np.isfinite(smallest) and np.isfinite(largest)):
        n_bad = int(mel.size - np.isfinite(mel).sum())
        raise UnusableSongError(
            "not finite", f"{n_bad:,} of its {mel.size:,} values are not finite numbers"
        )
    if smallest == largest:
        raise UnusableSongError("silence", f"it is silent: every value is {smallest:g}")
    return smallest, largest


def decide(songs: Iterable[tuple[float, float]]) -> DecidedRange:
    """The range of a set, from the :func:`extremes` of some of its recordings.

    Raises
    ------
    InputError
        If no range fits three quarters of them, or there are none.
    """
    found = list(songs)
    if not found:
        raise InputError("there is no usable song to tell the range of the values from")
    smallest, largest = (float(np.median(values)) for values in zip(*found, strict=True))
    fitting = {
        name: sum(candidate.fits(*song) for song in found) for name, candidate in RANGES.items()
    }
    best = max(fitting, key=lambda name: fitting[name])
    if fitting[best] < _LEAST_SHARE * len(found):
        counts = ", ".join(
            f"{fitting[name]} as {candidate.meaning}" for name, candidate in RANGES.items()
        )
        raise InputError(
            f"the values are neither dB, dB + 100 nor (dB + 127) / 100: the first {len(found)} "
            f"songs typically go from {smallest:.4g} to {largest:.4g} ({counts}); if you know "
            "what they are, say so by --values db, shifted or scaled"
        )
    return DecidedRange(RANGES[best], False, len(found), fitting[best], smallest, largest)


def to_decibels(mel: NDArray[np.floating], values: ValueRange) -> NDArray[np.float32]:
    """A spectrogram in dB.

    Parameters
    ----------
    mel
        Array of any shape, in ``values``.

    Raises
    ------
    UnusableSongError
        As :func:`extremes`; or if its values do not fit the range, or hardly differ.
    """
    smallest, largest = extremes(mel)
    if (largest - smallest) * values.scale < _SILENT_DB:
        raise UnusableSongError(
            "silence", f"it is silent: its values differ by less than {_SILENT_DB} dB"
        )
    if not values.fits(smallest, largest):
        raise UnusableSongError(
            "value range",
            f"its values from {smallest:.4g} to {largest:.4g} do not fit {values.meaning}: "
            f"expected the smallest within {values.smallest[0]:g} to {values.smallest[1]:g}, "
            f"the largest within {values.largest[0]:g} to {values.largest[1]:g}",
        )
    single = mel.astype(np.float32, copy=False)
    if values.scale == 1.0 and values.shift == 0.0:
        return single
    decibels: NDArray[np.float32] = single * np.float32(values.scale) + np.float32(values.shift)
    return decibels
