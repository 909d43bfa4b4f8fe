"""The catalogue's songs as the page keeps them in memory, until the catalogue changes.

Reading and indexing tens of thousands of songs takes seconds, a search in them
milliseconds. Whether the catalogue has changed is told by its revision.
"""

from __future__ import annotations

import threading
from typing import Final

from app.page_charts import MapPoint
from data_prep.catalogue import Catalogue, Song, SongFilter
from fusion.recommendation import Recommender
from fusion.rescoring import catalogue_settings, song_vectors
from fusion.settings import FusionSettings

MOST_FILTERS: Final = 16


class KeptSongs:
    """Songs, recommenders per filter, and fusion settings of one catalogue; thread-safe.

    Parameters
    ----------
    catalogue
        Open for reading; closed by :meth:`close`.
    settings
        Fusion settings; ``None`` takes the catalogue's own, whenever it changes.
    """

    def __init__(self, catalogue: Catalogue, settings: FusionSettings | None = None) -> None:
        self._catalogue = catalogue
        self._given = settings
        self._lock = threading.RLock()
        self._revision: str | None = None
        self._songs: list[Song] = []
        self._settings = settings if settings is not None else catalogue_settings(catalogue)
        self._recommenders: dict[SongFilter, Recommender] = {}

    def songs(self) -> list[Song]:
        """All songs, in the catalogue's order.

        Raises
        ------
        CatalogueError
            If the catalogue cannot be read any more.
        """
        with self._lock:
            revision = self._catalogue.revision()
            if revision != self._revision:
                self._songs = self._catalogue.songs()
                if self._given is None:
                    self._settings = catalogue_settings(self._catalogue)
                self._recommenders.clear()
                self._revision = revision
            return self._songs

    def settings(self) -> FusionSettings:
        """The settings that the songs are fused with."""
        with self._lock:
            self.songs()
            return self._settings

    def recommender(self, where: SongFilter) -> Recommender:
        """A recommender over the songs that pass a filter."""
        with self._lock:
            songs = self.songs()
            if where not in self._recommenders:
                passed = [song for song in songs if where.accepts(song)]
                if len(self._recommenders) >= MOST_FILTERS:
                    self._recommenders.pop(next(iter(self._recommenders)))
                self._recommenders[where] = Recommender(passed, self._settings)
            return self._recommenders[where]

    def genres(self) -> list[str]:
        """Every genre, by name."""
        names: set[str] = set()
        for song in self.songs():
            names.update(part.strip() for part in (song.genre or "").split(";"))
        return sorted(names - {""}, key=str.casefold)

    def map_points(self, most: int) -> list[MapPoint]:
        """At most so many songs that have an answer, evenly taken, as they are fused now."""
        songs = [s for s in self.songs() if s.lyrics is not None or s.audio is not None]
        taken = songs[:: max(-(-len(songs) // most), 1)]
        vectors = song_vectors(taken, self.settings())
        return [
            MapPoint(vector, song.title, song.artist, song.link)
            for song, vector in zip(taken, vectors, strict=True)
        ]

    def close(self) -> None:
        """Close the catalogue."""
        self._catalogue.close()
