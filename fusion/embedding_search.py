"""Exact nearest recordings by the cosine of long embeddings: what sounds like what.

With hundreds of dimensions no tree helps; every row is read, a block at a time, so
that memory stays small however many there are. A matrix product in float32 finds
the few rows that can be among the best, with a margin wider than its rounding, and
those are scored in float64. Equal rows score equally to the last bit, and equal
scores keep the order of the rows. Embeddings may be float32, or float16, which halves
the file but takes longer to read, and lie in a file that is mapped into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from fusion.index_folder import load_index, save_index

Embeddings = NDArray[np.float16] | NDArray[np.float32]

_KIND: Final = "embedding-index"
_BLOCK_BYTES: Final = 1 << 24
_LENGTHS: Final = (1e-12, 1e12)


class EmbeddingIndex:
    """Embeddings of recordings, ready to be searched by cosine.

    Parameters
    ----------
    embeddings
        Array (n, d), float16 or float32; it is not copied, and may be mapped into
        memory. A row that is not finite or all zero is never returned.

    Raises
    ------
    InputError
        If the array is of another shape or type, or a row is shorter than 1e-12 or
        longer than 1e12.
    """

    def __init__(self, embeddings: Embeddings) -> None:
        if embeddings.ndim != 2 or embeddings.shape[1] == 0:
            raise InputError(f"expected embeddings (n, d), got shape {embeddings.shape}")
        if embeddings.dtype not in (np.float16, np.float32):
            raise InputError(f"expected float16 or float32 embeddings, got {embeddings.dtype}")
        n_rows, n_dimensions = embeddings.shape
        lengths = np.empty(n_rows)
        for rows in _blocks(n_rows, n_dimensions):
            lengths[rows] = _lengths(embeddings[rows])
        shortest, longest = _LENGTHS
        odd = np.flatnonzero((lengths < shortest) | (lengths > longest))
        if len(odd):
            raise InputError(
                f"embedding {odd[0]} has length {lengths[odd[0]]:g}: expected {shortest:g} to "
                f"{longest:g}; scale it"
            )
        self._start(embeddings, lengths)

    def _start(self, embeddings: Embeddings, lengths: NDArray[np.float64]) -> None:
        self._embeddings = embeddings
        self._lengths = lengths
        # A product of d terms in float32 is off by at most d + a few roundings, for
        # vectors of length one.
        self._margin = 2 * (embeddings.shape[1] + 8) * 2.0**-24

    def __len__(self) -> int:
        return len(self._embeddings)

    def query(
        self,
        vector: NDArray[np.floating[Any]],
        k: int,
        mask: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The k rows of largest cosine with a vector, best first.

        Parameters
        ----------
        vector
            Query (d,), finite and not all zero.
        k
            How many, at least 1; fewer come back if there are not so many.
        mask
            Rows that may be returned (n,), all if ``None``.

        Returns
        -------
        Row indices and their cosines, both (min(k, rows),); equal cosines are in
        row order.

        Raises
        ------
        InputError
            If the query does not fit or has no direction, k is below 1, or the mask
            does not fit.
        """
        rows, scores = self._search(np.asarray(vector)[None], k, mask)
        return rows[0], scores[0]

    def query_many(
        self, vectors: NDArray[np.floating[Any]], k: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The k rows of largest cosine with each of many vectors (q, d).

        Returns
        -------
        Row indices and cosines, both (q, min(k, rows)); each row as from
        :meth:`query`, all in one pass over the embeddings.

        Raises
        ------
        InputError
            As :meth:`query`.
        """
        rows, scores = self._search(np.asarray(vectors), k, None)
        shape = (len(rows), len(rows[0]) if rows else 0)
        return np.reshape(rows, shape).astype(np.intp), np.reshape(scores, shape)

    def save(self, folder: Path) -> None:
        """Write the index into a new folder, or in place of an older index.

        Raises
        ------
        InputError
            If the folder cannot be written, or is there and holds something else.
        """
        arrays = {"embeddings": self._embeddings, "lengths": self._lengths}
        save_index(folder, _KIND, {}, arrays)

    @classmethod
    def load(cls, folder: Path, *, verify: bool = True) -> Self:
        """Map a saved index into memory.

        Parameters
        ----------
        folder
            As given to :meth:`save`.
        verify
            Compare every file with its checksum, which reads them all once. Without
            it only sizes are compared.

        Raises
        ------
        IndexFolderError
            If it is no index of embeddings, incomplete, damaged, or of another
            version.
        """
        _, arrays = load_index(folder, _KIND, verify=verify)
        index = cls.__new__(cls)
        index._start(arrays["embeddings"], arrays["lengths"])
        return index

    def _search(
        self, vectors: NDArray[np.floating[Any]], k: int, mask: NDArray[np.bool_] | None
    ) -> tuple[list[NDArray[np.intp]], list[NDArray[np.float64]]]:
        n_dimensions = self._embeddings.shape[1]
        if vectors.ndim != 2 or vectors.shape[1] != n_dimensions:
            raise InputError(f"expected queries (q, {n_dimensions}), got shape {vectors.shape}")
        if k < 1:
            raise InputError(f"k = {k}: expected at least 1")
        if mask is not None and (mask.shape != (len(self),) or mask.dtype != np.bool_):
            raise InputError(
                f"mask of shape {mask.shape} and type {mask.dtype} for {len(self)} rows: "
                f"expected ({len(self)},) and bool"
            )
        queries = vectors.astype(np.float64)
        lengths = _lengths(queries)
        if np.isnan(lengths).any():
            number = int(np.argmax(np.isnan(lengths)))
            raise InputError(f"query {number} is not finite or all zero: expected a direction")
        queries /= lengths[:, None]
        shortlists = [_Shortlist(k, self._margin) for _ in queries]
        allowed = None if mask is None else np.flatnonzero(mask)
        single = queries.astype(np.float32)
        for part in _blocks(len(self) if allowed is None else len(allowed), n_dimensions):
            # A slice is read where it lies; chosen rows are copied.
            rows = part if allowed is None else allowed[part]
            block = self._embeddings[rows].astype(np.float32, copy=False)
            with np.errstate(invalid="ignore", over="ignore"):
                scores = (single @ block.T) / self._lengths[rows].astype(np.float32)
            numbers = np.arange(part.start, part.stop) if allowed is None else allowed[part]
            for shortlist, of_query in zip(shortlists, scores, strict=True):
                shortlist.add(numbers, of_query)
        found = [
            self._best(query, shortlist.rows(), k)
            for query, shortlist in zip(queries, shortlists, strict=True)
        ]
        return [rows for rows, _ in found], [scores for _, scores in found]

    def _best(
        self, query: NDArray[np.float64], rows: NDArray[np.intp], k: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        scores = np.empty(len(rows))
        for part in _blocks(len(rows), 2 * len(query)):
            products = self._embeddings[rows[part]].astype(np.float64)
            products *= query
            scores[part] = products.sum(axis=1) / self._lengths[rows[part]]
        order = np.lexsort((rows, -scores))[:k]
        return rows[order], scores[order]


class _Shortlist:
    """Rows that may be among the k best of one query, by scores that are off by half a margin."""

    def __init__(self, k: int, margin: float) -> None:
        self._k = k
        self._margin = margin
        self._rows = np.empty(0, dtype=np.intp)
        self._scores = np.empty(0, dtype=np.float32)
        self._limit = -np.inf

    def add(self, rows: NDArray[np.intp], scores: NDArray[np.float32]) -> None:
        """Take what may be among the best; NaN never is."""
        new = np.flatnonzero(scores >= self._limit)
        self._rows = np.append(self._rows, rows[new])
        self._scores = np.append(self._scores, scores[new])
        if len(self._scores) > self._k:
            at = len(self._scores) - self._k
            self._limit = float(np.partition(self._scores, at)[at]) - self._margin
            kept = self._scores >= self._limit
            self._rows, self._scores = self._rows[kept], self._scores[kept]

    def rows(self) -> NDArray[np.intp]:
        """The rows, ascending."""
        return self._rows


def cosines(
    query: NDArray[np.floating[Any]], embeddings: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Cosine of a query (d,) with each embedding (n, d), as the search scores it.

    Returns
    -------
    Array (n,); NaN where an embedding has no direction.
    """
    wanted = np.asarray(query, dtype=np.float64)
    wanted = wanted / _lengths(wanted[None])[0]
    products = np.asarray(embeddings).astype(np.float64, order="C")
    lengths = _lengths(products)
    with np.errstate(invalid="ignore"):
        products *= wanted
        result: NDArray[np.float64] = products.sum(axis=1) / lengths
    return result


def _lengths(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Lengths (n,) of rows (n, d); NaN where a row is not finite or all zero."""
    squares = np.asarray(vectors).astype(np.float64, order="C")
    with np.errstate(over="ignore", invalid="ignore"):
        squares *= squares
        lengths = np.sqrt(squares.sum(axis=1))
    return np.where(np.isfinite(lengths) & (lengths > 0), lengths, np.nan)


def _blocks(n_rows: int, n_dimensions: int) -> Iterator[slice]:
    step = max(1, _BLOCK_BYTES // (4 * n_dimensions))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
