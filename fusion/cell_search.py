"""The nearest points in cells: compared with boxes first, and read where a nearer one can lie.

The answer is a little too large on purpose: every place whose true distance could be
among the k smallest, whatever was lost by rounding. Who asks scores those few
exactly.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion.cells import Cells, slices

FIRST_CELLS: Final = 4
"""Cells that are read before the others, for a first limit."""

NEXT_CELLS: Final = 32
"""Cells read after the first, all at once; four times as many each time that is not enough."""

# A float32 coordinate is off by 2**-25 at most, a distance by less than 2e-7 and a
# few parts in 10 million; scores in float64 differ from the truth by less than 1e-14,
# which is 1e-7 in distance. The margin is several times all this together.
_MARGIN: Final = np.float32(1e-6)
_RELATIVE_MARGIN: Final = np.float32(1 + 4e-6)

# Larger than any squared distance on the sphere, smaller than that of an empty place.
_BEYOND: Final = np.float32(9.0)

# So that what the first step makes for some queries stays in the processor's cache.
_FIRST_FLOATS: Final = 1 << 18


def nearest(
    cells: Cells,
    queries: NDArray[np.float32],
    k: int,
    *,
    widening: float = 1.0,
    mask: NDArray[np.bool_] | None = None,
    share: float = 1.0,
    most_places: int | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Places that may be among the k nearest of each query.

    Parameters
    ----------
    cells
        Where to look.
    queries
        Points of the unit sphere, (q, 6).
    k
        How many places with a row that may be returned, at least 1.
    widening
        Every place within so many times the distance of the k-th nearest is
        wanted, at least 1.
    mask
        Rows that may be returned, (n,); all if ``None``.
    share
        About which share of the rows the mask lets through, above 0; a wrong
        share costs time, nothing else.
    most_places
        Stop where more than so many places would have to be read for a query.

    Returns
    -------
    Pairs of a query's number, ascending, and a place that has a row which may
    be returned; ``None`` if it was stopped.
    """
    if len(queries) == 1 and mask is None:
        near = _near_one(cells, queries, k, widening)
        if near is not None:
            return np.zeros(len(near), dtype=np.intp), near
    most_cells = len(cells.points) if most_places is None else most_places // cells.size
    n_first = min(max(FIRST_CELLS, int(2 * k / share) // cells.size), len(cells.points))
    step = max(1, _FIRST_FLOATS // (6 * n_first * cells.size))
    owners, places = [], []
    for start in range(0, max(len(queries), 1), step):
        search = _Search(cells, queries[start : start + step], k, widening, mask)
        found = search.run(n_first, most_cells)
        if found is None:
            return None
        owners.append(found.owners + start)
        places.append(found.places)
    return np.concatenate(owners), np.concatenate(places)


def _near_one(
    cells: Cells, query: NDArray[np.float32], k: int, widening: float
) -> NDArray[np.intp] | None:
    """Places for one query (1, 6), as :class:`_Search` finds them, but in fewer steps.

    ``None`` if it is not as simple as usual: few points in the nearest cells, or many
    cells nearly as near.
    """
    from_blocks = _squared_to_boxes(query, cells.block_low, cells.block_high)[0]
    nearest = int(from_blocks.argmin())
    per_block = cells.cell_low.shape[2]
    block = slice(nearest, nearest + 1)
    bounds = _squared_to_boxes(query, cells.cell_low[block], cells.cell_high[block])
    first = _smallest(bounds, FIRST_CELLS)[0]
    numbers = first + nearest * per_block
    squared = _squared_to_points(query, cells.points[numbers]).reshape(-1)
    if k > len(squared):
        return None
    limit = _widened(np.partition(squared, k - 1)[k - 1], widening)
    if limit >= _BEYOND:
        return None
    bounds[0, first] = np.inf
    near = (bounds[0] <= limit).nonzero()[0] + nearest * per_block
    from_blocks[nearest] = np.inf
    blocks = (from_blocks <= limit).nonzero()[0]
    if len(blocks) > NEXT_CELLS:
        return None
    if len(blocks):
        bounds = _squared_to_boxes(query, cells.cell_low[blocks], cells.cell_high[blocks])
        at, cell = (bounds <= limit).nonzero()
        near = np.concatenate((near, blocks[at] * per_block + cell))
    if len(near) > NEXT_CELLS:
        return None
    if len(near):
        more = _squared_to_points(query, cells.points[near]).reshape(-1)
        squared = np.concatenate((squared, more))
        numbers = np.concatenate((numbers, near))
        limit = _widened(np.partition(squared, k - 1)[k - 1], widening)
    found = (squared <= limit).nonzero()[0]
    cell, at = np.divmod(found, cells.size)
    places: NDArray[np.intp] = numbers[cell] * cells.size + at
    return places


class _Found(NamedTuple):
    """Places within the limit of a query, by query and then by distance."""

    owners: NDArray[np.intp]
    places: NDArray[np.intp]
    distances: NDArray[np.float32]  # squared


class _Search:
    """One search for some queries."""

    def __init__(
        self,
        cells: Cells,
        queries: NDArray[np.float32],
        k: int,
        widening: float,
        mask: NDArray[np.bool_] | None,
    ) -> None:
        self._cells = cells
        self._queries = queries
        self._k = k
        self._widening = widening
        self._mask = mask

    def run(self, n_first: int, most_cells: int) -> _Found | None:
        """What is near enough, beginning with so many cells.

        ``None`` if more than ``most_cells`` were to be read for a query.
        """
        cells = self._cells
        from_blocks = _squared_to_boxes(self._queries, cells.block_low, cells.block_high)
        n_read = n_first
        while True:
            first = self._first_cells(from_blocks, n_read)
            found, limits = self._found_first(first)
            if n_read == len(cells.points) or (limits < _BEYOND).all():
                break
            n_read = min(4 * n_read, len(cells.points))
            if n_read > most_cells:
                return None
        owners, unread, bounds = self._cells_within(from_blocks, limits)
        fresh = self._not_among(first, owners, unread)
        n_next = NEXT_CELLS
        while True:
            owners, unread, bounds = owners[fresh], unread[fresh], bounds[fresh]
            if not len(owners):
                return found
            now = self._next(owners, bounds, n_next)
            n_read += n_next
            if n_read > most_cells and not now.all():
                return None
            found, limits = self._found_also(found, owners[now], unread[now], limits)
            fresh = ~now & (bounds <= limits[owners])
            n_next *= 4

    def _first_cells(self, from_blocks: NDArray[np.float32], n_cells: int) -> NDArray[np.intp]:
        """The nearest cells (q, n_cells) of the nearest blocks."""
        cells = self._cells
        per_block = cells.cell_low.shape[2]
        blocks = _smallest(from_blocks, -(-n_cells // per_block))
        bounds = [
            _squared_to_boxes(self._queries, cells.cell_low[near], cells.cell_high[near])
            for near in blocks.T
        ]
        nearest = _smallest(np.concatenate(bounds, axis=1), n_cells)
        block = blocks[np.arange(len(blocks))[:, None], nearest // per_block]
        first: NDArray[np.intp] = block * per_block + nearest % per_block
        return first

    def _found_first(self, first: NDArray[np.intp]) -> tuple[_Found, NDArray[np.float32]]:
        cells = self._cells
        squared = _squared_to_points(self._queries[:, None], cells.points[first])
        squared = squared.reshape(len(first), first.shape[1] * cells.size)
        if self._mask is not None:
            places = (first[:, :, None] * cells.size + np.arange(cells.size)).reshape(squared.shape)
            squared[~cells.allowed(places.reshape(-1), self._mask).reshape(squared.shape)] = np.inf
        limits = np.full(len(first), np.inf, dtype=np.float32)
        if self._k <= squared.shape[1]:
            limits = np.partition(squared, self._k - 1, axis=1)[:, self._k - 1]
        limits = _widened(limits, self._widening)
        owners, at = np.nonzero(squared <= limits[:, None])
        places = first[owners, at // cells.size] * cells.size + at % cells.size
        return _Found(owners, places, squared[owners, at]), limits

    def _cells_within(
        self, from_blocks: NDArray[np.float32], limits: NDArray[np.float32]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
        """Pairs of a query and a cell that the limit reaches, with the box's squared distance."""
        cells = self._cells
        per_block = cells.cell_low.shape[2]
        all_owners, all_blocks = np.nonzero(from_blocks <= limits[:, None])
        parts = []
        for part in slices(len(all_owners), 6 * per_block):
            owners, blocks = all_owners[part], all_blocks[part]
            bounds = _squared_to_boxes(
                self._queries[owners], cells.cell_low[blocks], cells.cell_high[blocks]
            )
            pair, at = np.nonzero(bounds <= limits[owners, None])
            parts.append((owners[pair], blocks[pair] * per_block + at, bounds[pair, at]))
        if len(parts) == 1:
            return parts[0]
        owners, numbers, bounds = (np.concatenate(column) for column in zip(*parts, strict=True))
        return owners, numbers, bounds

    def _not_among(
        self, first: NDArray[np.intp], owners: NDArray[np.intp], numbers: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        """Which pairs of a query and a cell are not among the first (q, c) cells."""
        if first.shape[1] <= FIRST_CELLS:
            fresh: NDArray[np.bool_] = (numbers[:, None] != first[owners]).all(axis=1)
        else:
            n_cells = len(self._cells.points)
            known = np.sort((first + n_cells * np.arange(len(first))[:, None]).reshape(-1))
            pairs = numbers + n_cells * owners
            fresh = known[np.minimum(np.searchsorted(known, pairs), len(known) - 1)] != pairs
        return fresh

    def _next(
        self, owners: NDArray[np.intp], bounds: NDArray[np.float32], n_cells: int
    ) -> NDArray[np.bool_]:
        """Which pairs are among the ``n_cells`` nearest of their query. Owners ascend."""
        if len(owners) <= n_cells:
            return np.ones(len(owners), dtype=np.bool_)
        starts = np.searchsorted(owners, np.arange(len(self._queries)))
        order = np.argsort(_key(owners, bounds))
        now = np.empty(len(owners), dtype=np.bool_)
        now[order] = np.arange(len(owners)) - starts[owners[order]] < n_cells
        return now

    def _found_also(
        self,
        found: _Found,
        owners: NDArray[np.intp],
        numbers: NDArray[np.intp],
        limits: NDArray[np.float32],
    ) -> tuple[_Found, NDArray[np.float32]]:
        """What was found with what other cells have, under the limits that follow from both."""
        cells = self._cells
        parts = [found]
        for part in slices(len(owners), 6 * cells.size):
            squared = _squared_to_points(self._queries[owners[part]], cells.points[numbers[part]])
            pair, at = np.nonzero(squared <= limits[owners[part], None])
            places = numbers[part][pair] * cells.size + at
            new = _Found(owners[part][pair], places, squared[pair, at])
            if self._mask is not None:
                new = _chosen(new, cells.allowed(places, self._mask))
            parts.append(new)
        joined = _Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        joined = _chosen(joined, np.argsort(_key(joined.owners, joined.distances)))
        ends = np.searchsorted(joined.owners, np.arange(len(self._queries) + 1))
        kth = ends[:-1] + self._k - 1
        complete = kth < ends[1:]
        limits = np.full(len(self._queries), np.inf, dtype=np.float32)
        limits[complete] = joined.distances[kth[complete]]
        limits = _widened(limits, self._widening)
        return _chosen(joined, joined.distances <= limits[joined.owners]), limits


def _squared_to_boxes(
    queries: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Squared distances (q, b) of queries (q, 6) to the boxes (q or 1, 6, b) of each."""
    at = queries[:, :, None]
    away = np.maximum(low, at)
    np.minimum(away, high, out=away)
    away -= at
    away *= away
    squared: NDArray[np.float32] = np.add.reduce(away, axis=1)
    return squared


def _squared_to_points(
    queries: NDArray[np.float32], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Squared distances (..., L) of queries (..., 6) to the points (..., 6, L), which are lost."""
    points -= queries[..., None]
    points *= points
    squared: NDArray[np.float32] = np.add.reduce(points, axis=-2)
    return squared


def _widened(kth: Any, widening: float) -> Any:
    """Squared limits that follow from the squared distances of the k-th, float32 both."""
    distance = np.sqrt(kth) * (np.float32(widening) * _RELATIVE_MARGIN) + _MARGIN
    return np.minimum(distance * distance, _BEYOND)


def _smallest(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Where the ``count`` smallest of each row are, in no order."""
    if count == 1:
        smallest: NDArray[np.intp] = values.argmin(axis=1)
        return smallest[:, None]
    if count >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, count - 1, axis=1)[:, :count]


def _key(owners: NDArray[np.intp], squared: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Numbers that sort by owner and then by a distance: floats from zero sort as their bits do."""
    return (owners.astype(np.uint64) << np.uint64(32)) | squared.view(np.uint32)


def _chosen(found: _Found, which: NDArray[Any]) -> _Found:
    return _Found(found.owners[which], found.places[which], found.distances[which])
