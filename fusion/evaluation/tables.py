"""Evaluation of models on any labelled table, beside the constant answer; results and plots.

Two tests come of a table of texts: the six emotions, and the native labels where a model
has a head for them (``fusion.evaluation.emotion_scores`` says how each is scored). A row
whose strongest two of the six tie, or whose labels stand for none of the six, is
left out of the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from data_prep.errors import InputError
from data_prep.readers.labelled_table import SIX, LabelledTable, LabelSet, label_set_of
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from fusion.evaluation.emotion_scores import (
    COLUMNS,
    RESAMPLES,
    THRESHOLD,
    Scored,
    score_native,
    score_six,
    strongest_of_six,
)
from fusion.evaluation.label_similarity import LabelSimilarity
from fusion.evaluation.plots import (
    axis_names,
    plot_confusion,
    plot_reliability,
    plot_similarity,
    plot_windows,
)
from fusion.evaluation.result_files import figure_cell, write_results
from fusion.evaluation.table_answers import AskedTable
from fusion.evaluation.text_models import CONSTANT, TextModel, distinct_names
from fusion.evaluation.window_curve import WindowCurve, curve_lines

Branch = Literal["lyrics", "audio"]
_TITLES: Final[dict[Branch, str]] = {"lyrics": "Lyric models", "audio": "Audio model"}
_REMARKS: Final[dict[Branch, str]] = {
    "lyrics": "",
    "audio": " All members answer, so recordings that the model trained on score too well.",
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One test of several models.

    Attributes
    ----------
    name
        Heading.
    label_set
        Of the classes.
    n, ties
        Rows, and rows left out because two emotions tie.
    unmapped
        Rows left out because their labels stand for none of the six.
    scored
        Name of a model → its figures.
    empty_classes
        Labels that no row has.
    curve
        Figures over the number of windows heard, of recordings.
    """

    name: str
    label_set: LabelSet
    n: int
    ties: int
    unmapped: int
    scored: Mapping[str, Scored]
    empty_classes: tuple[str, ...]
    curve: WindowCurve | None = None

    def to_json(self) -> dict[str, Any]:
        """Content of one entry of ``tests``."""
        content = {
            "name": self.name,
            "label_set": self.label_set.name,
            "n": self.n,
            "ties_left_out": self.ties,
            "unmapped_left_out": self.unmapped,
            "empty_classes": list(self.empty_classes),
            "models": {name: scored.figures for name, scored in self.scored.items()},
        }
        return content if self.curve is None else {**content, "windows": self.curve.to_json()}


def evaluations_of_table(
    name: str,
    table: LabelledTable,
    asked: AskedTable,
    models: Sequence[TextModel | None],
    similarities: Mapping[str, LabelSimilarity],
    *,
    threshold: float = THRESHOLD,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Evaluation]:
    """The tests that come of a table: the six, and the native labels where a model has them.

    Raises
    ------
    InputError
        If neither has a row.
    """
    names = distinct_names(models)
    label_set = table.label_set
    reference, labels, ties = strongest_of_six(label_set, asked.shares)
    kept = labels >= 0
    tests: list[Evaluation] = []
    if kept.any():
        scored = {
            model_name: score_six(
                labels[kept],
                reference[kept],
                None if answers is None else answers.six[kept],
                similarity=similarities.get(SIX),
                temperature=None if model is None else model.temperature,
                seed=seed,
                resamples=resamples,
            )
            for model_name, model, answers in zip(names, models, asked.answers, strict=True)
        }
        unmapped = int((~kept & ~ties).sum())
        empty = tuple(EMOTIONS[i] for i in range(N_EMOTIONS) if not (labels[kept] == i).any())
        six = label_set_of(SIX)
        tests.append(
            Evaluation(
                f"{name}, six emotions",
                six,
                int(kept.sum()),
                int(ties.sum()),
                unmapped,
                scored,
                empty,
            )
        )
    native = {
        model_name: None if answers is None else answers.native
        for model_name, answers in zip(names, asked.answers, strict=True)
        if answers is None or answers.native is not None
    }
    if label_set.name != SIX and any(answer is not None for answer in native.values()):
        scored = {
            model_name: score_native(
                label_set,
                asked.shares,
                answer,
                threshold=threshold,
                similarity=similarities.get(label_set.name),
                seed=seed,
                resamples=resamples,
            )
            for model_name, answer in native.items()
        }
        rows = np.count_nonzero(asked.shares, axis=0)
        empty = tuple(label for i, label in enumerate(label_set.labels) if rows[i] == 0)
        title = f"{name}, {label_set.name}"
        tests.append(Evaluation(title, label_set, len(asked.shares), 0, 0, scored, empty))
    if not tests:
        raise InputError(
            f"{table.name}: no row has one strongest emotion of the six "
            f"({int(ties.sum()):,} tie, the others' labels stand for none of them)"
        )
    return tests


