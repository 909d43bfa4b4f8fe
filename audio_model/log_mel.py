"""Log-mel spectrograms in numpy.

Conventions: mono waveform, slaney mel scale, slaney norm (triangles of unit
area), periodic Hann window, frames centred on multiples of ``hop_length`` with
zeros beyond both ends, power, then decibels with a floor of ``amin`` and no
reference (0 dB = power 1). With :data:`KAKAO` the values agree with
``librosa.feature.melspectrogram(pad_mode="constant")`` + ``power_to_db(top_db=None)``
and with ``torchaudio.transforms.MelSpectrogram`` + ``AmplitudeToDB`` to 0.01 dB,
so what serves and what trains may come from either. The Kakao Arena mels were
made with the same settings by Essentia (``warpingFormula=slaneyMel,
normalize=unit_tri, weighting=linear``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from data_prep.errors import InputError

_FRAMES_PER_BLOCK: Final = 2048  # keeps the spectra of one block (2048 x 257 x 8 bytes) in cache

# Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above.
_LINEAR_HZ_PER_MEL: Final = 200.0 / 3
_BREAK_HZ: Final = 1000.0
_LOG_STEP: Final = float(np.log(6.4)) / 27.0


@dataclass(frozen=True)
class MelConfiguration:
    """What a log-mel spectrogram is made with.

    Attributes
    ----------
    sample_rate
        In Hz, of the waveform.
    n_fft, hop_length
        Length of the frame (and of its window) and distance of frames, in samples.
    n_mels
        Number of bands.
    f_min, f_max
        Lower edge of the first and upper edge of the last band, in Hz.
    amin
        Smallest power; quieter is raised to it before decibels are taken.
    """

    sample_rate: int = 16_000
    n_fft: int = 512
    hop_length: int = 256
    n_mels: int = 48
    f_min: float = 0.0
    f_max: float = 8_000.0
    amin: float = 1e-10

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.n_fft, self.hop_length, self.n_mels) <= 0:
            raise InputError(f"log-mel settings must be positive: {self}")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise InputError(
                f"mel bands from {self.f_min} to {self.f_max} Hz do not fit a sample rate of "
                f"{self.sample_rate} Hz: expected 0 <= f_min < f_max <= {self.sample_rate / 2:g}"
            )

    @property
    def frames_per_second(self) -> float:
        """Frames in one second of sound."""
        return self.sample_rate / self.hop_length


KAKAO: Final = MelConfiguration()
"""The settings of the Kakao Arena mels: 16 kHz, 512/256 Hann, 48 bands."""


def hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale."""
    linear = hz / _LINEAR_HZ_PER_MEL
    logarithmic = (
        _BREAK_HZ / _LINEAR_HZ_PER_MEL + np.log(np.maximum(hz, 1.0) / _BREAK_HZ) / _LOG_STEP
    )
    return np.where(hz < _BREAK_HZ, linear, logarithmic)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of :func:`hz_to_mel`."""
    break_mel = _BREAK_HZ / _LINEAR_HZ_PER_MEL
    return np.where(
        mel < break_mel, mel * _LINEAR_HZ_PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (mel - break_mel))
    )


@cache
def mel_matrix(configuration: MelConfiguration = KAKAO) -> NDArray[np.float32]:
    """Triangular filters (n_mels, n_fft // 2 + 1), each of unit area over Hz."""
    c = configuration
    fft_hz = np.linspace(0.0, c.sample_rate / 2, c.n_fft // 2 + 1)
    limits = hz_to_mel(np.array([c.f_min, c.f_max], dtype=np.float64))
    edges = mel_to_hz(np.linspace(limits[0], limits[1], c.n_mels + 2))
    widths = np.diff(edges)
    slopes = edges[:, None] - fft_hz[None, :]  # (n_mels + 2, n_bins)
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    triangles *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    matrix: NDArray[np.float32] = triangles.astype(np.float32)
    matrix.flags.writeable = False
    return matrix


@cache
def _hann(length: int) -> NDArray[np.float32]:
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    window.flags.writeable = False
    return window


def log_mel(
    samples: NDArray[np.floating], configuration: MelConfiguration = KAKAO
) -> NDArray[np.float32]:
    """Log-mel spectrogram of a mono waveform.

    Parameters
    ----------
    samples
        Array (n_samples,), finite, at ``configuration.sample_rate``; full scale is ±1.

    Returns
    -------
    Array (n_mels, 1 + n_samples // hop_length) in dB.

    Raises
    ------
    InputError
        If the waveform is not one-dimensional, is empty, or holds values that
        are not finite.
    """
    c = configuration
    waveform = np.asarray(samples, dtype=np.float32)
    if waveform.ndim != 1 or waveform.size == 0:
        raise InputError(f"expected a mono waveform (n_samples,), got shape {waveform.shape}")
    if not np.isfinite(waveform).all():
        raise InputError("the waveform holds values that are not finite: expected numbers in ±1")
    n_frames = 1 + waveform.size // c.hop_length
    left = c.n_fft // 2
    right = max(0, (n_frames - 1) * c.hop_length + c.n_fft - left - waveform.size)
    padded = np.pad(waveform, (left, right))
    frames = sliding_window_view(padded, c.n_fft)[:: c.hop_length]  # (>= n_frames, n_fft), a view
    window, filters = _hann(c.n_fft), mel_matrix(c)
    result = np.empty((c.n_mels, n_frames), dtype=np.float32)
    for start in range(0, n_frames, _FRAMES_PER_BLOCK):
        stop = min(start + _FRAMES_PER_BLOCK, n_frames)
        spectrum = np.fft.rfft(frames[start:stop] * window, axis=1)  # complex64
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        np.matmul(filters, power.T, out=result[:, start:stop])
    np.maximum(result, np.float32(c.amin), out=result)
    np.log10(result, out=result)
    result *= np.float32(10.0)
    return result
