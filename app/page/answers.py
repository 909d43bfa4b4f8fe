"""What the page computes: a mood or a song in, readings and songs out. No Gradio in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.page.problems import PageError
from app.page.songs import KeptSongs
from app.page.texts import LANGUAGES, Language
from app.tables.table import is_sentence
from data_prep.catalogue import Catalogue, SongFilter
from data_prep.errors import InputError
from data_prep.taxonomy import emotion_index
from fusion.analysis import Analysis, SongAnalyser
from fusion.recommendation import Recommendation, Wishes
from fusion.settings import FusionSettings
from lyrics_model.predictor import MAX_CHARACTERS

MOST_SONGS: Final = 50


@dataclass(frozen=True)
class SearchOptions:
    """What to search for besides the mood.

    Attributes
    ----------
    count
        Number of songs, 1 to ``MOST_SONGS``.
    year_from, year_to
        Inclusive; ``None`` is no limit.
    genre
        ``None`` is any.
    toward
        Emotion to lead to, by its English or Korean name; ``None`` stays.
    """

    count: int = 5
    year_from: int | None = None
    year_to: int | None = None
    genre: str | None = None
    toward: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_SONGS:
            raise InputError(f"number of songs {self.count}: expected 1 to {MOST_SONGS}")
        if self.year_from and self.year_to and self.year_from > self.year_to:
            raise PageError(
                "problem_option_title",
                "problem_years_text",
                year_from=self.year_from,
                year_to=self.year_to,
            )
        if self.toward is not None:
            emotion_index(self.toward)

    def song_filter(self) -> SongFilter:
        """The part of the options that restricts the songs."""
        return SongFilter(year_from=self.year_from, year_to=self.year_to, genre=self.genre)


@dataclass(frozen=True, eq=False)
class Answer:
    """Songs for a mood or like a song.

    Attributes
    ----------
    words
        The mood or the lyrics that were read.
    analysis
        What was read from them and from the sound.
    recommendations
        Songs, the best first.
    reasons
        For each language of the page, one sentence per song.
    settings
        What was fused with.
    """

    words: str
    analysis: Analysis
    recommendations: list[Recommendation]
    reasons: dict[Language, list[str]]
    settings: FusionSettings


class Answers:
    """One catalogue and one analyser, asked by the page's events from several threads.

    Parameters
    ----------
    catalogue_url
        Opened at once, read-only, so that a wrong one is refused at the start.
    analyser
        Loads its models when they are first needed; ``None`` is one of the
        embedded models with the catalogue's own fusion settings.

    Attributes
    ----------
    songs
        The catalogue's songs.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be opened.
    """

    def __init__(self, catalogue_url: str, analyser: SongAnalyser | None = None) -> None:
        catalogue = Catalogue.open(catalogue_url, read_only=True)
        self.songs = KeptSongs(catalogue, None if analyser is None else analyser.settings)
        self._analyser = analyser if analyser is not None else SongAnalyser()

    def for_mood(self, words: str, options: SearchOptions) -> Answer:
        """Songs whose emotion fits a mood in everyday words.

        Raises
        ------
        InputError
            If there are no words, too many, or none that can be read.
        """
        if not words.strip():
            raise PageError("problem_empty_title", "problem_empty_text")
        _check_length(words)
        return self._answer(words, self._analyse(text=words, audio=None, as_mood=True), options)

    def for_song(self, audio: str | None, lyrics: str | None, options: SearchOptions) -> Answer:
        """The emotions of a recording, of its lyrics, or of both, and songs like it.

        Raises
        ------
        InputError
            If both are missing, or neither can be read.
        """
        words = lyrics if lyrics and lyrics.strip() else None
        return self._answer(words or "", self.reading(audio, words), options)

    def reading(self, audio: str | None, lyrics: str | None) -> Analysis:
        """The emotions of a recording, of its lyrics, or of both; raises as :meth:`for_song`.

        A single sentence alone is read as a mood, as the command line does.
        """
        words = lyrics if lyrics and lyrics.strip() else None
        if audio is None and words is None:
            raise PageError("problem_empty_title", "problem_song_empty_text")
        if words is not None:
            _check_length(words)
        as_mood = words is not None and audio is None and is_sentence(words)
        return self._analyse(text=words, audio=audio, as_mood=as_mood)

    def _analyse(self, *, text: str | None, audio: str | None, as_mood: bool) -> Analysis:
        self._analyser.settings = self.songs.settings()
        return self._analyser.analyse(text=text, audio=audio, as_mood=as_mood)

    def _answer(self, words: str, analysis: Analysis, options: SearchOptions) -> Answer:
        recommender = self.songs.recommender()
        wishes = Wishes(options.count, options.song_filter(), options.toward)
        found = {
            language: recommender.recommend(analysis, wishes, language=language)
            for language in LANGUAGES
        }
        reasons = {language: [r.why for r in found[language]] for language in LANGUAGES}
        spoken: Language = "ko" if analysis.language == "ko" else "en"
        return Answer(words, analysis, found[spoken], reasons, self._analyser.settings)


def _check_length(words: str) -> None:
    if len(words) > MAX_CHARACTERS:
        raise PageError(
            "problem_long_title",
            "problem_long_text",
            limit=f"{MAX_CHARACTERS:,}",
            length=f"{len(words):,}",
        )
