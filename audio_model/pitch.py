"""Note spectrograms in numpy: how strongly each semitone sounds.

48 mel bands are wider than a semitone and do not show pitch, so neither key nor
mode nor chords can be read from them. Here frames are four times as long as
those of the log-mel, and bins are gathered on the notes of the tempered scale
(A4 = 440 Hz) by Gaussians over log frequency. :func:`salience` keeps what stands
out of a note's neighbours: partials, rather than noise and percussion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_model.stft import Bands, band_spectrogram
from data_prep.errors import InputError

_A4: Final = 69  # MIDI number
_NEGLIGIBLE: Final = 1e-4  # of a Gaussian's peak


@dataclass(frozen=True)
class PitchConfiguration:
    """What a note spectrogram is made with.

    Attributes
    ----------
    sample_rate
        In Hz, of the waveform.
    n_fft, hop_length
        Length of the frame (and of its periodic Hann window) and distance of
        frames, in samples.
    lowest, n_notes
        MIDI number of the first note, and number of semitones from there.
    width
        Standard deviation of a note's Gaussian, in semitones.
    compression
        Factor of the amplitude relative to the recording's level before
        ``log(1 + x)``.
    neighbourhood
        Notes whose mean is taken off a note in :func:`salience`; odd.
    """

    sample_rate: int = 16_000
    n_fft: int = 4096
    hop_length: int = 1024
    lowest: int = 33
    n_notes: int = 64
    width: float = 0.35
    compression: float = 4.0
    neighbourhood: int = 7

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.n_fft, self.hop_length, self.n_notes) <= 0:
            raise InputError(f"note spectrogram settings must be positive: {self}")
        if self.width <= 0 or self.neighbourhood % 2 == 0 or self.neighbourhood > self.n_notes:
            raise InputError(f"note spectrogram settings do not fit together: {self}")
        if not 0 < self.note_hz()[-1] < self.sample_rate / 2:
            raise InputError(
                f"notes up to {self.note_hz()[-1]:.0f} Hz do not fit a sample rate of "
                f"{self.sample_rate} Hz"
            )

    def note_hz(self) -> NDArray[np.float64]:
        """Frequencies (n_notes,) of the notes."""
        notes = np.arange(self.lowest, self.lowest + self.n_notes)
        return 440.0 * np.power(2.0, (notes - _A4) / 12.0)


SEMITONES: Final = PitchConfiguration()
"""A1 (55 Hz) to C7 (2,093 Hz), 15.6 frames per second: one per four of the log-mel."""


@cache
def note_matrix(configuration: PitchConfiguration = SEMITONES) -> NDArray[np.float32]:
    """Gaussians (n_notes, n_fft // 2 + 1) over log frequency, each summing to one."""
    c = configuration
    hz = np.fft.rfftfreq(c.n_fft, 1.0 / c.sample_rate)
    away = 12.0 * np.log2(np.maximum(hz, 1.0)[None, :] / c.note_hz()[:, None])
    matrix = np.exp(-0.5 * np.square(away / c.width))
    matrix[matrix < _NEGLIGIBLE] = 0.0
    matrix /= matrix.sum(axis=1, keepdims=True)
    result: NDArray[np.float32] = matrix.astype(np.float32)
    result.flags.writeable = False
    return result


@cache
def _bands(configuration: PitchConfiguration) -> Bands:
    return Bands(note_matrix(configuration), configuration.n_fft)


def note_spectrogram(
    samples: NDArray[np.floating], configuration: PitchConfiguration = SEMITONES
) -> NDArray[np.float32]:
    """Amplitude of each note over time.

    Parameters
    ----------
    samples
        Array (n_samples,), finite, at ``configuration.sample_rate``; full scale is ±1.

    Returns
    -------
    Array (n_notes, 1 + n_samples // hop_length), frames centred on multiples of
    ``hop_length``.

    Raises
    ------
    InputError
        If the waveform is not one-dimensional, is empty, or holds values that
        are not finite.
    """
    c = configuration
    return band_spectrogram(samples, _bands(c), hop_length=c.hop_length, power=False)


def level(spectrograms: Sequence[NDArray[np.floating]]) -> float:
    """Gated level of a recording: root mean square of its notes' amplitudes.

    Frames 10 dB below the plain mean do not count, so silence does not lower it.

    Parameters
    ----------
    spectrograms
        Pieces (n_notes, n_frames) of one recording.
    """
    power = np.concatenate([np.square(p.astype(np.float64)).mean(axis=0) for p in spectrograms])
    loud = power[power >= 0.1 * power.mean()]
    return float(np.sqrt(max(float(loud.mean()), 1e-20)))


def salience(
    spectrogram: NDArray[np.floating],
    recording_level: float,
    configuration: PitchConfiguration = SEMITONES,
) -> NDArray[np.float32]:
    """How far each note stands out of its neighbours, at least zero.

    Parameters
    ----------
    spectrogram
        Array (n_notes, n_frames) from :func:`note_spectrogram`.
    recording_level
        From :func:`level`; a recording played louder gives the same result.
    """
    c = configuration
    compressed = spectrogram.astype(np.float32) * np.float32(c.compression / recording_level)
    compressed += np.float32(1.0)
    np.log(compressed, out=compressed)  # numpy has this one vectorised, log1p not
    beyond = np.zeros((c.neighbourhood // 2, compressed.shape[1]), dtype=np.float32)
    padded = np.concatenate([beyond, compressed, beyond])
    near = padded[: c.n_notes].copy()
    for shift in range(1, c.neighbourhood):
        near += padded[shift : shift + c.n_notes]
    near *= np.float32(1.0 / c.neighbourhood)
    kept: NDArray[np.float32] = np.maximum(np.subtract(compressed, near, out=near), 0.0)
    return kept
