"""Speech to text, where a speech model is there: a mood that is spoken instead of typed.

The model is a Whisper (Radford et al. 2022) in CTranslate2's form, as ``faster-whisper``
(extra ``speech``) reads it; a folder of one's own, nothing is fetched.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final, Protocol, Self

from data_prep.errors import InputError, MissingExtraError, ModelFolderError

MOST_S: Final = 60.0
"""Seconds of speech that are listened to."""


class SpeechReader(Protocol):
    """What the page asks of a speech model."""

    def text(self, path: Path) -> str:
        """What is said in a recording."""


class Speech:
    """A Whisper model; reads one recording at a time."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._lock = threading.Lock()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a model folder.

        Raises
        ------
        MissingExtraError
            If faster-whisper is not installed.
        ModelFolderError
            If the folder holds no such model.
        """
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise MissingExtraError("voice input", "speech") from error
        if not (folder / "model.bin").is_file():
            raise ModelFolderError(
                f"{folder} holds no speech model: expected a Whisper model in CTranslate2's form "
                "(model.bin, config.json, tokenizer.json)"
            )
        try:
            model = WhisperModel(
                str(folder), device="cpu", compute_type="int8", local_files_only=True
            )
        except Exception as error:  # the library's own classes, of several layers
            raise ModelFolderError(f"{folder} cannot be loaded: {error}") from error
        return cls(model)

    def text(self, path: Path) -> str:
        """What is said in the first minute of a recording.

        Raises
        ------
        InputError
            If it cannot be decoded, or nothing is said in it.
        """
        with self._lock:
            try:
                segments, _ = self._model.transcribe(
                    str(path), clip_timestamps=[0.0, MOST_S], beam_size=1
                )
                words = " ".join(segment.text.strip() for segment in segments).strip()
            except Exception as error:  # of the decoder, of several layers
                raise InputError(f"the recording cannot be listened to: {error}") from error
        if not words:
            raise InputError("nothing was said in the recording")
        return words
