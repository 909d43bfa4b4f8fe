"""When the segments of lyrics with times are sung."""

from __future__ import annotations

from collections.abc import Sequence

from data_prep.lyrics_text import clean_lyrics, plain_lines, without_marks
from data_prep.timed_lyrics import timed_lines


def segment_times(lyrics: str, segments: Sequence[str]) -> list[float | None]:
    """Seconds at which each segment begins.

    Parameters
    ----------
    lyrics
        As they came, with the times that .lrc files have.
    segments
        Segments that were cut from them, in order; their lines end in ``\\n``.

    Returns
    -------
    One time per segment, that of its first line; ``None`` where the lyrics have no
    times, or no line after those of the segments before is the segment's first.
    """
    sung = [
        (time, without_marks(clean_lyrics(line))) for time, line in timed_lines(plain_lines(lyrics))
    ]
    lines = [line for _, line in sung]
    times: list[float | None] = []
    begin = 0
    rest = ""  # what earlier pieces left of the line before ``begin``
    for segment in segments:
        found: list[float | None] = []
        for piece in segment.split("\n"):
            if rest.startswith(piece):
                found.append(sung[begin - 1][0])
                rest = rest[len(piece) :].lstrip()
                continue
            at = _place(piece, lines, begin)
            found.append(None if at is None else sung[at][0])
            if at is not None:
                begin = at + 1
                rest = lines[at][len(piece) :].lstrip()
        times.append(found[0])
    return times


def _place(piece: str, lines: Sequence[str], begin: int) -> int | None:
    """Of the first line from ``begin`` on that is the piece, or else begins with it."""
    ahead = range(begin, len(lines))
    whole = next((i for i in ahead if lines[i] == piece), None)
    if whole is not None:
        return whole
    return next((i for i in ahead if lines[i].startswith(piece)), None)
