"""How good an answer is when only so many windows of each recording are heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fusion.evaluation.audio_scores import MainMeasure
from fusion.evaluation.emotion_scores import RESAMPLES
from fusion.evaluation.result_files import figure_cell

COUNTS: Final = (1, 2, 4, 8)
_MEASURES: Final = {"accuracy": "accuracy", "mean_r": "mean r"}


@dataclass(frozen=True)
class WindowCurve:
    """A figure over the number of windows heard.

    Attributes
    ----------
    measure
        Name of the figure.
    counts
        Windows heard of each recording, evenly spaced; ``None`` for all.
    heard
        Windows really heard, mean of the recordings: a shorter one has fewer.
    values
        Name of a model → its figure for each count.
    intervals
        Likewise, their intervals.
    """

    measure: str
    counts: tuple[int | None, ...]
    heard: tuple[float, ...]
    values: Mapping[str, tuple[float, ...]]
    intervals: Mapping[str, tuple[list[float], ...]]

    def to_json(self) -> dict[str, Any]:
        """Content of ``windows`` in a test's results."""
        return {
            "measure": self.measure,
            "counts": ["all" if count is None else count for count in self.counts],
            "mean_heard": list(self.heard),
            "models": {
                name: {"values": list(values), "intervals": list(self.intervals[name])}
                for name, values in self.values.items()
            },
        }


def evenly_spaced(n_windows: int, count: int | None) -> NDArray[np.int64]:
    """Which windows are heard: the middles of ``count`` equal parts; all if there are no more."""
    if count is None or count >= n_windows:
        return np.arange(n_windows)
    return ((np.arange(count) + 0.5) * n_windows / count).astype(np.int64)


def window_curve(
    models: Mapping[str, tuple[MainMeasure, Sequence[NDArray[np.float32]]]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> WindowCurve | None:
    """The curve of several models on the same recordings.

    Parameters
    ----------
    models
        Name → what its answers are judged by, and its answers to the windows of
        each recording, (n_windows, n_classes) each.

    Returns
    -------
    ``None`` where no recording has more than one window.
    """
    if not models:
        return None
    (measure, first), *_ = models.values()
    most = max(len(windows) for windows in first)
    if most == 1:
        return None
    counts = (*(count for count in COUNTS if count < most), None)
    values: dict[str, tuple[float, ...]] = {}
    intervals: dict[str, tuple[list[float], ...]] = {}
    for name, (own, of_recordings) in models.items():
        answers = [
            np.stack([each[evenly_spaced(len(each), count)].mean(axis=0) for each in of_recordings])
            for count in counts
        ]
        values[name] = tuple(own.value(each) for each in answers)
        intervals[name] = tuple(
            own.interval(each, seed=seed, resamples=resamples) for each in answers
        )
    heard = tuple(
        float(np.mean([len(evenly_spaced(len(each), count)) for each in first])) for count in counts
    )
    return WindowCurve(measure.name, counts, heard, values, intervals)


def curve_lines(curve: Mapping[str, Any]) -> list[str]:
    """A curve, as :meth:`WindowCurve.to_json` gives it, as a Markdown table."""
    models: Mapping[str, Mapping[str, Any]] = curve["models"]
    measure = _MEASURES[curve["measure"]]
    lines = [
        f"Windows heard of each recording, evenly spaced, and {measure} (95%):",
        "",
        "| windows | heard, mean | " + " | ".join(models) + " |",
        "|---" * (len(models) + 2) + "|",
    ]
    for i, (count, heard) in enumerate(zip(curve["counts"], curve["mean_heard"], strict=True)):
        cells = [
            figure_cell({"x": m["values"][i], "x_interval": m["intervals"][i]}, "x")
            for m in models.values()
        ]
        lines.append(f"| {count} | {heard:.1f} | {' | '.join(cells)} |")
    return [*lines, ""]
