"""The report of the study of fusion weights: tables, plots, and sentences made of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from data_prep.taxonomy import EMOTIONS
from fusion.evaluation.paired_differences import listed
from fusion.evaluation.plots import plot_confusion, plot_curve, plot_grid, plot_reliability
from fusion.evaluation.result_files import figure_cell, table_head, write_results
from fusion.rules import METHODS
from fusion.studies.weight_figures import FIGURES
from fusion.studies.weight_rows import BRANCHES, FIXED
from fusion.studies.weight_study import WeightStudy

NAME: Final = "fusion_weights"

MEANINGS: Final[dict[str, str]] = {
    "constant": "the most frequent emotion",
    "words": "lyrics alone, temperature fitted",
    "sound": "audio alone, temperature fitted",
    "words, raw": "lyrics alone, as they are",
    "sound, raw": "audio alone, as it is",
    "words, scaled": "lyrics alone, vector scaling",
    "sound, scaled": "audio alone, vector scaling",
    FIXED: "half of each raw answer: the published rule",
    "mean": "weighted mean, the weight of best macro-F1",
    "emotion-mean": "a weight for each emotion",
    "product": "product of experts with learned exponents",
    "stacking": "logistic regression on log-probabilities",
    "gate": "weight by how sure each branch is",
    "chosen": "the rule that is best within the other folds",
    "as served": "the settings in force",
}


def write_report(
    out: Path,
    found: WeightStudy,
    *,
    command: str,
    about: Sequence[str],
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write ``fusion_weights.json``, ``fusion_weights.md`` and plots.

    Parameters
    ----------
    out
        Folder; made if it is not there.
    found
        What the study found.
    command
        What makes the report.
    about
        Paragraphs on what the songs are.
    more
        What else belongs into the JSON.

    Returns
    -------
    Content of the JSON.
    """
    content = {"command": command, **(more or {}), **found.content}
    plots = _plots(out, found)
    lines = [
        "# Fusion weights",
        "",
        f"Command: `{command}`.",
        "",
        *(line for paragraph in about for line in (paragraph, "")),
        "## What the numbers say",
        "",
        *(f"- {sentence}" for sentence in _sentences(content)),
        "",
        "## Rows",
        "",
        "Macro-F1 over the emotions that occur; ECE of the strongest emotion's probability, 15 "
        "bins; NLL in nats. In brackets 95% of resamplings of groups, for ECE moved to its figure: "
        "whatever is drawn twice adds to it.",
        "",
        *_rows(content),
        "",
        *_per_emotion(content),
        *_missing(content),
        *_across(content),
        *(f"![{name}]({file})\n" for name, file in plots.items()),
    ]
    write_results(out, NAME, content, "\n".join(lines).rstrip() + "\n")
    return content


def _sentences(content: Mapping[str, Any]) -> list[str]:
    rows, best = content["rows"], content["best"]
    said = [
        f"**Best.** Of the rules, **{best}** has the best macro-F1: "
        f"{figure_cell(rows[best], 'macro_f1')}; the better branch alone is "
        f"*{content['better_branch']}* with {rows[content['better_branch']]['macro_f1']:.3f}, the "
        f"fixed mean has {rows[FIXED]['macro_f1']:.3f}, a constant answer "
        f"{rows['constant']['macro_f1']:.3f}."
    ]
    for each in content["differences"]:
        low, high = each["interval"]
        way = "cannot be told from"
        if low > 0 or high < 0:
            way = "is better than" if low > 0 else "is worse than"
        said.append(
            f"**{each['row']}** {way} *{each['base']}*: {each['mean']:+.3f} "
            f"({low:+.3f} to {high:+.3f}) of macro-F1."
        )
    said.append(
        f"**Calibration.** ECE of {best} is {figure_cell(rows[best], 'ece')}, of the fixed mean "
        f"{figure_cell(rows[FIXED], 'ece')}."
    )
    curve = content["curve"]
    top = int(np.argmax(curve["macro_f1"]))
    said.append(
        f"**Weight of the mean.** The curve is highest at {curve['weights'][top]:g} for the words "
        f"({curve['macro_f1'][top]:.3f}); at 0.5 it has "
        f"{curve['macro_f1'][curve['weights'].index(0.5)]:.3f}, at 0 and 1 "
        f"{curve['macro_f1'][0]:.3f} and {curve['macro_f1'][-1]:.3f}."
    )
    if content["missing"]["same_as_the_branch_left"]:
        said.append(
            "**One branch missing.** Every song that lost a branch is answered just as the branch "
            "that is left answers it."
        )
    said += [f"**{method}** is left out: {why}." for method, why in content["left_out"].items()]
    return said


def _rows(content: Mapping[str, Any]) -> list[str]:
    lines = table_head(FIGURES, "row")
    lines[0] = lines[0].replace("| row |", "| row | what it is |", 1)
    lines[1] = lines[1].replace("|---|", "|---|---|", 1)
    for name, row in content["rows"].items():
        cells = " | ".join(figure_cell(row, figure) for figure in FIGURES)
        lines.append(f"| {name} | {MEANINGS[name]} | {cells} |")
    return lines


