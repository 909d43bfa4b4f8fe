"""The report of the study of audio models: tables, sentences, plots.

Intervals are Student's, 95%, over the seeds; baselines do not depend on a seed and have
none. Differences and shares are taken seed by seed between rows that answered the same
recordings (:mod:`fusion.evaluation.paired_differences`). Every sentence is made from numbers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from audio_model.heads import DATASET_HEADS
from fusion.evaluation.paired_differences import PairedDifferences, listed, sureness_sentence
from fusion.evaluation.plots import plot_bars
from fusion.evaluation.result_files import summary_cell, table_head, write_results
from lyrics_model.ablation_report import summary_of

NAME: Final = "audio_study"

JOINT: Final = "joint"
WITHOUT_EMBEDDING: Final = "without the embedding"
CONSTANT: Final = "constant"
LINEAR: Final = "mel statistics, linear"
KERNEL: Final = "mel statistics, kernel"
BASELINES: Final = (CONSTANT, LINEAR, KERNEL)

VALIDATION: Final = "emopia_validation"
FIGURES: Final[dict[str, str]] = {
    "ravdess_song": "RAVDESS song macro-F1",
    "emotify": "Emotify mean r",
    VALIDATION: "EMOPIA validation accuracy",
    "emopia": "EMOPIA out-of-fold accuracy",
}
"""Figures of the native heads → how they are called."""

SIX_FIGURES: Final[dict[str, str]] = {f"six_{name}": called for name, called in FIGURES.items()}
"""The same of the served six, as far as the labels tell emotions apart."""

PROMISED: Final[dict[str, float]] = {"ravdess_song": 0.80, "emotify": 0.65, VALIDATION: 0.68}
"""Figure of each data set → what the network is to reach; the three that are counted."""

PROMISED_SHARE: Final = 0.95
"""Of a specialised network's figure, that one network for all is to reach."""

PROMISED_SETS: Final = 2
"""Data sets on which a frozen SimCLR backbone is to be better than one from nothing."""

_DATASETS: Final[dict[str, str]] = {
    "ravdess_song": "ravdess_song",
    "emotify": "emotify",
    VALIDATION: "emopia",
    "emopia": "emopia",
}
_EACH_ALONE: Final = "each data set alone"
_WIDEST: Final = 18  # letters of a name below a group of bars


def alone_name(dataset: str) -> str:
    """Name of the row that is trained on one data set."""
    return f"{dataset} alone"


def nothing_name(backbone: str) -> str:
    """Name of the row of a backbone that starts from random weights."""
    return f"{backbone}, from nothing"


def frozen_name(backbone: str) -> str:
    """Name of the row of a perceptron on the features of a pretrained backbone."""
    return f"{backbone}, SimCLR, frozen"


def fine_tuned_name(backbone: str) -> str:
    """Name of the row of a pretrained backbone that is trained further."""
    return f"{backbone}, SimCLR, fine-tuned"


@dataclass(frozen=True, eq=False)
class FoldTable:
    """What the rows that ran on some folds gave on these.

    Attributes
    ----------
    folds
        Which.
    counts
        Figure → recordings that it is of.
    seeds
        Of each seed: row → figure → value.
    """

    folds: tuple[int, ...]
    counts: dict[str, int]
    seeds: list[dict[str, dict[str, float]]]

    @property
    def rows(self) -> list[str]:
        """Names of the rows, the baselines first."""
        return list(self.seeds[0])

    def values(self, row: str, figure: str) -> list[float]:
        """One value for each seed."""
        return [figures[row][figure] for figures in self.seeds]

    def has(self, figure: str, *rows: str) -> bool:
        """Whether all these rows have a figure."""
        own = self.seeds[0]
        return all(row in own and figure in own[row] for row in rows)

    def summary(self) -> dict[str, Any]:
        """Row → figure → mean and interval."""
        return {
            row: {
                figure: summary_of(
                    self.values(row, figure)[: 1 if row in BASELINES else None], None
                )
                for figure in (*FIGURES, *SIX_FIGURES)
                if self.has(figure, row)
            }
            for row in self.rows
        }


def write_report(
    out: Path, description: Mapping[str, Any], tables: Sequence[FoldTable]
) -> dict[str, Any]:
    """Write ``audio_study.json``, ``audio_study.md`` and a plot for each table.

    Parameters
    ----------
    description
        Settings, sizes and networks.
    tables
        That of all folds first.

    Returns
    -------
    The content of ``audio_study.json``.
    """
    results = dict(description) | {
        "tables": [
            {
                "folds": list(table.folds),
                "counts": table.counts,
                "rows": table.summary(),
                "seeds": table.seeds,
            }
            for table in tables
        ],
        "promised": promised(tables[0]),
        "shares": specialised_shares(tables[0]),
    }
    results["sentences"] = sentences(results, tables)
    write_results(out, NAME, results, as_markdown(results))
    for number, table in enumerate(tables):
        _plot(out / _plot_name(number, table.folds), table)
    return results


