"""Research on fusion weights, on draws of the label-paired benchmark or on a table of songs.

Everything is cross-validated (:mod:`fusion.studies.weight_rows`); figures are means over the draws,
with intervals over resampled groups (:mod:`fusion.studies.weight_figures`). Beside the rows:

- the curve of the mean over its weight, and the grid of the product over its exponents;
- what each rule learned, and the weight that each emotion's mean gives the words;
- songs of which half have lost one branch: each is answered by the branch it has;
- sources held out: what a rule that learned from other clips, or other lines, makes of new
  ones. A rule that does well within sources and not across them has learned the sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.metrics import Reliability, confusion, macro_f1, reliability
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from fusion.combination import fuse_many
from fusion.evaluation.labelled_songs import LabelledSongs
from fusion.rules import METHODS, Method
from fusion.settings import FusionSettings
from fusion.studies.rule_learning import WEIGHTS
from fusion.studies.weight_figures import Figures
from fusion.studies.weight_rows import (
    BRANCHES,
    CHOSEN,
    EXPONENTS,
    FIXED,
    LEAST_FOLDS,
    ROWS,
    Answers,
    cross_validated,
    exponent_grid,
    folds_of,
    one_missing,
    sources_of,
    weight_curve,
)

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class WeightStudy:
    """What was found.

    Attributes
    ----------
    content
        All of it, as it lies in the JSON report.
    songs, answers
        Of the first draw, for plots.
    """

    content: dict[str, Any]
    songs: LabelledSongs
    answers: Answers

    def bins(self, row: str) -> Reliability:
        """Reliability of a row in the first draw."""
        own, labels = self.answers[row], self.songs.labels
        return reliability(own.max(axis=1), own.argmax(axis=1) == labels)

    def confusion(self, row: str) -> NDArray[np.int64]:
        """Confusion of a row in the first draw: (6, 6), rows are labels."""
        return confusion(self.songs.labels, self.answers[row].argmax(axis=1), N_EMOTIONS)


def study(
    draws: Sequence[LabelledSongs],
    *,
    served: FusionSettings | None = None,
    across: bool = True,
    say: Say = lambda text: None,
) -> WeightStudy:
    """Compare all rules.

    Parameters
    ----------
    draws
        Draws of one benchmark, or one table.
    served
        Settings in force, shown beside the rows.
    across
        Whether sources are held out as well, where there are several.
    say
        Takes lines of progress.

    Raises
    ------
    InputError
        If the songs cannot be studied.
    """
    answers: list[Answers] = []
    learned: dict[str, list[FusionSettings]] = {}
    left_out: dict[str, str] = {}
    methods = _learnable(draws[0], left_out)
    rows = [row for row in ROWS if row not in METHODS or row in methods]
    for number, songs in enumerate(draws, start=1):
        say(f"draw {number} of {len(draws)}: {len(songs):,} songs, {len(rows)} rows")
        found, settings = cross_validated(songs, list(folds_of(songs)), rows, methods)
        if served is not None:
            found["as served"] = _as_served(songs, served)
        answers.append(found)
        for method, each in settings.items():
            learned.setdefault(method, []).extend(each)
    figures = Figures(draws, answers)
    table = {row: figures.row(row) for row in answers[0]}
    # a branch alone is given the better of its two calibrations
    alone = [row for row in table if row.partition(",")[0] in BRANCHES]
    better = max(alone, key=lambda row: float(table[row]["macro_f1"]))
    best = max((*methods, FIXED), key=lambda row: float(table[row]["macro_f1"]))
    say("curve, grid and missing branches")
    content: dict[str, Any] = {
        "name": draws[0].name,
        "draws": len(draws),
        "songs": len(draws[0]),
        "with_both": int((draws[0].has_words & draws[0].has_sound).sum()),
        "per_emotion": np.bincount(draws[0].labels, minlength=N_EMOTIONS).tolist(),
        "sources": {branch: _counts(draws[0], branch) for branch in BRANCHES},
        "rows": table,
        "better_branch": better,
        "best": best,
        "differences": [
            figures.difference(row, base)
            for row in (best, CHOSEN)
            for base in dict.fromkeys((better, FIXED))
            if row != base
        ],
        "left_out": left_out,
        "learned": {
            method: [each.rule.to_dict() for each in settings]
            for method, settings in learned.items()
        },
        "curve": _curve(draws),
        "grid": _grid(draws),
        "missing": _missing(draws, methods),
    }
    if across:
        content["across"] = _across(draws[0], methods, say)
    found_study = WeightStudy(content, draws[0], answers[0])
    content["reliability"] = {
        row: found_study.bins(row).to_json()
        for row in dict.fromkeys((FIXED, better, best, "as served"))
        if row in answers[0]
    }
    return found_study


def _learnable(songs: LabelledSongs, left_out: dict[str, str]) -> list[Method]:
    """Methods that these songs can teach whichever two folds are left out; reasons of the
    others."""
    both = songs.chosen(songs.has_words & songs.has_sound)
    rare = [
        emotion
        for place, emotion in enumerate(EMOTIONS)
        if len(np.unique(both.folds[both.labels == place])) < LEAST_FOLDS
    ]
    if not rare:
        return list(METHODS)
    left_out["stacking"] = f"too few songs of {', '.join(rare)} to learn it in every fold"
    return [method for method in METHODS if method != "stacking"]


def _as_served(songs: LabelledSongs, served: FusionSettings) -> NDArray[np.float64]:
    return fuse_many(songs.words, songs.sound, served).distribution.astype(np.float64)


def _counts(songs: LabelledSongs, branch: str) -> dict[str, int]:
    sources = songs.word_sources if branch == "words" else songs.sound_sources
    names, counts = np.unique(sources, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}


def _curve(draws: Sequence[LabelledSongs]) -> dict[str, Any]:
    """Macro-F1 of the mean at each weight, with intervals."""
    figures = Figures(draws, [weight_curve(songs) for songs in draws])
    rows = [figures.row(f"{weight:g}", ["macro_f1"]) for weight in WEIGHTS]
    return {
        "weights": list(WEIGHTS),
        "macro_f1": [row["macro_f1"] for row in rows],
        "intervals": [row["macro_f1_interval"] for row in rows],
        "nll": [figures.value(f"{weight:g}", "nll") for weight in WEIGHTS],
    }


def _grid(draws: Sequence[LabelledSongs]) -> dict[str, Any]:
    """Macro-F1 and likelihood of the product at each pair of exponents; ``null`` at (0, 0)."""
    answers = [exponent_grid(songs) for songs in draws]
    figures = Figures(draws, answers)
    grid: dict[str, Any] = {"exponents": list(EXPONENTS), "macro_f1": [], "nll": []}
    for a in EXPONENTS:
        names = [f"{a:g} {b:g}" for b in EXPONENTS]
        for figure in ("macro_f1", "nll"):
            grid[figure].append(
                [figures.value(name, figure) if name in answers[0] else None for name in names]
            )
    return grid


def _missing(draws: Sequence[LabelledSongs], methods: Sequence[Method]) -> dict[str, Any]:
    """Figures where half of the songs have lost a branch, and whether every rule answers those
    as the branch that is left does."""
    lost = [one_missing(songs, seed=seed) for seed, songs in enumerate(draws, start=1)]
    # songs of a rare emotion may have lost a branch in nearly every fold
    methods = [m for m in methods if all(m in _learnable(songs, {}) for songs in lost)]
    rows = (*BRANCHES, FIXED, *methods)
    answers = [cross_validated(songs, list(folds_of(songs)), rows, methods)[0] for songs in lost]
    figures = Figures(lost, answers)
    same = all(
        np.array_equal(own[method][left], own[branch][left])
        for songs, own in zip(lost, answers, strict=True)
        for branch, left in (("words", ~songs.has_sound), ("sound", ~songs.has_words))
        for method in methods
    )
    return {row: figures.row(row) for row in rows} | {"same_as_the_branch_left": same}


def _across(songs: LabelledSongs, methods: Sequence[Method], say: Say) -> list[dict[str, Any]]:
    """Macro-F1 of each row on songs of a source that nothing was learned from."""
    found: list[dict[str, Any]] = []
    for branch in BRANCHES:
        counts = _counts(songs, branch)
        if len(counts) < 2:
            continue
        say(f"sources of {branch} held out")
        sources = songs.word_sources if branch == "words" else songs.sound_sources
        for source in counts:
            here = sources == source
            parts = [(train, test) for train, test in sources_of(songs, branch) if here[test].all()]
            figures: dict[str, float] = {}
            for row in (*BRANCHES, FIXED, *methods):
                own = [row] if row in METHODS else []
                try:
                    answers, _ = cross_validated(songs, parts, [row], own)
                except InputError:
                    continue  # the other sources do not teach it
                figures[row] = macro_f1(
                    songs.labels[here], answers[row][here].argmax(axis=1), N_EMOTIONS
                )
            found.append(
                {"branch": branch, "source": source, "songs": counts[source], "macro_f1": figures}
            )
    return found
