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
    """A Whisper model; reads one recording at a time. Made by :meth:`load`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: Any = None
        self._lock = threading.Lock()

    @classmethod
    def load(cls, folder: Path, *, later: bool = False) -> Self:
        """Load a model folder.

        Parameters
        ----------
        later
            Look whether there is one, and load it when it is first asked: it has threads, which
            a copy of the process would lack.

        Raises
        ------
        MissingExtraError
            If faster-whisper is not installed.
        ModelFolderError
            If the folder holds no such model.
        """
        try:
            import faster_whisper  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("voice input", "speech") from error
        if not (folder / "model.bin").is_file():
            raise ModelFolderError(
                f"{folder} holds no speech model: expected a Whisper model in CTranslate2's form "
                "(model.bin, config.json, tokenizer.json)"
            )
        speech = cls(folder)
        if not later:
            speech._load()
        return speech

    def text(self, path: Path) -> str:
        """What is said in the first minute of a recording.

        Raises
        ------
        InputError
            If it cannot be decoded, or nothing is said in it.
        ModelFolderError
            If the model is loaded only now, and cannot be.
        """
        with self._lock:
            model = self._load()
            try:
                segments, _ = model.transcribe(
                    str(path), clip_timestamps=[0.0, MOST_S], beam_size=1
                )
                words = " ".join(segment.text.strip() for segment in segments).strip()
            except Exception as error:  # of the decoder, of several layers
                raise InputError(f"the recording cannot be listened to: {error}") from error
        if not words:
            raise InputError("nothing was said in the recording")
        return words

    def _load(self) -> Any:
        if self._loaded is None:
            from faster_whisper import WhisperModel

            try:
                self._loaded = WhisperModel(
                    str(self._folder), device="cpu", compute_type="int8", local_files_only=True
                )
            except Exception as error:  # the library's own classes, of several layers
                raise ModelFolderError(f"{self._folder} cannot be loaded: {error}") from error
        return self._loaded