def write_evaluation(
    out: Path,
    table: LabelledTable,
    asked: AskedTable,
    evaluations: Sequence[Evaluation],
    similarities: Mapping[str, LabelSimilarity],
    branch: Branch = "lyrics",
) -> dict[str, Any]:
    """Write ``table.json``, ``table.md``, the rows left out, plots and similarities.

    Parameters
    ----------
    branch
        Whose models these are.

    Returns
    -------
    The content of ``table.json``.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    results = table_results(table, asked, evaluations, similarities)
    write_results(out, "table", results, table_markdown(results, branch))
    write_problems(out / "left_out.jsonl", asked.problems)
    write_similarities(out, similarities)
    write_plots(out, evaluations)
    return results


def table_results(
    table: LabelledTable,
    asked: AskedTable,
    tests: Sequence[Evaluation],
    similarities: Mapping[str, LabelSimilarity],
) -> dict[str, Any]:
    """Content of ``table.json``."""
    return {
        "table": table.name,
        "label_set": table.label_set.name,
        "rows": asked.rows,
        "used": len(asked.shares),
        "left_out": dict(asked.left_out.most_common()),
        "mended_labels": [
            {"from": old, "to": new, "rows": count}
            for (old, new), count in asked.mended.most_common()
        ],
        "similarity": {
            name: {"file": f"similarity-{name}.json", "method": s.method, "source": s.source}
            for name, s in similarities.items()
        },
        "tests": [test.to_json() for test in tests],
    }


def write_problems(path: Path, problems: Iterable[Mapping[str, Any]]) -> None:
    """Rows left out, as JSON lines: row, reason and problem."""
    with path.open("w", encoding="utf-8") as lines:
        for problem in problems:
            text = json.dumps(problem, ensure_ascii=False)
            lines.write(text.encode("utf-8", "replace").decode("utf-8") + "\n")


def write_similarities(out: Path, similarities: Mapping[str, LabelSimilarity]) -> None:
    """``similarity-SET.json`` and its heatmap for each."""
    for name, similarity in similarities.items():
        similarity.save(out / f"similarity-{name}.json")
        label_set = LabelSet(name, similarity.labels)
        title = f"similarity of labels, {name} ({similarity.method})"
        plot = out / f"similarity-{name}.png"
        plot_similarity(plot, similarity.matrix, axis_names(label_set), title)


def write_plots(out: Path, tests: Sequence[Evaluation]) -> list[str]:
    """Reliability of all models of each test, and each model's confusion; names of the files."""
    written = []
    for number, test in enumerate(tests, start=1):
        stem = slug(test.name, f"test-{number}")
        written.append(f"reliability-{stem}.png")
        bins = {name: scored.bins for name, scored in test.scored.items()}
        plot_reliability(out / written[-1], bins, test.name)
        if test.curve is not None:
            written.append(f"windows-{stem}.png")
            plot_windows(out / written[-1], test.curve, test.name)
        for place, (name, scored) in enumerate(test.scored.items(), start=1):
            if scored.counts is None or name == CONSTANT:
                continue
            written.append(f"confusion-{stem}-{slug(name, f'model-{place}')}.png")
            names = axis_names(test.label_set)
            plot_confusion(out / written[-1], scored.counts, names, f"{test.name}: {name}")
    return written


