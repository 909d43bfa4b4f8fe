"""Recommendation: songs of a shelf whose emotion fits, each with the reason.

Songs are placed by their fused vectors (:mod:`fusion.shelf`) and found exactly
(:mod:`fusion.search`). Of songs with the same title by the same artist only the nearest is
kept. What else is wanted of a list (filters, hygiene, an artist's most songs, variety, a path
to another mood) is one :class:`Wishes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS, as_mapping, emotion_index
from fusion.catalogue_shelf import CatalogueShelf
from fusion.combination import Fused
from fusion.mixed_search import Beside, MixedIndex
from fusion.reasons import Language, reason
from fusion.rescoring import catalogue_settings
from fusion.search import Results, SimilarityIndex
from fusion.settings import FusionSettings
from fusion.shelf import Shelf
from fusion.similarity import SimilarityName, similarity

if TYPE_CHECKING:
    from data_prep.catalogue import Catalogue, Song, SongFilter
    from fusion.analysis import Analysis

MAX_RESULTS: Final = 1_000

_POOL: Final = 10  # candidates of a varied list, for each song of it
_LIKELY: Final = 2  # songs of which a step on a path takes one, mostly
_SMALLEST_POOL: Final = 100

Vector = NDArray[np.floating[Any]]


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
        Similarity with what was searched for, 0 to 1.
    fused
        The song's fused answer, its calibrated branches and their shares.
    why
        The reason, one sentence.
    searched
        Vector that was searched for, (6,): the query, or a step on the path from it.
    step
        On a path: (step, steps, index of the emotion it leads to).
    """

    rank: int
    song: Song
    score: float
    fused: Fused
    why: str
    searched: Vector
    step: tuple[int, int, int] | None = None

    def why_in(self, language: Language) -> str:
        """The reason in a language."""
        return reason(self.searched, self.fused, language, step=self.step)

    def to_json(self, *, details: bool = False) -> dict[str, Any]:
        """The documented JSON of one result; ``details`` as those of an analysis."""
        content = {
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
        return content | self.fused.details() if details else content


@dataclass(frozen=True)
class Wishes:
    """What is wanted of a list besides the mood.

    Attributes
    ----------
    k
        How many songs, 1 to ``MAX_RESULTS``; fewer come back where there are not so many.
    where
        Which songs may come; all if ``None``.
    toward
        Name of an emotion in English or Korean: result i is then the nearest unused song to
        the i-th of k points evenly spaced from the mood to that emotion alone. ``None`` stays.
    similarity
        Measure of nearness, by name.
    same_top_first
        Songs with the mood's strongest emotion before all others, as published.
    hygiene
        Leave out duplicates, various artists and novelty series (:mod:`fusion.hygiene`).
    diversity
        0 takes the nearest; above, up to 1, each song is chosen for being near the mood and
        far from those chosen before (maximal marginal relevance, Carbonell and Goldstein 1998).
        Not together with ``toward``, whose songs differ by themselves.
    per_artist
        Most songs of one artist; any number if ``None``. Artists stand apart by ``;``.
    leave_out
        Ids of songs that are not wanted.
    beside
        Songs that these should go with, and playlists that say what goes with them.
    """

    k: int = 5
    where: SongFilter | None = None
    toward: str | None = None
    similarity: SimilarityName = "cosine"
    same_top_first: bool = False
    hygiene: bool = False
    diversity: float = 0.0
    per_artist: int | None = None
    leave_out: frozenset[str] = field(default_factory=frozenset)
    beside: Beside | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_RESULTS:
            raise InputError(f"k = {self.k}: expected a number of songs from 1 to {MAX_RESULTS}")
        if not 0.0 <= self.diversity <= 1.0:
            raise InputError(f"diversity {self.diversity}: expected a number from 0 to 1")
        if self.per_artist is not None and self.per_artist < 1:
            raise InputError(f"{self.per_artist} songs of an artist: expected 1 or more")
        similarity(self.similarity)
        if self.toward is not None:
            emotion_index(self.toward)
            if self.diversity > 0.0:
                raise InputError("diversity goes with a list that stays in a mood, not with toward")


class Recommender:
    """Songs that are ready to be searched again and again.

    Parameters
    ----------
    shelf
        The songs.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def __len__(self) -> int:
        return len(self.shelf)

    def recommend(
        self,
        query: Analysis | Vector,
        wishes: Wishes | None = None,
        *,
        language: Language | None = None,
    ) -> list[Recommendation]:
        """The songs nearest to a mood, or steps from it towards an emotion.

        Parameters
        ----------
        query
            An analysis, or a vector (6,).
        wishes
            What is wanted of the list; five songs if ``None``.
        language
            Language of the reasons; by default that of the analysed words,
            English for a vector.

        Raises
        ------
        InputError
            If the query is no emotion vector.
        CatalogueError
            If the catalogue cannot be read any more.
        """
        wishes = wishes or Wishes()
        vector = query if isinstance(query, np.ndarray) else query.distribution
        if vector.shape != (N_EMOTIONS,):
            raise InputError(f"a mood is an emotion distribution (6,), got shape {vector.shape}")
        if language is None:
            spoken = None if isinstance(query, np.ndarray) else query.language
            language = "ko" if spoken == "ko" else "en"
        search = _Search(self.shelf, wishes)
        if wishes.toward is not None:
            return self._path(search, vector, emotion_index(wishes.toward), language)
        found = search.nearest(vector, wishes.k)
        fused = self.shelf.fused([song for _, song, _ in found])
        return [
            _result(rank, song, score, one, vector, language, None)
            for rank, ((_, song, score), one) in enumerate(zip(found, fused, strict=True), start=1)
        ]

    def like(
        self,
        song_ids: str | Sequence[str],
        wishes: Wishes | None = None,
        *,
        language: Language | None = None,
    ) -> list[Recommendation]:
        """Songs like one of the shelf, or like several, themselves left out; as
        :meth:`recommend`, with the mean of their emotions.

        Raises
        ------
        InputError
            If there is no such song, or nothing is known of its emotion.
        """
        wishes = wishes or Wishes()
        each = [song_ids] if isinstance(song_ids, str) else list(song_ids)
        others = replace(wishes, leave_out=wishes.leave_out | set(each))
        return self.recommend(self.vector_of_all(each), others, language=language)

    def vector_of_all(self, song_ids: Sequence[str]) -> Vector:
        """Mean of the fused vectors (6,) of some songs; raises as :meth:`like`."""
        if not song_ids:
            raise InputError("no song is given that others should be like")
        vectors = [np.asarray(self.vector_of(song_id), np.float64) for song_id in song_ids]
        mean: Vector = np.mean([vector / vector.sum() for vector in vectors], axis=0)
        return mean.astype(np.float32)

    def vector_of(self, song_id: str) -> Vector:
        """Fused vector (6,) of a song of the shelf; raises as :meth:`like`."""
        row = self.shelf.row_of(song_id)
        if row is None:
            raise InputError(f"no song has the id {song_id!r}: `maeum export` lists the ids")
        vector = np.asarray(self.shelf.index().vectors[row], dtype=np.float32)
        if not np.isfinite(vector).all():
            raise InputError(
                f"nothing is known of the emotion of the song {song_id!r}, or its file is gone: "
                "index it again"
            )
        return vector

    def _path(
        self, search: _Search, start: Vector, target: int, language: Language
    ) -> list[Recommendation]:
        k = search.wishes.k
        goal = np.eye(N_EMOTIONS)[target]
        begin = np.asarray(start, dtype=np.float64) / float(np.sum(start))
        taken: list[tuple[int, Song, float, Vector]] = []
        steps: list[int] = []
        shares = np.linspace(0.0, 1.0, k) if k > 1 else np.ones(1)
        points = (1.0 - shares)[:, None] * begin + shares[:, None] * goal
        likely = search.likely(points, k)
        # The goal chooses first, or a step on the way would take its song.
        for step in (k, *range(1, k)):
            point = points[step - 1]
            besides = [song for _, song, _, _ in taken]
            first = None if likely is None else (likely[0][step - 1], likely[1][step - 1])
            found = search.nearest(point, 1, besides=besides, first=first)
            for row, song, score in found:
                taken.append((row, song, score, point))
                steps.append(step)
        places = sorted(range(len(steps)), key=lambda place: steps[place])
        fused = self.shelf.fused([taken[place][1] for place in places])
        results = []
        for rank, (place, one) in enumerate(zip(places, fused, strict=True), start=1):
            _, song, score, point = taken[place]
            on_the_way = (steps[place], k, target)
            results.append(_result(rank, song, score, one, point, language, on_the_way))
        return results


def _result(
    rank: int,
    song: Song,
    score: float,
    fused: Fused,
    searched: Vector,
    language: Language,
    step: tuple[int, int, int] | None,
) -> Recommendation:
    return Recommendation(
        rank=rank,
        song=song,
        score=min(max(score, 0.0), 1.0),
        fused=fused,
        why=reason(searched, fused, language, step=step),
        searched=searched,
        step=step,
    )


class _Search:
    """One search of a shelf: what may come, and what is taken of it."""

    def __init__(self, shelf: Shelf, wishes: Wishes) -> None:
        self.wishes = wishes
        self._shelf = shelf
        self._index: SimilarityIndex | MixedIndex = shelf.index(wishes.similarity)
        if wishes.beside is not None:
            self._index = MixedIndex(shelf, self._index, wishes.beside)
        where = wishes.where
        self._mask = shelf.mask(where) if where is not None and where.restricts else None
        if wishes.hygiene:
            kept = shelf.hygiene().kept
            self._mask = kept if self._mask is None else self._mask & kept

    def likely(self, points: Vector, k: int) -> Results | None:
        """Rows and scores (n, k) of the k nearest to each of n points, found together.

        ``None`` where that cannot be done for what is wished.
        """
        if self._mask is not None or self.wishes.same_top_first:
            return None
        if isinstance(self._index, MixedIndex):
            return None
        rows, scores = self._index.query_many(points, k)
        self._shelf.songs(np.unique(rows[:, :_LIKELY]).tolist())  # read together, and kept
        return rows, scores

    def nearest(
        self,
        vector: Vector,
        k: int,
        besides: list[Song] | None = None,
        first: Results | None = None,
    ) -> list[tuple[int, Song, float]]:
        """Rows, songs and scores of the k best different songs, besides some that are taken.

        ``first`` are the nearest rows and their scores, as far as they are known.
        """
        varied = self.wishes.diversity > 0.0 and k > 1
        wanted = max(_POOL * k, _SMALLEST_POOL) if varied else k
        asked = wanted + len(besides or ())
        while True:
            if first is not None and len(first[0]) >= asked:
                rows, scores = first[0][:asked], first[1][:asked]
            else:
                rows, scores = self._index.query(
                    vector, asked, self._mask, same_top_first=self.wishes.same_top_first
                )
            songs = self._shelf.songs(rows.tolist())
            pairs = zip(rows.tolist(), songs, scores.tolist(), strict=True)
            different = list(self._different(pairs, besides or []))
            if len(different) >= wanted or len(rows) < asked or asked >= len(self._shelf):
                break
            asked = min(2 * asked, len(self._shelf))
        return self._varied(vector, different, k) if varied else different[:k]

    def _different(
        self, found: Iterator[tuple[int, Song | None, float]], besides: list[Song]
    ) -> Iterator[tuple[int, Song, float]]:
        """Songs that are not like one before, nor of an artist of whom there are enough."""
        ids = {song.id for song in besides}
        names = {_name(song) for song in besides} - {None}
        artists = Counter(artist for song in besides for artist in _artists(song))
        for row, song, score in found:
            if song is None or song.id in ids or song.id in self.wishes.leave_out:
                continue
            name, of = _name(song), _artists(song)
            if name is not None and name in names:
                continue
            most = self.wishes.per_artist
            if most is not None and any(artists[artist] >= most for artist in of):
                continue
            names.add(name)
            artists.update(of)
            yield row, song, score

    def _varied(
        self, vector: Vector, pool: list[tuple[int, Song, float]], k: int
    ) -> list[tuple[int, Song, float]]:
        """k of the pool by maximal marginal relevance."""
        if not pool:
            return []
        vectors = self._index.vectors[[row for row, _, _ in pool]].astype(np.float64)
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        near = np.array([score for _, _, score in pool])
        diversity = self.wishes.diversity
        comes_first = np.zeros(len(pool))
        if self.wishes.same_top_first:  # before all that nearness and variety can say
            comes_first[vectors.argmax(axis=1) == int(np.argmax(vector))] = 3.0
        chosen = [0]  # the best, whatever comes after it
        likeness = units @ units[0]
        while len(chosen) < min(k, len(pool)):
            merit = comes_first + (1.0 - diversity) * near - diversity * likeness
            merit[chosen] = -np.inf
            best = int(merit.argmax())
            chosen.append(best)
            likeness = np.maximum(likeness, units @ units[best])
        return [pool[place] for place in chosen]


def recommend(
    catalogue: Catalogue,
    query: Analysis | Vector,
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
    wishes = Wishes(k, song_filter, toward)
    if settings is None:
        settings = catalogue_settings(catalogue)
    recommender = Recommender(CatalogueShelf(catalogue, settings))
    return recommender.recommend(query, wishes, language=language)


def _name(song: Song) -> tuple[str, str] | None:
    """Title and artist for comparing, ``None`` where one is unknown."""
    if not song.title or not song.artist:
        return None
    return " ".join(song.title.casefold().split()), " ".join(song.artist.casefold().split())


def _artists(song: Song) -> set[str]:
    """Artists for comparing; none where unknown."""
    each = (" ".join(one.casefold().split()) for one in (song.artist or "").split(";"))
    return {one for one in each if one}
