"""The numpy log-mel: agreement with reference libraries, hand-computed values, properties."""

from __future__ import annotations

import time

import numpy as np
import pytest

from audio_model.log_mel import KAKAO, MelConfiguration, hz_to_mel, log_mel, mel_matrix, mel_to_hz
from data_prep.errors import InputError


@pytest.fixture(scope="module")
def waveform() -> np.ndarray:
    rng = np.random.default_rng(0)
    time_s = np.arange(3 * 16_000 + 123) / 16_000
    tones = sum(np.sin(2 * np.pi * f * time_s) / f for f in (110, 440, 1_234, 5_000)) * 40
    envelope = np.exp(-2 * (time_s % 0.7))
    return (tones * envelope * 0.2 + rng.normal(0, 1e-3, time_s.size)).astype(np.float32)


def test_agreement_with_librosa(waveform):
    librosa = pytest.importorskip("librosa", reason="librosa is in the extra `train`")
    power = librosa.feature.melspectrogram(
        y=waveform, sr=16_000, n_fft=512, hop_length=256, n_mels=48, pad_mode="constant"
    )
    expected = librosa.power_to_db(power, amin=1e-10, top_db=None)
    assert np.abs(log_mel(waveform) - expected).max() < 0.01


def test_agreement_with_torchaudio(waveform):
    torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
    torchaudio = pytest.importorskip("torchaudio", reason="torchaudio is in the extra `train`")
    transform = torchaudio.transforms.MelSpectrogram(
        16_000,
        512,
        hop_length=256,
        n_mels=48,
        norm="slaney",
        mel_scale="slaney",
        pad_mode="constant",
    )
    to_db = torchaudio.transforms.AmplitudeToDB("power")
    expected = to_db(transform(torch.from_numpy(waveform))).numpy()
    assert np.abs(log_mel(waveform) - expected).max() < 0.01


def test_mel_scale_is_inverted_by_its_inverse():
    hertz = np.linspace(0, 8_000, 97)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hertz)), hertz, atol=1e-9)
    assert hz_to_mel(np.array([1_000.0]))[0] == pytest.approx(15.0)  # Slaney's break


def test_filters_have_unit_area():
    matrix = mel_matrix()
    assert matrix.shape == (48, 257)
    area = matrix.sum(axis=1) * 16_000 / 512
    np.testing.assert_allclose(area[8:], 1.0, atol=0.12)  # narrow bands meet few bins


def test_number_of_frames_and_silence():
    found = log_mel(np.zeros(16_000, dtype=np.float32))
    assert found.shape == (48, 1 + 16_000 // 256)
    np.testing.assert_allclose(found, -100.0, atol=1e-4)
    assert log_mel(np.ones(1, dtype=np.float32)).shape == (48, 1)


def test_ten_times_louder_is_twenty_decibels(waveform):
    difference = log_mel(waveform * 10) - log_mel(waveform)
    np.testing.assert_allclose(difference, 20.0, atol=0.01)


def test_a_tone_lies_in_its_band():
    time_s = np.arange(16_000) / 16_000
    found = log_mel(np.sin(2 * np.pi * 2_000 * time_s).astype(np.float32))[:, 20:40].mean(axis=1)
    edges = mel_to_hz(np.linspace(0, hz_to_mel(np.array([8_000.0]))[0], 50))
    band = int(found.argmax())
    assert edges[band] < 2_000 < edges[band + 2]


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (np.zeros(0), "shape"),
        (np.zeros((10, 2)), "shape"),
        (np.array([0.0, np.nan]), "not finite"),
    ],
)
def test_bad_waveforms(samples, match):
    with pytest.raises(InputError, match=match):
        log_mel(samples)


def test_bands_beyond_the_sample_rate_are_refused():
    with pytest.raises(InputError, match="9000"):
        MelConfiguration(f_max=9_000.0)


def test_four_minutes_take_well_under_a_second():
    samples = np.random.default_rng(0).normal(0, 0.1, 240 * 16_000).astype(np.float32)
    log_mel(samples[:16_000], KAKAO)
    started = time.process_time()
    log_mel(samples)
    assert time.process_time() - started < 0.8
