"""Similarity of two emotion vectors, by name.

Every measure is a pure function of a query and songs; a higher score is nearer,
and a song that the measure cannot place (all zero, not finite, or negative where
a distribution is needed) scores NaN. All arithmetic is elementwise in float64 and
sums run over the emotions in their order, so that equal songs score equally to the
last bit, wherever they stand and however many are scored at once.

The measures, with p and q the vectors:

- ``cosine``: ``Σpq / (|p|·|q|)``.
- ``weighted-cosine``: the same with the song's strongest emotion (the first of
  equals) counted twice, as published for the lyric-sentiment study.
- ``hellinger``: ``1 - √(1 - Σ√(pq))`` of the two as distributions.
- ``jensen-shannon``: ``1 - √JS`` of the two as distributions, JS in bits (Lin 1991,
  "Divergence measures based on the Shannon entropy").
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS

SimilarityName = Literal["cosine", "weighted-cosine", "jensen-shannon", "hellinger"]

Vectors: TypeAlias = NDArray[np.floating[Any]]
Similarity: TypeAlias = Callable[[Vectors, Vectors], NDArray[np.float64]]

STRONGEST_WEIGHT: Final = 2.0
"""Weight of a song's strongest emotion in the weighted cosine; 1 for the others."""


def cosine(query: Vectors, songs: Vectors) -> NDArray[np.float64]:
    """Cosine of the angle between a query and each song, -1 to 1.

    Parameters
    ----------
    query
        Array (6,), or one query for each song, (n, 6).
    songs
        Array (n, 6).

    Returns
    -------
    Array (n,).
    """
    return _dot(unit(query), unit(songs))


def weighted_cosine(query: Vectors, songs: Vectors) -> NDArray[np.float64]:
    """Cosine in which each song's strongest emotion counts twice; see :func:`cosine`.

    With w the weights of a song: ``Σwqs / √(Σwqq · Σwss)``.
    """
    q, s = np.asarray(query, np.float64), np.asarray(songs, np.float64)
    weights = strongest_weights(strongest(s))
    with np.errstate(all="ignore"):
        length = np.sqrt(_dot(weights * q, q)) * np.sqrt(_dot(weights * s, s))
        usable = np.isfinite(length) & (length > 0)
        return _dot(weights * q, s) / np.where(usable, length, np.nan)


def hellinger(query: Vectors, songs: Vectors) -> NDArray[np.float64]:
    """One less the Hellinger distance of two distributions, 0 to 1; see :func:`cosine`.

    Vectors need not sum to one: each is divided by its sum.
    """
    common = _dot(unit(square_roots(query)), unit(square_roots(songs)))
    return 1.0 - np.sqrt(np.maximum(1.0 - common, 0.0))


def jensen_shannon(query: Vectors, songs: Vectors) -> NDArray[np.float64]:
    """One less the Jensen-Shannon distance (base 2) of two distributions, 0 to 1.

    Vectors need not sum to one: each is divided by its sum. See :func:`cosine`.
    """
    p, q = _distribution(query), _distribution(songs)
    middle = 0.5 * (p + q)
    divergence = 0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle))
    return 1.0 - np.sqrt(np.maximum(divergence, 0.0))


SIMILARITIES: Final = MappingProxyType[SimilarityName, Similarity](
    {
        "cosine": cosine,
        "weighted-cosine": weighted_cosine,
        "jensen-shannon": jensen_shannon,
        "hellinger": hellinger,
    }
)


def similarity(name: str) -> tuple[SimilarityName, Similarity]:
    """A measure by its name.

    Raises
    ------
    InputError
        If there is no such measure.
    """
    for known in get_args(SimilarityName):
        if name == known:
            return known, SIMILARITIES[known]
    names = ", ".join(get_args(SimilarityName))
    raise InputError(f"similarity {name!r}: expected one of {names}")


def unit(vectors: Vectors) -> NDArray[np.float64]:
    """Vectors (..., 6) at length one; NaN where a vector has no direction."""
    array = np.asarray(vectors, dtype=np.float64)
    with np.errstate(all="ignore"):
        length = np.sqrt(_dot(array, array))
        # Zero, infinity and NaN alone are NaN when taken from themselves and divided.
        length += (length - length) / length
        return array / length[..., None]


def square_roots(vectors: Vectors) -> NDArray[np.float64]:
    """Square root of every number (..., 6); NaN where one is negative."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.asarray(vectors, dtype=np.float64))


def strongest(vectors: Vectors) -> NDArray[np.intp]:
    """Index of the strongest emotion (...,), the first of equals."""
    best: NDArray[np.intp] = np.asarray(vectors).argmax(axis=-1)
    return best


def strongest_weights(emotions: NDArray[np.intp]) -> NDArray[np.float64]:
    """Weights (..., 6) of the weighted cosine for songs with these strongest emotions (...,)."""
    return np.where(np.arange(N_EMOTIONS) == emotions[..., None], STRONGEST_WEIGHT, 1.0)


def _distribution(vectors: Vectors) -> NDArray[np.float64]:
    array = np.asarray(vectors, dtype=np.float64)
    with np.errstate(all="ignore"):
        total = _dot(array, np.ones(N_EMOTIONS))
        usable = np.isfinite(total) & (total > 0) & (array >= 0).all(axis=-1)
        return array / np.where(usable, total, np.nan)[..., None]


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ p·log2(p / q) over the last axis; nothing is added where p is zero."""
    with np.errstate(all="ignore"):
        terms = np.where(p == 0, 0.0, p * np.log2(p / q))
    return _dot(terms, np.ones(N_EMOTIONS))


def _dot(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    # A matrix product may round equal rows differently by their position; sums of
    # columns do not, so equal songs tie exactly.
    joy, tension, calm, sadness, anger, neutral = (first * second).T
    total: NDArray[np.float64] = joy + tension + calm + sadness + anger + neutral
    return total
