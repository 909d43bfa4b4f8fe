"""What page and HTTP interface answer with: a mood or a song in, readings and songs out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.feedback.listening import taste_of
from app.feedback.shown_list import Kind, ShownList, check_listener
from app.feedback.store import FeedbackStore
from app.service.shelf_making import make_shelf
from app.service.songs import KeptSongs
from app.tables.table import is_mood
from data_prep.catalogue import Catalogue, Song
from data_prep.catalogue_place import IN_MEMORY
from data_prep.errors import CatalogueError, InputError
from data_prep.language import load_identifier
from fusion.analysis import Analysis, SongAnalyser
from fusion.recommendation import Recommendation, Vector, Wishes
from fusion.settings import FusionSettings
from fusion.taste import Taste

MOST_SONGS: Final = 50
TASTES_KEPT: Final = 1_024
TASTE_FOR_S: Final = 10.0
"""Seconds after which judgements that another process may have kept are read again."""

_log = logging.getLogger("maeum.service")


@dataclass(frozen=True)
class Listener:
    """Who asks.

    Attributes
    ----------
    name
        A random name.
    learns
        Whether earlier judgements change what is found.
    """

    name: str
    learns: bool = True

    def __post_init__(self) -> None:
        check_listener(self.name)


@dataclass(frozen=True, eq=False)
class Answer:
    """Songs for a mood, like a recording, or like a song of the catalogue.

    Attributes
    ----------
    kind
        Which of them.
    words
        The mood or the lyrics that were read; empty where there were none.
    analysis
        What was read from them and from the sound; ``None`` for a song of the catalogue, or
        where emotions were given.
    like
        The song of the catalogue.
    query
        What was asked for (6,), before any taste.
    recommendations
        Songs, the best first.
    settings
        What was fused with.
    token
        Stands for the list when one of its songs is judged; ``None`` where nobody is named, or
        judgements are not kept.
    """

    kind: Kind
    words: str
    analysis: Analysis | None
    like: Song | None
    query: Vector
    recommendations: list[Recommendation]
    settings: FusionSettings
    token: str | None = None


class Answers:
    """One catalogue, its judgements and one analyser, asked from several threads.

    Parameters
    ----------
    catalogue_url
        Opened at once, read-only, so that a wrong one is refused at the start.
    analyser
        Loads its models when they are first needed.
    settings
        Fusion settings; ``None`` takes the catalogue's own, whenever they change.
    check_every_s
        Seconds for which the catalogue is taken to be what it was.

    Attributes
    ----------
    songs
        The catalogue's songs.
    feedback
        What listeners said of them; ``None`` where there is no place for it, as in a container
        that may not write.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be opened.
    """

    def __init__(
        self,
        catalogue_url: str,
        analyser: SongAnalyser,
        settings: FusionSettings | None = None,
        *,
        check_every_s: float = 0.0,
    ) -> None:
        catalogue = Catalogue.open(catalogue_url, read_only=True)
        self.songs = KeptSongs(
            catalogue,
            settings,
            make_shelf=None if catalogue.name == IN_MEMORY else partial(make_shelf, catalogue_url),
            check_every_s=check_every_s,
        )
        self.feedback = _store_of(catalogue_url)
        self._analyser = analyser
        self._tastes: dict[str, tuple[float, Taste]] = {}
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Have everything there that a mood needs.

        Raises
        ------
        MaeumError
            If model or catalogue cannot be used.
        """
        self._analyser.lyric_predictor  # noqa: B018
        self.songs.shelf()

    def prepare_copies(self) -> None:
        """Have everything there that any question needs, for copies of this process to share.

        No connection is left open: two processes cannot use one.

        Raises
        ------
        MaeumError
            If model or catalogue cannot be used.
        """
        self.warm_up()
        load_identifier()
        self._analyser.read_words("오늘은 기분이 좋다", as_mood=True)  # the model's own memory
        self.songs.catalogue.disconnect()
        if self.feedback is not None:
            self.feedback.disconnect()

    def close(self) -> None:
        """Close the catalogue."""
        self.songs.close()
        if self.feedback is not None:
            self.feedback.close()

    def for_mood(self, words: str, wishes: Wishes, listener: Listener | None = None) -> Answer:
        """Songs whose emotion fits a mood in everyday words.

        Raises
        ------
        InputError
            If there are no words, too many, or none that can be read.
        """
        analysis = self._analyse(words, None, as_mood=True)
        return self._answer("mood", words, analysis, analysis.distribution, wishes, listener)

    def for_emotions(
        self, emotions: Vector, wishes: Wishes, listener: Listener | None = None
    ) -> Answer:
        """Songs for an emotion distribution (6,)."""
        return self._answer("mood", "", None, emotions, wishes, listener)

    def for_song(
        self,
        audio: str | Path | None,
        lyrics: str | None,
        wishes: Wishes,
        listener: Listener | None = None,
    ) -> Answer:
        """The emotions of a recording, of its lyrics, or of both, and songs like it.

        Raises
        ------
        InputError
            If both are missing, or neither can be read.
        """
        words = lyrics if lyrics and lyrics.strip() else None
        analysis = self.reading(audio, words)
        query = analysis.distribution
        return self._answer("song", words or "", analysis, query, wishes, listener)

    def similar(self, song_id: str, wishes: Wishes, listener: Listener | None = None) -> Answer:
        """Songs like one of the catalogue, itself left out.

        Raises
        ------
        InputError
            If there is no such song, or nothing is known of its emotion.
        """
        query = self.songs.recommender().vector_of(song_id)
        song = self.songs.song(song_id)
        others = replace(wishes, leave_out=wishes.leave_out | {song_id})
        return replace(self._answer("similar", "", None, query, others, listener), like=song)

    def reading(self, audio: str | Path | None, lyrics: str | None) -> Analysis:
        """The emotions of a recording, of its lyrics, or of both; raises as :meth:`for_song`.

        A single sentence alone is read as a mood, as the command line does.
        """
        words = lyrics if lyrics and lyrics.strip() else None
        return self._analyse(words, audio, as_mood=is_mood(words, audio))

    def judge(self, token: str, song_id: str, verdict: int) -> None:
        """Keep what a listener says of a song; raises as :meth:`FeedbackStore.judge`."""
        if self.feedback is None:
            raise InputError("judgements are not kept here: the service has no place for them")
        self.feedback.judge(token, song_id, verdict)
        self._forget_tastes()

    def judgements(self, listener: str) -> list[dict[str, Any]]:
        """All that is stored of a listener, the oldest first."""
        return [] if self.feedback is None else list(self.feedback.rows(check_listener(listener)))

    def forget(self, listener: str) -> int:
        """Delete a listener's judgements; gives how many there were."""
        name = check_listener(listener)
        deleted = 0 if self.feedback is None else self.feedback.forget(name)
        self._forget_tastes()
        return deleted

    def _forget_tastes(self) -> None:
        with self._lock:
            self._tastes.clear()

    def _analyse(self, text: str | None, audio: str | Path | None, *, as_mood: bool) -> Analysis:
        if text is None and audio is None:
            raise InputError("nothing to analyse: give words, a recording, or both")
        self._analyser.settings = self.songs.settings()
        return self._analyser.analyse(text=text, audio=audio, as_mood=as_mood)

    def _answer(
        self,
        kind: Kind,
        words: str,
        analysis: Analysis | None,
        query: Vector,
        wishes: Wishes,
        listener: Listener | None,
    ) -> Answer:
        if wishes.hygiene:
            self.songs.require_hygiene()
        recommender = self.songs.recommender()
        searched, token = np.asarray(query, np.float32), None
        if listener is not None and listener.learns and self.feedback is not None:
            with _without_judgements():
                taste = self._taste(self.feedback, listener.name)
                searched = taste.leaning(searched)
                wishes = replace(wishes, leave_out=wishes.leave_out | taste.disliked)
        spoken = analysis is not None and analysis.language == "ko"
        found = recommender.recommend(searched, wishes, language="ko" if spoken else "en")
        settings = recommender.shelf.settings
        if listener is not None and self.feedback is not None:
            asked = np.asarray(query, np.float32)
            ids = tuple(each.song.id for each in found)
            shown = ShownList(listener.name, kind, asked, settings.hash, ids)
            with _without_judgements():
                token = self.feedback.token(shown)
        return Answer(kind, words, analysis, None, query, found, settings, token)

    def _taste(self, feedback: FeedbackStore, listener: str) -> Taste:
        now = time.monotonic()
        with self._lock:
            kept = self._tastes.get(listener)
        if kept is not None and now - kept[0] < TASTE_FOR_S:
            return kept[1]
        taste = taste_of(feedback, listener, self.songs.shelf())
        with self._lock:
            if len(self._tastes) >= TASTES_KEPT:
                self._tastes.clear()
            self._tastes[listener] = (now, taste)
        return taste


def _store_of(catalogue_url: str) -> FeedbackStore | None:
    try:
        return FeedbackStore.open(catalogue_url)
    except CatalogueError as error:
        _log.warning("maeum: judgements are not kept: %s", error)
        return None


@contextmanager
def _without_judgements() -> Iterator[None]:
    """Songs are found all the same where judgements can be neither read nor kept."""
    try:
        yield
    except CatalogueError as error:
        _log.warning("maeum: judgements fail: %s", error)
