"""What is made from a catalogue's songs for searching them, kept on disk and mapped into memory.

A folder holds one state of a catalogue: one revision of it, fused with certain settings. It
appears whole or not at all, and takes the place of that of the state before; whoever has that
one mapped keeps it. All of it is a copy that may be deleted at any time.

    songs/      numbers of the songs by row, and rows by number
    facts/      what filters ask of the songs (:mod:`fusion.song_facts`)
    cosine/     the search index; one like it for each other measure that was asked for
    hygiene/    which songs the published hygiene keeps, once it was asked for
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from data_prep.catalogue_place import IN_MEMORY
from data_prep.errors import MaeumError
from fusion.hygiene import Hygiene
from fusion.index_folder import load_index, save_index
from fusion.search import SimilarityIndex
from fusion.similarity import SimilarityName
from fusion.song_facts import SongFacts

SAVE_FROM: Final = 50_000
"""Songs from which this is worth while; of fewer all is made as fast as it is read."""

_CACHE: Final = "XDG_CACHE_HOME"
_HYGIENE: Final = "hygiene"
_SONGS: Final = "songs"
_FACTS: Final = "facts"
_FIRST: Final[SimilarityName] = "cosine"
_WRITING_S: Final = 3_600.0  # after which nobody is writing any more

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class SongRows:
    """Which song has which row.

    Attributes
    ----------
    numbers
        The catalogue's number of each row, int64 (n,).
    rows
        Row of each number, -1 where there is none, int32 or int64 (largest number + 1,).
    """

    numbers: NDArray[np.int64]
    rows: NDArray[np.signedinteger]

    @classmethod
    def of(cls, numbers: NDArray[np.int64]) -> SongRows:
        """From the numbers alone."""
        largest = int(numbers.max(initial=-1))
        rows: NDArray[np.signedinteger]
        if len(numbers) < np.iinfo(np.int32).max:
            rows = np.full(largest + 1, -1, dtype=np.int32)
        else:
            rows = np.full(largest + 1, -1, dtype=np.int64)
        rows[numbers] = np.arange(len(numbers))
        return cls(numbers, rows)

    @classmethod
    def load(cls, folder: Path) -> SongRows:
        """Map what was saved into memory.

        Raises
        ------
        IndexFolderError
            If there is nothing, or it is damaged.
        """
        _, arrays = load_index(folder, _SONGS, verify=False)
        return cls(arrays["numbers"], arrays["rows"])

    def of_numbers(self, numbers: NDArray[np.int64]) -> NDArray[np.intp]:
        """Rows of some numbers (m,), -1 for one that is not here."""
        known = (numbers >= 0) & (numbers < len(self.rows))
        if not known.any():
            return np.full(len(numbers), -1, dtype=np.intp)
        return np.where(known, self.rows[np.where(known, numbers, 0)], -1).astype(np.intp)


class ShelfFolder:
    """Where one state of a catalogue is kept; nothing is there before :meth:`put`.

    Parameters
    ----------
    catalogue
        Its name: a path, or a URL without a password.
    revision
        Of its content.
    settings_hash
        Of the fusion settings.
    """

    def __init__(self, catalogue: str, revision: str, settings_hash: str) -> None:
        stamp = hashlib.sha256(f"{revision} {settings_hash}".encode()).hexdigest()[:16]
        self.path = index_place(catalogue) / stamp
        self._keeps = catalogue != IN_MEMORY

    @property
    def is_there(self) -> bool:
        """Whether the state is kept."""
        return self._keeps and self.path.is_dir()

    def rows(self) -> SongRows | None:
        """Which song has which row; ``None`` if that is not kept."""
        # no state is without it: one that is there and lacks it is damaged
        return self._kept(_SONGS, SongRows.load, is_expected=self.is_there)

    def index(self, measure: SimilarityName = _FIRST) -> SimilarityIndex | None:
        """The search index by a measure, mapped into memory; ``None`` if it is not kept."""
        index = self._kept(measure, lambda folder: SimilarityIndex.load(folder, verify=False))
        return index if index is not None and index.measure == measure else None

    def facts(self) -> SongFacts | None:
        """What filters ask of the songs; ``None`` if it is not kept."""
        return self._kept(_FACTS, SongFacts.load)

    def hygiene(self) -> Hygiene | None:
        """Which songs the published hygiene keeps; ``None`` if that is not kept."""
        return self._kept(_HYGIENE, _load_hygiene)

    def _kept(
        self, name: str, load: Callable[[Path], _T], *, is_expected: bool = False
    ) -> _T | None:
        """A part of the state, if it is there; the whole state goes if the part is damaged."""
        folder = self.path / name
        if not self._keeps or not (is_expected or folder.is_dir()):
            return None
        try:
            return load(folder)
        except (MaeumError, KeyError, ValueError):
            shutil.rmtree(self.path, ignore_errors=True)  # made again
            return None

    def put(
        self, rows: SongRows, index: SimilarityIndex, facts: Callable[[], SongFacts | None]
    ) -> bool:
        """Keep a state in place of all others of the catalogue.

        Parameters
        ----------
        rows
            Which song has which row.
        index
            By cosine.
        facts
            Reads what filters ask; called only where the state is kept.

        Returns
        -------
        Whether it is kept; of few songs, or where nothing can be written, it is not.
        """
        if len(rows.numbers) < SAVE_FROM or not self._keeps:
            return False
        with suppress(OSError, MaeumError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = self.path.with_name(f".new-{secrets.token_hex(8)}")
            new.mkdir()
            try:
                save_index(new / _SONGS, _SONGS, {}, {"numbers": rows.numbers, "rows": rows.rows})
                index.save(new / index.measure)
                found = facts()
                if found is not None:
                    found.save(new / _FACTS)
                old = [path for path in self._states() if path != self.path]
                new.replace(self.path)
                for path in (*old, *_left_over(self.path.parent)):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                shutil.rmtree(new, ignore_errors=True)
        return self.is_there

    def add(self, index: SimilarityIndex) -> bool:
        """Keep the index of another measure beside it; tells whether it is kept."""
        if not self.is_there:
            return False
        with suppress(MaeumError):
            index.save(self.path / index.measure)
            return True
        return False

    def add_hygiene(self, hygiene: Hygiene) -> None:
        """Keep what hygiene found, where that can be done."""
        if self.is_there:
            with suppress(MaeumError):
                save_index(self.path / _HYGIENE, _HYGIENE, hygiene.counts, {"kept": hygiene.kept})

    def asked_for(self) -> tuple[list[SimilarityName], bool]:
        """Measures whose index is kept of any state of the catalogue; and whether hygiene is."""
        names: set[str] = set()
        for state in self._states():
            with suppress(OSError):  # it has just been cleared
                names.update(one.name for one in state.iterdir())
        return [each for each in get_args(SimilarityName) if each in names], _HYGIENE in names

    def _states(self) -> list[Path]:
        if not self._keeps:
            return []
        found = self.path.parent.glob("[!.]*")
        return [path for path in found if path.is_dir()]


def _load_hygiene(folder: Path) -> Hygiene:
    counts, arrays = load_index(folder, _HYGIENE, verify=False)
    return Hygiene(arrays["kept"], {reason: int(n) for reason, n in counts.items()})


def index_place(catalogue: str) -> Path:
    """Folder of a catalogue's states: beside its file, or among the user's caches.

    Parameters
    ----------
    catalogue
        Its name: a path, or a URL without a password.
    """
    if "://" not in catalogue:
        return Path(f"{catalogue}.index")
    caches = Path(os.environ.get(_CACHE) or Path.home() / ".cache")
    return caches / "maeum" / "index" / hashlib.sha256(catalogue.encode()).hexdigest()[:16]


def _left_over(folder: Path) -> list[Path]:
    """What processes that were killed had begun to write there."""
    long_ago = time.time() - _WRITING_S
    return [path for path in folder.glob(".new-*") if path.stat().st_mtime < long_ago]
