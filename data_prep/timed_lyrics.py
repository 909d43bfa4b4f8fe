"""Lyrics with times, as .lrc files and tags have them: their lines in the order they are sung.

A line stands behind the times at which it is sung, ``[01:23.45]``, one or several of them: a
chorus is often written once with all of its times. Lines of facts, ``[ti:…]``, are not sung.
Times within a line, ``<01:23.45>`` or ``[01:23.45]``, are of words and change no order.
``[offset:500]`` has all lines sung so many milliseconds sooner, a negative one later.
"""

from __future__ import annotations

import re
from typing import Final

_LINE: Final = re.compile(r"\s*((?:\[\d{1,3}:\d{1,2}(?:[.:]\d{1,3})?\]\s*)+)(.*)", re.DOTALL)
_TIME: Final = re.compile(r"\[(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\]")
_FACT: Final = re.compile(r"\s*\[[a-z#_][^\[\]:]{0,20}:.*\]\s*", re.IGNORECASE)

_OFFSET: Final = re.compile(r"\s*\[offset:\s*([+-]?\d{1,6})\s*\]\s*", re.IGNORECASE)

_LEAST_SHARE: Final = 0.5


def in_sung_order(text: str) -> str:
    """Lyrics with times in the order they are sung, each line where it is sung first.

    Parameters
    ----------
    text
        Lines that end in ``\\n``. Lyrics of which less than half of the lines have times are
        given back as they are.

    Returns
    -------
    The lines without the times before them and without facts. A line without a time stays
    behind the line that it was written behind.
    """
    timed = timed_lines(text)
    return "\n".join(line for _, line in timed) if timed else text


def timed_lines(text: str) -> list[tuple[float, str]]:
    """Lines of lyrics with times, in the order they are sung: seconds and the line.

    As :func:`in_sung_order`; empty where it gives lyrics back as they are.
    """
    lines = text.split("\n")
    matches = [_LINE.fullmatch(line) for line in lines]
    with_words = sum(bool(line.strip()) and not _FACT.fullmatch(line) for line in lines)
    timed = sum(match is not None for match in matches)
    if not timed or timed < _LEAST_SHARE * with_words:
        return []
    sung: list[tuple[float, str]] = []
    time = 0.0
    for line, match in zip(lines, matches, strict=True):
        if match is not None:
            time = min(_seconds(*one) for one in _TIME.findall(match[1]))
            sung.append((time, match[2]))
        elif line.strip() and not _FACT.fullmatch(line):
            sung.append((time, line))
    moved = sum(int(found[1]) / 1000.0 for found in map(_OFFSET.fullmatch, lines) if found)
    ordered = sorted(sung, key=lambda each: each[0])
    return [(max(time - moved, 0.0), line) for time, line in ordered]


def has_times(text: str) -> bool:
    """Whether there is a line with a time before it: such a text is a song's, however short."""
    return any(_LINE.fullmatch(line) for line in text.split("\n"))


def _seconds(minutes: str, seconds: str, fraction: str) -> float:
    return int(minutes) * 60 + int(seconds) + (float(f"0.{fraction}") if fraction else 0.0)
