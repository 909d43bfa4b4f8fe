"""Bands of short-time spectra: the same as one plain product, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model import stft
from audio_model.log_mel import PRESETS, mel_matrix
from audio_model.pitch import SEMITONES, note_matrix
from audio_model.stft import Bands, band_spectrogram, hann
from data_prep.errors import InputError

MATRICES = {
    "kakao": mel_matrix(PRESETS["kakao"]),
    "full": mel_matrix(PRESETS["full"]),
    "notes": note_matrix(SEMITONES),
}


def noise(n_samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32)


def plainly(samples, matrix, hop_length, *, power):
    """Frame by frame, in double precision."""
    n_fft = 2 * (matrix.shape[1] - 1)
    padded = np.concatenate([np.zeros(n_fft // 2), samples, np.zeros(n_fft)])
    frames = [
        padded[k * hop_length : k * hop_length + n_fft]
        for k in range(1 + len(samples) // hop_length)
    ]
    magnitude = np.abs(np.fft.rfft(np.stack(frames) * hann(n_fft)))
    return matrix.astype(np.float64) @ (magnitude**2 if power else magnitude).T


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("power", [True, False])
@pytest.mark.parametrize("n_samples", [1, 700, 40_000])
def test_bands_are_weighted_sums(name, power, n_samples):
    matrix = MATRICES[name]
    n_fft = 2 * (matrix.shape[1] - 1)
    samples = noise(n_samples)
    found = band_spectrogram(samples, Bands(matrix, n_fft), hop_length=n_fft // 4, power=power)
    expected = plainly(samples, matrix, n_fft // 4, power=power)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())


@pytest.mark.parametrize("name", MATRICES)
def test_every_weight_is_used_and_no_product_needs_threads(name):
    matrix = MATRICES[name]
    bands = Bands(matrix, 2 * (matrix.shape[1] - 1))
    found = np.zeros((bands.n_bands, bands.frames_per_block), dtype=np.float32)
    values = np.ones((bands.frames_per_block, matrix[:, bands.bins].shape[1]), dtype=np.float32)
    bands.gather(values, found)
    np.testing.assert_allclose(found[:, 0], matrix.sum(axis=1), rtol=1e-5)
    largest = max(weights.size * bands.frames_per_block for _, _, weights in bands._groups)
    assert largest <= 2**18


def test_frames_do_not_depend_on_their_block(monkeypatch):
    samples, matrix = noise(60_000), MATRICES["kakao"]
    expected = band_spectrogram(samples, Bands(matrix, 512), hop_length=256, power=True)
    monkeypatch.setattr(stft, "_VALUES_PER_BLOCK", 7 * 512)
    found = band_spectrogram(samples, Bands(matrix, 512), hop_length=256, power=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_window_by_hand():
    np.testing.assert_allclose(hann(4), [0.0, 0.5, 1.0, 0.5], atol=1e-7)
    assert not hann(4).flags.writeable


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (np.zeros((2, 100)), "mono waveform"),
        (np.zeros(0), "mono waveform"),
        (np.array([0.0, np.inf]), "not finite"),
    ],
)
def test_waveforms_are_checked(samples, match):
    with pytest.raises(InputError, match=match):
        band_spectrogram(samples, Bands(MATRICES["kakao"], 512), hop_length=256, power=True)
