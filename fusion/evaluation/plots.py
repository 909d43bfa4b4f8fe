"""Plots of an evaluation: reliability, confusion, similarity of labels, curves, bars; as PNG files.

Fonts with Hangul are not assured, so names are English throughout: a label
without an English name of its own is shown by its number and the emotion of the
six that it stands for, a text that is not plain ASCII without its other letters.

matplotlib is imported within the functions: nothing that serves needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import MissingExtraError
from data_prep.metrics import Reliability
from data_prep.readers.labelled_table import LabelSet
from data_prep.taxonomy import EMOTIONS, native_label_set, native_label_set_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fusion.evaluation.window_curve import WindowCurve

_DPI: Final = 120
_MOST_NUMBERS: Final = 10  # classes up to which a cell has its number written in it
_SMALLEST_FONT: Final = 5.0


def axis_names(label_set: LabelSet) -> list[str]:
    """A name in ASCII for each label of a set, in order."""
    targets: Sequence[tuple[int, ...]] = [()] * len(label_set.labels)
    if label_set.name in native_label_set_names():
        targets = native_label_set(label_set.name).targets
    names = []
    for number, (label, target) in enumerate(zip(label_set.labels, targets, strict=True)):
        stands_for = "/".join(EMOTIONS[i] for i in target) or "none"
        names.append(label if label.isascii() else f"{number} {stands_for}")
    return names


def in_ascii(text: str, otherwise: str) -> str:
    """A text without letters that a font may lack; ``otherwise`` if nothing is left."""
    kept = "".join(c if c.isascii() and c.isprintable() else " " for c in text)
    return " ".join(kept.split()).strip(" ,;:") or otherwise


def plot_reliability(path: Path, bins: Mapping[str, Reliability], title: str) -> None:
    """Accuracy over confidence, and how many answers have each confidence.

    Parameters
    ----------
    bins
        Name of a model → its bins.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure = _figure(5.5, 6.5)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--", label="as sure as right")
    for number, (name, each) in enumerate(bins.items(), start=1):
        filled = each.counts > 0
        shown = f"{in_ascii(name, f'model {number}')}, ECE {each.ece:.3f}"
        upper.plot(each.confidence[filled], each.accuracy[filled], marker="o", ms=4, label=shown)
        edges = np.linspace(0, 1, len(each.counts) + 1)
        lower.stairs(each.counts / each.counts.sum(), edges)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right")
    upper.set_title(in_ascii(title, "reliability"), fontsize=10)
    upper.legend(fontsize=8, loc="upper left")
    lower.set(xlabel="probability of the strongest", ylabel="share of answers")
    _save(figure, path)


def plot_confusion(
    path: Path, counts: NDArray[np.integer[Any]], names: Sequence[str], title: str
) -> None:
    """Confusion matrix: rows are labels, columns answers; colour is the share of the row.

    Parameters
    ----------
    counts
        (classes, classes).
    names
        Of the classes, in ASCII.
    """
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    written = [[f"{count:,}" for count in row] for row in counts]
    figure, axes = _matrix(shares, names, written)
    axes.set(xlabel="answer", ylabel="label")
    axes.set_title(in_ascii(title, "confusion"), fontsize=10)
    _save(figure, path)


def plot_similarity(
    path: Path, matrix: NDArray[np.floating[Any]], names: Sequence[str], title: str
) -> None:
    """Heatmap of a label similarity (labels, labels), 0..1."""
    figure, axes = _matrix(np.asarray(matrix), names, [[f"{v:.2f}" for v in row] for row in matrix])
    axes.set_title(in_ascii(title, "label similarity"), fontsize=10)
    _save(figure, path)


def plot_windows(path: Path, curve: WindowCurve, title: str) -> None:
    """A figure over the number of windows heard of each recording, with its interval."""
    figure = _figure(5.5, 4.0)
    axes = figure.add_subplot()
    places = np.arange(len(curve.counts))
    for number, (name, values) in enumerate(curve.values.items(), start=1):
        ends = np.array(curve.intervals[name]).T  # (2, counts)
        # An estimate may lie outside its own percentile interval.
        bars = np.maximum([np.array(values) - ends[0], ends[1] - np.array(values)], 0.0)
        aside = places + 0.06 * (number - 1)  # so that bars do not cover each other
        shown = in_ascii(name, f"model {number}")
        axes.errorbar(aside, values, yerr=bars, marker="o", ms=4, capsize=3, label=shown)
    axes.set_xticks(places, ["all" if count is None else str(count) for count in curve.counts])
    axes.set(xlabel="windows heard of each recording", ylabel=curve.measure.replace("_", " "))
    axes.set_title(in_ascii(title, "windows heard"), fontsize=10)
    axes.legend(fontsize=8)
    _save(figure, path)


