"""Speech to text: a tiny real Whisper, and a stand-in for what it would not say."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from app.service.speech import MOST_S, Speech
from data_prep.errors import InputError, MissingExtraError, ModelFolderError

SAID = {"said.wav": [" 오늘은 ", "조금 슬퍼 "], "silent.wav": [], "breath.wav": ["  ", ""]}


class WhisperStandIn:
    """Says what ``SAID`` has for the file; refuses a folder whose model is empty."""

    def __init__(self, folder: str, **settings: Any) -> None:
        assert settings["local_files_only"], "nothing is fetched"
        if not (Path(folder) / "model.bin").stat().st_size:
            raise RuntimeError("unsupported model binary version")
        self.clips: list[Any] = []

    def transcribe(self, path: str, **settings: Any) -> tuple[Iterator[Any], None]:
        self.clips.append(settings["clip_timestamps"])

        def segments() -> Iterator[Any]:
            # The library decodes while its segments are gone through.
            if Path(path).name not in SAID:
                raise ValueError("no audio stream")
            for words in SAID[Path(path).name]:
                yield SimpleNamespace(text=words)

        return segments(), None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.bin").write_bytes(b"model")
    return tmp_path


@pytest.fixture
def faster_whisper(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("faster_whisper")
    module.WhisperModel = WhisperStandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", module)


def test_without_the_package_its_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match=r"voice input .*maeum\[speech\]"):
        Speech.load(folder)


@pytest.mark.usefixtures("faster_whisper")
def test_a_folder_without_a_model_is_refused(folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"")
    with pytest.raises(ModelFolderError, match="unsupported model binary"):
        Speech.load(folder)
    (folder / "model.bin").unlink()
    with pytest.raises(ModelFolderError, match=r"expected .*model\.bin"):
        Speech.load(folder)


@pytest.mark.usefixtures("faster_whisper")
def test_segments_are_joined(folder: Path) -> None:
    assert Speech.load(folder).text(Path("said.wav")) == "오늘은 조금 슬퍼"


def test_only_the_first_minute_is_listened_to(folder: Path) -> None:
    model = WhisperStandIn(str(folder), local_files_only=True)
    speech = Speech(Path("folder"))
    speech._loaded = model
    speech.text(Path("said.wav"))
    assert model.clips == [[0.0, MOST_S]]


@pytest.mark.usefixtures("faster_whisper")
@pytest.mark.parametrize("silence", ["silent.wav", "breath.wav"])
def test_silence_is_refused(folder: Path, silence: str) -> None:
    with pytest.raises(InputError, match="nothing was said"):
        Speech.load(folder).text(Path(silence))


@pytest.mark.usefixtures("faster_whisper")
def test_what_cannot_be_decoded_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="no audio stream"):
        Speech.load(folder).text(Path("picture.png"))


@pytest.fixture(scope="module")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("faster_whisper")
    from tests.app.service.tiny_whisper import write_tiny_whisper

    return write_tiny_whisper(tmp_path_factory.mktemp("whisper"))


def test_a_real_model_listens(tiny_whisper: Path, tmp_path: Path) -> None:
    from tests.app.service.tiny_whisper import SAID as SENTENCE

    speech = Speech.load(tiny_whisper)
    random = np.random.default_rng(0)
    for name, rate in (("a.wav", 16_000), ("b.ogg", 44_100)):
        soundfile.write(tmp_path / name, 0.1 * random.normal(size=(2 * rate, 2)), rate)
        assert speech.text(tmp_path / name) == SENTENCE
    (tmp_path / "words.wav").write_text("no sound", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be listened to"):
        speech.text(tmp_path / "words.wav")


def test_a_real_model_that_is_damaged_is_refused(tiny_whisper: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_whisper, damaged)
    whole = (damaged / "model.bin").read_bytes()
    (damaged / "model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFolderError, match="cannot be loaded"):
        Speech.load(damaged)
    later = Speech.load(damaged, later=True)
    with pytest.raises(ModelFolderError, match="cannot be loaded"):
        later.text(tmp_path / "said.wav")


def test_a_model_may_be_loaded_when_it_is_first_asked(tiny_whisper: Path, tmp_path: Path) -> None:
    from tests.app.service.tiny_whisper import SAID as SENTENCE

    speech = Speech.load(tiny_whisper, later=True)
    random = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", 0.1 * random.normal(size=(32_000, 2)), 16_000)
    assert speech.text(tmp_path / "a.wav") == SENTENCE
    with pytest.raises(ModelFolderError, match="holds no speech model"):
        Speech.load(tmp_path, later=True)