def promised(table: FoldTable) -> dict[str, dict[str, Any]]:
    """Figure → what was promised, and mean and interval of the joint network; whether its mean
    reaches it. Without the joint network empty."""
    found: dict[str, dict[str, Any]] = {}
    for figure, bar in PROMISED.items():
        if table.has(figure, JOINT):
            own = summary_of(table.values(JOINT, figure), None)
            found[figure] = {"promised": bar, **own, "reached": own["mean"] >= bar}
    return found


def specialised_shares(table: FoldTable) -> dict[str, dict[str, Any]]:
    """Figure → share of the specialised network's figure that the joint one reaches.

    Mean and interval of the ratio over seeds; only where both ran, and the specialised
    network's figure is above zero with every seed.
    """
    found: dict[str, dict[str, Any]] = {}
    for figure, dataset in _DATASETS.items():
        if not table.has(figure, JOINT, alone_name(dataset)):
            continue
        alone = np.array(table.values(alone_name(dataset), figure))
        if (alone > 0).all():
            ratios = np.array(table.values(JOINT, figure)) / alone
            found[figure] = summary_of(ratios.tolist(), None)
    return found


def sentences(results: Mapping[str, Any], tables: Sequence[FoldTable]) -> dict[str, list[str]]:
    """What the numbers say, by question."""
    whole = tables[0]
    pairs = PairedDifferences(whole.seeds, FIGURES)
    made = [pairs]
    found: dict[str, list[str]] = {}
    if results["promised"]:
        found["What was promised"] = [
            _promised_sentence(figure, own) for figure, own in results["promised"].items()
        ]
    if results["shares"]:
        found["One network or one for each data set"] = _share_sentences(results["shares"])
    against = {
        CONSTANT: "the constant answer",
        LINEAR: "linear models of mel statistics",
        KERNEL: "kernel models of them",
    }
    own_rows = {
        "Beside the baselines": (JOINT, "the joint network", against),
        "What the embedding adds": (
            JOINT,
            "the joint network",
            {WITHOUT_EMBEDDING: "the same without the embedding"},
        ),
    }
    for title, (row, subject, bases) in own_rows.items():
        told = [
            pairs.told(subject, row, base, figures, called)
            for base, called in bases.items()
            if (figures := [figure for figure in FIGURES if whole.has(figure, row, base)])
        ]
        if told:
            found[title] = told
    if results["simclr"] is not None:
        told, simclr_pairs = _simclr_sentences(results["simclr"], tables)
        if told:
            found["SimCLR"] = told
            made.append(simclr_pairs)
    differences = [difference for each in made for difference in each.made]
    if differences:
        found["How sure this is"] = [sureness_sentence(differences, len(whole.seeds))]
    return found


def _promised_sentence(figure: str, own: Mapping[str, Any]) -> str:
    low, high = own["interval"]
    way = "reaches" if own["reached"] else "misses"
    return (
        f"By its mean, the joint network {way} the promised {own['promised']:.2f} of "
        f"{FIGURES[figure]}: {own['mean']:.3f} ({low:.3f} to {high:.3f})."
    )


