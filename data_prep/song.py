"""A song: what is known of it, what each stage says of it, and which songs to take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

Stage = Literal["lyrics", "audio", "fused"]
STAGES: Final[tuple[Stage, ...]] = ("lyrics", "audio", "fused")


@dataclass(frozen=True, eq=False, slots=True)
class StageVector:
    """What one stage says of a song.

    Attributes
    ----------
    distribution
        Emotion distribution, float32 (6,), sums to one.
    made_by
        Hash of the model folder or of the fusion settings that made it.
    """

    distribution: NDArray[np.float32]
    made_by: str


@dataclass(frozen=True, eq=False, slots=True)
class Song:
    """One song of a catalogue.

    Attributes
    ----------
    id
        Unique within the catalogue.
    title, artist, album, genre, language, licence, link, path, source
        Facts; ``None`` where unknown. ``genre`` and ``artist`` may hold several
        values separated by ``;``. ``link`` is where the song can be heard,
        ``path`` a file of the user's own, ``source`` where the row came from.
    year
        Of release.
    missing_since
        Date (ISO 8601) on which indexing found its file gone; such a song is kept, and not
        recommended. ``None`` while it is there.
    lyrics, audio
        The models' raw answers, before calibration.
    fused
        The calibrated combination.
    lyrics_note, audio_note
        Why a branch gave no answer, or what to know about it.
    """

    id: str
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    year: int | None = None
    genre: str | None = None
    language: str | None = None
    licence: str | None = None
    link: str | None = None
    path: str | None = None
    source: str | None = None
    missing_since: str | None = None
    lyrics: StageVector | None = None
    audio: StageVector | None = None
    fused: StageVector | None = None
    lyrics_note: str | None = None
    audio_note: str | None = None


@dataclass(frozen=True)
class SongFilter:
    """Which songs to take; ``None`` does not restrict.

    Text is compared without regard to (ASCII) case; ``genre`` and ``artist``
    match any of several values separated by ``;``. A song without a year passes
    no year limit. ``has_lyrics`` and ``has_audio`` ask for the stage's vector.
    """

    year_from: int | None = None
    year_to: int | None = None
    genre: str | None = None
    artist: str | None = None
    language: str | None = None
    source: str | None = None
    has_lyrics: bool | None = None
    has_audio: bool | None = None

    def __post_init__(self) -> None:
        if self.year_from and self.year_to and self.year_from > self.year_to:
            raise InputError(f"no year is from {self.year_from} on and up to {self.year_to}")
        for name in ("genre", "artist", "language", "source"):
            wanted = getattr(self, name)
            if wanted is not None and not wanted.strip(" ;"):
                raise InputError(f"{name}: expected a name; leave it out for any")

    @property
    def restricts(self) -> bool:
        """Whether there is a song that it keeps out."""
        return self != SongFilter()

    def accepts(self, song: Song) -> bool:
        """Whether a song passes: the same answer as :meth:`Catalogue.songs` gives."""
        return (
            (self.year_from is None or (song.year is not None and song.year >= self.year_from))
            and (self.year_to is None or (song.year is not None and song.year <= self.year_to))
            and _has_value(song.genre, self.genre)
            and _has_value(song.artist, self.artist)
            and (self.language is None or fold(song.language) == fold(self.language))
            and (self.source is None or fold(song.source) == fold(self.source))
            and self.has_lyrics in (None, song.lyrics is not None)
            and self.has_audio in (None, song.audio is not None)
        )


def fold(text: str | None) -> str | None:
    """Lower case as the databases' ``lower`` does it here: ASCII only."""
    if text is None:
        return None
    return "".join(c.lower() if c.isascii() else c for c in text.strip(" "))


def enclosed(values: str) -> str:
    """Values that are separated by ``;``, folded, without the spaces beside them: ``;a;b;``."""
    return f";{';'.join(part.strip(' ') for part in (fold(values) or '').split(';'))};"


def genre_names(listed: Iterable[str | None]) -> list[str]:
    """Every genre of some songs, by name; of several in one song each."""
    names = {part.strip() for genre in listed for part in (genre or "").split(";")}
    return sorted(names - {""}, key=lambda name: (name.casefold(), name))


def _has_value(values: str | None, wanted: str | None) -> bool:
    if wanted is None:
        return True
    return enclosed(wanted) in enclosed(values or "")
