"""Emotions of a catalogue relative to each other: quantiles of songs mapped to those of moods.

A branch that is timid, or that says one emotion of nearly every song, leaves a catalogue in a
corner of the space that moods never ask for: the same few songs are found again and again.
Histogram matching stretches the catalogue over the moods: of each emotion, the song at the
q-th quantile of all songs gets what the mood at the q-th quantile of everyday moods has.

The log-ratio of an emotion is the logarithm of its probability less the mean of all six
(Aitchison 1982), so that six maps, one for each emotion, make a distribution again. Each map
rises, but what six maps give is centred once more: the order of songs by one emotion stays
nearly, and not quite, as it was. What a song then says is relative to its catalogue: "sadder
than nine of ten", not "sad".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS

N_KNOTS: Final = 41
"""Quantiles that are kept, evenly spaced."""

LEAST: Final = 20
"""Songs, and moods, below which quantiles say nothing."""

_SMALLEST: Final = 1e-6
_LARGEST: Final = 20.0  # of a log-ratio

Answers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class QuantileMap:
    """Maps distributions of songs to where moods are.

    Attributes
    ----------
    songs, moods
        Six tuples: log-ratios at evenly spaced quantiles, from the lowest to the highest, as
        many of the songs as of the moods.
    """

    songs: tuple[tuple[float, ...], ...]
    moods: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        lengths: set[int] = set()
        for name in ("songs", "moods"):
            try:
                rows = tuple(tuple(float(v) for v in row) for row in getattr(self, name))
            except (TypeError, ValueError) as error:
                raise InputError(f"quantiles of {name}: expected rows of numbers") from error
            lengths.update(len(row) for row in rows)
            falls = any((np.diff(row) < 0).any() for row in rows)
            inside = all(abs(v) <= _LARGEST for row in rows for v in row)
            if len(rows) != N_EMOTIONS or falls or not inside:
                raise InputError(
                    f"quantiles of {name}: expected a row of rising log-ratios, from "
                    f"{-_LARGEST:g} to {_LARGEST:g}, for each of {', '.join(EMOTIONS)}"
                )
            object.__setattr__(self, name, rows)
        if len(lengths) != 1 or min(lengths) < 2:
            raise InputError(f"quantiles: expected rows of one length, 2 or more, got {lengths}")

    @classmethod
    def fit(cls, songs: Answers, moods: Answers, *, n_knots: int = N_KNOTS) -> Self:
        """From the answers to a catalogue's songs and to moods, both (n, 6); NaN is left out.

        Raises
        ------
        InputError
            If there are fewer than :data:`LEAST` of either.
        """
        places = np.linspace(0.0, 1.0, n_knots)
        found = []
        for name, answers in (("songs", songs), ("moods", moods)):
            rows = np.asarray(answers, dtype=np.float64)
            rows = rows[np.isfinite(rows).all(axis=1)]
            if len(rows) < LEAST:
                raise InputError(f"{len(rows)} {name}: their quantiles need at least {LEAST}")
            knots = np.quantile(log_ratios(rows), places, axis=0)  # (n_knots, 6)
            found.append(tuple(map(tuple, knots.T.tolist())))
        return cls(*found)

    def __call__(self, answers: Answers) -> NDArray[np.float64]:
        """Distributions of songs (n, 6) among the moods: (n, 6); NaN stays.

        Beyond the lowest and the highest song a log-ratio rises by as much as before.
        """
        ratios = log_ratios(np.asarray(answers, dtype=np.float64))
        mapped = np.empty_like(ratios)
        for emotion in range(N_EMOTIONS):
            own, wanted = np.array(self.songs[emotion]), np.array(self.moods[emotion])
            inside = np.clip(ratios[:, emotion], own[0], own[-1])
            mapped[:, emotion] = np.interp(inside, own, wanted) + ratios[:, emotion] - inside
        powers = np.exp(mapped - mapped.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return shares


def log_ratios(distributions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred log-ratios (n, 6), rows summing to zero; probabilities from 1e-6 on."""
    logs = np.log(np.maximum(distributions, _SMALLEST))
    ratios: NDArray[np.float64] = logs - logs.mean(axis=1, keepdims=True)
    return ratios
