"""The catalogue's songs as the page keeps them, until the catalogue changes.

What is searched are vectors; songs are read when they are shown. Whether the catalogue has
changed is told by its revision.
"""

from __future__ import annotations

import threading

from app.page.charts import MapPoint
from data_prep.catalogue import Catalogue, Song
from fusion.recommendation import Recommender
from fusion.rescoring import catalogue_settings, song_vectors
from fusion.settings import FusionSettings
from fusion.shelf import CatalogueShelf


class KeptSongs:
    """Songs, a recommender and fusion settings of one catalogue; thread-safe.

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
        self._revision = ""
        self._shelf: CatalogueShelf | None = None
        self._songs: list[Song] | None = None

    def shelf(self) -> CatalogueShelf:
        """The songs as they are now, to be searched.

        Raises
        ------
        CatalogueError
            If the catalogue cannot be read any more.
        """
        with self._lock:
            revision = self._catalogue.revision()
            if self._shelf is None or self._revision != revision:
                settings = self._given or catalogue_settings(self._catalogue)
                self._shelf = CatalogueShelf(self._catalogue, settings)
                self._songs = None
                # that of before the settings were read: what changed meanwhile is seen next time
                self._revision = revision
            return self._shelf

    def songs(self) -> list[Song]:
        """All songs, in the catalogue's order; raises as :meth:`shelf`."""
        with self._lock:
            self.shelf()
            if self._songs is None:
                self._songs = self._catalogue.songs()
            return self._songs

    def count(self) -> int:
        """Number of songs; raises as :meth:`shelf`."""
        return len(self.shelf())

    def settings(self) -> FusionSettings:
        """The settings that the songs are fused with."""
        return self.shelf().settings

    def recommender(self) -> Recommender:
        """A recommender over the songs as they are now."""
        return Recommender(self.shelf())

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
