"""Exact nearest songs by cosine over the six emotions.

Under ``TREE_FROM`` rows every row is compared; above, a KD-tree on the unit
sphere finds the candidates, since for unit vectors ``|a - b|² = 2 - 2·cos``.
Both give the same answer: scores are computed by the same elementwise
arithmetic, and equal scores keep the order of the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

TREE_FROM: Final = 50_000

# Squared distance added to the k-th neighbour's, so that every row whose cosine
# ties with it within rounding is a candidate.
_TIE_MARGIN: Final = 1e-12


class EmotionIndex:
    """Vectors of songs, ready to be searched.

    Parameters
    ----------
    vectors
        Array (n, 6), not necessarily distributions. A row that is not finite or
        all zero has no direction and is never returned.
    tree_from
        Number of rows from which the tree is used.

    Raises
    ------
    InputError
        If the array is not (n, 6).
    """

    def __init__(self, vectors: NDArray[np.floating[Any]], *, tree_from: int = TREE_FROM) -> None:
        array = np.asarray(vectors, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != N_EMOTIONS:
            raise InputError(f"expected emotion vectors (n, 6), got shape {array.shape}")
        norms = np.sqrt((array * array).sum(axis=1))
        usable = np.isfinite(norms) & (norms > 0)
        unit = np.divide(array, norms[:, None], out=np.zeros_like(array), where=usable[:, None])
        self._columns = np.ascontiguousarray(unit.T)  # (6, n)
        self._usable = usable
        self._tree_from = tree_from
        self._tree: cKDTree | None = None
        self._tree_rows: NDArray[np.intp] = np.empty(0, dtype=np.intp)

    def __len__(self) -> int:
        return int(self._columns.shape[1])

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
            Query (6,), finite and not all zero.
        k
            How many, at least 1; fewer come back if there are not so many.
        mask
            Rows that may be returned (n,), all if ``None``.

        Returns
        -------
        Row indices and their cosines, both (min(k, rows),); equal cosines are
        in row order.

        Raises
        ------
        InputError
            If the query has no direction, k is below 1, or the mask does not fit.
        """
        query = self._unit_query(vector)
        if k < 1:
            raise InputError(f"k = {k}: expected at least 1")
        allowed = self._usable
        if mask is not None:
            if mask.shape != allowed.shape:
                raise InputError(f"mask of shape {mask.shape} for {len(self)} rows")
            allowed = allowed & mask
        if mask is None and len(self) >= self._tree_from and k < len(self):
            rows = self._candidates(query, k)
        else:
            rows = np.flatnonzero(allowed)
        scores = self._scores(query, rows)
        return _best(rows, scores, k)

    def _unit_query(self, vector: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        query = np.asarray(vector, dtype=np.float64)
        norm = float(np.sqrt((query * query).sum()))
        if query.shape != (N_EMOTIONS,) or not np.isfinite(norm) or norm == 0.0:
            raise InputError(f"expected a query of 6 numbers, not all zero, got {query.tolist()}")
        unit: NDArray[np.float64] = query / norm
        return unit

    def _scores(self, query: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.float64]:
        # A matrix product may round equal rows differently by their position;
        # elementwise arithmetic does not, so equal rows tie exactly.
        few = 4 * len(rows) < len(self)  # gathering costs more than a multiplication
        columns = self._columns[:, rows] if few else self._columns
        scores: NDArray[np.float64] = columns[0] * query[0]
        for column, weight in zip(columns[1:], query[1:], strict=True):
            scores += column * weight
        return scores if few else scores[rows]

    def _candidates(self, query: NDArray[np.float64], k: int) -> NDArray[np.intp]:
        tree = self._built_tree()
        if tree.n == 0:
            return self._tree_rows
        distances, _ = tree.query(query, k=[min(k, tree.n)])
        farthest = float(np.asarray(distances).max())
        radius = float(np.sqrt(farthest**2 + _TIE_MARGIN))
        inside = tree.query_ball_point(query, radius, return_sorted=True)
        return self._tree_rows[np.asarray(inside, dtype=np.intp)]

    def _built_tree(self) -> cKDTree:
        if self._tree is None:
            from scipy.spatial import cKDTree

            self._tree_rows = np.flatnonzero(self._usable)
            points = np.ascontiguousarray(self._columns[:, self._tree_rows].T)
            self._tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        return self._tree


def _best(
    rows: NDArray[np.intp], scores: NDArray[np.float64], k: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Largest k scores; ties at the cut are decided by row order as well. Rows ascend."""
    if k < len(rows):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= threshold)
        rows, scores = rows[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")[:k]
    return rows[order], scores[order]
