"""Analysis of one song or mood: both branches read, calibrated and fused.

The only module that knows both predictors. They are loaded when they are first
needed, so that a mood sentence never pays for the sound model, nor the other
way round.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError, MaeumError
from data_prep.model_folder import read_card
from data_prep.remote_file import SongPath, at_hand
from data_prep.taxonomy import as_mapping, top_emotion
from fusion.combination import Fused, fuse
from fusion.settings import FusionSettings

if TYPE_CHECKING:
    from audio_model.predictor import AudioPredictor
    from audio_model.predictor import AudioReading as AudioReading
    from lyrics_model.predictor import LyricPredictor
    from lyrics_model.predictor import LyricReading as LyricReading


def load_lyric_predictor(
    folder: Path | None = None, *, threads: int | None = None
) -> LyricPredictor:
    """The lyric predictor of a model folder, the embedded one if ``None``."""
    from lyrics_model.predictor import LyricPredictor

    return LyricPredictor.load(folder, threads=threads)


def load_audio_predictor(folder: Path | None = None) -> AudioPredictor:
    """The audio predictor of a model folder, the embedded one if ``None``."""
    from audio_model.predictor import AudioPredictor

    return AudioPredictor.load(folder)


class LyricReader(Protocol):
    """What is needed of a lyric predictor."""

    model_hash: str

    def read(self, text: str, *, as_mood: bool = False) -> LyricReading:
        """Read one text; its distribution is ``None`` with a reason where there is none."""


class AudioReader(Protocol):
    """What is needed of an audio predictor."""

    model_hash: str

    def read_file(self, path: Path) -> AudioReading:
        """Read one sound file; its distribution is ``None`` with a reason where there is none."""


@runtime_checkable
class LogMelReader(Protocol):
    """An audio predictor that may also read recordings of which only the log-mel is there."""

    def read_log_mel(self, log_mel: NDArray[np.floating]) -> AudioReading:
        """Read a log-mel (n_mels, n_frames) in dB."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """What was found in one song or mood.

    Attributes
    ----------
    fused
        The answer, with each branch's calibrated one.
    lyric_reading, audio_reading
        The branches' own readings, before calibration; ``None`` where a branch
        was not asked.
    language
        Language of the words, ``"ko"`` or ``"en"``; ``None`` where there are
        none that could be read.
    notes
        Remarks for the user, among them why a branch gave no answer.
    """

    fused: Fused
    lyric_reading: LyricReading | None
    audio_reading: AudioReading | None
    language: str | None
    notes: tuple[str, ...]

    @property
    def distribution(self) -> NDArray[np.float32]:
        """The fused emotion distribution (6,)."""
        return self.fused.distribution

    @property
    def top(self) -> str:
        """English name of the strongest fused emotion."""
        return top_emotion(self.distribution)

    def to_json(self, *, details: bool = False) -> dict[str, Any]:
        """The documented JSON of one analysis; branches as calibrated for fusion.

        Parameters
        ----------
        details
            Also how far words and sound ``disagree`` (bits), and what the sound ``moved`` in
            the answer of the words; both ``None`` without both branches.
        """
        content = {
            "lyrics": as_mapping(self.fused.lyrics),
            "audio": as_mapping(self.fused.audio),
            "fused": as_mapping(self.distribution),
            "top": self.top,
            "confidence": self.fused.confidence,
            "abstain": self.fused.abstain,
            "language": self.language,
            "notes": list(self.notes),
        }
        return content | self.fused.details() if details else content


class SongAnalyser:
    """Reads words and sound, and fuses them.

    Parameters
    ----------
    lyric_predictor, audio_predictor
        Loaded predictors; ``None`` loads one when it is first needed.
    settings
        Fusion settings; ``None`` takes those of the embedded models, with
        temperature and prior from the card of any other model folder given.
    lyrics_folder, audio_folder
        Model folders to load from; ``None`` is the embedded one.
    threads
        Of the lyric model's runs; as many as the machine has cores if ``None``. Where
        several texts are read at once, 1 is quickest.

    Raises
    ------
    ModelFolderError
        If a folder given is not a model folder of that branch.
    InputError
        If the settings cannot be read.
    """

    def __init__(
        self,
        lyric_predictor: LyricReader | None = None,
        audio_predictor: AudioReader | None = None,
        settings: FusionSettings | None = None,
        *,
        lyrics_folder: Path | None = None,
        audio_folder: Path | None = None,
        threads: int | None = None,
    ) -> None:
        self._lyric_predictor = lyric_predictor
        self._audio_predictor = audio_predictor
        self._lyrics_folder = lyrics_folder
        self._audio_folder = audio_folder
        self._threads = threads
        self._loading = threading.Lock()
        # Cards are read now, so that a wrong folder is refused before any work is done.
        lyrics_card = read_card(lyrics_folder, "lyrics") if lyrics_folder is not None else None
        audio_card = read_card(audio_folder, "audio") if audio_folder is not None else None
        if settings is None:
            settings = FusionSettings.load().for_cards(lyrics_card, audio_card)
        self.settings: FusionSettings = settings

    @property
    def lyric_predictor(self) -> LyricReader:
        """The lyric predictor, loaded on first use."""
        with self._loading:
            if self._lyric_predictor is None:
                self._lyric_predictor = load_lyric_predictor(
                    self._lyrics_folder, threads=self._threads
                )
            return self._lyric_predictor

    @property
    def audio_predictor(self) -> AudioReader:
        """The audio predictor, loaded on first use."""
        with self._loading:
            if self._audio_predictor is None:
                self._audio_predictor = load_audio_predictor(self._audio_folder)
            return self._audio_predictor

    def warm_up(self) -> None:
        """Begin to load the lyric predictor in the background.

        Reading a model takes no interpreter lock, so that other imports go on
        meanwhile. A failure shows when the predictor is asked for.
        """

        def load() -> None:
            with suppress(MaeumError):
                self.lyric_predictor  # noqa: B018

        threading.Thread(target=load, name="warm-up").start()

    def analyse(
        self,
        text: str | None = None,
        audio: Path | str | None = None,
        as_mood: bool = False,
    ) -> Analysis:
        """Analyse one song, or one mood.

        Parameters
        ----------
        text
            Lyrics or a mood sentence. Lone surrogates, which no encoding can
            carry, are read as question marks.
        audio
            Path of a recording.
        as_mood
            Read the text as a mood: one segment, calibrated as such.

        Raises
        ------
        InputError
            If nothing is given, an input cannot be read, or no branch gives an
            answer; the message carries each branch's reason.
        """
        if text is None and audio is None:
            raise InputError("nothing to analyse: expected a text, a recording, or both")
        words = self.read_words(text, as_mood=as_mood) if text is not None else None
        sound = self.read_sound(Path(audio)) if audio is not None else None
        return self.combine(words, sound, as_mood=as_mood)

    def read_words(self, text: str, *, as_mood: bool = False) -> LyricReading:
        """The lyric branch's own reading; raises as :meth:`analyse`."""
        encodable = text.encode("utf-8", "replace").decode("utf-8")
        return self.lyric_predictor.read(encodable, as_mood=as_mood)

    def read_sound(self, path: SongPath) -> AudioReading:
        """The audio branch's own reading of a recording, wherever it is.

        Raises as :meth:`analyse`.
        """
        with at_hand(path) as file:
            return self.audio_predictor.read_file(file)

    def read_log_mel(self, log_mel: NDArray[np.floating]) -> AudioReading:
        """The audio branch's own reading of a log-mel (n_mels, n_frames) in dB.

        Raises
        ------
        InputError
            If the model needs the recording itself, or the log-mel cannot be read.
        """
        predictor = self.audio_predictor
        if not isinstance(predictor, LogMelReader):
            raise InputError("the sound model reads recordings only")
        return predictor.read_log_mel(log_mel)

    def combine(
        self,
        words: LyricReading | None,
        sound: AudioReading | None,
        *,
        as_mood: bool = False,
    ) -> Analysis:
        """Fuse readings that were already made.

        Raises
        ------
        InputError
            If no branch gives an answer.
        """
        notes: list[str] = []
        reasons: list[str] = []
        if words is not None:
            notes.extend(words.notes)
            if words.distribution is None:
                reasons.append(f"the words say nothing: {words.reason or 'no reason given'}")
        if sound is not None:
            notes.extend(sound.notes)
            if sound.distribution is None:
                reasons.append(f"the sound says nothing: {sound.reason or 'no reason given'}")
        lyrics = words.distribution if words is not None else None
        audio = sound.distribution if sound is not None else None
        if lyrics is None and audio is None:
            raise InputError(f"no emotion could be read: {'; '.join(reasons)}")
        settings = self.settings.for_mood() if as_mood else self.settings
        return Analysis(
            fused=fuse(lyrics, audio, settings),
            lyric_reading=words,
            audio_reading=sound,
            language=words.language if words is not None else None,
            notes=(*notes, *reasons),
        )
