"""Analysis with stand-in predictors: lazy loading, reasons, the documented JSON."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import InputError, ModelFolderError
from data_prep.taxonomy import EMOTIONS
from fusion.analysis import SongAnalyser
from fusion.settings import BranchCalibration, FusionSettings

SAD = np.array([0.05, 0.1, 0.1, 0.6, 0.05, 0.1], dtype=np.float32)
BRIGHT = np.array([0.7, 0.05, 0.1, 0.05, 0.05, 0.05], dtype=np.float32)


@dataclass
class Words:
    distribution: np.ndarray | None
    language: str | None = "ko"
    reason: str | None = None
    notes: tuple[str, ...] = ()
    segments: tuple = ()


@dataclass
class Sound:
    distribution: np.ndarray | None
    reason: str | None = None
    notes: tuple[str, ...] = ()
    windows: np.ndarray = None  # type: ignore[assignment]
    duration_s: float = 3.0


class LyricStandIn:
    model_hash = "words"

    def __init__(self, reading: Words) -> None:
        self.reading = reading
        self.asked: list[tuple[str, bool]] = []

    def read(self, text: str, *, as_mood: bool = False) -> Words:
        self.asked.append((text, as_mood))
        return self.reading


class AudioStandIn:
    model_hash = "sound"

    def __init__(self, reading: Sound) -> None:
        self.reading = reading

    def read_file(self, path: Path) -> Sound:
        assert isinstance(path, Path)
        return self.reading


def analyser_of(words: Words | None = None, sound: Sound | None = None, **settings) -> SongAnalyser:
    return SongAnalyser(
        LyricStandIn(words) if words else None,
        AudioStandIn(sound) if sound else None,
        FusionSettings(**settings),
    )


def test_the_json_of_an_analysis():
    analyser = analyser_of(Words(SAD, notes=("short",)), Sound(BRIGHT, notes=("truncated",)))
    content = analyser.analyse("가사", "song.mp3").to_json()
    assert list(content) == [
        "lyrics", "audio", "fused", "top", "confidence", "abstain", "language", "notes",
    ]  # fmt: skip
    for branch in ("lyrics", "audio", "fused"):
        assert list(content[branch]) == list(EMOTIONS)
        assert sum(content[branch].values()) == pytest.approx(1.0, abs=1e-5)
    assert content["top"] == "joy"
    assert content["confidence"] == pytest.approx(content["fused"]["joy"])
    assert content["abstain"] is False
    assert content["language"] == "ko"
    assert content["notes"] == ["short", "truncated"]


def test_a_branch_that_was_not_asked_is_null_and_never_loaded():
    content = analyser_of(words=Words(SAD)).analyse("가사").to_json()
    assert content["audio"] is None
    content = analyser_of(sound=Sound(BRIGHT)).analyse(audio="song.mp3").to_json()
    assert content["lyrics"] is None
    assert content["language"] is None


def test_words_that_say_nothing_leave_the_song_to_its_sound():
    words = Words(None, None, "the text is in French")
    analysis = analyser_of(words, Sound(BRIGHT)).analyse("paroles", "song.mp3")
    assert analysis.top == "joy"
    assert analysis.fused.lyrics is None
    assert analysis.language is None
    assert "French" in analysis.notes[-1]


def test_no_answer_at_all_carries_the_reasons():
    analyser = analyser_of(Words(None, None, "no words"), Sound(None, "silence"))
    with pytest.raises(InputError, match=r"no words.*silence"):
        analyser.analyse("🙂", "song.mp3")
    with pytest.raises(InputError, match="no words"):
        analyser.analyse("🙂")
    with pytest.raises(InputError, match="nothing to analyse"):
        analyser.analyse()


def test_a_mood_is_read_and_calibrated_as_one():
    strong = BranchCalibration(prior=(0.02, 0.02, 0.02, 0.9, 0.02, 0.02), prior_strength=1.0)
    analyser = analyser_of(Words(SAD), lyrics=strong)
    assert analyser.analyse("우울해", as_mood=True).top == "sadness"
    assert analyser.analyse("우울해").top != "sadness"
    assert [as_mood for _, as_mood in analyser.lyric_predictor.asked] == [True, False]


def test_a_wrong_model_folder_is_refused_at_once(tmp_path):
    with pytest.raises(ModelFolderError, match=r"model\.json"):
        SongAnalyser(lyrics_folder=tmp_path)
    with pytest.raises(ModelFolderError, match=r"model\.json"):
        SongAnalyser(audio_folder=tmp_path)


def test_making_an_analyser_loads_no_runtime():
    code = (
        "import sys; from fusion.analysis import SongAnalyser; SongAnalyser(); "
        "print([m for m in ('onnxruntime', 'soundfile', 'tokenizers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
