"""Rows of a table that are equal, found without comparing each with each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_SEED: Final = 2015


@dataclass(frozen=True, eq=False)
class EqualRows:
    """Groups of equal rows, in the order of their first rows.

    Attributes
    ----------
    rows
        Numbers of rows; those of one group stand together and ascend.
    begins, sizes
        Group g has the rows ``rows[begins[g] : begins[g] + sizes[g]]``.
    """

    rows: NDArray[np.intp]
    begins: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @classmethod
    def of(cls, vectors: NDArray[np.floating[Any]], rows: NDArray[np.intp]) -> EqualRows:
        """Group some rows of a table.

        Rows are sorted by a hash that has their number in its low bits. Where two
        hashes meet, a group may come in several parts; rows of one group are always
        equal.

        Parameters
        ----------
        vectors
            Array (n, d), float32 or float64, without NaN in the rows asked for.
        rows
            Which rows to group, ascending, (m,).
        """
        row_bits = np.uint64(max(len(vectors) - 1, 1).bit_length())
        keys = _hashes(vectors)[rows] << row_bits
        keys |= rows.astype(np.uint64)
        keys.sort()
        sorted_rows = (keys & ((np.uint64(1) << row_bits) - np.uint64(1))).astype(np.intp)
        keys >>= row_bits
        first = np.ones(len(keys), dtype=np.bool_)
        alike = np.flatnonzero(keys[1:] == keys[:-1]) + 1
        first[alike] = (vectors[sorted_rows[alike]] != vectors[sorted_rows[alike - 1]]).any(axis=1)
        if first.all():
            return cls(rows, np.arange(len(rows)), np.ones(len(rows), dtype=np.intp))
        begins = np.flatnonzero(first)
        sizes = np.diff(begins, append=len(first))
        by_row = np.argsort(sorted_rows[begins])
        return cls(sorted_rows, begins[by_row], sizes[by_row])

    def first_rows(self) -> NDArray[np.intp]:
        """The first row of each group."""
        return self.rows[self.begins]


def _hashes(vectors: NDArray[np.floating[Any]]) -> NDArray[np.uint64]:
    word = np.dtype(f"u{vectors.dtype.itemsize}")
    generator = np.random.default_rng(_SEED)
    hashes = np.zeros(len(vectors), dtype=np.uint64)
    for column in range(vectors.shape[1]):
        # Adding zero makes -0.0 and 0.0, which are equal, the same bits.
        hashes ^= (vectors[:, column] + vectors.dtype.type(0)).view(word)
        hashes *= np.uint64(2 * generator.integers(2**62) + 1)
        # Short numbers differ in their high bits alone.
        hashes ^= hashes >> np.uint64(32)
    return hashes
