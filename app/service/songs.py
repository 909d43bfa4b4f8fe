"""The catalogue's songs as the service keeps them, until the catalogue changes.

What is searched are vectors; songs are read when they are shown. Whether the catalogue has
changed is told by its revision. A small catalogue that has changed is read anew at once. With a
large one the songs of before go on answering until the new state is there, so that nobody waits
for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from data_prep.catalogue import Catalogue, Song, SongFile
from data_prep.errors import MaeumError
from fusion import shelf_folder
from fusion.catalogue_shelf import CatalogueShelf
from fusion.recommendation import Recommender
from fusion.rescoring import catalogue_settings
from fusion.settings import FusionSettings
from fusion.shelf_folder import ShelfFolder


class PreparingError(MaeumError):
    """Something is being made that is needed for an answer; soon it will be there."""


class ShelfMaker(Protocol):
    """Sees to it that what is searched of a catalogue is kept on disk."""

    def __call__(self, settings: FusionSettings, *, with_hygiene: bool = False) -> None: ...


LEAST_PAUSE_S: Final = 1.0
"""Seconds between two renewals; where one takes longer, as long as that."""

_log = logging.getLogger("maeum.service")

_T = TypeVar("_T")


class KeptSongs:
    """Songs, a recommender and fusion settings of one catalogue; thread-safe.

    Parameters
    ----------
    catalogue
        Open for reading; closed by :meth:`close`.
    settings
        Fusion settings; ``None`` takes the catalogue's own, whenever it changes.
    make_shelf
        Sees to it that what is searched of a large catalogue is kept on disk for certain
        settings, without burdening this process; ``None`` has it made here.
    check_every_s
        Seconds for which the catalogue is taken to be what it was; 0 looks each time.
    clock
        Seconds since some moment.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        settings: FusionSettings | None = None,
        *,
        make_shelf: ShelfMaker | None = None,
        check_every_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._given = settings
        self._make_shelf = make_shelf
        self._check_every_s = check_every_s
        self._clock = clock
        self._checked = float("-inf")
        self._lock = threading.RLock()
        self._revision = ""
        self._shelf: CatalogueShelf | None = None
        self._renewal: threading.Thread | None = None
        self._next_renewal = float("-inf")
        self._derived: dict[str, tuple[CatalogueShelf, object]] = {}

    def shelf(self) -> CatalogueShelf:
        """The songs as they are now, to be searched; of a large catalogue, as they lately were.

        Raises
        ------
        CatalogueError
            If the catalogue cannot be read any more.
        """
        with self._lock:
            now = self._clock()
            if self._shelf is not None and now - self._checked < self._check_every_s:
                return self._shelf
            revision = self._catalogue.revision()
            if self._shelf is None or self._revision != revision:
                if self._shelf is None or len(self._shelf) < shelf_folder.SAVE_FROM:
                    self._shelf, self._revision = self._read(revision)
                else:
                    self._begin(self._renew)
            self._checked = now
            return self._shelf

    def require_hygiene(self) -> None:
        """See to it that hygiene of the songs is known.

        Raises
        ------
        PreparingError
            If it is to be found out for a large catalogue, which is done meanwhile.
        """
        shelf = self.shelf()
        if len(shelf) < shelf_folder.SAVE_FROM or self._make_shelf is None or shelf.has_hygiene:
            return
        with self._lock:
            self._begin(self._make_hygiene)
        raise PreparingError(
            f"which of {len(shelf):,} songs are duplicates is being found out: try again in a "
            "minute, or ask without hygiene"
        )

    @property
    def is_renewing(self) -> bool:
        """Whether a new state of the catalogue, or more of this one, is being prepared."""
        return self._renewal is not None

    def _read(self, revision: str) -> tuple[CatalogueShelf, str]:
        """A shelf, and the revision of before the settings were read.

        What changed meanwhile is seen next time.
        """
        settings = self._given or catalogue_settings(self._catalogue)
        if self._make_shelf is not None and self._is_large(revision, settings):
            self._make_shelf(settings)
        return CatalogueShelf(self._catalogue, settings, keep_songs=True), revision

    def _is_large(self, revision: str, settings: FusionSettings) -> bool:
        """Whether something is to be made that takes its time."""
        if ShelfFolder(self._catalogue.name, revision, settings.hash).is_there:
            return False
        return self._catalogue.count() >= shelf_folder.SAVE_FROM

    def _begin(self, prepare: Callable[[], None]) -> None:
        """Prepare something in a thread; one thing at a time, with pauses. The lock is held."""
        if self._renewal is None and self._clock() >= self._next_renewal:
            self._renewal = threading.Thread(target=self._prepare, args=[prepare], daemon=True)
            self._renewal.start()

    def _prepare(self, prepare: Callable[[], None]) -> None:
        begin = self._clock()
        try:
            prepare()
        except MaeumError as error:
            _log.warning("maeum: the catalogue cannot be prepared for searching: %s", error)
        finally:
            now = self._clock()
            with self._lock:
                self._renewal = None
                self._next_renewal = now + max(now - begin, LEAST_PAUSE_S)

    def _renew(self) -> None:
        shelf, revision = self._read(self._catalogue.revision())
        with self._lock:
            self._shelf, self._revision = shelf, revision

    def _make_hygiene(self) -> None:
        assert self._make_shelf is not None, "it was required"
        self._make_shelf(self.shelf().settings, with_hygiene=True)

    def derived(self, name: str, make: Callable[[CatalogueShelf], _T]) -> _T:
        """Something made from the songs as they are now, and remembered until they change."""
        shelf = self.shelf()
        kept = self._derived.get(name)
        if kept is None or kept[0] is not shelf:
            kept = self._derived[name] = (shelf, make(shelf))
        return kept[1]  # type: ignore[return-value]

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue itself, open for reading."""
        return self._catalogue

    def count(self) -> int:
        """Number of songs; raises as :meth:`shelf`."""
        return len(self.shelf())

    def settings(self) -> FusionSettings:
        """The settings that the songs are fused with."""
        return self.shelf().settings

    def recommender(self) -> Recommender:
        """A recommender over the songs as they are now."""
        return Recommender(self.shelf())

    def song(self, song_id: str) -> Song | None:
        """A song by its id; ``None`` if it is not there."""
        found = self._catalogue.get([song_id])
        return found[0] if found else None

    def file(self, song_id: str) -> SongFile | None:
        """What a song's stages were made from; ``None`` if that is not kept."""
        return self._catalogue.files([song_id]).get(song_id)

    def genres(self) -> list[str]:
        """Every genre, by name."""
        return self.derived("genres", CatalogueShelf.genres)

    def close(self) -> None:
        """Close the catalogue."""
        self._catalogue.close()