def plot_bars(
    path: Path,
    groups: Sequence[str],
    values: Mapping[str, Sequence[float]],
    title: str,
    measure: str,
    intervals: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> None:
    """Bars side by side: one group for each thing measured, in it one bar for each model.

    Parameters
    ----------
    groups
        Names of the groups.
    values
        Name of a model → its value in each group.
    measure
        What the values are.
    intervals
        Name of a model → lower and upper end in each group.
    """
    figure = _figure(max(7.0, 1.2 * len(groups) + 1.0), 5.0)
    axes = figure.add_subplot()
    width = 0.85 / len(values)
    places = np.arange(len(groups)) - 0.5 * width * (len(values) - 1)
    for number, (name, own) in enumerate(values.items()):
        bars = None
        if intervals is not None:
            ends = np.array(intervals[name]).T  # (2, groups)
            bars = np.maximum([np.array(own) - ends[0], ends[1] - np.array(own)], 0.0)
        axes.bar(
            places + width * number,
            own,
            width,
            yerr=bars,
            capsize=2,
            label=in_ascii(name, f"model {number + 1}"),
        )
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set(ylabel=measure)
    axes.set_title(in_ascii(title, "bars"), fontsize=10)
    figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    _save(figure, path)


def plot_curve(
    path: Path,
    places: Sequence[float],
    values: Sequence[float],
    intervals: Sequence[Sequence[float]],
    lines: Mapping[str, float],
    title: str,
    axis: str,
    measure: str,
) -> None:
    """A figure over a number, its interval as a band, and other figures as level lines.

    Parameters
    ----------
    places, values, intervals
        Where, how much, and (lower, upper) of each.
    lines
        Name → value of what is compared with.
    axis, measure
        What the number and the figure are.
    """
    figure = _figure(6.5, 4.5)
    axes = figure.add_subplot()
    low, high = np.array(intervals).T
    axes.fill_between(places, low, high, alpha=0.2, linewidth=0)
    axes.plot(places, values, marker="o", ms=3, label=in_ascii(title, "curve"))
    for number, (name, value) in enumerate(lines.items()):
        style = ("--", ":", "-.", (0, (1, 3)))[number % 4]
        colour = f"C{number + 1}"
        shown = f"{in_ascii(name, f'line {number + 1}')} {value:.3f}"
        axes.axhline(value, color=colour, linestyle=style, label=shown)
    axes.set(xlabel=axis, ylabel=measure)
    axes.legend(fontsize=8)
    _save(figure, path)


def plot_grid(
    path: Path,
    places: Sequence[float],
    values: NDArray[np.floating[Any]],
    title: str,
    axes_of: tuple[str, str],
) -> None:
    """Heat map of a figure over two numbers, each cell with its value; empty where it is NaN.

    Parameters
    ----------
    places
        Of the rows and of the columns.
    values
        (places, places).
    axes_of
        What the rows and the columns are.
    """
    figure = _figure(6.5, 5.5)
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap="viridis", origin="lower")
    figure.colorbar(image, ax=axes, fraction=0.045)
    names = [f"{place:g}" for place in places]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    middle = np.nanmean(values)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "black" if value > middle else "white"
            text = f"{value:.2f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    axes.set(xlabel=axes_of[1], ylabel=axes_of[0])
    axes.set_title(in_ascii(title, "grid"), fontsize=10)
    _save(figure, path)


def plot_counts(path: Path, counts: Mapping[str, Sequence[int]], title: str) -> None:
    """How often each song is recommended, most often first, on two logarithmic axes.

    Parameters
    ----------
    counts
        Name → lists that each song is in.
    """
    figure = _figure(6.5, 4.5)
    axes = figure.add_subplot()
    for name, own in counts.items():
        falling = np.sort(np.asarray(own))[::-1]
        falling = falling[falling > 0]
        label = f"{in_ascii(name, 'songs')}: {len(falling):,} of {len(own):,} songs"
        axes.step(np.arange(1, len(falling) + 1), falling, where="mid", label=label)
    axes.set(xscale="log", yscale="log", xlabel="song, most recommended first", ylabel="lists")
    axes.set_title(in_ascii(title, "recommendations"), fontsize=10)
    axes.legend(fontsize=8)
    _save(figure, path)


def plot_songs(
    path: Path, likeness: NDArray[np.floating[Any]], strongest: NDArray[np.integer[Any]], title: str
) -> None:
    """Heat map of songs against songs, ordered by strongest emotion.

    Parameters
    ----------
    likeness
        (n, n), 0..1, songs in the order of their strongest emotion.
    strongest
        (n,) emotions 0..5, rising.
    """
    figure = _figure(6.5, 5.5)
    axes = figure.add_subplot()
    image = axes.imshow(likeness, vmin=0.0, vmax=1.0, cmap="viridis")
    figure.colorbar(image, ax=axes, fraction=0.045)
    middles = [float(np.flatnonzero(strongest == e).mean()) for e in np.unique(strongest)]
    names = [EMOTIONS[e] for e in np.unique(strongest)]
    axes.set_xticks(middles, names, rotation=90)
    axes.set_yticks(middles, names)
    axes.set_title(in_ascii(title, "songs"), fontsize=10)
    _save(figure, path)


def _matrix(
    values: NDArray[Any], names: Sequence[str], written: Sequence[Sequence[str]]
) -> tuple[Figure, Axes]:
    n = len(names)
    side = 3.5 + 0.16 * n
    figure = _figure(side + 0.8, side)
    axes = figure.add_subplot()
    image = axes.imshow(values, vmin=0.0, vmax=1.0, cmap="Blues")
    figure.colorbar(image, ax=axes, fraction=0.045)
    size = max(_SMALLEST_FONT, 9.0 - 0.09 * n)
    axes.set_xticks(range(n), names, rotation=90, fontsize=size)
    axes.set_yticks(range(n), names, fontsize=size)
    if n <= _MOST_NUMBERS:
        for row in range(n):
            for column in range(n):
                colour = "white" if values[row, column] > 0.6 else "black"
                text = written[row][column]
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    return figure, axes


def _figure(width: float, height: float) -> Figure:
    """A figure of its own: no window, and no state that others share."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plots") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    # "tight" keeps long names beside a large matrix from being cut off.
    figure.savefig(path, dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
