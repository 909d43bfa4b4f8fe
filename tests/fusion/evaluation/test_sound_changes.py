"""What each change does to a recording, measured on tones and noise."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from data_prep.errors import InputError
from fusion.evaluation import sound_changes
from fusion.evaluation.sound_changes import CHANGES, Sound

RATE = 16_000


def tone(frequency: float, rate: int = RATE, seconds: float = 2.0, peak: float = 0.5) -> np.ndarray:
    t = np.arange(round(rate * seconds)) / rate
    return (peak * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def power(samples: np.ndarray) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64)))


@pytest.fixture
def sound(tmp_path) -> Sound:
    path = tmp_path / "한글 이름 and English.wav"
    soundfile.write(path, tone(440) + tone(5_500, peak=0.25), RATE, subtype="FLOAT")
    return Sound.of(path)


def test_gain(sound) -> None:
    quiet, rate = sound_changes.quieter(sound)
    assert rate == RATE
    assert 10 * np.log10(power(quiet) / power(sound.samples)) == pytest.approx(-12.0, abs=1e-3)
    loud, _ = sound_changes.clipped(sound)
    assert np.abs(loud).max() == 1.0
    assert (np.abs(loud) == 1.0).mean() > 0.5


def test_eight_kilohertz_keeps_what_is_below_four(sound) -> None:
    narrow, rate = sound_changes.narrow(sound)
    assert (rate, len(narrow)) == (8_000, 16_000)
    spectrum = np.abs(np.fft.rfft(narrow))
    assert np.argmax(spectrum) * rate / len(narrow) == 440
    assert power(narrow) == pytest.approx(power(tone(440)), rel=0.01)


def test_noise_is_twenty_decibels_below(sound) -> None:
    noisy, _ = sound_changes.noisy(sound)
    noise = noisy - sound.samples
    assert 10 * np.log10(power(noise) / power(sound.samples)) == pytest.approx(-20.0, abs=0.2)
    assert np.array_equal(noisy, sound_changes.noisy(sound)[0])


def test_mp3_has_the_bit_rate_and_sounds_alike(sound, tmp_path) -> None:
    coded, rate = sound_changes.through_mp3(sound)
    assert rate == RATE
    assert len(coded) == pytest.approx(len(sound.samples), abs=2_500)  # padding of the encoder
    assert not np.array_equal(coded[: len(sound.samples)], sound.samples)
    spectrum = np.abs(np.fft.rfft(coded))
    assert np.argmax(spectrum) * RATE / len(coded) == pytest.approx(440, abs=1)
    assert power(coded) == pytest.approx(power(sound.samples), rel=0.1)
    mp3 = tmp_path / "노래.mp3"
    sound_changes.encode_mp3(sound.path, mp3)
    assert mp3.stat().st_size * 8 / 2.0 == pytest.approx(64_000, rel=0.2)


@pytest.mark.parametrize(
    ("rate", "channels", "expected"),
    [(96_000, 6, (48_000, 2)), (44_100, 2, (44_100, 2)), (7_000, 1, (8_000, 1))],
)
def test_mp3_has_the_channels_and_rate_of_the_file(tmp_path, rate, channels, expected) -> None:
    path, mp3 = tmp_path / "a.wav", tmp_path / "a.mp3"
    soundfile.write(path, np.tile(tone(440, rate, 1.0)[:, None], (1, channels)), rate)
    sound_changes.encode_mp3(path, mp3)
    made = soundfile.info(mp3)
    assert (made.samplerate, made.channels) == expected


def test_a_long_recording_is_cut(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sound_changes, "EXCERPT_S", 1)
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(440, seconds=5.0), RATE)
    sound = Sound.of(path)
    assert len(sound.samples) == RATE
    assert len(sound_changes.through_mp3(sound)[0]) == RATE
    mp3 = tmp_path / "a.mp3"
    sound_changes.encode_mp3(path, mp3)
    assert soundfile.info(mp3).duration < 1.5


def test_every_change_gives_what_a_model_can_hear(sound) -> None:
    for name, change in CHANGES.items():
        samples, rate = change(sound)
        assert samples.dtype == np.float32, name
        assert np.isfinite(samples).all(), name
        assert len(samples) / rate == pytest.approx(2.0, abs=0.2), name


def test_a_file_that_ffmpeg_does_not_know(tmp_path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"no sound")
    with pytest.raises(InputError, match=r"a\.wav cannot be encoded as mp3"):
        sound_changes.encode_mp3(path, tmp_path / "a.mp3")
