"""Lists of songs to index that need not hold their songs: some make each when it is asked for."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import overload

from app.library.song_material import SongSource


class SourceList(Sequence[SongSource]):
    """A list of which each song is made by its place."""

    @abstractmethod
    def source(self, place: int) -> SongSource:
        """The song at a place from 0 on."""

    @overload
    def __getitem__(self, index: int) -> SongSource: ...

    @overload
    def __getitem__(self, index: slice) -> list[SongSource]: ...

    def __getitem__(self, index: int | slice) -> SongSource | list[SongSource]:
        if isinstance(index, slice):
            return [self.source(place) for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"song {index} of {len(self)}")
        return self.source(place)


class Joined(SourceList):
    """Several lists behind one another."""

    def __init__(self, parts: Sequence[Sequence[SongSource]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def source(self, place: int) -> SongSource:
        """The song at a place from 0 on."""
        part = bisect_right(self._ends, place)
        return self._parts[part][place - (self._ends[part - 1] if part else 0)]


class Chosen(SourceList):
    """Some of a list, by their places in it."""

    def __init__(self, sources: Sequence[SongSource], places: Sequence[int]) -> None:
        self._sources = sources
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def source(self, place: int) -> SongSource:
        """The song at a place from 0 on."""
        return self._sources[int(self._places[place])]
