"""Differences between rows of a study that shared seeds, and sentences made of them.

A difference is taken seed by seed; its interval is Student's, 95%, over the seeds. A
row is better or worse where the interval lies on one side of zero, and otherwise the
two cannot be told apart. Nothing is corrected for the number of sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lyrics_model.ablation_report import Verdict, summary_of, verdict

Figures = Mapping[str, Mapping[str, float]]
"""Of one seed: row → figure → value."""

_DIGITS: Final = 6


@dataclass(frozen=True)
class Difference:
    """Of one figure between two rows: its mean, its interval, and which way it lies."""

    figure: str
    way: Verdict
    mean: float
    low: float
    high: float

    @property
    def numbers(self) -> str:
        """Mean and interval."""
        return f"{self.mean:+z.3f}, {self.low:+z.3f} to {self.high:+z.3f}"


class PairedDifferences:
    """Differences between rows that shared a seed; remembers those it made.

    Parameters
    ----------
    seeds
        Figures of each seed.
    names
        Figure → how sentences call it.
    """

    def __init__(self, seeds: Sequence[Figures], names: Mapping[str, str]) -> None:
        self._seeds, self._names = seeds, names
        self.made: list[Difference] = []

    def difference(self, row: str, base: str, figure: str) -> Difference:
        """Of one figure."""
        # rounded, so that what floats alone make differ is the same
        own, other = (
            [round(of[name][figure], _DIGITS) for of in self._seeds] for name in (row, base)
        )
        found = summary_of(own, other)
        low, high = found["difference_interval"]
        made = Difference(figure, verdict((low, high)), found["difference"], low, high)
        self.made.append(made)
        return made

    def told(self, subject: str, row: str, base: str, figures: Sequence[str], called: str) -> str:
        """How a row compares with another, which is called so."""
        differences = [self.difference(row, base, figure) for figure in figures]
        return told_sentence(subject, differences, called, self._names)


def told_sentence(
    subject: str, differences: Sequence[Difference], base: str, names: Mapping[str, str]
) -> str:
    """How something compares with a base, in figures of which more is better."""
    phrases: dict[Verdict, tuple[str, str]] = {
        "higher": (f"is better than {base}", "is better"),
        "lower": (f"is worse than {base}", "is worse"),
        "none": (f"cannot be told from {base}", "cannot be told from it"),
    }
    parts: list[str] = []
    for way, (first, later) in phrases.items():
        own = [f"{names[each.figure]} ({each.numbers})" for each in differences if each.way == way]
        if own:
            parts.append(f"{later if parts else first} on {listed(own)}")
    return f"{subject[0].upper()}{subject[1:]} {listed(parts, '; ')}."


def sureness_sentence(differences: Sequence[Difference], n_seeds: int) -> str:
    """How many of the differences told have an interval without zero, and what chance does."""
    shown = sum(each.way != "none" for each in differences)
    return (
        f"{shown} of the {len(differences)} differences told here have an interval without zero; "
        f"of so many intervals of 95%, about {0.05 * len(differences):.0f} would leave out zero by "
        f"chance. With {n_seeds} seeds only large differences can be shown: what cannot be told "
        "here may still be there."
    )


def listed(parts: Sequence[str], between: str = ", ") -> str:
    """Joined by commas (or ``between``), and "and" before the last."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{between.join(parts[:-1])}{between if between != ', ' else ' '}and {parts[-1]}"
