"""Nearly nearest recordings by a graph of neighbours, where an exact scan takes too long.

The graph (HNSW; Malkov and Yashunin 2018, arXiv 1603.09320) is that of FAISS, from
the extra ``approximate``. It proposes rows, which are scored as the exact search
scores them, so that both give the same scores and the same order; only some rows
may be missing. :mod:`fusion.embedding_search` is exact.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError, MissingExtraError
from fusion.embedding_search import Embeddings, cosines

LINKS: Final = 32
"""Neighbours of each row in the graph."""

BUILD_EFFORT: Final = 200
SEARCH_EFFORT: Final = 200
"""Rows that are looked at while one is added, and in a search; more find more, more slowly."""


class ApproximateIndex:
    """Embeddings of recordings in a graph of neighbours.

    Parameters
    ----------
    embeddings
        Array (n, d), float16 or float32; it is not copied. A row that is not finite
        or all zero is never returned.

    Raises
    ------
    InputError
        If the array is not (n, d).
    MissingExtraError
        If FAISS is not installed.
    """

    def __init__(self, embeddings: Embeddings) -> None:
        if embeddings.ndim != 2 or embeddings.shape[1] == 0:
            raise InputError(f"expected embeddings (n, d), got shape {embeddings.shape}")
        try:
            import faiss
        except ImportError as error:
            raise MissingExtraError("approximate search", "approximate") from error
        array = np.asarray(embeddings, dtype=np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            unit = array / np.linalg.norm(array, axis=1, keepdims=True)
        self._embeddings = embeddings
        self._rows = np.flatnonzero(np.isfinite(unit).all(axis=1))
        self._faiss: Any = faiss
        self._graph: Any = faiss.IndexHNSWFlat(unit.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        self._graph.hnsw.efConstruction = BUILD_EFFORT
        self._graph.add(unit[self._rows])

    def __len__(self) -> int:
        return len(self._embeddings)

    def query(
        self,
        vector: NDArray[np.floating[Any]],
        k: int,
        mask: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Nearly the k rows of largest cosine with a vector, best first.

        Parameters
        ----------
        vector
            Query (d,), finite and not all zero.
        k
            How many, at least 1.
        mask
            Rows that may be returned (n,), all if ``None``.

        Returns
        -------
        Row indices and their cosines, at most k; equal cosines are in row order.

        Raises
        ------
        InputError
            If the query does not fit or has no direction, k is below 1, or the mask
            does not fit.
        """
        query = np.asarray(vector, dtype=np.float32)
        length = float(np.linalg.norm(query))
        if query.shape != self._embeddings.shape[1:] or not np.isfinite(length) or length == 0:
            raise InputError(
                f"expected a query of {self._embeddings.shape[1]} finite numbers, not all zero, "
                f"got shape {query.shape} and length {length:g}"
            )
        if k < 1:
            raise InputError(f"k = {k}: expected at least 1")
        options: dict[str, Any] = {"efSearch": max(SEARCH_EFFORT, 2 * k)}
        if mask is not None:
            if mask.shape != (len(self),) or mask.dtype != np.bool_:
                raise InputError(
                    f"mask of shape {mask.shape} and type {mask.dtype} for {len(self)} rows: "
                    f"expected ({len(self)},) and bool"
                )
            bits = np.packbits(mask[self._rows], bitorder="little")
            options["sel"] = self._faiss.IDSelectorBitmap(bits)
        chosen = self._faiss.SearchParametersHNSW(**options)
        _, proposed = self._graph.search(query[None] / np.float32(length), k, params=chosen)
        rows = self._rows[proposed[0][proposed[0] >= 0]]
        scores = cosines(vector, self._embeddings[rows])
        order = np.lexsort((rows, -scores))
        return rows[order], scores[order]
