"""Windows: level, limits, silence at the ends, short and long recordings."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model import windows
from audio_model.windows import TEN_SECONDS, WindowConfiguration
from data_prep.errors import InputError


def noise(n_frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-30, 5, (48, n_frames)).astype(np.float32)


def test_level_of_equal_bands_is_their_value():
    assert windows.level_db([np.full((48, 100), -12.0, dtype=np.float32)]) == pytest.approx(-12.0)


def test_silence_around_does_not_change_the_level():
    sound = noise(400)
    quiet = np.full((48, 400), -100.0, dtype=np.float32)
    assert windows.level_db([quiet, sound, quiet]) == pytest.approx(
        windows.level_db([sound]), abs=0.3
    )


def test_gain_does_not_change_windows():
    sound = noise(1_500)
    np.testing.assert_allclose(windows.cut([sound]), windows.cut([sound + 20]), atol=1e-3)


def test_values_are_limited():
    sound = noise(700)
    sound[3] = -100.0
    sound[5, 10] = 60.0
    cut = windows.cut([sound])
    assert cut.min() == TEN_SECONDS.floor_db
    assert cut.max() <= TEN_SECONDS.ceiling_db


def test_silent_ends_are_cut_off():
    sound = np.concatenate(
        [np.full((48, 300), -100.0), noise(200), np.full((48, 99), -100.0)], axis=1
    )
    sound = sound.astype(np.float32)
    assert windows.trim(sound, windows.level_db([sound])).shape[1] == 200


def test_a_short_recording_is_repeated():
    sound = noise(100)
    (window,) = windows.cut([sound])
    assert window.shape == (48, 624)
    np.testing.assert_array_equal(window[:, :100], window[:, 100:200])


@pytest.mark.parametrize(("n_frames", "n_windows"), [(624, 1), (625, 2), (6_240, 10), (60_000, 24)])
def test_windows_cover_a_recording_evenly(n_frames, n_windows):
    sound = noise(n_frames)
    cut = windows.cut([sound])
    assert cut.shape == (n_windows, 48, 624)
    relative = windows.relative(sound, windows.level_db([sound]))
    np.testing.assert_array_equal(cut[0], relative[:, :624])
    np.testing.assert_array_equal(cut[-1], relative[:, -624:])


def test_windows_without_sound_are_left_out():
    sound = np.concatenate([noise(624), np.full((48, 624), -100.0), noise(624)], axis=1)
    assert len(windows.cut([sound.astype(np.float32)])) == 2


def test_pieces_are_windows_of_their_own():
    assert len(windows.cut([noise(624, seed) for seed in range(30)])) == TEN_SECONDS.at_most


def test_nothing_is_refused():
    with pytest.raises(InputError, match="at least one frame"):
        windows.cut([])
    with pytest.raises(InputError, match="do not fit together"):
        WindowConfiguration(floor_db=30.0)
