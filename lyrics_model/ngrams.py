"""Hashed character n-grams: the wide part's input, in numpy alone.

A text is taken with one space at each end, so that an n-gram tells the
beginning and end of a word. Each n-gram is hashed by a polynomial over its code
points with a 64-bit mix; the same text gives the same ids on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lyrics_model.specification import NgramSpecification

_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xFF51AFD7ED558CCD)
_SHIFT: Final = np.uint64(33)


def ngram_ids(text: str, specification: NgramSpecification) -> NDArray[np.int64]:
    """Bucket ids in 1..buckets-1, at most ``most`` of them; empty for an empty text."""
    if not text:
        return np.zeros(0, dtype=np.int64)
    codes = np.frombuffer(f" {text} ".encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    parts: list[NDArray[np.uint64]] = []
    with np.errstate(over="ignore"):
        for length in range(specification.shortest, specification.longest + 1):
            count = len(codes) - length + 1
            if count <= 0:
                break
            value = np.full(count, length, dtype=np.uint64)
            for offset in range(length):
                value = value * _BASE + codes[offset : offset + count]
            value ^= value >> _SHIFT
            value *= _MIX
            value ^= value >> _SHIFT
            parts.append(value)
        ids = np.concatenate(parts) % np.uint64(specification.buckets - 1) + np.uint64(1)
    return ids[: specification.most].astype(np.int64)


def ngram_batch(
    ids: Sequence[NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pad id lists to one array.

    Returns
    -------
    ids
        (batch, longest), padded with 0.
    weights
        (batch, longest) float32: 1/sqrt(count) on real n-grams, 0 on padding.
    """
    longest = max((len(row) for row in ids), default=0) or 1
    padded = np.zeros((len(ids), longest), dtype=np.int64)
    weights = np.zeros((len(ids), longest), dtype=np.float32)
    for i, row in enumerate(ids):
        padded[i, : len(row)] = row
        weights[i, : len(row)] = 1.0 / np.sqrt(max(len(row), 1))
    return padded, weights
