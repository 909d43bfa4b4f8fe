"""Plots of the study of fusion weights, drawn as SVG: a curve of weights, and reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from app.page.markup import escaped
from app.page.texts import Language, text

_WIDTH: Final = 520
_HEIGHT: Final = 300
_LEFT, _TOP, _RIGHT, _BOTTOM = 48, 14, 14, 44
_STYLES: Final = ("is-first", "is-second", "is-third", "is-fourth")

Point = tuple[float, float]


def weight_curve(curve: dict[str, Any], language: Language) -> str:
    """Macro-F1 of the mean at each weight of the words, with its interval.

    Parameters
    ----------
    curve
        ``weights``, ``macro_f1`` and ``intervals`` of the study.
    """
    weights, values = curve["weights"], curve["macro_f1"]
    lows, highs = zip(*curve["intervals"], strict=True)
    least, most = _rounded(min(lows), max(highs))

    def places(heights: Sequence[float]) -> list[Point]:
        return [
            (weight, (height - least) / (most - least))
            for weight, height in zip(weights, heights, strict=True)
        ]

    band = _path([*places(highs), *reversed(places(lows))])
    best = max(range(len(values)), key=lambda i: values[i])
    x, y = _on(places(values)[best])
    told = text(
        language,
        "lab_curve_told",
        sound=f"{values[0]:.3f}",
        half=f"{values[weights.index(0.5)]:.3f}",
        words=f"{values[-1]:.3f}",
    )
    ticks = [least + (most - least) * part / 4 for part in range(5)]
    return _plot(
        told,
        _frame(
            [(share, f"{100 * share:.0f}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
            [((tick - least) / (most - least), f"{tick:.2f}") for tick in ticks],
            text(language, "lab_weight"),
            "macro-F1",
        )
        + f'<path class="maeum-plot-band" d="{band} Z"/>'
        f'<path class="maeum-plot-line is-first" d="{_path(places(values))}"/>'
        f'<circle class="maeum-plot-dot is-first" cx="{x:.1f}" cy="{y:.1f}" r="5"/>',
    )


def reliability(bins: dict[str, dict[str, Any]], language: Language) -> str:
    """Share that is right over the probability given, for each of some rules.

    Parameters
    ----------
    bins
        Rule → ``counts``, ``confidence`` and ``accuracy``; ``None`` where a bin is empty.
    """
    lines, keys = "", ""
    for style, (rule, each) in zip(_STYLES, bins.items(), strict=False):
        total = sum(each["counts"])
        points = [
            (confidence, accuracy, count)
            for confidence, accuracy, count in zip(
                each["confidence"], each["accuracy"], each["counts"], strict=True
            )
            if count
        ]
        lines += (
            f'<path class="maeum-plot-line {style}" d="{_path([(c, a) for c, a, _ in points])}"/>'
        )
        for confidence, accuracy, count in points:
            x, y = _on((confidence, accuracy))
            size = 2.0 + 9.0 * (count / total) ** 0.5
            lines += (
                f'<circle class="maeum-plot-dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'
            )
        gap = sum(count * abs(a - c) for c, a, count in points) / total
        keys += f'<li><i class="maeum-plot-key {style}"></i>{escaped(rule)} (ECE {gap:.3f})</li>'
    shares = [(share / 4, f"{share / 4:.2f}") for share in range(5)]
    diagonal = _path([(0.0, 0.0), (1.0, 1.0)])
    return (
        _plot(
            text(language, "lab_reliability_told"),
            _frame(shares, shares, text(language, "lab_sure"), text(language, "lab_right"))
            + f'<path class="maeum-plot-grid is-diagonal" d="{diagonal}"/>{lines}',
        )
        + f'<ul class="maeum-plot-keys">{keys}</ul>'
    )


def _plot(told: str, content: str) -> str:
    return (
        f'<svg class="maeum-plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escaped(told)}">{content}</svg>'
    )


def _frame(
    across: Sequence[tuple[float, str]],
    up: Sequence[tuple[float, str]],
    below: str,
    beside: str,
) -> str:
    found = ""
    for share, name in across:
        x, y = _on((share, 0.0))
        found += f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{escaped(name)}</text>'
    for share, name in up:
        x, y = _on((0.0, share))
        found += (
            f'<path class="maeum-plot-grid" d="{_path([(0.0, share), (1.0, share)])}"/>'
            f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{escaped(name)}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return found + (
        f'<text x="{middle:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">{escaped(below)}</text>'
        f'<text x="{_LEFT + 6}" y="{_TOP + 14}">{escaped(beside)}</text>'
    )


def _path(points: Sequence[Point]) -> str:
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in map(_on, points))


def _on(point: Point) -> Point:
    """A point of the unit square, as it is drawn."""
    return (
        _LEFT + point[0] * (_WIDTH - _LEFT - _RIGHT),
        _TOP + (1.0 - point[1]) * (_HEIGHT - _TOP - _BOTTOM),
    )


def _rounded(least: float, most: float) -> tuple[float, float]:
    """Ends of an axis: twentieths around what is shown."""
    return int(20 * least) / 20, (int(20 * most) + 1) / 20
