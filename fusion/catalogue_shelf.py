"""The songs of a whole catalogue, ready to be searched without being read.

Of a catalogue a shelf holds vectors alone; songs are fetched when they are shown. Of a large
one everything that is searched lies in a folder beside it (``songs.db.index``), mapped into
memory, so that processes share it; it is made again when the catalogue or its fusion settings
have changed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from fusion.combination import Fused, fuse_many
from fusion.hygiene import Hygiene, SongName, hygiene_of
from fusion.rescoring import fused_songs
from fusion.search import SimilarityIndex
from fusion.settings import FusionSettings
from fusion.shelf import known_vectors
from fusion.shelf_folder import ShelfFolder, SongRows
from fusion.similarity import SimilarityName
from fusion.song_facts import SongFacts

if TYPE_CHECKING:
    from data_prep.catalogue import Catalogue, Song, SongFilter, Stage

MOST_MASKS: Final = 16
"""Filters whose songs are remembered, of a catalogue that is not large."""

MASK_BYTES: Final = 1 << 24
"""What remembered filters may hold together; the last one is remembered in any case."""

MOST_SONGS_KEPT: Final = 2_048
"""Songs that were shown and are remembered."""

_FUSED: Final[tuple[Stage, ...]] = ("fused",)


class CatalogueShelf:
    """Songs of a catalogue as it is now; a change of it takes another shelf.

    A song whose file is gone (``missing_since``) keeps its row and has no vector.

    Parameters
    ----------
    catalogue
        Open, and left open.
    settings
        Fusion settings; songs whose stored vector was made by others are fused anew.
    keep_songs
        Whether songs that were shown are remembered: for who takes another shelf when the
        catalogue changes.

    Attributes
    ----------
    revision
        Of the catalogue when the shelf was made.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be read.
    """

    def __init__(
        self, catalogue: Catalogue, settings: FusionSettings, *, keep_songs: bool = False
    ) -> None:
        self.settings = settings
        self.revision = catalogue.revision()
        self._catalogue = catalogue
        self._lock = threading.Lock()  # one thread makes an index at a time
        self._kept: dict[int, Song] | None = {} if keep_songs else None
        self._fused: dict[str, tuple[Song, Fused]] = {}
        self._masks: dict[SongFilter, NDArray[np.bool_]] = {}
        self._hygiene: Hygiene | None = None
        self._indexes: dict[SimilarityName, SimilarityIndex] = {}
        self._folder = ShelfFolder(catalogue.name, self.revision, settings.hash)
        if not self._take():
            self._make()

    def __len__(self) -> int:
        return len(self.numbers)

    def index(self, similarity: SimilarityName = "cosine") -> SimilarityIndex:
        """The fused vectors of all songs, to be searched by a measure.

        That of cosine is there; another is read or made when it is first asked for.
        """
        found = self._indexes.get(similarity)
        if found is None:
            with self._lock:
                found = self._indexes.get(similarity) or self._folder.index(similarity)
                if found is None:
                    found = SimilarityIndex(self._indexes["cosine"].vectors, similarity)
                    if self._folder.add(found):
                        found = self._folder.index(similarity) or found
                self._indexes[similarity] = found
        return found

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The catalogue's number of each row, (n,)."""
        return self._rows.numbers

    def songs(self, rows: Sequence[int]) -> list[Song | None]:
        """Songs of rows; ``None`` for one that is not there any more."""
        kept = self._kept if self._kept is not None else {}
        shown: dict[int, Song | None] = {row: kept.get(row) for row in rows}
        wanted = [row for row, song in shown.items() if song is None]
        if wanted:
            numbers = self.numbers[np.asarray(wanted, dtype=np.intp)].tolist()
            found = self._catalogue.numbered(numbers)
            read = {row: found[n] for row, n in zip(wanted, numbers, strict=True) if n in found}
            shown |= read
            if self._kept is not None:
                if len(kept) + len(read) > MOST_SONGS_KEPT:
                    self._kept = {}  # others may be reading the old one
                self._kept.update(read)
        return [shown[row] for row in rows]

    def fused(self, songs: Sequence[Song]) -> list[Fused]:
        """Fused answers of songs, with their calibrated branches."""
        if self._kept is None:
            return fused_songs(songs, self.settings)
        known = self._fused
        found = {song.id: known[song.id] for song in songs if song.id in known}
        new = [song for song in songs if song.id not in found or found[song.id][0] is not song]
        if new:
            made = zip(new, fused_songs(new, self.settings), strict=True)
            read = {song.id: (song, fused) for song, fused in made}
            found |= read
            if len(known) + len(read) > MOST_SONGS_KEPT:
                self._fused = {}  # others may be reading the old one
            self._fused.update(read)
        return [found[song.id][1] for song in songs]

    def mask(self, where: SongFilter) -> NDArray[np.bool_]:
        """Which rows pass a filter: (n,)."""
        found = self._masks.get(where)
        if found is None:
            if self._facts is not None:
                found = self._facts.mask(where)
            else:
                found = self._mask_of(self._catalogue.numbers(where))
            most = min(MOST_MASKS, max(1, MASK_BYTES // max(1, len(self))))
            while len(self._masks) >= most:
                self._masks.pop(next(iter(self._masks)), None)
            self._masks[where] = found
        return found

    def row_of(self, song_id: str) -> int | None:
        """Row of a song; ``None`` if it is not here."""
        row = int(self.rows_of([song_id])[0])
        return row if row >= 0 else None

    def rows_of(self, song_ids: Sequence[str]) -> NDArray[np.intp]:
        """Rows of songs, -1 for one that is not here: (len(song_ids),)."""
        numbers = self._catalogue.numbers_of(song_ids)
        found = np.array([numbers.get(song_id, -1) for song_id in song_ids], np.int64)
        return self._rows.of_numbers(found)

    def vectors_of(self, song_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Song id → its fused vector (6,), of songs that are here and of which it is known."""
        rows = self.rows_of(song_ids).tolist()
        placed = {i: row for i, row in zip(song_ids, rows, strict=True) if row >= 0}
        return known_vectors(self.index(), placed)

    def genres(self) -> list[str]:
        """Every genre, by name; of several in one song each."""
        return self._catalogue.genres() if self._facts is None else self._facts.genres

    @property
    def has_hygiene(self) -> bool:
        """Whether :meth:`hygiene` has nothing to find out."""
        if self._hygiene is None:
            self._hygiene = self._folder.hygiene()
        return self._hygiene is not None

    def hygiene(self) -> Hygiene:
        """Which songs are left out by the published hygiene, and why.

        It reads the names of all songs: a minute for some millions.
        """
        if self._hygiene is None:
            with self._lock:
                self._hygiene = self._hygiene or self._folder.hygiene()
                if self._hygiene is None:
                    self._hygiene = self._hygiene_now()
                    self._folder.add_hygiene(self._hygiene)
        return self._hygiene

    def _hygiene_now(self) -> Hygiene:
        names = self._catalogue.names()
        nameless = SongName(None, None, None)
        return hygiene_of(
            [
                SongName(*names[number]) if number in names else nameless
                for number in self.numbers.tolist()
            ]
        )

    def _mask_of(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        rows = self._rows.of_numbers(numbers)
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[rows[rows >= 0]] = True
        return mask

    def _take(self) -> bool:
        """Map what is kept on disk; tells whether it is there."""
        rows, index = self._folder.rows(), self._folder.index()
        if rows is None or index is None or len(rows.numbers) != len(index):
            return False
        facts = self._folder.facts()
        self._rows, self._indexes["cosine"] = rows, index
        self._facts = facts if facts is not None and len(facts) == len(index) else None
        return True

    def _make(self) -> None:
        """Read the vectors, fuse those that are stale, and index them."""
        made_by = self.settings.hash
        found = self._catalogue.vectors(made_by, stages=_FUSED)
        vectors, stale = found.fused, ~found.current
        if stale.any():
            found = self._catalogue.vectors(made_by)
            vectors, stale = found.fused, ~found.current
            fused = fuse_many(found.lyrics[stale], found.audio[stale], self.settings)
            vectors[stale] = fused.distribution
        vectors[np.isin(found.numbers, self._catalogue.missing())] = np.nan
        if found.revision != self.revision:
            self.revision = found.revision
            self._folder = ShelfFolder(self._catalogue.name, self.revision, self.settings.hash)
        rows, index = SongRows.of(found.numbers), SimilarityIndex(vectors, "cosine")
        self._rows, self._indexes["cosine"], self._facts = rows, index, None
        if self._folder.put(rows, index, lambda: self._read_facts(rows)):
            self._take()  # mapped, so that the memory is shared

    def _read_facts(self, rows: SongRows) -> SongFacts | None:
        facts = SongFacts.of(self._catalogue.filter_facts(), rows.rows, len(rows.numbers))
        return facts if self._catalogue.revision() == self.revision else None
