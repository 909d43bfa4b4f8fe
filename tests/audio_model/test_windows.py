"""The front end: level, limits, silence at the ends, short and long recordings."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model import windows
from audio_model.log_mel import MelConfiguration
from audio_model.windows import TEN_SECONDS, FrontEnd, Spectra, WindowConfiguration
from data_prep.errors import InputError

LIMITS = TEN_SECONDS.windows


def noise(n_frames: int, seed: int = 0) -> Spectra:
    random = np.random.default_rng(seed)
    return Spectra(
        random.normal(-30, 5, (48, n_frames)).astype(np.float32),
        random.exponential(2.0, (64, -(-n_frames // 4))).astype(np.float32),
    )


def silence(n_frames: int) -> Spectra:
    return Spectra(
        np.full((48, n_frames), -100.0, dtype=np.float32),
        np.full((64, -(-n_frames // 4)), 1e-6, dtype=np.float32),
    )


def joined(*parts: Spectra) -> Spectra:
    return Spectra(
        np.concatenate([part.log_mel for part in parts], axis=1),
        np.concatenate([part.notes for part in parts], axis=1),
    )


def cut(*pieces: Spectra) -> windows.Windows:
    return windows.cut(windows.levelled(pieces))


def test_level_of_equal_bands_is_their_value():
    assert windows.level_db([np.full((48, 100), -12.0, dtype=np.float32)]) == pytest.approx(-12.0)


def test_silence_around_does_not_change_the_level():
    sound, quiet = noise(400).log_mel, silence(400).log_mel
    assert windows.level_db([quiet, sound, quiet]) == pytest.approx(
        windows.level_db([sound]), abs=0.3
    )


def test_gain_does_not_change_windows():
    sound = noise(1_500)
    louder = Spectra(sound.log_mel + 20, sound.notes * 10)
    for one, other in zip(cut(sound), cut(louder), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_gain_does_not_change_the_windows_of_a_waveform():
    time = np.arange(5 * 16_000) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    loud, soft = (cut(*windows.spectra([tone * gain])) for gain in (1.0, 0.01))
    for one, other in zip(loud, soft, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-2)
    assert loud.salience[0].mean(axis=1).argmax() == 69 - TEN_SECONDS.pitch.lowest


def test_values_are_limited():
    sound = noise(700)
    sound.log_mel[3] = -100.0
    sound.log_mel[5, 10] = 60.0
    log_mel = cut(sound).log_mel
    assert log_mel.min() == LIMITS.floor_db
    assert log_mel.max() <= LIMITS.ceiling_db


def test_silent_ends_are_cut_off_to_a_note_frame():
    (kept,) = windows.levelled([joined(silence(302), noise(200), silence(98))])
    assert kept.n_frames == 202
    assert kept.notes.shape[1] == 51


def test_a_short_recording_is_repeated():
    sound = noise(100)
    window = cut(sound)
    assert [part.shape for part in window[:2]] == [(1, 48, 624), (1, 64, 156)]
    np.testing.assert_array_equal(window.log_mel[0, :, :100], window.log_mel[0, :, 100:200])
    np.testing.assert_array_equal(window.salience[0, :, :25], window.salience[0, :, 25:50])


@pytest.mark.parametrize(("n_frames", "n_windows"), [(624, 1), (625, 2), (6_240, 10), (60_000, 24)])
def test_windows_cover_a_recording_evenly(n_frames, n_windows):
    sound = noise(n_frames)
    found = cut(sound)
    assert [part.shape for part in found[:2]] == [(n_windows, 48, 624), (n_windows, 64, 156)]
    (whole,) = windows.levelled([sound])
    last = (n_frames - 624) // 4 * 4
    np.testing.assert_array_equal(found.log_mel[0], whole.log_mel[:, :624])
    np.testing.assert_array_equal(found.log_mel[-1], whole.log_mel[:, last : last + 624])
    np.testing.assert_array_equal(found.salience[-1], whole.notes[:, last // 4 : last // 4 + 156])


def test_windows_without_sound_are_left_out():
    found = cut(joined(noise(624), silence(624), noise(624)))
    assert [len(part) for part in found[:2]] == [2, 2]


def test_pieces_are_windows_of_their_own():
    assert len(cut(*(noise(624, seed) for seed in range(30))).log_mel) == LIMITS.at_most


def test_nothing_is_refused():
    with pytest.raises(InputError, match="at least one frame"):
        windows.levelled([])
    with pytest.raises(InputError, match="do not fit together"):
        WindowConfiguration(floor_db=30.0)
    with pytest.raises(InputError, match="do not fit together"):
        FrontEnd(log_mel=MelConfiguration(hop_length=300))
