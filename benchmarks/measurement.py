"""What a benchmark gives: one line of the report, and how two things are timed in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

SEED: Final = 7
SONG_S: Final = 240


@dataclass(frozen=True)
class Measurement:
    """One line of the report.

    Attributes
    ----------
    what
        What was timed.
    ours_ms
        Median time of maeum in milliseconds.
    reference
        What it was compared with; empty for a time on its own.
    reference_ms
        Median time of the reference in milliseconds.
    limit_ms
        What the project promises; ``None`` where it promises no time.
    least_ratio
        How many times faster than the reference it promises to be; ``None``
        where it promises nothing.
    texts
        Read in the time given, where that is a number of texts.
    p95_ms, reference_p95_ms
        95th percentiles of both times; ``None`` where there are too few calls to tell.
    memory_mb, limit_mb
        Peak memory of the process in megabytes (2**20 bytes), or what else ``what``
        says, and what the project promises; ``None`` where it was not measured.
    """

    what: str
    ours_ms: float
    reference: str = ""
    reference_ms: float | None = None
    limit_ms: float | None = None
    least_ratio: float | None = None
    texts: int | None = None
    memory_mb: float | None = None
    limit_mb: float | None = None
    p95_ms: float | None = None
    reference_p95_ms: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times faster than the reference."""
        return None if self.reference_ms is None else self.reference_ms / self.ours_ms


def alternate(
    ours: Callable[[], object], reference: Callable[[], object], repeats: int
) -> tuple[float, float]:
    """Median milliseconds of two functions called in turn, after one call of each to warm up."""
    ours(), reference()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for kept, function in zip(times, (ours, reference), strict=True):
            start = time.perf_counter()
            function()
            kept.append(1000.0 * (time.perf_counter() - start))
    return statistics.median(times[0]), statistics.median(times[1])


def write_song(path: Path) -> None:
    """Four minutes of stereo at 44.1 kHz: chords over a beat, so that it is no silence or noise."""
    import soundfile

    rate = 44_100
    part_s = 8
    t = np.arange(part_s * rate, dtype=np.float32) / rate
    chord = np.floor(t / 2.0).astype(int) % 4
    root = np.array([220.0, 174.6, 261.6, 196.0], dtype=np.float32)[chord]
    tones = sum(np.sin(2 * np.pi * root * k * t, dtype=np.float32) / k for k in (1, 1.25, 1.5, 2))
    beat = np.exp(-8.0 * (t % 0.5)).astype(np.float32)
    noise = np.random.default_rng(SEED).standard_normal(len(t)).astype(np.float32)
    left = np.tile(0.15 * tones + 0.1 * beat * noise, SONG_S // part_s)
    soundfile.write(path, np.stack([left, np.roll(left, 441)], axis=1), rate, format="MP3")
