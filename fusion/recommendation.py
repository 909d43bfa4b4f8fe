"""Recommendation: songs of a catalogue whose emotion fits, each with the reason.

A song is placed by its stored fused vector where that was made with the present
fusion settings, and by fusing its stored branch vectors otherwise, so that a
change of settings needs no new index. Of songs with the same title by the same
artist only the nearest is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS, as_mapping, emotion_index
from fusion.combination import Fused
from fusion.reasons import Language, reason
from fusion.rescoring import catalogue_settings, fused_song, song_vectors
from fusion.search import EmotionIndex
from fusion.settings import FusionSettings

if TYPE_CHECKING:
    from data_prep.catalogue import Catalogue, Song, SongFilter
    from fusion.analysis import Analysis

MAX_RESULTS: Final = 1_000


@dataclass(frozen=True, eq=False)
class Recommendation:
    """One recommended song.

    Attributes
    ----------
    rank
        1 is the best; on a path towards an emotion, the place on the path.
    song
        Row of the catalogue.
    score
        Cosine with what was searched for, 0 to 1.
    fused
        The song's fused answer, its calibrated branches and their shares.
    why
        The reason, one sentence.
    """

    rank: int
    song: Song
    score: float
    fused: Fused
    why: str

    def to_json(self) -> dict[str, Any]:
        """The documented JSON of one result."""
        return {
            "rank": self.rank,
            "id": self.song.id,
            "title": self.song.title,
            "artist": self.song.artist,
            "year": self.song.year,
            "link": self.song.link,
            "score": self.score,
            "fused": as_mapping(self.fused.distribution),
            "lyrics": as_mapping(self.fused.lyrics),
            "audio": as_mapping(self.fused.audio),
            "why": self.why,
        }


class Recommender:
    """Songs that are ready to be searched again and again.

    Parameters
    ----------
    songs
        Rows of a catalogue, in its order; equal scores keep it.
    settings
        Fusion settings; ``None`` takes those of the embedded models.
    """

    def __init__(self, songs: Sequence[Song], settings: FusionSettings | None = None) -> None:
        self._songs = songs
        self._settings = settings if settings is not None else FusionSettings.load()
        self._index = EmotionIndex(song_vectors(songs, self._settings))

    def __len__(self) -> int:
        return len(self._songs)

    def recommend(
        self,
        query: Analysis | NDArray[np.floating[Any]],
        k: int = 5,
        *,
        toward: str | None = None,
        language: Language | None = None,
    ) -> list[Recommendation]:
        """The k songs nearest to a mood, or k steps from it towards an emotion.

        Parameters
        ----------
        query
            An analysis, or a vector (6,).
        k
            How many, 1 to ``MAX_RESULTS``; fewer come back where there are not
            so many.
        toward
            Name of an emotion in English or Korean. Result i is then the
            nearest unused song to the i-th of k points evenly spaced from the
            mood to that emotion alone.
        language
            Language of the reasons; by default that of the analysed words,
            English for a vector.

        Raises
        ------
        InputError
            If k is out of range or the emotion is not one of the six.
        """
        if not 1 <= k <= MAX_RESULTS:
            raise InputError(f"k = {k}: expected a number of songs from 1 to {MAX_RESULTS}")
        vector = query if isinstance(query, np.ndarray) else query.distribution
        if language is None:
            spoken = None if isinstance(query, np.ndarray) else query.language
            language = "ko" if spoken == "ko" else "en"
        if toward is None:
            found = self._nearest(vector, k)
            return [
                self._result(rank, row, score, vector, language, None)
                for rank, (row, score) in enumerate(found, start=1)
            ]
        return self._path(vector, k, emotion_index(toward), language)

    def _nearest(self, vector: NDArray[np.floating[Any]], k: int) -> list[tuple[int, float]]:
        """Rows and scores of the k nearest different songs."""
        asked = k
        while True:
            rows, scores = self._index.query(vector, asked)
            pairs = zip(rows.tolist(), scores.tolist(), strict=True)
            different = list(self._different(pairs))
            if len(different) >= k or len(rows) < asked or asked >= len(self):
                return different[:k]
            asked = min(2 * asked, len(self))

    def _different(self, pairs: Iterator[tuple[int, float]]) -> Iterator[tuple[int, float]]:
        seen: set[tuple[str, str]] = set()
        for row, score in pairs:
            name = _name(self._songs[row])
            if name is None or name not in seen:
                yield row, score
            if name is not None:
                seen.add(name)

    def _path(
        self, start: NDArray[np.floating[Any]], k: int, target: int, language: Language
    ) -> list[Recommendation]:
        goal = np.eye(N_EMOTIONS)[target]
        begin = np.asarray(start, dtype=np.float64) / float(np.sum(start))
        used: set[int] = set()
        names: set[tuple[str, str]] = set()
        places: dict[int, tuple[int, float, NDArray[np.float64]]] = {}
        # The goal chooses first, or a step on the way would take its song.
        for step in (k, *range(1, k)):
            share = (step - 1) / (k - 1) if k > 1 else 1.0
            point = (1.0 - share) * begin + share * goal
            for row, score in self._nearest(point, min(len(used) + 1, len(self)) or 1):
                name = _name(self._songs[row])
                if row not in used and (name is None or name not in names):
                    used.add(row)
                    if name is not None:
                        names.add(name)
                    places[step] = (row, score, point)
                    break
        return [
            self._result(rank, *places[step], language, (step, k, target))
            for rank, step in enumerate(sorted(places), start=1)
        ]

    def _result(
        self,
        rank: int,
        row: int,
        score: float,
        searched: NDArray[np.floating[Any]],
        language: Language,
        step: tuple[int, int, int] | None,
    ) -> Recommendation:
        song = self._songs[row]
        fused = fused_song(song, self._settings)
        return Recommendation(
            rank=rank,
            song=song,
            score=min(max(score, 0.0), 1.0),
            fused=fused,
            why=reason(searched, fused, language, step=step),
        )


def recommend(
    catalogue: Catalogue,
    query: Analysis | NDArray[np.floating[Any]],
    k: int = 5,
    song_filter: SongFilter | None = None,
    toward: str | None = None,
    *,
    settings: FusionSettings | None = None,
    language: Language | None = None,
) -> list[Recommendation]:
    """Recommend from a catalogue; see :meth:`Recommender.recommend`.

    Parameters
    ----------
    catalogue
        An open catalogue.
    query
        An analysis, or a vector (6,).
    k
        How many songs.
    song_filter
        Which songs may be recommended; all if ``None``.
    toward
        Emotion to lead to, step by step.
    settings
        Fusion settings; ``None`` takes the catalogue's own.
    language
        Language of the reasons.

    Raises
    ------
    InputError
        If k or ``toward`` is out of range.
    CatalogueError
        If the catalogue cannot be read.
    """
    if settings is None:
        settings = catalogue_settings(catalogue)
    recommender = Recommender(catalogue.songs(song_filter), settings)
    return recommender.recommend(query, k, toward=toward, language=language)


def _name(song: Song) -> tuple[str, str] | None:
    """Title and artist for comparing, ``None`` where one is unknown."""
    if not song.title or not song.artist:
        return None
    return " ".join(song.title.casefold().split()), " ".join(song.artist.casefold().split())
