"""Analyses and recommendations as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.taxonomy import EMOTIONS
from fusion.analysis import Analysis
from fusion.recommendation import Recommendation

_NAME_WIDTH: Final = 8


def analysis_lines(analysis: Analysis) -> list[str]:
    """A table of percents, one line per branch, then what to know about it."""
    fused = analysis.fused
    lines = [" " * _NAME_WIDTH + "".join(f"{name:>9}" for name in EMOTIONS)]
    branches = (("words", fused.lyrics), ("sound", fused.audio), ("together", fused.distribution))
    lines += [_row(name, values) for name, values in branches if values is not None]
    strength = f"{analysis.top} ({fused.confidence:.0%})"
    lines.append(f"{strength}, too weak to rely on" if fused.abstain else strength)
    lines += [f"note: {note}" for note in analysis.notes]
    return lines


def recommendation_lines(results: Sequence[Recommendation]) -> list[str]:
    """Two or three lines per song: what it is, why, and where to hear it."""
    lines = []
    for result in results:
        song = result.song
        name = " - ".join(part for part in (song.artist, song.title or song.id) if part)
        year = f" ({song.year})" if song.year is not None else ""
        lines.append(f"{result.rank:>3}. {name}{year}  {result.score:.3f}")
        lines.append(f"     {result.why}")
        place = song.path or song.link
        if place is not None:
            lines.append(f"     {place}")
    return lines


def _row(name: str, values: NDArray[np.floating[Any]]) -> str:
    return f"{name:<{_NAME_WIDTH}}" + "".join(f"{value:>9.0%}" for value in values)
