"""Catalogue hygiene: songs that a listener does not want twice, or at all.

As published for the Korean catalogue: one of several recordings of a song by an artist,
nothing by "Various Artists", and no series of novelties (karaoke and instrumental versions,
lullabies for the unborn, sounds to sleep by, tracks that are numbered rather than named).
A step of its own that says what it left out and why; nothing is deleted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

REASONS: Final = ("duplicate", "various artists", "novelty series")

SERIES_FROM: Final = 5
"""Songs of an artist whose titles differ by a number alone, from which they are a series."""

_VARIOUS: Final = frozenset(
    {
        "various artists",
        "various artist",
        "various",
        "v.a.",
        "va",
        "여러 아티스트",
        "여러가수",
    }
)
_VERSION_NAME: Final = r"(?:version|ver|track|tracks|mix|mr|instrumental|edition|버전|음원)\b\.?"
_WHAT_IT_IS: Final = (
    r"\b(?:off[ -]vocal|backing track|asmr|white noise|ringtones?|sound effects?|sleep sounds?)\b"
    r"|(?<!\w)(?:태교|효과음|벨소리|백색\s*소음|수면\s*유도)(?!\w)"
)
# A title. "Karaoke" and the like name a version at the end, in brackets or before a word for
# versions, and "MR", "Inst" and "반주" where nothing else stands with them: Mr. is a person.
_NOVELTY: Final = re.compile(
    rf"{_WHAT_IT_IS}"
    rf"|(?:\bkaraoke|(?<!\w)노래방)\s*(?:$|[)\]）】]|반주|{_VERSION_NAME})"
    rf"|(?:[(\[（【]|\s[-–—]\s)\s*(?:mr|inst|instrumental|반주)\b\.?\s*(?:{_VERSION_NAME}|반주)?"
    r"\s*(?:[)\]）】]|$)"
    r"|\s(?:mr\s*)?반주(?:곡|음악)?\s*$",
    re.IGNORECASE,
)
# Who made it, or what it is from.
_MAKER: Final = re.compile(
    rf"{_WHAT_IT_IS}|karaoke|노래방|태교|백색\s*소음|수면\s*음악|\b반주(?:곡|음악)", re.IGNORECASE
)
_BRACKETS: Final = re.compile(r"[(\[{（【]([^)\]}）】]*)[)\]}）】]")
_VERSION: Final = re.compile(
    r"\s[-–—]\s.*\b(remaster(ed)?|version|ver|edit|mix|live|acoustic|deluxe|remix)\b.*$",
    re.IGNORECASE,
)
# What counts the parts of one work or the works of one composer: never a number alone.
_PART: Final = re.compile(
    r"\b(?:parts?|pts?|chapter|act|scene|movement|mvt|vol(?:ume)?|book|no|nos|nr|op|opus|k|kv|bwv"
    r"|hob|rv|woo|hwv)\b\.?\s*(?:[\divxlc]+|one|two|three|four)\b|제?\s*\d+\s*(?:번|악장|부|장|막)",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\d+")
_SPACES: Final = re.compile(r"[\W_]+")


class SongName(NamedTuple):
    """What hygiene looks at; ``None`` where unknown."""

    title: str | None
    artist: str | None
    album: str | None


@dataclass(frozen=True, eq=False)
class Hygiene:
    """What is left out, and why.

    Attributes
    ----------
    kept
        Whether each song stays (n,).
    counts
        Reason, one of :data:`REASONS` → songs left out; a song counts once, for the first.
    """

    kept: NDArray[np.bool_]
    counts: dict[str, int]

    def __str__(self) -> str:
        parts = [f"{count:,} {reason}" for reason, count in self.counts.items() if count]
        if not parts:
            return "hygiene: nothing to leave out"
        return f"hygiene: left out {', '.join(parts)}; {int(self.kept.sum()):,} songs stay"


def hygiene_of(songs: Sequence[SongName]) -> Hygiene:
    """Which songs stay.

    Of songs that are the same but for case, punctuation, brackets and what names a version,
    by the same artist, the first stays: better the one whose title is plain, then the
    earlier one. A song without a title or artist is never taken for another.
    """
    kept = np.ones(len(songs), dtype=np.bool_)
    counts = dict.fromkeys(REASONS, 0)

    def leave_out(place: int, reason: str) -> None:
        if kept[place]:
            kept[place] = False
            counts[reason] += 1

    for place, song in enumerate(songs):
        if folded(song.artist) in _FOLDED_VARIOUS:
            leave_out(place, "various artists")
        elif _is_novelty(song):
            leave_out(place, "novelty series")
    series: dict[tuple[str, str], list[int]] = {}
    same: dict[tuple[str, str], list[int]] = {}
    for place, song in enumerate(songs):
        if not kept[place] or not song.title or not song.artist:
            continue
        artist = folded(song.artist)
        if _NUMBER.search(song.title) and not _PART.search(song.title):
            numberless = folded(_NUMBER.sub("", song.title))
            series.setdefault((artist, numberless), []).append(place)
        same.setdefault((artist, folded(plain_title(song.title))), []).append(place)
    for places in series.values():
        if len(places) >= SERIES_FROM:
            for place in places:
                leave_out(place, "novelty series")
    for places in same.values():
        left = [place for place in places if kept[place]]
        if len(left) > 1:
            first = min(left, key=lambda place: (len(songs[place].title or ""), place))
            for place in left:
                if place != first:
                    leave_out(place, "duplicate")
    return Hygiene(kept, counts)


def _is_novelty(song: SongName) -> bool:
    if any(text and _MAKER.search(text) for text in (song.artist, song.album)):
        return True
    if not song.title or _NOVELTY.search(song.title) is None:
        return False
    # A title that is nothing else is what somebody called a song.
    return _NOVELTY.fullmatch(plain_title(song.title)) is None


def plain_title(title: str) -> str:
    """A title without brackets and without the name of a version behind a dash.

    Brackets that name a part of a work stay: two parts are two songs.
    """

    def kept(found: re.Match[str]) -> str:
        return f" {found[1]} " if _PART.search(found[1]) else " "

    shorter = " ".join(_VERSION.sub("", _BRACKETS.sub(kept, title)).split())
    return shorter or title


def folded(text: str | None) -> str:
    """A text for comparing: case, accents of spelling, spaces and punctuation do not count."""
    composed = unicodedata.normalize("NFKC", text or "").casefold()
    return _SPACES.sub(" ", composed).strip() or composed.strip()


_FOLDED_VARIOUS: Final = frozenset(folded(name) for name in _VARIOUS)