def _per_emotion(content: Mapping[str, Any]) -> list[str]:
    learned = content["learned"]
    weights = np.array([rule["lyrics_weights_of"] for rule in learned["emotion-mean"]])
    lines = [
        "## What was learned",
        "",
        "Weight of the words for each emotion (mean over what each fold learned, and its spread):",
        "",
        f"| {' | '.join(EMOTIONS)} |",
        "|" + "---:|" * len(EMOTIONS),
        "| "
        + " | ".join(
            f"{mean:.2f} ± {spread:.2f}"
            for mean, spread in zip(weights.mean(axis=0), weights.std(axis=0), strict=True)
        )
        + " |",
        "",
    ]
    told = []
    for method, names in (
        ("mean", ("lyrics_weight",)),
        ("product", ("lyrics_exponent", "audio_exponent")),
        ("gate", ("bias", "lyrics", "audio")),
    ):
        values = [
            f"{name.replace('_', ' ')} {np.mean([rule[name] for rule in learned[method]]):.2f}"
            for name in names
        ]
        told.append(f"{method}: {', '.join(values)}")
    return [*lines, f"Means over folds: {'; '.join(told)}.", ""]


def _missing(content: Mapping[str, Any]) -> list[str]:
    rows = {k: v for k, v in content["missing"].items() if isinstance(v, dict)}
    return [
        "## Half of the songs have lost one branch",
        "",
        "A quarter of the songs has lost its words at random, another its sound. A branch alone "
        "answers what it has not read with the constant.",
        "",
        *table_head(FIGURES, "row"),
        *(
            f"| {name} | {' | '.join(figure_cell(row, figure) for figure in FIGURES)} |"
            for name, row in rows.items()
        ),
        "",
    ]


def _across(content: Mapping[str, Any]) -> list[str]:
    tables = content.get("across", [])
    if not tables:
        return []
    names = [*BRANCHES, FIXED, *METHODS]
    lines = [
        "## Sources held out",
        "",
        "Macro-F1 on songs whose clips, or lines, are from a source that nothing was learned from "
        "(first draw). What a rule gains within sources and not here, it knows of the sources, not "
        "of songs; a music library is a new source.",
        "",
        f"| held out | songs | {' | '.join(names)} |",
        "|---|---:|" + "---:|" * len(names),
    ]
    for each in tables:
        cells = [
            f"{each['macro_f1'][name]:.3f}" if name in each["macro_f1"] else "" for name in names
        ]
        lines.append(
            f"| {each['branch']}: {each['source']} | {each['songs']:,} | {' | '.join(cells)} |"
        )
    gains = []
    for method in METHODS:
        own = [t["macro_f1"] for t in tables if method in t["macro_f1"]]
        if own:
            mean = float(np.mean([each[method] - each[FIXED] for each in own]))
            gains.append(f"{method} {mean:+.3f}")
    return [*lines, "", f"Mean difference from the fixed mean: {listed(gains)}.", ""]


def _plots(out: Path, found: WeightStudy) -> dict[str, str]:
    """Write the plots; what each shows → its file."""
    out.mkdir(parents=True, exist_ok=True)
    content = found.content
    rows, best, better = content["rows"], content["best"], content["better_branch"]
    curve, grid = content["curve"], content["grid"]
    files = {
        "macro-F1 over the weight of the words": f"{NAME}_curve.png",
        "likelihood over the exponents of the product": f"{NAME}_exponents.png",
        "reliability of the rules": f"{NAME}_reliability.png",
        f"confusion of {better}": f"{NAME}_confusion_branch.png",
        f"confusion of {best}": f"{NAME}_confusion_best.png",
        "reliability of the branches, before and after": f"{NAME}_reliability_branches.png",
    }
    paths = [out / file for file in files.values()]
    shown = dict.fromkeys((*BRANCHES, FIXED, best))
    plot_curve(
        paths[0],
        curve["weights"],
        curve["macro_f1"],
        curve["intervals"],
        {name: rows[name]["macro_f1"] for name in shown if name not in BRANCHES},
        "weighted mean",
        "weight of the words",
        "macro-F1",
    )
    plot_grid(
        paths[1],
        grid["exponents"],
        np.array(grid["nll"], dtype=np.float64),
        "negative log-likelihood of the product",
        ("exponent of the words", "exponent of the sound"),
    )
    plot_reliability(paths[2], {name: found.bins(name) for name in shown}, "fusion")
    each = (*BRANCHES, *(f"{branch}, {how}" for how in ("raw", "scaled") for branch in BRANCHES))
    plot_reliability(paths[5], {name: found.bins(name) for name in sorted(each)}, "each branch")
    plot_confusion(paths[3], found.confusion(better), EMOTIONS, better)
    plot_confusion(paths[4], found.confusion(best), EMOTIONS, best)
    return files
