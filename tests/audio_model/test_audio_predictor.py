"""The predictor: embedded model, odd recordings, model folders that do not fit."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import soundfile

from audio_model.predictor import EMBEDDED, AudioPredictor
from audio_model.windows import Windows
from data_prep.errors import InputError, ModelFolderError
from data_prep.model_folder import CARD_NAME, EMBEDDING_NAME, NETWORK_NAME

RATE = 16_000


@pytest.fixture(scope="module")
def predictor() -> AudioPredictor:
    return AudioPredictor.load()


def music(duration_s: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Plucked chords: enough like music to have an emotion."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(duration_s * rate)) / rate
    since_beat = time_s % 0.5
    chord = sum(np.sin(2 * np.pi * f * time_s) for f in (220.0, 277.2, 329.6))
    samples = chord * np.exp(-6 * since_beat) * 0.2 + rng.normal(0, 1e-3, time_s.size)
    return samples.astype(np.float32)


def is_distribution(values: np.ndarray) -> bool:
    return values.shape == (6,) and bool((values >= 0).all()) and abs(values.sum() - 1) < 1e-5


def test_reading_of_music(predictor):
    reading = predictor.read_waveform(music(25.0), RATE)
    assert reading.distribution is not None
    assert is_distribution(reading.distribution)
    assert reading.distribution.dtype == np.float32
    assert reading.reason is None
    assert reading.windows.shape == (3, 6)
    np.testing.assert_allclose(reading.distribution, reading.windows.mean(axis=0), atol=1e-5)
    assert reading.duration_s == 25.0


def test_the_same_sound_has_the_same_answer(predictor, tmp_path):
    soundfile.write(tmp_path / "a.wav", music(12.0), RATE, subtype="FLOAT")
    first = predictor.read_file(tmp_path / "a.wav").distribution
    again = AudioPredictor.load().read_file(tmp_path / "a.wav").distribution
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(
        first, predictor.read_waveform(music(12.0), RATE).distribution, atol=1e-6
    )


@pytest.mark.parametrize("gain", [0.001, 0.1, 50.0])
def test_gain_does_not_change_the_answer(predictor, gain):
    plain = predictor.read_waveform(music(12.0), RATE).distribution
    louder = predictor.read_waveform(music(12.0) * np.float32(gain), RATE).distribution
    np.testing.assert_allclose(plain, louder, atol=1e-3)


def test_mp3_changes_the_answer_little(predictor, tmp_path):
    soundfile.write(tmp_path / "a.mp3", music(12.0, 44_100), 44_100)
    plain = predictor.read_waveform(music(12.0, 44_100), 44_100).distribution
    packed = predictor.read_file(tmp_path / "a.mp3").distribution
    assert np.abs(plain - packed).max() < 0.1


def test_silence_around_changes_the_answer_little(predictor):
    quiet = np.zeros(5 * RATE, dtype=np.float32)
    plain = predictor.read_waveform(music(20.0), RATE).distribution
    padded = predictor.read_waveform(np.concatenate([quiet, music(20.0), quiet]), RATE)
    assert np.abs(plain - padded.distribution).max() < 0.05


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_silence_has_no_emotion(predictor, value):
    reading = predictor.read_waveform(np.full(5 * RATE, value, dtype=np.float32), RATE)
    assert reading.distribution is None
    assert reading.reason == "the recording is silent"
    assert reading.windows.shape == (0, 6)


def test_three_hours_of_silence_take_bounded_time(predictor, tmp_path):
    block = np.zeros(8_000 * 60, dtype=np.int16)
    with soundfile.SoundFile(tmp_path / "s.flac", "w", 8_000, 1, subtype="PCM_16") as file:
        for _ in range(180):
            file.write(block)
    reading = predictor.read_file(tmp_path / "s.flac")
    assert reading.distribution is None
    assert reading.reason == "the recording is silent"
    assert reading.duration_s == pytest.approx(3 * 3600)


def test_a_long_recording_is_read_in_at_most_24_windows(predictor, tmp_path):
    with soundfile.SoundFile(tmp_path / "l.flac", "w", RATE, 1, subtype="PCM_16") as file:
        for _ in range(9):
            file.write(music(30.0))
    reading = predictor.read_file(tmp_path / "l.flac")
    assert reading.windows.shape == (24, 6)
    assert reading.duration_s == pytest.approx(270.0)
    assert "24 windows" in reading.notes[-1]
    waveform = np.tile(music(30.0), 9)
    assert predictor.read_waveform(waveform, RATE).windows.shape == (24, 6)


def test_a_clip_of_a_third_of_a_second_is_too_short(predictor):
    reading = predictor.read_waveform(music(0.3), RATE)
    assert reading.distribution is None
    assert "too short: 0.30 s" in reading.reason


def test_a_clip_of_a_second_is_read_with_a_note(predictor):
    reading = predictor.read_waveform(music(1.0), RATE)
    assert reading.distribution is not None
    assert "only 1.0 s" in reading.notes[0]


def test_values_that_are_not_numbers(predictor):
    samples = music(12.0)
    samples[1000:1010] = np.nan
    reading = predictor.read_waveform(samples, RATE)
    assert is_distribution(reading.distribution)
    assert "10 samples were not numbers" in reading.notes[0]
    nothing = predictor.read_waveform(np.full(RATE, np.nan), RATE)
    assert nothing.distribution is None


@pytest.mark.parametrize(
    "change",
    [
        lambda s: (s * 32_767).astype(np.int16),
        lambda s: (s * 127 + 128).astype(np.uint8),
        lambda s: np.repeat(s[:, None], 7, axis=1),
        lambda s: s.astype(np.float64),
    ],
)
def test_types_and_channels(predictor, change):
    plain = predictor.read_waveform(music(12.0), RATE).distribution
    found = predictor.read_waveform(change(music(12.0)), RATE).distribution
    # eight bits add noise that the quiet parts show
    assert np.abs(plain - found).max() < 0.25


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_sample_rates(predictor, rate):
    reading = predictor.read_waveform(music(4.0, rate), rate)
    assert is_distribution(reading.distribution)


@pytest.mark.parametrize(
    ("samples", "rate", "match"),
    [
        (np.zeros(0), RATE, "shape"),
        (np.zeros((2, 2, 2)), RATE, "shape"),
        (np.zeros(100), 0, "sample rate of 0"),
        (np.array(["a"]), RATE, "floats or integers"),
    ],
)
def test_waveforms_that_make_no_sense(predictor, samples, rate, match):
    with pytest.raises(InputError, match=match):
        predictor.read_waveform(samples, rate)


def test_members_are_averaged(predictor):
    random = np.random.default_rng(0)
    log_mel = random.normal(-20, 8, (2, 48, 624)).astype(np.float32)
    salience = random.exponential(0.3, (2, 64, 156)).astype(np.float32)
    found = Windows(log_mel, salience).of_recording(random.normal(0, 1, 200))
    members = predictor.read_members(found)
    assert members.shape == (2, predictor.n_members, 28)
    six = predictor.six(members)
    assert six.shape == (2, 6)
    np.testing.assert_allclose(six.sum(axis=1), 1.0, atol=1e-5)
    by_hand = np.mean([predictor.six(members[:, [k]]) for k in range(5)], axis=0)
    np.testing.assert_allclose(six, by_hand, atol=1e-6)


def test_embedded_folder_is_small():
    size = sum((EMBEDDED / name).stat().st_size for name in (NETWORK_NAME, EMBEDDING_NAME))
    assert size <= 8_000_000


def edited(tmp_path, change):
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    card = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
    change(card)
    from data_prep.model_folder import configuration_hash

    card["feature_hash"] = configuration_hash(card["features"])
    (folder / CARD_NAME).write_text(json.dumps(card), encoding="utf-8")
    return folder


def set_in(*keys, value):
    def change(card):
        for key in keys[:-1]:
            card = card[key]
        card[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (set_in("features", "log_mel", "n_mels", value=64), "does not fit its card"),
        (set_in("features", "log_mel", "sample_rate", value=22_050), "do not fit together"),
        (set_in("features", "pitch", "n_notes", value=60), "does not fit its card"),
        (set_in("features", "pitch", value={"n_fft": 4096}), "pitch"),
        (set_in("features", "log_mel", "f_max", value=-1.0), "do not fit"),
        (set_in("features", "windows", value={"n_frames": 624}), "windows"),
        (set_in("labels", "quadrants", value=["Q1", "Q2"]), "quadrants"),
        (set_in("labels", value={"six": ["joy"]}), "six"),
        (set_in("kind", value="lyrics"), "lyrics"),
    ],
)
def test_folders_that_do_not_fit_are_refused(tmp_path, change, match):
    with pytest.raises(ModelFolderError, match=match):
        AudioPredictor.load(edited(tmp_path, change))


def test_a_damaged_network_is_refused(tmp_path):
    folder = edited(tmp_path, lambda card: None)
    (folder / NETWORK_NAME).write_bytes(b"no network")
    with pytest.raises(ModelFolderError, match="cannot be loaded"):
        AudioPredictor.load(folder)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ModelFolderError, match="missing"):
        AudioPredictor.load(tmp_path / "nowhere")
