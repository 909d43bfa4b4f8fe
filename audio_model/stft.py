"""Short-time spectra of a waveform, gathered into bands, in numpy.

Conventions: frames are centred on multiples of the hop, with zeros beyond both
ends of the waveform; the window is Hann's, periodic and not normalised; a band is
a weighted sum of the power or of the magnitude of the bins.

The work is done in blocks of frames that stay in the cache, into buffers that are
made once, and only over bins that a band uses. No product is so large that BLAS
would start threads for it: they gain nothing here, and wait for each other where
another program needs the cores.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from data_prep.errors import InputError

_VALUES_PER_BLOCK: Final = 1 << 16  # samples of all frames of a block: 256 kB
_ONE_THREAD: Final = 1 << 18  # OpenBLAS takes one thread for products of so many terms


class Bands:
    """A matrix of weights in which every band uses a few neighbouring bins.

    Parameters
    ----------
    weights
        Array (n_bands, n_fft // 2 + 1), bands in order of frequency.
    n_fft
        Length of a frame in samples.

    Attributes
    ----------
    n_bands, n_fft
        As given.
    bins
        From the first to the last bin that a band uses.
    frames_per_block
        How many frames are worked on at a time.
    """

    def __init__(self, weights: NDArray[np.float32], n_fft: int) -> None:
        self.n_bands, self.n_fft = len(weights), n_fft
        self.frames_per_block = max(1, _VALUES_PER_BLOCK // n_fft)
        used = _span(weights)
        self.bins = used
        self._groups: list[tuple[slice, slice, NDArray[np.float32]]] = []
        start = 0
        while start < self.n_bands:
            stop = start + 1
            while stop < self.n_bands and self._one_thread(weights[start : stop + 1]):
                stop += 1
            bins = _span(weights[start:stop])
            part = np.ascontiguousarray(weights[start:stop, bins])
            within = slice(bins.start - used.start, bins.stop - used.start)
            self._groups.append((slice(start, stop), within, part))
            start = stop

    def _one_thread(self, rows: NDArray[np.float32]) -> bool:
        bins = _span(rows)
        n_terms: int = len(rows) * (bins.stop - bins.start) * self.frames_per_block
        return n_terms <= _ONE_THREAD

    def gather(self, values: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Weighted sums of values (n_frames, n_used_bins) into an array (n_bands, n_frames)."""
        for rows, bins, weights in self._groups:
            np.matmul(weights, values[:, bins].T, out=out[rows])


def _span(weights: NDArray[np.float32]) -> slice:
    """The bins from the first to the last that a band uses."""
    used = np.flatnonzero(weights.any(axis=0))
    return slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)


@cache
def hann(length: int) -> NDArray[np.float32]:
    """Periodic Hann window (length,), with its largest value 1 in the middle."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    window.flags.writeable = False
    return window


def band_spectrogram(
    samples: NDArray[np.floating], bands: Bands, *, hop_length: int, power: bool
) -> NDArray[np.float32]:
    """Bands of a mono waveform over time.

    Parameters
    ----------
    samples
        Array (n_samples,), finite; full scale is ±1.
    bands
        Weights of the bins.
    hop_length
        Distance of frames in samples.
    power
        Sum the power of the bins, not their magnitude.

    Returns
    -------
    Array (n_bands, 1 + n_samples // hop_length).

    Raises
    ------
    InputError
        If the waveform is not one-dimensional, is empty, or holds values that
        are not finite.
    """
    waveform = np.asarray(samples, dtype=np.float32)
    if waveform.ndim != 1 or waveform.size == 0:
        raise InputError(f"expected a mono waveform (n_samples,), got shape {waveform.shape}")
    if not np.isfinite(waveform).all():
        raise InputError("the waveform holds values that are not finite: expected numbers in ±1")
    n_fft, n_frames = bands.n_fft, 1 + waveform.size // hop_length
    n_padded = (n_frames - 1) * hop_length + n_fft
    padded = np.zeros(max(n_padded, n_fft // 2 + waveform.size), dtype=np.float32)
    padded[n_fft // 2 : n_fft // 2 + waveform.size] = waveform
    frames = sliding_window_view(padded, n_fft)[::hop_length]  # (>= n_frames, n_fft), a view
    window, n_block = hann(n_fft), min(bands.frames_per_block, n_frames)
    windowed = np.empty((n_block, n_fft), dtype=np.float32)
    spectrum: NDArray[Any] = np.empty((n_block, n_fft // 2 + 1), dtype=np.complex64)
    values = np.empty((n_block, bands.bins.stop - bands.bins.start), dtype=np.float32)
    imaginary = np.empty_like(values)
    result = np.empty((bands.n_bands, n_frames), dtype=np.float32)
    for start in range(0, n_frames, n_block):
        n = min(n_block, n_frames - start)
        np.multiply(frames[start : start + n], window, out=windowed[:n])
        np.fft.rfft(windowed[:n], axis=1, out=spectrum[:n])
        used = spectrum[:n, bands.bins]
        np.square(used.real, out=values[:n])
        np.square(used.imag, out=imaginary[:n])
        np.add(values[:n], imaginary[:n], out=values[:n])
        if not power:
            np.sqrt(values[:n], out=values[:n])
        bands.gather(values[:n], result[:, start : start + n])
    return result