def _share_sentences(shares: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Of each figure the share, and on how many of the three data sets it is enough."""
    found = []
    for figure, share in shares.items():
        low, high = share["interval"]
        if share["mean"] >= PROMISED_SHARE:
            way = f"at least {PROMISED_SHARE:.0%}"
            sure = (
                "with its whole interval"
                if low >= PROMISED_SHARE
                else ("by the mean, though its interval reaches below")
            )
        else:
            way = f"less than {PROMISED_SHARE:.0%}"
            sure = (
                "with its whole interval"
                if high < PROMISED_SHARE
                else ("by the mean, though its interval reaches above")
            )
        found.append(
            f"In {FIGURES[figure]} the joint network reaches {share['mean']:.1%} ({low:.1%} to "
            f"{high:.1%}) of {alone_name(_DATASETS[figure])}: {way}, {sure}."
        )
    counted = [figure for figure in PROMISED if figure in shares]
    enough = sum(shares[figure]["mean"] >= PROMISED_SHARE for figure in counted)
    if counted:
        found.append(
            f"By the mean that is at least {PROMISED_SHARE:.0%} on {enough} of {len(counted)} data "
            f"sets (EMOPIA: its validation split)."
        )
    return found


def _simclr_sentences(
    simclr: Mapping[str, Any], tables: Sequence[FoldTable]
) -> tuple[list[str], PairedDifferences]:
    """What a pretraining without labels is worth, and the differences that say so."""
    names = frozen_name(simclr["name"]), fine_tuned_name(simclr["name"])
    nothing = nothing_name(simclr["name"])
    frozen, tuned = names
    table = next((t for t in tables if any(name in t.rows for name in names)), tables[0])
    pairs = PairedDifferences(table.seeds, FIGURES)

    def figures(*rows: str) -> list[str]:
        return [figure for figure in FIGURES if table.has(figure, *rows)]

    found: list[str] = []
    compared = figures(frozen, nothing)
    if compared:
        called = "the same network trained from nothing"
        found.append(
            pairs.told(f"a frozen {simclr['name']} of SimCLR", frozen, nothing, compared, called)
        )
        ways = {each.figure: each for each in pairs.made}
        counted = [figure for figure in PROMISED if figure in ways]
        better = sum(ways[figure].way == "higher" for figure in counted)
        worse = sum(ways[figure].way == "lower" for figure in counted)
        higher = sum(ways[figure].mean > 0 for figure in counted)
        kept = "reached" if better >= PROMISED_SETS else "missed"
        found.append(
            f"So it is better on {better} of {len(counted)} data sets, worse on {worse}, and on "
            f"{len(counted) - better - worse} it cannot be told; by the mean alone it is higher on "
            f"{higher}. At least {PROMISED_SETS} were promised: {kept}."
        )
        if better < PROMISED_SETS:
            against = figures(frozen, CONSTANT)
            subject = "as far as the numbers say why not: a perceptron on frozen features"
            found.append(
                pairs.told(subject, frozen, LINEAR, against, "linear models of mel statistics")
            )
    for base, called in ((nothing, "it trained from nothing"), (frozen, "it frozen")):
        compared = figures(tuned, base)
        if compared:
            subject = "trained further from SimCLR's weights, the backbone"
            found.append(pairs.told(subject, tuned, base, compared, called))
    if found:
        found.append(_heard_sentence(simclr, table.folds))
    return found, pairs


def _heard_sentence(simclr: Mapping[str, Any], folds: Sequence[int]) -> str:
    """What the pretraining heard of the recordings that are held out."""
    recordings = simclr["recordings"]
    counts = " and ".join(f"{count:,} of {name}" for name, count in recordings.items())
    often = f" {simclr['epochs']} times" if simclr["epochs"] else ""
    heard = f"The pretraining heard {counts or 'recordings that are not known'}{often}"
    if simclr["held_out_fold"] is not None:
        return (
            f"{heard}, none of fold {simclr['held_out_fold']}, on which alone these rows are "
            "compared."
        )
    if recordings and not set(recordings) & set(DATASET_HEADS):
        return f"{heard}, none of these data sets."
    return (
        f"{heard}: it may have heard the held-out recordings ({_folds_said(folds)}), without their "
        "labels, which favours the rows that start from it."
    )


def as_markdown(results: Mapping[str, Any]) -> str:
    """``audio_study.md``."""
    lines = [
        "# Sound models over seeds",
        "",
        f"Command: `{results['command']}`.",
        "",
        *_setting_lines(results),
        "",
        "## What the numbers say",
        "",
    ]
    for title, told in results["sentences"].items():
        lines.append(f"- **{title}.** {' '.join(told)}")
    if results["promised"]:
        lines += ["", *_promised_lines(results["promised"])]
    for number, table in enumerate(results["tables"]):
        lines += ["", *_table_lines(number, table)]
    lines += ["", *_network_lines(results["networks"])]
    return "\n".join(lines) + "\n"


def _setting_lines(results: Mapping[str, Any]) -> list[str]:
    settings = results["settings"]
    recordings = ", ".join(f"{n:,} of {name}" for name, n in results["recordings"].items())
    batch = " + ".join(map(str, results["batch"].values()))
    return [
        f"Recordings: {recordings}. Every run is one network that never heard one fold (of actors, "
        "recordings, songs) nor EMOPIA's validation split, and answers both; a figure is of the "
        "held-out recordings of all folds of its table together. EMOPIA's validation split is "
        "answered by the mean of the folds' networks. "
        f"Seeds 1 to {settings['seeds']}; every training has {settings['epochs']} × "
        f"{settings['batches']} batches of {sum(results['batch'].values())} windows ({batch} of "
        f"{', '.join(results['batch'])}; where a data set is alone, all are of it). Emotify: "
        "Pearson's r over recordings, mean of joy, tension, calm and sadness. Means over seeds "
        "with Student's 95% interval; differences are paired by seed. All runs took "
        f"{results['minutes']:.0f} minutes.",
        "",
        f"**{JOINT}**: log-mel, notes and the tagger's embedding, all three data sets; the "
        "embedded model has two such networks for each fold, here it is one. **alone**: the same, "
        "trained on one data set. **from nothing**, **SimCLR**: backbones on log-mels alone. "
        f"**{CONSTANT}**: the best answer that is the same for every recording. **mel "
        "statistics**: logistic regression and ridge (linear), SVC and SVR (kernel) on means and "
        "spreads of the bands, fitted on the other folds, for the validation split on the whole "
        "train split. Constant and mel statistics do not depend on a seed.",
    ]


def _promised_lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "## Beside what was promised",
        "",
        "| figure | promised | joint | by the mean |",
        "|---|---:|---:|---|",
    ]
    for figure, own in found.items():
        low, high = own["interval"]
        way = "reached" if own["reached"] else "missed"
        lines.append(
            f"| {FIGURES[figure]} | {own['promised']:.2f} | {own['mean']:.3f} ({low:.3f} to "
            f"{high:.3f}) | {way} |"
        )
    return lines


def _folds_said(folds: Sequence[int]) -> str:
    numbers = listed([str(fold) for fold in folds])
    return f"fold{'s' if len(folds) > 1 else ''} {numbers}"


def _plot_name(number: int, folds: Sequence[int]) -> str:
    which = "" if not number else f"_folds_{'_'.join(map(str, folds))}"
    return f"{NAME}{which}.png"


def _table_lines(number: int, table: Mapping[str, Any]) -> list[str]:
    folds, rows = table["folds"], table["rows"]
    counts = ", ".join(
        f"{table['counts'][figure]:,} for {called}"
        for figure, called in FIGURES.items()
        if figure in table["counts"]
    )
    lines = [f"## Held out: {_folds_said(folds)}", "", f"Recordings: {counts}.", ""]
    if number:
        lines[2] += " Every row that ran on these folds, on them alone."
    for title, figures in (
        ("Labels of the data sets (native heads)", FIGURES),
        ("The served six, as far as the labels tell them apart", SIX_FIGURES),
    ):
        lines += [f"{title}:", "", *table_head(figures, "row")]
        for name, row in rows.items():
            if any(figure in row for figure in figures):
                cells = " | ".join(summary_cell(row, figure) for figure in figures)
                lines.append(f"| {name} | {cells} |")
        lines.append("")
    plot = _plot_name(number, folds)
    return [*lines, f"![{_title(folds)}]({plot})"]


def _title(folds: Sequence[int]) -> str:
    return f"held-out recordings of {_folds_said(folds)}, native heads (95% over seeds)"


def _network_lines(networks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "## Networks",
        "",
        "Parameters: of the whole network, heads included. A position: of the maps that the "
        "convolutions end in, and what it sees of the log-mel's bands and frames; its field may "
        "be larger than the window. The embedding's own network is part of a published tagger, is "
        "not trained, and is not counted.",
        "",
        "| row | parameters | trained | window | a position sees | beside that |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, size in networks.items():
        sees = "the whole window"
        if size["receptive_frames"] is not None:
            sees = (
                f"{size['receptive_bands']} bands × {size['receptive_frames']} frames "
                f"({size['receptive_s']:.2f} s)"
            )
        lines.append(
            f"| {name} | {size['parameters']:,} | {size['trained']:,} | {size['window_s']:.2f} s | "
            f"{sees} | {', '.join(size['whole'])} |"
        )
    return lines


def _plot(path: Path, table: FoldTable) -> None:
    """Bars of the native heads by data set; the specialised networks as one row of bars."""
    rows = table.summary()
    alone = {alone_name(dataset) for dataset in DATASET_HEADS}
    specialised = {
        figure: rows[alone_name(dataset)][figure]
        for figure, dataset in _DATASETS.items()
        if figure in rows.get(alone_name(dataset), {})
    }
    shown = {name: row for name, row in rows.items() if name not in alone}
    if specialised:
        shown[_EACH_ALONE] = specialised
    figures = [figure for figure in FIGURES if any(figure in row for row in shown.values())]
    nothing = {"mean": np.nan, "interval": [np.nan, np.nan]}  # no bar

    def of(row: Mapping[str, Any], figure: str) -> Mapping[str, Any]:
        own: Mapping[str, Any] = row.get(figure, nothing)
        return {"interval": nothing["interval"], **own}

    plot_bars(
        path,
        [textwrap.fill(FIGURES[figure], _WIDEST) for figure in figures],
        {name: [of(row, f)["mean"] for f in figures] for name, row in shown.items()},
        _title(table.folds),
        "macro-F1, Pearson's r, accuracy",
        {name: [of(row, f)["interval"] for f in figures] for name, row in shown.items()},
    )
