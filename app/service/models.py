"""What the HTTP interface takes and gives, as types: the source of its OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.feedback.shown_list import LISTENER
from app.service.answers import MOST_SONGS
from data_prep.catalogue import SongFilter
from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS
from fusion.recommendation import Wishes
from lyrics_model.predictor import MAX_CHARACTERS

MOST_ID: Final = 500

_NO_NUL: Final = r"^[^\x00]*$"  # what no database takes

Words = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MOST_ID, pattern=_NO_NUL)]
Year = Annotated[int, Field(ge=0, le=9999)]
Count = Annotated[int, Field(ge=1, le=MOST_SONGS, description="How many songs.")]
ListenerName = Annotated[
    str,
    StringConstraints(pattern=f"^(?:{LISTENER.pattern})$"),
    Field(description="A random name that stands for who asks; no real one."),
]
Emotion = Literal["joy", "tension", "calm", "sadness", "anger", "neutral"]
Similarity = Literal["cosine", "weighted-cosine", "hellinger", "jensen-shannon"]


class Emotions(BaseModel):
    """Shares of the six emotions; they sum to one."""

    model_config = ConfigDict(extra="forbid")

    joy: float = Field(ge=0, le=1)
    tension: float = Field(ge=0, le=1)
    calm: float = Field(ge=0, le=1)
    sadness: float = Field(ge=0, le=1)
    anger: float = Field(ge=0, le=1)
    neutral: float = Field(ge=0, le=1)

    def vector(self) -> NDArray[np.float32]:
        """As a distribution (6,)."""
        values = np.array([getattr(self, name) for name in EMOTIONS], dtype=np.float64)
        total = float(values.sum())
        if abs(total - 1.0) > 1e-3:
            raise InputError(f"emotions sum to {total:g}: expected 1")
        return (values / total).astype(np.float32)


class Moved(BaseModel):
    """Further facts of an analysis that was asked for with ``details``."""

    model_config = ConfigDict(extra="allow")


class Analysis(Moved):
    """What was found in one song or mood."""

    lyrics: Emotions | None = Field(description="Of the words, calibrated; null without words.")
    audio: Emotions | None = Field(description="Of the sound, calibrated; null without sound.")
    fused: Emotions
    top: Emotion
    confidence: float
    abstain: bool = Field(description="Whether the answer is too unsure to be used.")
    language: str | None
    notes: list[str]


class Wanted(BaseModel):
    """What is wanted of a list of songs."""

    model_config = ConfigDict(extra="forbid")

    count: Count = 5
    year_from: Year | None = None
    year_to: Year | None = None
    genre: Name | None = None
    artist: Name | None = None
    language: Name | None = None
    source: Name | None = None
    has_lyrics: bool | None = None
    has_audio: bool | None = None
    toward: Emotion | None = Field(None, description="Songs lead there step by step.")
    similarity: Similarity = "cosine"
    diversity: float = Field(0.0, ge=0, le=1)
    per_artist: Annotated[int, Field(ge=1, le=MOST_SONGS)] | None = None
    hygiene: bool = Field(False, description="Leave out duplicates and novelty series.")
    listener: ListenerName | None = None
    learn: bool = Field(True, description="Whether the listener's judgements change the list.")

    def wishes(self) -> Wishes:
        """As recommendation takes them."""
        where = SongFilter(
            year_from=self.year_from,
            year_to=self.year_to,
            genre=self.genre,
            artist=self.artist,
            language=self.language,
            source=self.source,
            has_lyrics=self.has_lyrics,
            has_audio=self.has_audio,
        )
        return Wishes(
            k=self.count,
            where=where,
            toward=self.toward,
            similarity=self.similarity,
            diversity=self.diversity,
            per_artist=self.per_artist,
            hygiene=self.hygiene,
        )


class RecommendationRequest(Wanted):
    """A mood in words, or emotions, and what is wanted of the list."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "오늘 너무 우울해", "count": 3, "toward": "calm"}]
        },
    )

    text: Words | None = None
    emotions: Emotions | None = None
    details: bool = False


class Recommended(Moved):
    """One song of a list."""

    rank: int
    id: str
    title: str | None
    artist: str | None
    year: int | None
    link: str | None
    score: float
    fused: Emotions
    lyrics: Emotions | None
    audio: Emotions | None
    why: str


class Asked(BaseModel):
    """Emotions that were asked for without words."""

    fused: Emotions


class Recommendations(BaseModel):
    """Songs for a mood."""

    query: Analysis | Asked
    results: list[Recommended]
    list: Annotated[str | None, Field(description="Stands for it when one of its songs is judged.")]


class SongOfCatalogue(BaseModel):
    """A song of the catalogue."""

    id: str
    title: str | None
    artist: str | None
    album: str | None
    year: int | None
    genre: str | None
    language: str | None
    licence: str | None
    link: str | None
    source: str | None
    missing_since: str | None
    fused: Emotions | None
    playable: bool = Field(description="Whether /audio gives a recording of it.")


class SimilarSongs(BaseModel):
    """Songs like one of the catalogue."""

    query: SongOfCatalogue
    results: list[Recommended]
    list: str | None


class Songs(BaseModel):
    """Some songs of the catalogue."""

    total: int = Field(description="Songs in the catalogue.")
    songs: list[SongOfCatalogue]


class SongMapAnswer(BaseModel):
    """The songs as points."""

    count: int
    shown: int
    emotions: list[str]
    ids: list[str]
    titles: list[str]
    artists: list[str]
    shares: str = Field(description="Base64 of bytes (shown, 6): shares of 255.")


class Judgement(BaseModel):
    """What a listener says of a song that was shown."""

    model_config = ConfigDict(extra="forbid")

    list: Annotated[str, StringConstraints(min_length=1, max_length=65_536)]
    song: Name
    verdict: Literal[1, -1, 0] = Field(description="1 good, -1 bad, 0 takes it back.")


class Kept(BaseModel):
    """A judgement that was kept."""

    song: str
    verdict: int


class Deleted(BaseModel):
    """How many judgements were deleted."""

    deleted: int


class Judgements(BaseModel):
    """All that is stored of a listener."""

    judgements: list[dict[str, object]]


class Problem(BaseModel):
    """What is wrong."""

    code: str
    message: str


class Failed(BaseModel):
    """Every answer that is not what was asked for."""

    error: Problem


class Health(BaseModel):
    """The service is there."""

    status: Literal["ok"]
    version: str


class Ready(BaseModel):
    """The service can answer."""

    status: Literal["ready"]
    songs: int
    fusion: str