def slug(text: str, otherwise: str) -> str:
    """A text as part of a file's name: lower case, ASCII, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or otherwise


def table_markdown(results: Mapping[str, Any], branch: Branch = "lyrics") -> str:
    """``table.md``."""
    title = f"# {_TITLES[branch]} on {results['table']}"
    lines = [title, "", f"Command: `maeum evaluate {branch}`.{_REMARKS[branch]}", ""]
    lines += [*row_lines(results), ""]
    for test in results["tests"]:
        lines += test_lines(test)
    return "\n".join(lines) + "\n"


def row_lines(results: Mapping[str, Any]) -> list[str]:
    """What became of the table's rows, in sentences."""
    lines = [f"{results['used']:,} of {results['rows']:,} rows used."]
    if results["left_out"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in results["left_out"].items())
        lines[0] += f" Left out: {reasons} (`left_out.jsonl` names each)."
    if results["mended_labels"]:
        mended = ", ".join(
            f"{m['from']} → {m['to']} ({m['rows']:,})" for m in results["mended_labels"]
        )
        lines.append(f"Labels with a typing error: {mended}.")
    for name, similarity in results["similarity"].items():
        lines.append(
            f"Similarity of {name} labels: {similarity['method']}, from {similarity['source']} "
            f"(`{similarity['file']}`)."
        )
    return lines


def test_lines(test: Mapping[str, Any]) -> list[str]:
    """One test: a row per model, then F1 of each class."""
    models: Mapping[str, Mapping[str, Any]] = test["models"]
    columns = [name for name in COLUMNS if any(name in figures for figures in models.values())]
    left = [f"{test['ties_left_out']:,} ties left out"] if test["ties_left_out"] else []
    if test["unmapped_left_out"]:
        left.append(f"{test['unmapped_left_out']:,} without a mapped label left out")
    lines = [f"## {test['name']} (n = {test['n']:,}{''.join(', ' + each for each in left)})", ""]
    if test["empty_classes"]:
        lines += [f"No row has {', '.join(test['empty_classes'])}.", ""]
    lines += [
        "| model | " + " | ".join(COLUMNS[name] for name in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, figures in models.items():
        lines.append(f"| {name} | " + " | ".join(figure_cell(figures, c) for c in columns) + " |")
    lines += ["", "F1 of each class:", "", "| class | rows | " + " | ".join(models) + " |"]
    lines.append("|---" * (len(models) + 2) + "|")
    (first, *_) = models.values()
    for label, of_class in first["per_class"].items():
        cells = [f"{figures['per_class'][label]['f1']:.3f}" for figures in models.values()]
        lines.append(f"| {label} | {of_class['support']:,} | " + " | ".join(cells) + " |")
    lines.append("")
    lines += correlation_lines(models, "r", "Pearson's r of each emotion, with ties:")
    lines += correlation_lines(models, "r_of_scales", "Pearson's r of each scale, with ties:")
    if "windows" in test:
        lines += curve_lines(test["windows"])
    return lines


def correlation_lines(
    models: Mapping[str, Mapping[str, Any]], figure: str, heading: str
) -> list[str]:
    """A row per column of a reference, for the models that have such a figure."""
    having = {name: figures[figure] for name, figures in models.items() if figure in figures}
    if not having:
        return []
    lines = [heading, "", "| | " + " | ".join(having) + " |", "|---" * (len(having) + 1) + "|"]
    for column in next(iter(having.values())):
        cells = [f"{values[column]:.3f}" for values in having.values()]
        lines.append(f"| {column} | {' | '.join(cells)} |")
    return [*lines, ""]
