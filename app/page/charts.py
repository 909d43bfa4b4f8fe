"""Charts of the web page, drawn as HTML and SVG.

Colours come from the palette of Okabe and Ito (2008), which stays apart for
colour-blind eyes; neutral is a grey that differs in lightness as well. Every
chart says in words what it shows (names on segments, ``aria-label``), so none
rests on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.page.markup import escaped, safe_link
from app.page.texts import Language, emotion_name, text
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS

LABEL_FROM: Final = 0.17
"""Smallest share whose name fits into its segment of a bar."""


def percents(shares: NDArray[np.floating[Any]]) -> list[int]:
    """Whole percents that sum to 100 (largest remainder); ``shares`` (n,) sum to one."""
    exact = np.asarray(shares, dtype=np.float64) * 100.0
    floors = np.floor(exact).astype(int)
    missing = 100 - int(floors.sum())
    for index in np.argsort(floors - exact, kind="stable")[: max(missing, 0)]:
        floors[index] += 1
    return [int(p) for p in floors]


def in_words(shares: NDArray[np.floating[Any]], language: Language) -> str:
    """All six emotions with their percents, the strongest first."""
    whole = percents(shares)
    order = np.argsort(-np.asarray(shares), kind="stable")
    return ", ".join(f"{emotion_name(language, int(i))} {whole[i]}%" for i in order)


def emotion_bar(
    shares: NDArray[np.floating[Any]] | None,
    language: Language,
    *,
    name: str,
    missing: str = "",
    strong: bool = False,
) -> str:
    """One row: the bar's name, six segments, and its strongest emotion in words.

    Parameters
    ----------
    shares
        Emotion distribution (6,); ``None`` draws an empty bar that says ``missing``.
    name
        What the bar is about ("Words"), already in the page's language.
    strong
        Draw it tall, with the emotions' names on its segments.
    """
    size = "maeum-bar-strong" if strong else "maeum-bar-slim"
    if shares is None:
        return (
            f'<div class="maeum-bar-row"><span class="maeum-bar-name">{escaped(name)}</span>'
            f'<span class="maeum-bar {size} maeum-bar-missing">{escaped(missing)}</span></div>'
        )
    whole = percents(shares)
    segments = []
    for i, share in enumerate(shares):
        if share < 0.005:
            continue
        label = emotion_name(language, i)
        shown = f"<b>{escaped(label)}</b>" if strong and share >= LABEL_FROM else ""
        segments.append(
            f'<span class="maeum-seg maeum-{EMOTIONS[i]}" style="flex-grow:{share:.4f}" '
            f'title="{escaped(label)} {whole[i]}%">{shown}</span>'
        )
    top = int(np.argmax(shares))
    described = escaped(f"{name}: {in_words(shares, language)}")
    return (
        f'<div class="maeum-bar-row"><span class="maeum-bar-name">{escaped(name)}</span>'
        f'<span class="maeum-bar {size}" role="img" aria-label="{described}">'
        f"{''.join(segments)}</span>"
        f'<span class="maeum-bar-top" aria-hidden="true">{escaped(emotion_name(language, top))} '
        f"<i>{whole[top]}%</i></span></div>"
    )


def legend(language: Language) -> str:
    """The six emotions with their colours."""
    items = "".join(
        f'<li><span class="maeum-dot maeum-{name}"></span>{escaped(emotion_name(language, i))}</li>'
        for i, name in enumerate(EMOTIONS)
    )
    return f'<ul class="maeum-legend" aria-label="{escaped(text(language, "legend"))}">{items}</ul>'


def clock(seconds: float) -> str:
    """``3:07`` or ``1:02:03``."""
    whole = max(round(seconds), 0)
    hours, rest = divmod(whole, 3600)
    minutes, second = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}"


MOST_COLUMNS: Final = 120
"""Columns of the timeline; longer songs are averaged down to so many."""


def timeline(windows: NDArray[np.floating[Any]], duration_s: float, language: Language) -> str:
    """Stacked areas of the six emotions over a song, with a time axis and a sentence.

    Parameters
    ----------
    windows
        Emotion distributions (n_windows, 6), evenly spread over the song.
    duration_s
        Length of the song in seconds.
    """
    values = np.asarray(windows, dtype=np.float64)
    if len(values) == 0:
        return ""
    if len(values) > MOST_COLUMNS:
        edges = np.linspace(0, len(values), MOST_COLUMNS + 1).astype(int)
        values = np.add.reduceat(values, edges[:-1], axis=0) / np.diff(edges)[:, None]
    values = values / values.sum(axis=1, keepdims=True)
    # A point at the middle of each window, and the outer ones held to the edges.
    middles = (np.arange(len(values)) + 0.5) / len(values)
    x = np.concatenate([[0.0], middles, [1.0]]) * 1000.0  # (n + 2,)
    padded = np.concatenate([values[:1], values, values[-1:]])  # (n + 2, 6)
    upper = np.cumsum(padded, axis=1)
    lower = upper - padded
    areas = []
    for i, name in enumerate(EMOTIONS):
        there = [f"{a:.1f},{(1 - b) * 240:.1f}" for a, b in zip(x, upper[:, i], strict=True)]
        back = [f"{a:.1f},{(1 - b) * 240:.1f}" for a, b in zip(x, lower[:, i], strict=True)]
        areas.append(
            f'<polygon class="maeum-{name}" points="{" ".join([*there, *back[::-1]])}">'
            f"<title>{escaped(emotion_name(language, i))}</title></polygon>"
        )
    ticks = "".join(f"<span>{clock(duration_s * part)}</span>" for part in (0, 0.25, 0.5, 0.75, 1))
    label = escaped(text(language, "timeline_label", end=clock(duration_s)))
    return (
        f'<figure class="maeum-timeline"><svg viewBox="0 0 1000 240" preserveAspectRatio="none" '
        f'role="img" aria-label="{label}">{"".join(areas)}</svg>'
        f'<div class="maeum-axis" aria-hidden="true">{ticks}</div>'
        f"<figcaption>{escaped(course(values, language))}</figcaption>{legend(language)}</figure>"
    )


def course(windows: NDArray[np.floating[Any]], language: Language) -> str:
    """The song's course in a sentence: its strongest emotion at the start, middle and end."""
    thirds = np.array_split(np.asarray(windows), min(3, len(windows)))
    tops = [int(np.argmax(third.mean(axis=0))) for third in thirds]
    start, middle, end = tops[0], tops[len(tops) // 2], tops[-1]
    names = {
        place: emotion_name(language, index)
        for place, index in (("start", start), ("middle", middle), ("end", end))
    }
    if start == middle == end:
        return text(language, "timeline_steady", emotion=names["start"])
    if start == middle or middle == end:
        return text(language, "timeline_two", start=names["start"], end=names["end"])
    return text(language, "timeline_summary", **names)


@dataclass(frozen=True, eq=False)
class MapPoint:
    """One song on the map: its distribution (6,), and what to call it."""

    shares: NDArray[np.floating[Any]]
    title: str | None
    artist: str | None
    link: str | None


MOST_POINTS: Final = 2000
"""Songs on a map; more would only cover each other."""
_CENTRE: Final = 300.0
_RADIUS: Final = 240.0
# Around the circle so that neighbours are alike: bright and calm above, dark below.
_AROUND: Final[tuple[str, ...]] = ("joy", "calm", "neutral", "sadness", "anger", "tension")


def _corner(name: str) -> tuple[float, float]:
    angle = math.radians(-60.0 - 60.0 * _AROUND.index(name))
    return math.cos(angle), math.sin(angle)


def map_positions(shares: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Places (n, 2) inside the unit circle: the mean of the six corners, weighted by the shares.

    The weights are the squared shares, so that songs do not crowd in the middle
    (RadViz, Hoffman et al. 1997).
    """
    weights = np.square(np.asarray(shares, dtype=np.float64)).reshape(-1, N_EMOTIONS)
    weights = weights / weights.sum(axis=1, keepdims=True)
    corners = np.array([_corner(name) for name in EMOTIONS])  # (6, 2)
    places: NDArray[np.float64] = weights @ corners
    return places


def emotion_map(points: Sequence[MapPoint], language: Language) -> str:
    """Songs as dots inside a hexagon whose corners are the six emotions."""
    corners = {
        name: (_CENTRE + _RADIUS * x, _CENTRE + _RADIUS * y)
        for name, (x, y) in ((n, _corner(n)) for n in EMOTIONS)
    }
    outline = " ".join(f"{corners[n][0]:.1f},{corners[n][1]:.1f}" for n in _AROUND)
    spokes = "".join(
        f'<line x1="{_CENTRE}" y1="{_CENTRE}" x2="{x:.1f}" y2="{y:.1f}"/>'
        for x, y in corners.values()
    )
    labels = []
    for i, name in enumerate(EMOTIONS):
        x, y = _corner(name)
        # Beside the outer corners there is no room on a phone: their names stand above.
        outer = abs(x) > 0.9
        across = _CENTRE + (_RADIUS + 8) * x if outer else _CENTRE + _RADIUS * x
        above = -20.0 if outer else (_RADIUS + 26) * y + 8
        anchor = ("end" if x > 0 else "start") if outer else "middle"
        labels.append(
            f'<circle class="maeum-{name}" cx="{corners[name][0]:.1f}" cy="{corners[name][1]:.1f}" '
            f'r="7"/><text x="{across:.1f}" y="{_CENTRE + above:.1f}" text-anchor="{anchor}">'
            f"{escaped(emotion_name(language, i))}</text>"
        )
    shown = list(points)
    dots = []
    if shown:
        places = map_positions(np.stack([point.shares for point in shown]))
        for point, (x, y) in zip(shown, places, strict=True):
            top = EMOTIONS[int(np.argmax(point.shares))]
            title = point.title or text(language, "untitled")
            artist = point.artist or text(language, "unknown_artist")
            name = escaped(f"{title} · {artist}")
            words = escaped(in_words(point.shares, language))
            dot = (
                f'<circle class="maeum-point maeum-{top}" cx="{_CENTRE + _RADIUS * x:.1f}" '
                f'cy="{_CENTRE + _RADIUS * y:.1f}" r="5"><title>{name}\n{words}</title></circle>'
            )
            link = safe_link(point.link)
            if link is not None:
                dot = (
                    f'<a href="{escaped(link)}" target="_blank" rel="noopener noreferrer" '
                    f'tabindex="-1">{dot}</a>'
                )
            dots.append(dot)
    label = escaped(text(language, "map_label", count=len(shown)))
    return (
        f'<svg class="maeum-map" viewBox="40 45 520 510" role="img" aria-label="{label}">'
        f'<polygon class="maeum-map-outline" points="{outline}"/>'
        f'<g class="maeum-map-spokes">{spokes}</g>{"".join(dots)}'
        f'<g class="maeum-map-labels">{"".join(labels)}</g></svg>'
    )
