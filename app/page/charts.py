"""Charts of the web page, drawn as HTML and SVG.

Colours come from the palette of Okabe and Ito (2008), which stays apart for
colour-blind eyes; neutral is a grey that differs in lightness as well. Every
chart says in words what it shows (names on segments, ``aria-label``), so none
rests on colour alone.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.page.markup import escaped
from app.page.texts import Language, emotion_name, text
from data_prep.taxonomy import EMOTIONS

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
