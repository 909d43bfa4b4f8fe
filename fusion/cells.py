"""Points of the unit sphere in cells, so that the nearest are found without reading them all.

A balanced tree of medians divides the points into cells of equally many, and runs
of neighbouring cells form blocks. A search compares its point with the boxes around
the blocks, then with the boxes around the cells of the blocks that are near, and
reads only cells in which a nearer point can lie. Equal vectors share one place, so
that millions of them cost no more than one.

Points are float32 and the answer is a little too large on purpose: every row whose
true distance could be among the k smallest, whatever was lost by rounding. Who asks
scores those few exactly. Everything is a flat array, to be saved and mapped into
memory as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion.equal_rows import EqualRows

CELL_SIZE: Final = 256
"""A cell holds at most so many places, and more than half as many where there are more."""

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

# So that what a step makes stays in the processor's cache.
_FIRST_FLOATS: Final = 1 << 18
_FLOATS_AT_ONCE: Final = 1 << 22
_SPREAD_SAMPLE: Final = 100
_POINTS_IN_CACHE: Final = 1 << 16
_NODES_AT_ONCE: Final = 16
_THREADS: Final = 2


@dataclass(frozen=True, eq=False)
class Cells:
    """Points in B blocks of F cells of L places.

    Attributes
    ----------
    points
        Coordinates, float32 (B·F, 6, L); infinite where a place is empty.
    block_low, block_high
        Boxes around the blocks, float32 (1, 6, B).
    cell_low, cell_high
        Boxes around the cells, float32 (B, 6, F).
    starts
        Place p has the rows ``rows[starts[p]:starts[p + 1]]``, (B·F·L + 1,).
    rows
        Row numbers; those of one place have equal vectors and ascend.
    """

    points: NDArray[np.float32]
    block_low: NDArray[np.float32]
    block_high: NDArray[np.float32]
    cell_low: NDArray[np.float32]
    cell_high: NDArray[np.float32]
    starts: NDArray[np.signedinteger[Any]]
    rows: NDArray[np.signedinteger[Any]]

    @classmethod
    def build(cls, points: NDArray[np.float32], equal: EqualRows) -> Cells:
        """Divide distinct vectors into cells.

        Parameters
        ----------
        points
            One point of the unit sphere for each distinct vector, (m, 6).
        equal
            The rows of each, (m,).
        """
        n_points = len(points)
        depth = max(0, int(np.ceil(np.log2(max(n_points, 1) / CELL_SIZE))))
        n_cells = 1 << depth
        size = max(1, -(-n_points // n_cells))
        coordinates, vector_of_place = _in_cells(points, n_cells, size)
        by_cell = coordinates.reshape(6, n_cells, size)
        low = by_cell.min(axis=2)
        high = np.where(np.isinf(by_cell), -np.inf, by_cell).max(axis=2)
        n_blocks = 1 << (depth // 2)
        low, high = (box.reshape(6, n_blocks, n_cells // n_blocks) for box in (low, high))
        place_starts, place_rows = _rows_of_places(vector_of_place, equal)
        return cls(
            points=np.ascontiguousarray(by_cell.transpose(1, 0, 2)),
            block_low=low.min(axis=2)[None],
            block_high=high.max(axis=2)[None],
            cell_low=np.ascontiguousarray(low.transpose(1, 0, 2)),
            cell_high=np.ascontiguousarray(high.transpose(1, 0, 2)),
            starts=place_starts,
            rows=place_rows,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything by name, to be saved."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Cells:
        """The same again from its arrays, each under its name behind a prefix."""
        return cls(**{field.name: arrays[prefix + field.name] for field in fields(cls)})

    def first_rows(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """The first row of places (p,) that are not empty."""
        first: NDArray[np.intp] = self.rows[self.starts[places]].astype(np.intp)
        return first

    def sizes(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """How many rows places (p,) have."""
        sizes: NDArray[np.intp] = (self.starts[places + 1] - self.starts[places]).astype(np.intp)
        return sizes

    def nearest(
        self,
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
        most_cells = len(self.points) if most_places is None else most_places // self.size
        n_first = min(max(FIRST_CELLS, int(2 * k / share) // self.size), len(self.points))
        step = max(1, _FIRST_FLOATS // (6 * n_first * self.size))
        owners, places = [], []
        for start in range(0, max(len(queries), 1), step):
            search = _Search(self, queries[start : start + step], k, widening, mask)
            found = search.run(n_first, most_cells)
            if found is None:
                return None
            owners.append(found.owners + start)
            places.append(found.places)
        return np.concatenate(owners), np.concatenate(places)

    def allowed(self, places: NDArray[np.intp], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which places have a row that a mask lets through."""
        begin, end = self.starts[places], self.starts[places + 1]
        allowed: NDArray[np.bool_] = end > begin
        allowed[allowed] = mask[self.rows[begin[allowed]]]
        undecided = np.flatnonzero(~allowed & (end - begin > 1))
        offset, window = 1, 16
        while len(undecided):
            at = begin[undecided, None] + np.arange(offset, offset + window)
            at = np.minimum(at, end[undecided, None] - 1)
            allowed[undecided] = mask[self.rows[at]].any(axis=1)
            offset += window
            window *= 2
            more = ~allowed[undecided] & (begin[undecided] + offset < end[undecided])
            undecided = undecided[more]
            window = max(16, min(window, _FLOATS_AT_ONCE // max(len(undecided), 1)))
        return allowed

    def rows_of(self, place: int, k: int, mask: NDArray[np.bool_] | None) -> NDArray[np.intp]:
        """The first k rows of a place that may be returned, ascending."""
        begin, end = int(self.starts[place]), int(self.starts[place + 1])
        if mask is None:
            return self.rows[begin : min(end, begin + k)].astype(np.intp)
        found: list[NDArray[np.intp]] = []
        missing, window = k, 4 * k
        while begin < end and missing > 0:
            some = self.rows[begin : min(end, begin + window)].astype(np.intp)
            some = some[mask[some]][:missing]
            found.append(some)
            missing -= len(some)
            begin += window
            window *= 2
        return np.concatenate(found)

    @property
    def size(self) -> int:
        """Places of a cell."""
        return int(self.points.shape[2])


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
        self._widening = np.float32(widening) * _RELATIVE_MARGIN
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
        limits = self._widened(limits)
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
        for part in _slices(len(all_owners), 6 * per_block):
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
            return (numbers[:, None] != first[owners]).all(axis=1)
        n_cells = len(self._cells.points)
        known = np.sort((first + n_cells * np.arange(len(first))[:, None]).reshape(-1))
        pairs = numbers + n_cells * owners
        at = np.minimum(np.searchsorted(known, pairs), len(known) - 1)
        fresh: NDArray[np.bool_] = known[at] != pairs
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
        for part in _slices(len(owners), 6 * cells.size):
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
        limits = self._widened(limits)
        return _chosen(joined, joined.distances <= limits[joined.owners]), limits

    def _widened(self, kth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared limits that follow from the squared distances of the k-th."""
        limits: NDArray[np.float32] = (np.sqrt(kth) * self._widening + _MARGIN) ** 2
        return np.minimum(limits, _BEYOND)


def _in_cells(
    points: NDArray[np.float32], n_cells: int, size: int
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Coordinates (6, n_cells * size) cell by cell, and which point each is; -1 and infinite: none.

    Each node of the tree is halved at the median of the axis along which it is
    widest. Copies fill the cells up, evenly, so that all nodes of a level are of
    one size; they are emptied in the end.
    """
    n_points = len(points)
    n_places = n_cells * size
    copied = np.linspace(0, max(n_points - 1, 0), n_places - n_points).astype(np.intp)
    coordinates = np.empty((6, n_places), dtype=np.float32)
    coordinates[:, :n_points] = points.T
    coordinates[:, n_points:] = points[copied].T if n_points else np.inf
    numbers = np.arange(n_places)
    _arrange(coordinates, numbers, n_cells)
    numbers[numbers >= n_points] = -1
    coordinates[:, numbers < 0] = np.inf
    return coordinates, numbers


def _arrange(coordinates: NDArray[np.float32], numbers: NDArray[np.intp], n_cells: int) -> None:
    """Bring points (6, n) and their numbers (n,) into the order of so many cells.

    A few levels at a time, and then each node by itself: the smaller ones are
    halved within the processor's cache.
    """
    order = np.arange(len(numbers)).reshape(1, -1)
    n_nodes = n_cells if len(numbers) <= _POINTS_IN_CACHE else min(n_cells, _NODES_AT_ONCE)
    flat = np.ascontiguousarray(coordinates).reshape(-1)
    while len(order) < n_nodes:
        _halve(flat, order)
        order = order.reshape(2 * len(order), -1)
    moved = order.reshape(-1)
    for axis, values in zip(coordinates, flat.reshape(coordinates.shape), strict=True):
        axis[:] = values.take(moved)
    numbers[:] = numbers.take(moved)
    if n_nodes < n_cells:
        size = order.shape[1]
        nodes = [slice(start, start + size) for start in range(0, len(numbers), size)]
        with ThreadPoolExecutor(_THREADS) as threads:
            list(
                threads.map(
                    lambda node: _arrange(coordinates[:, node], numbers[node], n_cells // n_nodes),
                    nodes,
                )
            )


def _halve(flat: NDArray[np.float32], order: NDArray[np.intp]) -> None:
    """Order each node (nodes, size) so that its halves lie on two sides of a median.

    Coordinates are flat, one axis after the other.
    """
    n_nodes, size = order.shape
    sample = order[:, :: max(1, size // _SPREAD_SAMPLE)]
    spreads = [axis.take(sample).std(axis=1) for axis in flat.reshape(6, -1)]
    widest = np.stack(spreads).argmax(axis=0)
    for part in _slices(n_nodes, size):
        node = order[part]
        values = flat.take(node + widest[part, None] * order.size)
        halves = np.argpartition(values, size // 2, axis=1)
        halves += size * np.arange(len(node))[:, None]
        order[part] = node.take(halves)


def _rows_of_places(
    vectors: NDArray[np.intp], equal: EqualRows
) -> tuple[NDArray[np.signedinteger[Any]], NDArray[np.signedinteger[Any]]]:
    """Starts and rows of the places that hold these groups of rows, -1 for an empty one."""
    small = np.int32 if max(len(equal.rows), len(vectors)) < 2**31 else np.int64
    filled = vectors >= 0
    groups = vectors[filled]
    sizes = equal.sizes[groups]
    counts = np.zeros(len(vectors) + 1, dtype=small)
    counts[1:][filled] = sizes
    starts: NDArray[np.signedinteger[Any]] = np.cumsum(counts, dtype=small)
    rows = equal.rows
    if len(groups) == len(rows):
        rows = rows[equal.begins[groups]]
    else:
        within = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = rows[np.repeat(equal.begins[groups], sizes) + within]
    return starts, rows.astype(small)


def _squared_to_boxes(
    queries: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Squared distances (q, b) of queries (q, 6) to the boxes (q or 1, 6, b) of each."""
    at = queries[:, :, None]
    away = np.maximum(low, at)
    np.minimum(away, high, out=away)
    away -= at
    away *= away
    squared: NDArray[np.float32] = away.sum(axis=1)
    return squared


def _squared_to_points(
    queries: NDArray[np.float32], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Squared distances (..., L) of queries (..., 6) to the points (..., 6, L), which are lost."""
    points -= queries[..., None]
    points *= points
    squared: NDArray[np.float32] = points.sum(axis=-2)
    return squared


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


def _slices(count: int, each: int) -> Iterator[slice]:
    """Slices of ``count`` things of ``each`` numbers, not too many numbers in one."""
    step = max(1, _FLOATS_AT_ONCE // each)
    for start in range(0, max(count, 1), step):
        yield slice(start, start + step)
