"""What a run of domain-adaptive pretraining measured: JSON, Markdown and figures."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lyrics_model.domains import CHART, HEATMAP, VocabularyOverlap
from lyrics_model.token_file import time_left, write_json

REPORT: Final = "report.json"
TEXT: Final = "report.md"
LOSSES: Final = "losses.png"
PERPLEXITIES: Final = "perplexities.png"


@dataclass(frozen=True)
class StageFigures:
    """One stage.

    Attributes
    ----------
    name, file
        Of the domain and its text file.
    texts, held_out_texts, tokens
        Training texts, held-out texts, training pieces.
    unknown_share
        Of all pieces, that the vocabulary does not know.
    malformed_lines
        Lines left out because they are not UTF-8.
    steps, passes, seconds
        Length of the training.
    perplexity
        Of every domain after this stage.
    losses
        Mean loss of each step.
    """

    name: str
    file: str
    texts: int
    held_out_texts: int
    tokens: int
    unknown_share: float
    malformed_lines: int
    steps: int
    passes: float
    seconds: float
    perplexity: dict[str, float]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class DaptReport:
    """A whole run; ``stages`` in the order they were run in."""

    encoder: str
    fresh_head: bool
    device: str
    precision: str
    block: int
    configuration: dict[str, Any]
    before: dict[str, float]
    stages: tuple[StageFigures, ...]


def write_report(report: DaptReport, overlap: VocabularyOverlap | None, folder: Path) -> None:
    """Write report.md, losses.png, perplexities.png and, last, report.json.

    Where report.json is, the run is finished. The overlap's own files are there already.
    """
    _draw_losses(report, folder / LOSSES)
    if report.before:
        _draw_perplexities(report, folder / PERPLEXITIES)
    partial = folder / (TEXT + ".partial")
    partial.write_text(_as_markdown(report, overlap), encoding="utf-8")
    os.replace(partial, folder / TEXT)
    write_json(folder / REPORT, asdict(report))


def _as_markdown(report: DaptReport, overlap: VocabularyOverlap | None) -> str:
    settings = report.configuration
    lines = [
        f"# {report.encoder}, adapted",
        "",
        f"Masked-language modelling in {len(report.stages)} stage(s): blocks of {report.block} "
        f"pieces, {settings['batch'] * settings['accumulate']} blocks a step, "
        f"{settings['masked_share']:.0%} masked"
        f"{' by whole words' if settings['whole_words'] else ''}, learning rate "
        f"{settings['learning_rate']:g}, weight decay {settings['weight_decay']:g}, "
        f"{report.precision} on {report.device}, seed {settings['seed']}.",
        "",
    ]
    if report.fresh_head:
        lines += [
            "The encoder came without a vocabulary head and got a fresh one: the perplexities "
            "before the first stage say nothing about it.",
            "",
        ]
    lines += [
        "## Stages",
        "",
        "| stage | texts | held out | pieces | unknown | malformed lines | steps | passes | time "
        "| first loss | last loss |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for stage in report.stages:
        first, last = (float(np.mean(part)) for part in _ends(stage.losses))
        lines.append(
            f"| {stage.name} | {stage.texts:,} | {stage.held_out_texts:,} | {stage.tokens:,} "
            f"| {stage.unknown_share:.2%} | {stage.malformed_lines:,} | {stage.steps:,} "
            f"| {stage.passes:.2f} | {time_left(stage.seconds)} | {first:.3f} | {last:.3f} |"
        )
    lines += ["", f"![losses]({LOSSES})", ""]
    if report.before:
        names = list(report.before)
        lines += [
            "## Perplexity on held-out text",
            "",
            "exp of the mean cross-entropy of masked pieces, the same pieces in every row.",
            "",
            f"| after | {' | '.join(names)} |",
            "|---" * (len(names) + 1) + "|",
        ]
        for label, row in _perplexity_rows(report):
            lines.append(f"| {label} | {' | '.join(f'{row[name]:,.2f}' for name in names)} |")
        lines += ["", f"![perplexities]({PERPLEXITIES})", ""]
    if overlap is not None:
        lines += [
            "## Vocabulary in common",
            "",
            f"Of the {overlap.size:,} most frequent {overlap.unit} of each domain.",
            "",
            f"| | {' | '.join(overlap.names)} |",
            "|---" * (len(overlap.names) + 1) + "|",
        ]
        for name, shares in zip(overlap.names, overlap.shares, strict=True):
            lines.append(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |")
        lines += ["", f"![heatmap]({HEATMAP})", "", f"![chart]({CHART})", ""]
    return "\n".join(lines)


def _perplexity_rows(report: DaptReport) -> list[tuple[str, dict[str, float]]]:
    return [("nothing yet", report.before)] + [
        (stage.name, stage.perplexity) for stage in report.stages
    ]


def _ends(losses: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """First and last tenth, at least one step each."""
    tenth = max(1, len(losses) // 10)
    return losses[:tenth], losses[-tenth:]


def smoothed(values: tuple[float, ...], over: int) -> NDArray[np.float64]:
    """Mean of each value and the ones before it, at most ``over`` of them."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(sums))
    starts = np.maximum(ends - over, 0)
    mean: NDArray[np.float64] = (sums[ends] - sums[starts]) / (ends - starts)
    return mean


def _draw_losses(report: DaptReport, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    start = 0
    for number, stage in enumerate(report.stages):
        steps = np.arange(start + 1, start + 1 + len(stage.losses))
        colour = f"C{number % 10}"
        axes.plot(steps, stage.losses, color=colour, alpha=0.25, linewidth=0.8)
        over = max(5, len(stage.losses) // 50)
        axes.plot(steps, smoothed(stage.losses, over), color=colour, label=stage.name)
        start += len(stage.losses)
        if number < len(report.stages) - 1:
            axes.axvline(start + 0.5, color="grey", linewidth=0.6, linestyle=":")
    axes.set_xlabel("step")
    axes.set_ylabel("loss of masked pieces")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _draw_perplexities(report: DaptReport, path: Path) -> None:
    from matplotlib.figure import Figure

    rows = _perplexity_rows(report)
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name in report.before:
        axes.plot([label for label, _ in rows], [row[name] for _, row in rows], "o-", label=name)
    axes.set_yscale("log")
    axes.set_xlabel("after the stage")
    axes.set_ylabel("held-out perplexity")
    axes.legend(frameon=False, title="domain")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
