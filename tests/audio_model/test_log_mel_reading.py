"""Recordings of which only the log-mel is there."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model.log_mel import KAKAO, log_mel
from audio_model.predictor import AudioPredictor, log_mels_read_by
from data_prep.errors import InputError
from tests.audio_model.mel_model import write_mel_model

pytest.importorskip("onnx")

RATE = KAKAO.sample_rate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_mel_model(tmp_path_factory.mktemp("models") / "mels")


@pytest.fixture(scope="module")
def predictor(folder) -> AudioPredictor:
    return AudioPredictor.load(folder)


def song(duration_s: float) -> np.ndarray:
    time = np.arange(int(duration_s * RATE)) / RATE
    tone = np.sin(2 * np.pi * (300 + 40 * time) * time)
    noise = np.random.default_rng(0).normal(0, 0.05, len(time))
    return (0.4 * tone + noise).astype(np.float32)


@pytest.mark.parametrize("duration_s", [1.0, 9.0, 30.0])
@pytest.mark.parametrize("stored", [np.float16, np.float32, np.float64])
def test_a_stored_log_mel_is_heard_as_the_recording_is(predictor, duration_s, stored):
    heard = predictor.read_waveform(song(duration_s), RATE)
    read = predictor.read_log_mel(log_mel(song(duration_s)).astype(stored))
    assert read.windows.shape == heard.windows.shape
    np.testing.assert_allclose(read.distribution, heard.distribution, atol=2e-3)
    assert read.duration_s == pytest.approx(duration_s, abs=0.03)
    assert bool(read.notes) == (duration_s < 3)


def test_how_loud_it_is_does_not_matter(predictor):
    mel = log_mel(song(12.0))
    np.testing.assert_allclose(
        predictor.read_log_mel(mel).distribution,
        predictor.read_log_mel(mel + 20.0).distribution,
        atol=1e-5,
    )


def test_silence_and_snippets_say_why_there_is_no_answer(predictor):
    assert predictor.read_log_mel(np.full((48, 600), -100.0)).reason == "the recording is silent"
    assert "too short" in str(predictor.read_log_mel(log_mel(song(0.3))).reason)


@pytest.mark.parametrize(
    ("mel", "said"),
    [
        (np.zeros((128, 600)), "48, frames"),
        (np.zeros((48, 0)), "48, frames"),
        (np.zeros(48), "48, frames"),
        (np.full((48, 600), np.nan), "no numbers"),
    ],
)
def test_what_is_no_log_mel_is_refused(predictor, mel, said):
    with pytest.raises(InputError, match=said):
        predictor.read_log_mel(mel)


def test_a_model_that_hears_more_needs_the_recording(folder):
    assert log_mels_read_by(folder) == KAKAO
    assert log_mels_read_by() is None
    with pytest.raises(InputError, match="needs the recording itself"):
        AudioPredictor.load().read_log_mel(log_mel(song(3.0)))
