"""Vectors of songs as a catalogue keeps them: 24 bytes each, read and written in bulk.

A vector is six little-endian float32. In arrays (n, 6) a vector that is absent is
a row of NaN; one that is there and no distribution is damaged, and never absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.taxonomy import N_EMOTIONS

VECTOR_BYTES: Final = 4 * N_EMOTIONS

_ABSENT: Final = np.full(N_EMOTIONS, np.nan, dtype="<f4").tobytes()


@dataclass(frozen=True, eq=False)
class SongVectors:
    """Vectors of songs of a catalogue as arrays.

    Attributes
    ----------
    numbers
        The catalogue's number of each song, int64 (n,).
    lyrics, audio, fused
        Emotion distributions, float32 (n, 6); NaN where there is none, and
        throughout for a stage that was not asked for.
    current
        Whether the fused vector was made by the hash that was asked about, (n,).
    revision
        Of the catalogue when they were read.
    """

    numbers: NDArray[np.int64]
    lyrics: NDArray[np.float32]
    audio: NDArray[np.float32]
    fused: NDArray[np.float32]
    current: NDArray[np.bool_]
    revision: str

    def __len__(self) -> int:
        return len(self.numbers)


def encode(vectors: NDArray[np.floating]) -> bytes:
    """Vectors (n, 6) or (6,) as bytes, ``VECTOR_BYTES`` each."""
    return vectors.astype("<f4", copy=False).tobytes()


def decode(
    blobs: Sequence[bytes | None],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors (n, 6) from stored values, and which of them are damaged, (n,)."""
    n_absent = blobs.count(None)
    filled = [_ABSENT if blob is None else blob for blob in blobs]
    if set(map(len, filled)) - {VECTOR_BYTES}:
        filled = [blob if len(blob) == VECTOR_BYTES else _ABSENT for blob in filled]
    vectors = np.frombuffer(b"".join(filled), dtype="<f4").astype(np.float32)
    vectors = vectors.reshape(-1, N_EMOTIONS)
    damaged = ~are_distributions(vectors)
    if np.count_nonzero(damaged) == n_absent:  # an absent one never passes: these are they
        damaged[:] = False
    else:
        damaged &= np.array([blob is not None for blob in blobs])
    return vectors, damaged


def are_distributions(
    vectors: NDArray[np.float32], *, tolerance: float = 2e-3
) -> NDArray[np.bool_]:
    """Which rows (n,) of vectors (n, 6) are distributions.

    The tolerance of their sum is twice that of ``check_distribution``: what was let in
    stays in, however sums are rounded. NaN and infinity pass no comparison, so that
    they need no test of their own.
    """
    sums = vectors @ np.ones(N_EMOTIONS, dtype=np.float32)
    fits = np.abs(sums - 1.0) <= tolerance
    for emotion in range(N_EMOTIONS):
        fits &= vectors[:, emotion] >= 0.0
    return np.asarray(fits, dtype=np.bool_)
