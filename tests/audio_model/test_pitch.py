"""Note spectrograms: the right note, by hand and for a chord, whatever the gain."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model.pitch import SEMITONES, PitchConfiguration, level, note_spectrogram, salience
from data_prep.errors import InputError

RATE = SEMITONES.sample_rate


def tones(*notes: int, seconds: float = 2.0, gain: float = 0.2) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    hertz = [440.0 * 2 ** ((note - 69) / 12) for note in notes]
    return (gain * sum(np.sin(2 * np.pi * f * time) for f in hertz)).astype(np.float32)


def salient(samples: np.ndarray) -> np.ndarray:
    notes = note_spectrogram(samples)
    return salience(notes, level([notes]))


@pytest.mark.parametrize("note", [45, 57, 60, 61, 69, 88])
def test_a_tone_is_heard_as_its_note(note):
    found = salient(tones(note))
    assert found.shape == (64, 1 + 2 * RATE // 1024)
    assert (found[:, 3:-3].argmax(axis=0) == note - SEMITONES.lowest).all()


def test_a_chord_is_heard_as_its_notes():
    found = salient(tones(60, 64, 67)).mean(axis=1)
    strongest = sorted(np.argsort(found)[-3:] + SEMITONES.lowest)
    assert strongest == [60, 64, 67]


def test_gain_and_silence_do_not_change_salience():
    sound = tones(50, 62)
    np.testing.assert_allclose(salient(sound), salient(sound * 0.01), atol=1e-4)
    padded = note_spectrogram(np.concatenate([np.zeros(10 * RATE, np.float32), sound]))
    assert level([padded]) == pytest.approx(level([note_spectrogram(sound)]), rel=0.1)


def test_noise_stands_out_nowhere():
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)
    assert salient(noise).mean() < 0.3 * salient(tones(60, 64, 67)).max()


def test_amplitude_of_a_tone_by_hand():
    # Gaussian weights sum to one; a bin-centred tone puts n_fft / 4 into its bin, half of
    # it into each neighbour, and nothing elsewhere
    c = SEMITONES
    bin_hz = RATE / c.n_fft
    k = round(440.0 / bin_hz)
    time = np.arange(2 * RATE) / RATE
    notes = note_spectrogram(np.sin(2 * np.pi * k * bin_hz * time).astype(np.float32))
    hz = np.arange(c.n_fft // 2 + 1) * bin_hz
    weight = np.exp(-0.5 * (12 * np.log2(np.maximum(hz, 1.0) / 440.0) / c.width) ** 2)
    weight /= weight.sum()
    expected = c.n_fft / 4 * (weight[k] + 0.5 * (weight[k - 1] + weight[k + 1]))
    assert notes[69 - c.lowest, 10] == pytest.approx(expected, rel=1e-2)


def test_salience_by_hand():
    # log(1 + 4 * 2 / 2) = log 5 less the mean of seven neighbours, of which it is one and one
    # other is log(1 + 4 * 0.5 / 2) = log 2; at the edge the neighbours beyond count as zero
    notes = np.zeros((64, 1), dtype=np.float32)
    notes[0], notes[2], notes[20] = 2.0, 0.5, 2.0
    found = salience(notes, 2.0)[:, 0]
    assert found[0] == pytest.approx(np.log(5) - (np.log(5) + np.log(2)) / 7, abs=1e-6)
    assert found[20] == pytest.approx(6 / 7 * np.log(5), abs=1e-6)
    assert found[1] == 0.0
    assert found[40] == 0.0


def test_settings_and_waveforms_are_checked():
    with pytest.raises(InputError, match="mono waveform"):
        note_spectrogram(np.zeros((2, 100), np.float32))
    with pytest.raises(InputError, match="mono waveform"):
        note_spectrogram(np.zeros(0, np.float32))
    with pytest.raises(InputError, match="positive"):
        PitchConfiguration(n_fft=0)
    with pytest.raises(InputError, match="do not fit"):
        PitchConfiguration(n_notes=100)
    with pytest.raises(InputError, match="do not fit"):
        PitchConfiguration(neighbourhood=6)
