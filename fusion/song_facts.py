"""What filters ask of songs, as columns: a filter over millions of songs takes milliseconds.

Each text is one of a list of different values, folded as filters compare them. A filter is
looked for in the lists, and each song asked for its place there. The answers are those of
:class:`data_prep.song.SongFilter` itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.catalogue_vectors import FilterFacts
from data_prep.song import SongFilter, enclosed, fold, genre_names
from fusion.index_folder import load_index, save_index

_KIND: Final = "song-facts"
_LISTS: Final = ("genre", "artist")  # of several values each
_NAMES: Final = ("language", "source")
_TEXTS: Final = (*_LISTS, *_NAMES)
_END: Final = b"\xff"  # of a value; in no UTF-8
_NO_YEAR: Final = np.iinfo(np.int32).min
_ABSENT: Final = "\udfff"  # no text of a database
_STAGES: Final = {"has_lyrics": 1, "has_audio": 2}


@dataclass(frozen=True, eq=False)
class _Values:
    """Different texts, one after the other, each before an end mark.

    Attributes
    ----------
    text
        uint8 (bytes,).
    ends
        Place of each end mark, int64 (values,).
    """

    text: NDArray[np.uint8]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, values: Iterable[str]) -> Self:
        parts = [value.encode("utf-8", "surrogatepass") + _END for value in values]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64) - 1
        return cls(np.frombuffer(b"".join(parts), dtype=np.uint8), ends)

    def holding(self, wanted: str, *, whole: bool) -> NDArray[np.bool_]:
        """Which values hold a text, or are it, (values,)."""
        found = np.zeros(len(self.ends), dtype=np.bool_)
        needle = re.escape(wanted.encode("utf-8", "surrogatepass"))
        pattern = rb"(?:\A|(?<=\xff))" + needle + rb"(?=\xff)" if whole else needle
        if len(self.text):
            at = [each.start() for each in re.finditer(pattern, self.text.data)]
            found[np.searchsorted(self.ends, np.array(at, dtype=np.int64))] = True
        return found


@dataclass(frozen=True, eq=False)
class SongFacts:
    """Facts of n songs.

    Attributes
    ----------
    year
        int32 (n,); the smallest number where unknown.
    stages
        uint8 (n,): 1 for words, 2 for sound, 3 for both.
    codes
        Column → number of each song's value, unsigned (n,).
    genres
        Every genre as it is written, by name; of several in one song each.
    """

    year: NDArray[np.int32]
    stages: NDArray[np.uint8]
    codes: dict[str, NDArray[np.unsignedinteger]]
    genres: list[str]
    _values: dict[str, _Values]

    @classmethod
    def of(
        cls, blocks: Iterable[FilterFacts], rows: NDArray[np.signedinteger], n_songs: int
    ) -> Self:
        """From blocks of a catalogue's songs.

        Parameters
        ----------
        blocks
            Songs in any order.
        rows
            Row of each song's number, -1 for one that is not wanted.
        n_songs
            How many rows there are.
        """
        year = np.full(n_songs, _NO_YEAR, dtype=np.int32)
        stages = np.zeros(n_songs, dtype=np.uint8)
        codes = {name: np.zeros(n_songs, dtype=np.uint32) for name in _TEXTS}
        # each text as it is stored, and each as it is compared, has a number
        stored: dict[str, dict[str | None, int]] = {name: {} for name in _TEXTS}
        compared: dict[str, dict[str, int]] = {name: {} for name in _TEXTS}
        for block in blocks:
            numbers = np.asarray(block.numbers, dtype=np.int64)
            inside = np.flatnonzero(numbers < len(rows))
            at = rows[numbers[inside]]
            inside, at = inside[at >= 0], at[at >= 0]
            year[at] = _years(block.years)[inside]
            stages[at] = _stages(block)[inside]
            for name in _TEXTS:
                known, different = stored[name], compared[name]
                texts = getattr(block, name)
                for text in set(texts) - known.keys():
                    known[text] = different.setdefault(_folded(name, text), len(different))
                column = np.fromiter((known[text] for text in texts), np.uint32, len(texts))
                codes[name][at] = column[inside]
        return cls(
            year,
            stages,
            {name: _narrow(column, len(compared[name])) for name, column in codes.items()},
            genre_names(stored["genre"]),
            {name: _Values.of(different) for name, different in compared.items()},
        )

    def save(self, folder: Path) -> None:
        """Write them into a new folder.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        arrays: dict[str, NDArray[Any]] = {"year": self.year, "stages": self.stages}
        for name in _TEXTS:
            values = self._values[name]
            arrays |= {name: self.codes[name], f"{name}-text": values.text}
            arrays[f"{name}-ends"] = values.ends
        save_index(folder, _KIND, {"genres": self.genres}, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map saved facts into memory.

        Raises
        ------
        IndexFolderError
            If there are none, or they are damaged.
        """
        facts, arrays = load_index(folder, _KIND, verify=False)
        codes = {name: arrays[name] for name in _TEXTS}
        values = {name: _Values(arrays[f"{name}-text"], arrays[f"{name}-ends"]) for name in _TEXTS}
        return cls(arrays["year"], arrays["stages"], codes, facts["genres"], values)

    def __len__(self) -> int:
        return len(self.year)

    def mask(self, where: SongFilter) -> NDArray[np.bool_]:
        """Which songs pass a filter, (n,)."""
        passing = np.ones(len(self), dtype=np.bool_)
        if where.year_from is not None:
            passing &= self.year >= max(where.year_from, _NO_YEAR + 1)
        if where.year_to is not None:
            passing &= (self.year <= where.year_to) & (self.year != _NO_YEAR)
        for name in _TEXTS:
            wanted = getattr(where, name)
            if wanted is not None:
                text = _folded(name, wanted)
                accepted = self._values[name].holding(text, whole=name in _NAMES)
                if len(accepted):
                    passing &= accepted[self.codes[name]]
        for name, bit in _STAGES.items():
            wanted_stage = getattr(where, name)
            if wanted_stage is not None:
                passing &= ((self.stages & bit) != 0) == wanted_stage
        return passing


def _folded(column: str, text: str | None) -> str:
    if column in _LISTS:
        return enclosed(text or "")
    # what is not there is not what is empty
    return _ABSENT if text is None else (fold(text) or "")


def _years(years: list[int | None]) -> NDArray[np.int32]:
    low, high = _NO_YEAR + 1, np.iinfo(np.int32).max
    bounded = (_NO_YEAR if year is None else min(max(year, low), high) for year in years)
    return np.fromiter(bounded, np.int32, len(years))


def _stages(block: FilterFacts) -> NDArray[np.uint8]:
    lyrics = np.array(block.has_lyrics, dtype=np.uint8)
    return lyrics + 2 * np.array(block.has_audio, dtype=np.uint8)


def _narrow(codes: NDArray[np.uint32], n_values: int) -> NDArray[np.unsignedinteger]:
    """The same numbers in the smallest type that holds them."""
    return codes.astype(np.min_scalar_type(max(n_values - 1, 0)))
