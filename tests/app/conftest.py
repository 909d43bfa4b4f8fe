"""Stand-ins for the two models, quick and predictable, and files for them to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import InputError
from fusion.analysis import SongAnalyser
from fusion.settings import FusionSettings

KEYWORDS = {
    "기쁨": 0,
    "joy": 0,
    "긴장": 1,
    "평화": 2,
    "calm": 2,
    "슬픔": 3,
    "우울": 3,
    "sad": 3,
    "분노": 4,
}
SOUND = b"SOUND "


def leaning(emotion: int, strength: float = 0.7) -> np.ndarray:
    vector = np.full(6, (1 - strength) / 5, dtype=np.float32)
    vector[emotion] = strength
    return vector


@dataclass
class Reading:
    distribution: np.ndarray | None
    reason: str | None = None
    language: str | None = None
    notes: tuple[str, ...] = ()
    segments: tuple = ()
    windows: np.ndarray = field(default_factory=lambda: np.zeros((0, 6), np.float32))
    duration_s: float = 1.0


class WordsStandIn:
    """Leans to the first keyword of the text."""

    def __init__(self) -> None:
        self.model_hash = "words-1"
        self.asked: list[str] = []

    def read(self, text: str, *, as_mood: bool = False) -> Reading:
        self.asked.append(text)
        if text == "break":
            raise KeyboardInterrupt
        if text == "bug":
            raise RuntimeError("something broke")
        if not text.strip():
            raise InputError("the text is empty: expected words")
        if len(text) > 100_000:
            raise InputError(f"the text has {len(text):,} characters")
        if not any(c.isalpha() for c in text):
            return Reading(None, "no words")
        emotion = next((i for word, i in KEYWORDS.items() if word in text), 5)
        return Reading(leaning(emotion), language="en" if text.isascii() else "ko")


class SoundStandIn:
    """Reads ``SOUND <emotion>`` or ``SOUND silence``."""

    def __init__(self) -> None:
        self.model_hash = "sound-1"
        self.asked: list[str] = []

    def read_file(self, path: Path) -> Reading:
        self.asked.append(path.name)
        if not path.is_file():
            raise InputError(f"{path} does not exist")
        content = path.read_bytes()
        if not content.startswith(SOUND):
            raise InputError(f"{path} cannot be decoded: expected wav, flac, ogg, opus or mp3")
        word = content.removeprefix(SOUND).decode().split()[0]
        if word == "silence":
            return Reading(None, "silence")
        return Reading(leaning(KEYWORDS[word], 0.8))


@pytest.fixture
def analyser() -> SongAnalyser:
    return SongAnalyser(WordsStandIn(), SoundStandIn(), FusionSettings.load())


@pytest.fixture
def with_stand_ins(monkeypatch, analyser) -> SongAnalyser:
    """The command line with the stand-in models."""
    import app.cli
    import app.commands.recommend

    for module in (app.cli, app.commands.recommend):
        monkeypatch.setattr(module, "analyser_of", lambda *_: analyser)
    return analyser


@pytest.fixture
def own_home(monkeypatch, tmp_path) -> Path:
    """A home without a catalogue of its own and without variables that point to others."""
    for variable in ("MAEUM_CATALOGUE", "MAEUM_LYRICS_MODEL", "MAEUM_AUDIO_MODEL"):
        monkeypatch.delenv(variable, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    return home
