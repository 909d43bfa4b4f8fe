"""Log-mel spectrograms in numpy.

Conventions: mono waveform, slaney mel scale, slaney norm (triangles of unit
area), periodic Hann window, frames centred on multiples of ``hop_length`` with
zeros beyond both ends, power, then decibels with a floor of ``amin`` and no
reference (0 dB = power 1). With every preset the values agree with
``librosa.feature.melspectrogram(pad_mode="constant")`` + ``power_to_db(top_db=None)``
and with ``torchaudio.transforms.MelSpectrogram`` + ``AmplitudeToDB`` to 0.01 dB,
so what serves and what trains may come from either. That holds down to 90 dB
below the strongest band of a frame; what is weaker is the rounding of the Fourier
transform, in which no two libraries agree.

The Kakao Arena mels were made by Essentia: ``FrameCutter``, ``Windowing("hann")``,
``Spectrum``, then ``MelBands(warpingFormula="slaneyMel", weighting="linear",
normalize="unit_tri")``, whose type is power. By its source, beside :data:`KAKAO`:

- The edges of the bands lie evenly on the same mel scale; ``linear`` weighting
  draws the sides of a triangle straight over Hz, not over mels; ``unit_tri``
  divides by its area, half the width of its base in Hz. That is slaney norm: the
  filters are the same.
- Frames are centred on multiples of the hop, with zeros. Essentia takes one more
  frame at the end unless the hop divides the length; 30 s give 1,876 either way.
- Its decibels have the same floor, -100 dB.
- Its window is symmetric (zero at both ends) and by default scaled so that its sum
  is 2. A steady tone therefore lies ``20 log10(256 / 2)`` = 42.14 dB higher here,
  or 0.02 dB without the scaling (``normalized=False``). The window's middle lies
  half a sample earlier: for half of all values that makes 0.03 dB or less, and up
  to 0.4 dB for one less than 30 dB below its frame's strongest.

Networks here are given levels relative to the recording's own, from which such a
constant drops out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_model.stft import Bands, band_spectrogram
from data_prep.errors import InputError

# Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above.
_LINEAR_HZ_PER_MEL: Final = 200.0 / 3
_BREAK_HZ: Final = 1000.0
_SILENT: Final = 1e-30
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

FULL: Final = MelConfiguration(
    sample_rate=22_050, n_fft=2_048, hop_length=512, n_mels=128, f_max=11_025.0
)
"""128 bands up to 11 kHz, as librosa makes them by default. Frames of 93 ms: the narrowest of so
many bands are 52 Hz wide, of which shorter frames see less than four bins."""

PRESETS: Final[Mapping[str, MelConfiguration]] = MappingProxyType({"kakao": KAKAO, "full": FULL})
"""Settings by name."""


def peak_scale(pieces: Sequence[NDArray[np.float32]]) -> np.float32:
    """Factor that brings the largest sample of a recording's pieces to 1; 1 for silence."""
    peak = max((float(np.abs(piece).max()) for piece in pieces if piece.size), default=0.0)
    return np.float32(1.0 / peak) if peak > _SILENT else np.float32(1.0)


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
def _bands(configuration: MelConfiguration) -> Bands:
    return Bands(mel_matrix(configuration), configuration.n_fft)


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
    result = band_spectrogram(samples, _bands(c), hop_length=c.hop_length, power=True)
    np.maximum(result, np.float32(c.amin), out=result)
    np.log(result, out=result)  # numpy has this one vectorised, log10 not
    result *= np.float32(10.0 / np.log(10.0))
    return result
