"""Songs ready to be searched: the songs of a list, or of a whole catalogue.

A shelf knows its songs by row, 0 to n - 1, in the order of their ids; equal scores keep that
order. Of a catalogue it holds vectors alone; songs are fetched when they are shown, so that a
catalogue of millions is searched without being read. The index of a large catalogue is kept
in a folder beside it (``songs.db.index``), mapped into memory, and made again when the
catalogue or its fusion settings have changed; it is a copy that may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from data_prep.catalogue_place import IN_MEMORY
from data_prep.errors import MaeumError
from fusion.combination import Fused, fuse_many
from fusion.hygiene import Hygiene, SongName, hygiene_of
from fusion.rescoring import fused_songs, song_vectors
from fusion.search import SimilarityIndex
from fusion.settings import FusionSettings
from fusion.similarity import SimilarityName

if TYPE_CHECKING:
    from data_prep.catalogue import Catalogue, Song, SongFilter, Stage

SAVE_FROM: Final = 50_000
"""Songs from which the index is kept on disk; of fewer it is made as fast as it is read."""

MOST_MASKS: Final = 16
"""Filters whose songs are remembered."""

MOST_SONGS_KEPT: Final = 4_096
"""Songs that were shown and are remembered."""

_FUSED: Final[tuple[Stage, ...]] = ("fused",)
_NUMBERS: Final = "numbers.npy"
_CACHE: Final = "XDG_CACHE_HOME"
_WRITING_S: Final = 3_600.0  # after which nobody is writing any more


class Shelf(Protocol):
    """What recommendation asks of songs."""

    @property
    def settings(self) -> FusionSettings:
        """What the songs are fused with."""

    def __len__(self) -> int: ...

    def index(self, similarity: SimilarityName = "cosine") -> SimilarityIndex:
        """The fused vectors of all songs, to be searched by a measure."""

    def songs(self, rows: Sequence[int]) -> list[Song | None]:
        """Songs of rows; ``None`` for one that is not there any more."""

    def fused(self, songs: Sequence[Song]) -> list[Fused]:
        """Fused answers of songs, with their calibrated branches."""

    def mask(self, where: SongFilter) -> NDArray[np.bool_]:
        """Which rows pass a filter: (n,)."""

    def row_of(self, song_id: str) -> int | None:
        """Row of a song; ``None`` if it is not here."""

    def rows_of(self, song_ids: Sequence[str]) -> NDArray[np.intp]:
        """Rows of songs, -1 for one that is not here: (len(song_ids),)."""

    def vectors_of(self, song_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Song id → its fused vector (6,), of songs that are here and of which it is known."""

    def hygiene(self) -> Hygiene:
        """Which songs are left out by the published hygiene, and why."""


