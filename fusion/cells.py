"""Points of the unit sphere in cells, so that the nearest are found without reading them all.

A balanced tree of medians divides the points into cells of equally many, and runs
of neighbouring cells form blocks. A search (:mod:`fusion.cell_search`) compares its
point with the boxes around the blocks, then with the boxes around the cells of the
blocks that are near, and reads only cells in which a nearer point can lie. Equal
vectors share one place, so that millions of them cost no more than one. Everything
is a flat array, to be saved and mapped into memory as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fusion.equal_rows import EqualRows

CELL_SIZE: Final = 256
"""A cell holds at most so many places, and more than half as many where there are more."""

FLOATS_AT_ONCE: Final = 1 << 22
"""A step makes no array of more numbers, 16 MB."""

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
            window = max(16, min(window, FLOATS_AT_ONCE // max(len(undecided), 1)))
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
    for part in slices(n_nodes, size):
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


def slices(count: int, each: int) -> Iterator[slice]:
    """Slices of ``count`` things of ``each`` numbers, not too many numbers in one."""
    step = max(1, FLOATS_AT_ONCE // each)
    for start in range(0, max(count, 1), step):
        yield slice(start, start + step)
