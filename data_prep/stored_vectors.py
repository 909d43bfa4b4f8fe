"""Vectors of songs as a catalogue keeps them: 24 bytes each.

A vector is six little-endian float32. In arrays (n, 6) a vector that is absent is
a row of NaN; one that is there and no distribution is damaged, and never absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.taxonomy import N_EMOTIONS

VECTOR_BYTES: Final = 4 * N_EMOTIONS
TOLERANCE: Final = 1e-3  # of a sum; that of check_distribution, which names what fails

_ABSENT: Final = np.full(N_EMOTIONS, np.nan, dtype="<f4").tobytes()


def encode(vectors: NDArray[np.floating]) -> bytes:
    """Vectors (n, 6) or (6,) as bytes, ``VECTOR_BYTES`` each."""
    return vectors.astype("<f4", copy=False).tobytes()


def decode(
    blobs: Sequence[Any],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors (n, 6) from stored values, and which of them are damaged, (n,).

    SQLite keeps any kind of value in any column: what is no bytes is damaged as well.
    """
    filled: list[Any] = [_ABSENT if blob is None else blob for blob in blobs]
    if set(map(type, filled)) != {bytes} or set(map(len, filled)) != {VECTOR_BYTES}:
        filled = [b if isinstance(b, bytes) and len(b) == VECTOR_BYTES else _ABSENT for b in filled]
    vectors = np.frombuffer(b"".join(filled), dtype="<f4").astype(np.float32)
    vectors = vectors.reshape(-1, N_EMOTIONS)
    damaged = ~are_distributions(vectors)
    if np.count_nonzero(damaged) == blobs.count(None):  # an absent one never passes: these are they
        damaged[:] = False
    else:
        damaged &= np.array([blob is not None for blob in blobs])
    return vectors, damaged


def are_distributions(
    vectors: NDArray[np.float32], *, tolerance: float = 2 * TOLERANCE
) -> NDArray[np.bool_]:
    """Which rows (n,) of vectors (n, 6) are distributions.

    Their sum may be off by twice what is let in, so that what was let in stays in,
    however sums are rounded. NaN and infinity pass no comparison, so that
    they need no test of their own.
    """
    sums = vectors @ np.ones(N_EMOTIONS, dtype=np.float32)
    fits = np.abs(sums - 1.0) <= tolerance
    for emotion in range(N_EMOTIONS):
        fits &= vectors[:, emotion] >= 0.0
    return np.asarray(fits, dtype=np.bool_)