class ListShelf:
    """Songs of a list; one whose file is gone (``missing_since``) is never found.

    Parameters
    ----------
    songs
        In their order.
    settings
        Fusion settings; ``None`` takes those of the embedded models.
    """

    def __init__(self, songs: Sequence[Song], settings: FusionSettings | None = None) -> None:
        self._songs = songs
        self.settings = settings if settings is not None else FusionSettings.load()
        self._indexes: dict[SimilarityName, SimilarityIndex] = {}

    def __len__(self) -> int:
        return len(self._songs)

    def index(self, similarity: SimilarityName = "cosine") -> SimilarityIndex:
        """The fused vectors of all songs, to be searched by a measure."""
        if similarity not in self._indexes:
            vectors = song_vectors(self._songs, self.settings)
            vectors[[song.missing_since is not None for song in self._songs]] = np.nan
            self._indexes[similarity] = SimilarityIndex(vectors, similarity)
        return self._indexes[similarity]

    def songs(self, rows: Sequence[int]) -> list[Song | None]:
        """Songs of rows."""
        return [self._songs[row] for row in rows]

    def fused(self, songs: Sequence[Song]) -> list[Fused]:
        """Fused answers of songs, with their calibrated branches."""
        return fused_songs(songs, self.settings)

    def mask(self, where: SongFilter) -> NDArray[np.bool_]:
        """Which rows pass a filter: (n,)."""
        return np.array([where.accepts(song) for song in self._songs], dtype=np.bool_)

    def row_of(self, song_id: str) -> int | None:
        """Row of a song; ``None`` if it is not here."""
        return next((i for i, song in enumerate(self._songs) if song.id == song_id), None)

    def rows_of(self, song_ids: Sequence[str]) -> NDArray[np.intp]:
        """Rows of songs, -1 for one that is not here: (len(song_ids),)."""
        rows = {song.id: row for row, song in enumerate(self._songs)}
        return np.array([rows.get(song_id, -1) for song_id in song_ids], np.intp)

    def vectors_of(self, song_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Song id → its fused vector (6,), of songs that are here and of which it is known."""
        rows = {song_id: self.row_of(song_id) for song_id in song_ids}
        return _known(self.index(), {i: row for i, row in rows.items() if row is not None})

    def hygiene(self) -> Hygiene:
        """Which songs are left out by the published hygiene, and why."""
        return hygiene_of([SongName(song.title, song.artist, song.album) for song in self._songs])


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
        self._indexes: dict[SimilarityName, SimilarityIndex] = {}
        self._row_of_number: NDArray[np.int64] | None = None
        self._hygiene: Hygiene | None = None
        self._kept: dict[int, Song] | None = {} if keep_songs else None
        self._fused: dict[str, tuple[Song, Fused]] = {}
        self._masks: dict[SongFilter, NDArray[np.bool_]] = {}
        numbers = self._saved("cosine")
        if numbers is None:
            numbers = self._made()
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def index(self, similarity: SimilarityName = "cosine") -> SimilarityIndex:
        """The fused vectors of all songs, to be searched by a measure.

        That of cosine is there; another is read or made when it is first asked for.
        """
        if similarity not in self._indexes and self._saved(similarity) is None:
            made = SimilarityIndex(self._indexes["cosine"].vectors, similarity)
            self._indexes[similarity] = made
            self._save(similarity, self._numbers)
        return self._indexes[similarity]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The catalogue's number of each row, (n,)."""
        return self._numbers

    def songs(self, rows: Sequence[int]) -> list[Song | None]:
        """Songs of rows; ``None`` for one that is not there any more."""
        kept = self._kept if self._kept is not None else {}
        shown: dict[int, Song | None] = {row: kept.get(row) for row in rows}
        wanted = [row for row, song in shown.items() if song is None]
        if wanted:
            numbers = self._numbers[np.asarray(wanted, dtype=np.intp)].tolist()
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
            found = self._mask_of(self._catalogue.numbers(where))
            if len(self._masks) >= MOST_MASKS:
                self._masks.pop(next(iter(self._masks)), None)
            self._masks[where] = found
        return found

    def row_of(self, song_id: str) -> int | None:
        """Row of a song; ``None`` if it is not here."""
        number = self._catalogue.number_of(song_id)
        return None if number is None else self._row(number)

    def rows_of(self, song_ids: Sequence[str]) -> NDArray[np.intp]:
        """Rows of songs, -1 for one that is not here: (len(song_ids),)."""
        numbers = self._catalogue.numbers_of(song_ids)
        found = np.array([numbers.get(song_id, -1) for song_id in song_ids], np.int64)
        by_number = self._rows_by_number()
        if not len(by_number):
            return np.full(len(found), -1, np.intp)
        known = (found >= 0) & (found < len(by_number))
        return np.where(known, by_number[np.where(known, found, 0)], -1).astype(np.intp)

    def vectors_of(self, song_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Song id → its fused vector (6,), of songs that are here and of which it is known."""
        numbers = self._catalogue.numbers_of(song_ids)
        rows = {song_id: self._row(number) for song_id, number in numbers.items()}
        return _known(self.index(), {i: row for i, row in rows.items() if row is not None})

    def hygiene(self) -> Hygiene:
        """Which songs are left out by the published hygiene, and why."""
        if self._hygiene is None:
            names = self._catalogue.names()
            nameless = SongName(None, None, None)
            self._hygiene = hygiene_of(
                [
                    SongName(*names[number]) if number in names else nameless
                    for number in self._numbers.tolist()
                ]
            )
        return self._hygiene

    def _rows_by_number(self) -> NDArray[np.int64]:
        if self._row_of_number is None:
            rows = np.full(int(self._numbers.max(initial=-1)) + 1, -1, dtype=np.int64)
            rows[self._numbers] = np.arange(len(self._numbers))
            self._row_of_number = rows
        return self._row_of_number

    def _row(self, number: int) -> int | None:
        by_number = self._rows_by_number()
        row = int(by_number[number]) if 0 <= number < len(by_number) else -1
        return row if row >= 0 else None

    def _mask_of(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        by_number = self._rows_by_number()
        rows = by_number[numbers[(numbers >= 0) & (numbers < len(by_number))]]
        mask = np.zeros(len(self._numbers), dtype=np.bool_)
        mask[rows[rows >= 0]] = True
        return mask

    def _made(self) -> NDArray[np.int64]:
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
        self.revision = found.revision
        self._indexes["cosine"] = SimilarityIndex(vectors, "cosine")
        self._save("cosine", found.numbers)
        return found.numbers

    # The copy on disk.

    def _folder(self, similarity: SimilarityName) -> Path:
        stamp = hashlib.sha256(f"{self.revision} {self.settings.hash}".encode()).hexdigest()[:16]
        return index_place(self._catalogue.name) / f"{similarity}-{stamp}"

    def _saved(self, similarity: SimilarityName) -> NDArray[np.int64] | None:
        """Numbers of the songs of an index that was kept, which is taken; else ``None``."""
        folder = self._folder(similarity)
        if not folder.is_dir():
            return None
        try:
            numbers = np.load(folder / _NUMBERS, mmap_mode="r", allow_pickle=False)
            index = SimilarityIndex.load(folder / "index", verify=False)
        except (MaeumError, OSError, ValueError, EOFError, KeyError):
            shutil.rmtree(folder, ignore_errors=True)  # damaged: made again
            return None
        fits = numbers.shape == (len(index),) and numbers.dtype == np.int64
        if not fits or index.measure != similarity:
            return None
        self._indexes[similarity] = index
        return cast("NDArray[np.int64]", numbers)

    def _save(self, similarity: SimilarityName, numbers: NDArray[np.int64]) -> None:
        """Keep an index of many songs for the next start; one that cannot be kept is not."""
        if len(numbers) < SAVE_FROM or self._catalogue.name == IN_MEMORY:
            return
        folder = self._folder(similarity)
        with suppress(OSError, MaeumError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            new = folder.with_name(f".new-{secrets.token_hex(8)}")
            new.mkdir()
            try:
                np.save(new / _NUMBERS, numbers)
                self._indexes[similarity].save(new / "index")
                old = [
                    path
                    for path in folder.parent.glob(f"{similarity}-*")
                    if path.is_dir() and path != folder
                ]
                new.replace(folder)
                for path in (*old, *_left_over(folder.parent)):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                shutil.rmtree(new, ignore_errors=True)


def _left_over(folder: Path) -> list[Path]:
    """What processes that were killed had begun to write there."""
    long_ago = time.time() - _WRITING_S
    return [path for path in folder.glob(".new-*") if path.stat().st_mtime < long_ago]


def _known(index: SimilarityIndex, rows: dict[str, int]) -> dict[str, NDArray[np.float32]]:
    vectors = {song_id: np.array(index.vectors[row], np.float32) for song_id, row in rows.items()}
    return {song_id: v for song_id, v in vectors.items() if np.isfinite(v).all()}


def index_place(catalogue: str) -> Path:
    """Folder of a catalogue's saved indexes: beside its file, or among the user's caches.

    Parameters
    ----------
    catalogue
        Its name: a path, or a URL without a password.
    """
    if "://" not in catalogue:
        return Path(f"{catalogue}.index")
    caches = Path(os.environ.get(_CACHE) or Path.home() / ".cache")
    return caches / "maeum" / "index" / hashlib.sha256(catalogue.encode()).hexdigest()[:16]
