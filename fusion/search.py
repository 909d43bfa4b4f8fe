"""Exact nearest songs by emotion.

The answer is that of scoring every song with :mod:`fusion.similarity` and sorting by
score, then by row, to the last bit; but only songs near the query are scored. For
each measure there is a place on the unit sphere where nearness is distance:

- cosine: the vector at length one, since ``|a - b|² = 2 - 2·cos``;
- weighted cosine: for songs of one strongest emotion the weights w are the same, and
  the measure is the cosine of vectors times ``√w``; so six searches, one for each;
- Hellinger: the square roots of the distribution, whose distance it is up to a factor;
- Jensen-Shannon: the same place. With d the distance there, ``ln 2 · d²/2 ≤ JS ≤ d²/2``
  in nats, term by term (Topsøe 2000, "Some inequalities for information divergence and
  related measures of discrimination"), so that the nearest by JS lie within
  ``1 / √ln 2`` times the distance of the k-th nearest there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import IndexFolderError, InputError
from data_prep.taxonomy import N_EMOTIONS
from fusion.cell_search import nearest
from fusion.cells import Cells
from fusion.equal_rows import EqualRows
from fusion.index_folder import load_index, save_index
from fusion.similarity import (
    SimilarityName,
    Vectors,
    similarity,
    square_roots,
    strongest,
    strongest_weights,
    unit,
)

SCAN_BELOW: Final = 20_000
"""Where a mask lets fewer rows through, those are all scored."""

# Where a mask's rows are far from the query, reading cells gives way to scoring them all.
_MOST_READ: Final = 1 / 16

_MASK_SAMPLE: Final = 4096
_BLOCK: Final = 1 << 18
_KIND: Final = "emotion-index"

Results = tuple[NDArray[np.intp], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class _Part:
    """Songs that share a place on the sphere: all, or those of one strongest emotion."""

    emotion: int | None
    cells: Cells


class SimilarityIndex:
    """Vectors of songs, ready to be searched by a measure.

    Parameters
    ----------
    vectors
        Array (n, 6), not necessarily distributions; anything but float32 is kept as
        float64. A row that the measure cannot place (not finite, all zero, or
        negative where it needs distributions) is never returned.
    measure
        Name of the measure, see :mod:`fusion.similarity`.

    Raises
    ------
    InputError
        If the array is not (n, 6), or there is no such measure.
    """

    def __init__(self, vectors: Vectors, measure: SimilarityName = "cosine") -> None:
        array = np.asarray(vectors)
        if array.ndim != 2 or array.shape[1] != N_EMOTIONS:
            raise InputError(f"expected emotion vectors (n, 6), got shape {array.shape}")
        kind = np.float32 if array.dtype == np.float32 else np.float64
        array = np.array(array, dtype=kind, order="C")
        self._start(array, measure, _parts(array, measure))

    def _start(self, vectors: Vectors, measure: SimilarityName, parts: tuple[_Part, ...]) -> None:
        self._vectors = vectors
        self._measure, self._score = similarity(measure)
        self._parts = parts
        self._widening = 1 / math.sqrt(math.log(2)) if measure == "jensen-shannon" else 1.0
        self._strongest: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def measure(self) -> SimilarityName:
        """Name of the measure."""
        return self._measure

    @property
    def vectors(self) -> Vectors:
        """What was indexed, (n, 6); not to be written to."""
        return self._vectors

    def query(
        self,
        vector: Vectors,
        k: int,
        mask: NDArray[np.bool_] | None = None,
        *,
        same_top_first: bool = False,
    ) -> Results:
        """The k rows most similar to a vector, best first.

        Parameters
        ----------
        vector
            Query (6,), finite, not all zero, and not negative where the measure
            needs distributions.
        k
            How many, at least 1; fewer come back if there are not so many.
        mask
            Rows that may be returned (n,), all if ``None``.
        same_top_first
            Put songs with the query's strongest emotion before all others, as
            published for the status-message recommender.

        Returns
        -------
        Row indices and their scores, both (min(k, rows),); equal scores are in row
        order.

        Raises
        ------
        InputError
            If the query has no direction, k is below 1, or the mask does not fit.
        """
        query = np.asarray(vector, dtype=np.float64)
        if query.shape != (N_EMOTIONS,):
            raise InputError(f"expected a query of 6 numbers, got shape {query.shape}")
        _check_count(k)
        points = self._points(query[None])
        if mask is not None and (mask.shape != (len(self),) or mask.dtype != np.bool_):
            raise InputError(
                f"mask of shape {mask.shape} and type {mask.dtype} for {len(self)} rows: "
                f"expected ({len(self)},) and bool"
            )
        if not same_top_first:
            return self._nearest(query, points, k, mask)
        same = self._strongest_of_rows() == strongest(query)
        rows, scores = self._nearest(query, points, k, same if mask is None else same & mask)
        if len(rows) < k:
            others = ~same if mask is None else mask & ~same
            more = self._nearest(query, points, k - len(rows), others)
            rows, scores = np.append(rows, more[0]), np.append(scores, more[1])
        return rows, scores

    def query_many(self, vectors: Vectors, k: int) -> Results:
        """The k rows most similar to each of many vectors.

        Parameters
        ----------
        vectors
            Queries (q, 6), each as for :meth:`query`.
        k
            How many for each, at least 1.

        Returns
        -------
        Row indices and scores, both (q, min(k, rows)); each row as from
        :meth:`query`.

        Raises
        ------
        InputError
            If a query has no direction, or k is below 1.
        """
        queries = np.asarray(vectors, dtype=np.float64)
        if queries.ndim != 2 or queries.shape[1] != N_EMOTIONS:
            raise InputError(f"expected queries (q, 6), got shape {queries.shape}")
        _check_count(k)
        found = self._found(queries, self._points(queries), k)
        assert found is not None, "only a masked search is given up"
        owners, rows, scores = found
        each = min(k, sum(len(part.cells.rows) for part in self._parts))
        assert len(owners) == each * len(queries), "each query has as many"
        return rows.reshape(len(queries), each), scores.reshape(len(queries), each)

    def save(self, folder: Path) -> None:
        """Write the index into a new folder, or in place of an older index.

        Raises
        ------
        InputError
            If the folder cannot be written, or is there and holds something else.
        """
        arrays: dict[str, NDArray[Any]] = {"vectors": self._vectors}
        for number, part in enumerate(self._parts):
            for name, array in part.cells.arrays().items():
                arrays[f"{number}-{name}"] = array
        facts = {"measure": self._measure, "emotions": [part.emotion for part in self._parts]}
        save_index(folder, _KIND, facts, arrays)

    @classmethod
    def load(cls, folder: Path, *, verify: bool = True) -> Self:
        """Map a saved index into memory; nothing is copied, and processes share it.

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
            If it is no index of this kind, incomplete, damaged, or of another version.
        """
        facts, arrays = load_index(folder, _KIND, verify=verify)
        parts = tuple(
            _Part(emotion, Cells.of(arrays, f"{number}-"))
            for number, emotion in enumerate(facts["emotions"])
        )
        index = cls.__new__(cls)
        index._start(arrays["vectors"], facts["measure"], parts)
        return index

    def _points(self, queries: NDArray[np.float64]) -> list[NDArray[np.float32]]:
        """Places of queries on the sphere of each part, (q, 6) each."""
        points = [_places(queries, self._measure, part.emotion) for part in self._parts]
        if not np.isfinite(points[0]).all():
            query = queries[~np.isfinite(points[0]).all(axis=1)][0].tolist()
            below = ", none below zero" if self._measure in _OF_DISTRIBUTIONS else ""
            raise InputError(
                f"expected a query of 6 finite numbers, not all zero{below}, got {query}"
            )
        return [some.astype(np.float32) for some in points]

    def _nearest(
        self,
        query: NDArray[np.float64],
        points: list[NDArray[np.float32]],
        k: int,
        mask: NDArray[np.bool_] | None,
    ) -> Results:
        share = 1.0
        if mask is not None:
            sample = mask[:: max(1, len(mask) // _MASK_SAMPLE)]
            share = np.count_nonzero(sample) / max(1, len(sample))
            if share * len(mask) <= SCAN_BELOW:
                return self._scan(query, k, np.flatnonzero(mask))
        found = self._found(query[None], points, k, mask, share)
        if found is None:
            assert mask is not None, "only a masked search is given up"
            return self._scan(query, k, np.flatnonzero(mask))
        return found[1], found[2]

    def _found(
        self,
        queries: NDArray[np.float64],
        points: list[NDArray[np.float32]],
        k: int,
        mask: NDArray[np.bool_] | None = None,
        share: float = 1.0,
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]] | None:
        """Numbers of queries, rows and scores, in order; ``None`` if the mask needs a scan."""
        parts = []
        for part, at in zip(self._parts, points, strict=True):
            places = nearest(
                part.cells,
                at,
                k,
                widening=self._widening,
                mask=mask,
                share=share,
                most_places=None if mask is None else int(len(self) * _MOST_READ),
            )
            if places is None:
                return None
            parts.append(self._rows(part.cells, queries, *places, k, mask))
        owners, rows, scores = parts[0]
        if len(parts) > 1:
            owners, rows, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((rows, -scores, owners))
        owners, rows, scores = owners[order], rows[order], scores[order]
        if len(queries) == 1:
            return owners[:k], rows[:k], scores[:k]
        rank = np.arange(len(owners)) - np.searchsorted(owners, np.arange(len(queries)))[owners]
        best = rank < k
        return owners[best], rows[best], scores[best]

    def _rows(
        self,
        cells: Cells,
        queries: NDArray[np.float64],
        owners: NDArray[np.intp],
        places: NDArray[np.intp],
        k: int,
        mask: NDArray[np.bool_] | None,
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """The rows of places, with their scores; not all rows of places that are too far."""
        rows = cells.first_rows(places)
        scores = self._score(queries[owners], self._vectors[rows])
        sizes = cells.sizes(places)
        if sizes.max(initial=1) == 1:
            return owners, rows, scores
        counted = sizes if mask is None else np.ones_like(sizes)
        wanted = _needed(owners, scores, counted, k)
        owners, places, scores = owners[wanted], places[wanted], scores[wanted]
        of_places = [cells.rows_of(place, k, mask) for place in places.tolist()]
        counts = [len(some) for some in of_places]
        rows = np.concatenate(of_places)
        return np.repeat(owners, counts), rows, np.repeat(scores, counts)

    def _scan(self, query: NDArray[np.float64], k: int, rows: NDArray[np.intp]) -> Results:
        return scan(self._vectors, query, k, rows, self._measure)

    def _strongest_of_rows(self) -> NDArray[np.int8]:
        if self._strongest is None:
            self._strongest = _strongest_in_blocks(self._vectors)
        return self._strongest


class EmotionIndex(SimilarityIndex):
    """Vectors of songs, ready to be searched by cosine; see :class:`SimilarityIndex`.

    Parameters
    ----------
    vectors
        Array (n, 6), not necessarily distributions. A row that is not finite or
        all zero has no direction and is never returned.

    Raises
    ------
    InputError
        If the array is not (n, 6).
    """

    def __init__(self, vectors: Vectors) -> None:
        super().__init__(vectors, "cosine")

    @classmethod
    def load(cls, folder: Path, *, verify: bool = True) -> Self:
        """As :meth:`SimilarityIndex.load`, of an index by cosine alone."""
        index = super().load(folder, verify=verify)
        if index.measure != "cosine":
            raise IndexFolderError(f"{folder} searches by {index.measure}, expected cosine")
        return index


def _check_count(k: int) -> None:
    if k < 1:
        raise InputError(f"k = {k}: expected at least 1")


_OF_DISTRIBUTIONS: Final = ("hellinger", "jensen-shannon")


def _places(vectors: Vectors, measure: SimilarityName, emotion: int | None) -> NDArray[np.float64]:
    """Points of the unit sphere (n, 6) for vectors (n, 6); NaN where there is none."""
    if measure in _OF_DISTRIBUTIONS:
        return unit(square_roots(vectors))
    if emotion is not None:
        weights = strongest_weights(np.asarray(emotion))
        return unit(np.sqrt(weights) * np.asarray(vectors, dtype=np.float64))
    return unit(vectors)


def _parts(vectors: Vectors, measure: SimilarityName) -> tuple[_Part, ...]:
    if measure != "weighted-cosine":
        return (_part(vectors, measure, None, np.arange(len(vectors))),)
    emotions = _strongest_in_blocks(vectors)
    return tuple(
        _part(vectors, measure, emotion, np.flatnonzero(emotions == emotion))
        for emotion in range(N_EMOTIONS)
    )


def _part(
    vectors: Vectors, measure: SimilarityName, emotion: int | None, rows: NDArray[np.intp]
) -> _Part:
    points = np.empty((len(rows), N_EMOTIONS), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        some = slice(start, start + _BLOCK)
        points[some] = _places(vectors[rows[some]], measure, emotion)
    usable = np.isfinite(points[:, 0])
    equal = EqualRows.of(vectors, rows[usable])
    if len(equal.sizes) < len(rows):
        first = np.zeros(len(vectors), dtype=np.bool_)
        first[equal.first_rows()] = True
        points = points[first[rows]]
    return _Part(emotion, Cells.build(points, equal))


def _strongest_in_blocks(vectors: Vectors) -> NDArray[np.int8]:
    emotions = np.empty(len(vectors), dtype=np.int8)
    for start in range(0, len(vectors), _BLOCK):
        emotions[start : start + _BLOCK] = strongest(vectors[start : start + _BLOCK])
    return emotions


def _needed(
    owners: NDArray[np.intp], scores: NDArray[np.float64], sizes: NDArray[np.intp], k: int
) -> NDArray[np.bool_]:
    """Which groups of rows must be looked at for the k best rows of each query, ties with them."""
    order = np.lexsort((-scores, owners))
    sorted_owners, sorted_scores = owners[order], scores[order]
    before = np.cumsum(sizes[order]) - sizes[order]
    first = np.searchsorted(sorted_owners, sorted_owners)
    needed = before - before[first] < k
    # The last one that is needed decides: what ties with it may come first by its rows.
    cut = np.full(int(owners.max(initial=0)) + 1, np.inf)
    np.minimum.at(cut, sorted_owners[needed], sorted_scores[needed])
    wanted: NDArray[np.bool_] = scores >= cut[owners]
    return wanted


def scan(
    vectors: Vectors,
    query: Vectors,
    k: int,
    rows: NDArray[np.intp] | None = None,
    measure: SimilarityName = "cosine",
) -> Results:
    """The k most similar of some rows, by looking at each: for vectors that are searched once.

    Parameters
    ----------
    vectors
        Array (n, 6); a row that the measure cannot place is never returned.
    query
        (6,).
    rows
        Those looked at, ascending; all if ``None``.

    Returns
    -------
    As from :meth:`SimilarityIndex.query`.
    """
    _, score = similarity(measure)
    looked_at = np.arange(len(vectors)) if rows is None else rows
    best = np.empty(0, dtype=np.intp), np.empty(0)
    for start in range(0, len(looked_at), _BLOCK):
        some = looked_at[start : start + _BLOCK]
        scores = score(np.asarray(query, np.float64), vectors[some])
        usable = np.isfinite(scores)
        joined = np.append(best[0], some[usable]), np.append(best[1], scores[usable])
        best = best_rows(*joined, k)
    return best


def best_rows(rows: NDArray[np.intp], scores: NDArray[np.float64], k: int) -> Results:
    """Largest k scores; ties at the cut are decided by row order as well. Rows ascend in ties."""
    if k < len(rows):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= threshold)
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]
