"""Recordings whose class is a weak pattern of bands under strong changes over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio_model.input_cache import Clip
from audio_model.windows import Spectra

N_CLASSES = 4


def toy_recordings(
    n: int = 64, *, dataset: str = "toy", n_frames: int = 200, seed: int = 0
) -> list[Clip]:
    """``n`` recordings of :data:`N_CLASSES` classes, each its own group."""
    random = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).choice([-1.0, 1.0], (N_CLASSES, 12)).repeat(4, axis=1)
    clips = []
    for i in range(n):
        label = i % N_CLASSES
        log_mel = -20 + 4.0 * patterns[label][:, None] + _changes(n_frames, random)
        shares = np.eye(N_CLASSES, dtype=np.float32)[label]
        clips.append(recording(log_mel, f"{i}", dataset=dataset, shares=shares))
    return clips


def recording(
    log_mel: NDArray[np.floating],
    name: str,
    *,
    dataset: str = "toy",
    group: str | None = None,
    shares: NDArray[np.float32] | None = None,
) -> Clip:
    """A recording of a log-mel alone."""
    labels = np.zeros(0, dtype=np.float32) if shares is None else shares
    spectra = Spectra.without_notes(log_mel.astype(np.float16))
    return Clip(dataset, name, group or name, labels, spectra)


def _changes(n_frames: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Bursts of random bands and lengths, (48, n_frames): unlike in any two stretches."""
    changes = random.normal(0, 3, (48, n_frames))
    for start in range(0, n_frames, 10):
        low, high = sorted(random.integers(0, 49, 2))
        changes[low:high, start : start + int(random.integers(5, 30))] += random.normal(0, 15)
    return changes
