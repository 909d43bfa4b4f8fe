"""The catalogue's songs as the service keeps them, until the catalogue changes.

What is searched are vectors; songs are read when they are shown. Whether the catalogue has
changed is told by its revision.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from data_prep.catalogue import Catalogue, Song, SongFile
from fusion.catalogue_shelf import CatalogueShelf
from fusion.recommendation import Recommender
from fusion.rescoring import catalogue_settings
from fusion.settings import FusionSettings


class KeptSongs:
    """Songs, a recommender and fusion settings of one catalogue; thread-safe.

    Parameters
    ----------
    catalogue
        Open for reading; closed by :meth:`close`.
    settings
        Fusion settings; ``None`` takes the catalogue's own, whenever it changes.
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
        check_every_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._given = settings
        self._check_every_s = check_every_s
        self._clock = clock
        self._checked = float("-inf")
        self._lock = threading.RLock()
        self._revision = ""
        self._shelf: CatalogueShelf | None = None
        self._genres: list[str] | None = None

    def shelf(self) -> CatalogueShelf:
        """The songs as they are now, to be searched.

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
                settings = self._given or catalogue_settings(self._catalogue)
                self._shelf = CatalogueShelf(self._catalogue, settings, keep_songs=True)
                self._genres = None
                # that of before the settings were read: what changed meanwhile is seen next time
                self._revision = revision
            self._checked = now
            return self._shelf

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
        with self._lock:
            self.shelf()
            if self._genres is None:
                self._genres = self._catalogue.genres()
            return self._genres

    def close(self) -> None:
        """Close the catalogue."""
        self._catalogue.close()
