"""Satisfaction of listeners: what share of judged songs they liked, version by version.

A version is what decides a list: the fusion settings, the version of maeum, and what the list
was for. Shares have Wilson's interval (1927), which counts every judgement as one of its own;
where few listeners gave most of them, that is said, as the interval is then too narrow, and no
difference is called one that can be told.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

PUBLISHED: Final = (
    ("published, first version", 34, 100),
    ("published, second version", 51, 100),
    ("published, third version", 67, 100),
)
"""Satisfied of 100 asked, as an earlier system reported for its three versions."""

RANKS_SHOWN: Final = 10
FEW_LISTENERS: Final = 10

_FEW: Final = " (few)"
_Z: Final = 1.959963984540054  # of a normal distribution, two sides, 95%


@dataclass(frozen=True)
class Share:
    """Liked songs among judged ones."""

    liked: int
    judged: int

    @property
    def value(self) -> float:
        """The share, 0 to 1; NaN of none."""
        return self.liked / self.judged if self.judged else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval, 95%."""
        n = self.judged
        if n == 0:
            return 0.0, 1.0
        centre = (self.value + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = (
            _Z / (1 + _Z**2 / n) * math.sqrt(self.value * (1 - self.value) / n + _Z**2 / (4 * n**2))
        )
        return max(0.0, centre - half), min(1.0, centre + half)

    def less(self, other: Share) -> tuple[float, tuple[float, float]]:
        """How much larger it is than another share, with Newcombe's interval (1998), 95%."""
        difference = self.value - other.value
        (low, high), (other_low, other_high) = self.interval, other.interval
        below = math.sqrt((self.value - low) ** 2 + (other_high - other.value) ** 2)
        above = math.sqrt((high - self.value) ** 2 + (other.value - other_low) ** 2)
        return difference, (difference - below, difference + above)


@dataclass
class Satisfaction:
    """Judgements of one version.

    Attributes
    ----------
    fusion, version, kind
        Hash of the fusion settings, version of maeum, what the lists were for.
    last
        When the last judgement was given.
    share
        Liked songs among judged ones.
    listeners
        Listener → judgements.
    """

    fusion: str
    version: str
    kind: str
    last: str = ""
    share: Share = field(default_factory=lambda: Share(0, 0))
    listeners: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """For a table."""
        return f"{self.kind}, fusion {self.fusion[:8]}, maeum {self.version}"

    @property
    def rests_on_few(self) -> bool:
        """Whether one listener gave half of the judgements, or there are few listeners."""
        most = max(self.listeners.values(), default=0)
        return len(self.listeners) < FEW_LISTENERS or 2 * most > self.share.judged


@dataclass(frozen=True)
class Report:
    """What was judged.

    Attributes
    ----------
    versions
        The newest first.
    ranks
        Place in the list → share, of all versions.
    """

    versions: list[Satisfaction]
    ranks: dict[int, Share]

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        newest = self._newest_two()
        return {
            "versions": [
                {
                    "fusion": each.fusion,
                    "version": each.version,
                    "kind": each.kind,
                    "last": each.last,
                    "judged": each.share.judged,
                    "liked": each.share.liked,
                    "share": each.share.value,
                    "interval": list(each.share.interval),
                    "listeners": len(each.listeners),
                    "rests_on_few": each.rests_on_few,
                }
                for each in self.versions
            ],
            "ranks": {
                str(rank): {
                    "judged": share.judged,
                    "share": share.value,
                    "interval": list(share.interval),
                }
                for rank, share in self.ranks.items()
            },
            "difference": None if newest is None else _difference(*newest),
            "published": [
                {
                    "name": name,
                    "share": liked / judged,
                    "judged": judged,
                    "interval": list(Share(liked, judged).interval),
                }
                for name, liked, judged in PUBLISHED
            ],
        }

    def lines(self) -> list[str]:
        """As Markdown."""
        lines = [
            "| lists | judged | liked (95%) | listeners |",
            "|---|---:|---|---:|",
            *(
                f"| {each.name} | {each.share.judged:,} | {_told(each.share)}"
                f"{_FEW if each.rests_on_few else ''} | {len(each.listeners):,} |"
                for each in self.versions
            ),
            *(f"| {name} | {n} | {_told(Share(k, n))} | |" for name, k, n in PUBLISHED),
        ]
        if any(each.rests_on_few for each in self.versions):
            lines += [
                "",
                "(few): few listeners gave most of these; for others the interval is too narrow.",
            ]
        newest = self._newest_two()
        if newest is not None:
            found = _difference(*newest)
            low, high = found["interval"]
            said = (
                "that can be told"
                if found["can_be_told"]
                else "of which nothing can be told: few listeners gave most of it"
                if found["rests_on_few"]
                else "which cannot be told apart"
            )
            lines += [
                "",
                f"{newest[0].name} less {newest[1].name}: {found['difference']:+.1%} "
                f"({low:+.1%} to {high:+.1%}), {said}.",
            ]
        lines += ["", "| place in the list | judged | liked (95%) |", "|---:|---:|---|"]
        lines += [
            f"| {rank} | {share.judged:,} | {_told(share)} |" for rank, share in self.ranks.items()
        ]
        return lines

    def _newest_two(self) -> tuple[Satisfaction, Satisfaction] | None:
        """The newest version and the one before it that has lists of the same kind."""
        for i, each in enumerate(self.versions):
            for older in self.versions[i + 1 :]:
                if older.kind == each.kind:
                    return each, older
        return None


def report_of(rows: Iterable[dict[str, Any]]) -> Report:
    """Sum up judgements.

    Parameters
    ----------
    rows
        As :meth:`app.feedback.store.FeedbackStore.rows` gives them.
    """
    versions: dict[tuple[str, str, str], Satisfaction] = {}
    ranks: dict[int, Share] = {}
    for row in rows:
        key = row["fusion"], row["version"], row["kind"]
        found = versions.setdefault(key, Satisfaction(*key))
        is_liked = row["verdict"] > 0
        found.share = Share(found.share.liked + is_liked, found.share.judged + 1)
        found.listeners[row["listener"]] += 1
        found.last = max(found.last, row["judged_at"])
        before = ranks.get(row["rank"], Share(0, 0))
        ranks[row["rank"]] = Share(before.liked + is_liked, before.judged + 1)
    newest_first = sorted(versions.values(), key=lambda each: each.last, reverse=True)
    return Report(newest_first, {rank: ranks[rank] for rank in sorted(ranks)[:RANKS_SHOWN]})


def _difference(newer: Satisfaction, older: Satisfaction) -> dict[str, Any]:
    difference, (low, high) = newer.share.less(older.share)
    few = newer.rests_on_few or older.rests_on_few
    return {
        "of": newer.name,
        "less": older.name,
        "difference": difference,
        "interval": [low, high],
        "rests_on_few": few,
        "can_be_told": not few and (low > 0.0 or high < 0.0),
    }


def _told(share: Share) -> str:
    low, high = share.interval
    return f"{share.value:.1%} ({low:.1%} to {high:.1%})"
