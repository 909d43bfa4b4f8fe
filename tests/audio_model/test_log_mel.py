"""The numpy log-mel: agreement with reference libraries, hand-computed values, properties."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from audio_model.decode import decode
from audio_model.log_mel import (
    KAKAO,
    PRESETS,
    MelConfiguration,
    hz_to_mel,
    log_mel,
    mel_matrix,
    mel_to_hz,
)
from data_prep.errors import InputError

# below this share of a frame's strongest band lies the rounding of each library's transform
ROUNDING_DB = -90.0


def music(rate: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    time_s = np.arange(2 * rate + 123) / rate
    tones = sum(np.sin(2 * np.pi * f * time_s) / f for f in (110, 440, 1_234, 5_000)) * 40
    envelope = np.exp(-2 * (time_s % 0.7))
    return tones * envelope * 0.2 + rng.normal(0, 1e-3, time_s.size)


def noise(rate: int, deviation: float = 0.1) -> np.ndarray:
    return np.random.default_rng(1).normal(0, deviation, 2 * rate + 77)


SIGNALS = {
    "music": music,
    "noise": noise,
    "quiet noise": lambda rate: noise(rate, 1e-4),
    "clipped noise": lambda rate: np.clip(noise(rate, 2.0), -1, 1),
    "a pure tone": lambda rate: 0.9 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate),
    "silence, then music": lambda rate: np.concatenate([np.zeros(rate), music(rate)]),
    "impulses": lambda rate: 0.8 * (np.arange(rate) % 5_000 == 77),
    "silence": np.zeros,
    "shorter than a frame": lambda rate: noise(rate)[:100],
    "one sample": lambda rate: np.array([0.5]),
}


def librosa_log_mel(samples: np.ndarray, c: MelConfiguration) -> np.ndarray:
    librosa = pytest.importorskip("librosa", reason="librosa is in the extra `train`")
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=c.sample_rate,
        n_fft=c.n_fft,
        hop_length=c.hop_length,
        n_mels=c.n_mels,
        fmin=c.f_min,
        fmax=c.f_max,
        pad_mode="constant",
    )
    return librosa.power_to_db(power, amin=c.amin, top_db=None)


def torchaudio_log_mel(samples: np.ndarray, c: MelConfiguration) -> np.ndarray:
    torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
    torchaudio = pytest.importorskip("torchaudio", reason="torchaudio is in the extra `train`")
    transform = torchaudio.transforms.MelSpectrogram(
        c.sample_rate,
        c.n_fft,
        hop_length=c.hop_length,
        n_mels=c.n_mels,
        f_min=c.f_min,
        f_max=c.f_max,
        norm="slaney",
        mel_scale="slaney",
        pad_mode="constant",
    )
    to_db = torchaudio.transforms.AmplitudeToDB("power")
    return to_db(transform(torch.from_numpy(samples))).numpy()


@pytest.fixture(scope="module")
def waveform() -> np.ndarray:
    return music(KAKAO.sample_rate).astype(np.float32)


@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")
@pytest.mark.parametrize("reference", [librosa_log_mel, torchaudio_log_mel])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("signal", SIGNALS)
def test_agreement_with_reference_libraries(reference, preset, signal):
    c = PRESETS[preset]
    samples = np.asarray(SIGNALS[signal](c.sample_rate), dtype=np.float32)
    found, expected = log_mel(samples, c), reference(samples, c)
    assert found.shape == expected.shape
    told_apart = expected >= expected.max(axis=0) + ROUNDING_DB
    assert np.abs(found - expected)[told_apart].max() < 0.01


@pytest.mark.parametrize("name", ["a.wav", "a.mp3"])
def test_agreement_with_librosa_from_a_stereo_file(tmp_path, name):
    librosa = pytest.importorskip("librosa", reason="librosa is in the extra `train`")
    left, right = music(44_100), noise(44_100)[: 2 * 44_100]
    stereo = np.stack([left[: right.size], right], axis=1)
    soundfile.write(tmp_path / name, stereo, 44_100)
    samples, rate = librosa.load(tmp_path / name, sr=16_000)
    expected = librosa_log_mel(samples, KAKAO)
    found = log_mel(decode(tmp_path / name).samples)
    assert rate == 16_000
    assert found.shape == expected.shape
    loud = expected > expected.max() - 60
    assert np.abs(found - expected)[loud].max() < 0.1


def test_presets_are_what_they_are_called():
    assert PRESETS["kakao"] == MelConfiguration(16_000, 512, 256, 48, 0.0, 8_000.0)
    assert PRESETS["full"] == MelConfiguration(22_050, 2_048, 512, 128, 0.0, 11_025.0)
    for c in PRESETS.values():
        assert (mel_matrix(c) > 0).any(axis=1).all(), "every band has a bin"
    assert (mel_matrix(PRESETS["full"]) > 0).sum(axis=1).min() >= 4


def test_an_arena_mel_of_thirty_seconds_has_its_shape():
    assert log_mel(np.zeros(30 * 16_000, dtype=np.float32)).shape == (48, 1_876)


# Essentia's formula (MelBands with warpingFormula=slaneyMel, weighting=linear,
# normalize=unit_tri over TriangularBands), by hand. The scale is 3/200 mel per Hz up to
# 1,000 Hz = 15 mel, then 27 mel per factor 6.4. 8,000 Hz = 15 + 27 ln 8 / ln 6.4 =
# 45.24564 mel, so 50 edges lie 45.24564 / 49 = 0.9233803 mel apart: on the linear part
# 0.9233803 * 200 / 3 = 61.55869 Hz. Bins lie 16,000 / 512 = 31.25 Hz apart.
def test_the_first_filter_is_essentias_by_hand():
    # Edges 0, 61.55869, 123.11738 Hz; straight sides over Hz; area = half the base:
    #   bin 1,  31.25 Hz:  31.25 / 61.55869              = 0.5076456, / 61.55869 = 0.00824653
    #   bin 2,  62.50 Hz: (123.11738 - 62.5) / 61.55869  = 0.9847087, / 61.55869 = 0.01599626
    #   bin 3,  93.75 Hz: (123.11738 - 93.75) / 61.55869 = 0.4770631, / 61.55869 = 0.00774973
    # and bins 0 (on the edge) and 4 (125 Hz) have none.
    expected = np.zeros(257)
    expected[1:4] = 0.00824653, 0.01599626, 0.00774973
    np.testing.assert_allclose(mel_matrix()[0], expected, atol=2e-8)


def test_a_filter_above_one_kilohertz_is_essentias_by_hand():
    # Filter 20 has edges 20, 21 and 22: 18.467608, 19.390989 and 20.314369 mel, which are
    # 1000 exp((mel - 15) ln 6.4 / 27) = 1269.2222, 1352.4101 and 1441.0505 Hz.
    # Half the base = (1441.0505 - 1269.2222) / 2 = 85.91415 Hz.
    #   bin 41, 1281.25 Hz: (1281.25 - 1269.2222) / 83.1880 = 0.144586, / 85.91415 = 0.00168292
    #   bin 42, 1312.50 Hz: (1312.50 - 1269.2222) / 83.1880 = 0.520242, / 85.91415 = 0.00605537
    #   bin 43, 1343.75 Hz: (1343.75 - 1269.2222) / 83.1880 = 0.895897, / 85.91415 = 0.01042782
    #   bin 44, 1375.00 Hz: (1441.0505 - 1375.00) / 88.6403 = 0.745151, / 85.91415 = 0.00867321
    #   bin 45, 1406.25 Hz: (1441.0505 - 1406.25) / 88.6403 = 0.392603, / 85.91415 = 0.00456971
    #   bin 46, 1437.50 Hz: (1441.0505 - 1437.50) / 88.6403 = 0.040055, / 85.91415 = 0.00046622
    expected = np.zeros(257)
    expected[41:47] = 0.00168292, 0.00605537, 0.01042782, 0.00867321, 0.00456971, 0.00046622
    np.testing.assert_allclose(mel_matrix()[20], expected, atol=2e-8)


def test_an_impulse_by_hand():
    # At the middle of a frame the window is 1, so every bin has power 1 and the first band
    # the sum of its weights: 10 log10(0.00824653 + 0.01599626 + 0.00774973) = -14.9497 dB.
    # With Essentia's window, 0.99999 there and scaled by 2 / 255.5, it is 42.1273 dB less.
    impulse = np.zeros(4_096, dtype=np.float32)
    impulse[1_024] = 1.0
    assert log_mel(impulse)[0, 4] == pytest.approx(-14.9497, abs=1e-3)
    middle = 0.5 - 0.5 * np.cos(2 * np.pi * 256 / 511)
    assert 20 * np.log10(middle * 2 / 255.5) == pytest.approx(-42.1273, abs=1e-3)


def test_a_steady_tone_by_hand():
    # Bin 64, 2,000 Hz, amplitude 1: the periodic window leaves 512 / 4 = 128 in its bin and
    # half of that in each neighbour, whose powers are 16384, 4096 and 4096.
    found = log_mel(np.cos(2 * np.pi * 2_000 * np.arange(16_000) / 16_000).astype(np.float32))
    weights = mel_matrix()[:, 63:66].astype(np.float64)
    expected = 10 * np.log10(weights @ [4_096, 16_384, 4_096] + 1e-30)
    band = int(expected.argmax())
    np.testing.assert_allclose(found[band, 3:60], expected[band], atol=1e-3)


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
