"""The published model-selection table: several models on the same texts, in one run.

Per model: F1, accuracy, cross-entropy, calibration error, size of its files,
sentences per second, and whether its share of right answers differs from the
first model's (McNemar's test; p-values are not corrected for their number).
On a table, models take turns block by block, so that their speeds are those of
one machine at one time; on the committed tests, test by test. Loading is not
counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from data_prep.metrics import mcnemar
from data_prep.readers.labelled_table import SIX, LabelledRow, LabelledTable, label_set_of
from fusion.evaluation.emotion_scores import RESAMPLES
from fusion.evaluation.label_similarity import LabelSimilarity
from fusion.evaluation.lyrics import LyricTask
from fusion.evaluation.result_files import write_results
from fusion.evaluation.table_answers import AskedTable, ask_models
from fusion.evaluation.tables import Evaluation, evaluations_of_table, write_plots
from fusion.evaluation.text_models import TextModel, distinct_names

MEASURES: Final[dict[str, str]] = {
    "macro_f1": "macro-F1 (95%)",
    "micro_f1": "micro-F1",
    "accuracy": "accuracy (95%)",
    "cross_entropy": "cross-entropy",
    "ece": "ECE",
    "ece_calibrated": "ECE calibrated",
}
_WITH_INTERVAL: Final = frozenset({"macro_f1", "accuracy"})


def compare_models(
    evaluation: Evaluation, asked: AskedTable, models: Sequence[TextModel | None]
) -> dict[str, Any]:
    """One test's comparison.

    Parameters
    ----------
    evaluation
        The models' figures.
    asked
        Their answers, for the time they took.
    models
        In the order of the command; ``None`` for the constant answer.

    Returns
    -------
    ``name``, ``n`` and ``models``: per model its figures, ``size_mb``,
    ``sentences_per_second`` and ``mcnemar`` against the first one (``None`` for
    the first, and where a figure has no meaning).
    """
    first: str | None = None
    rows = []
    for name, model, answers in zip(distinct_names(models), models, asked.answers, strict=True):
        scored = evaluation.scored.get(name)
        if scored is None:  # it has no head for these labels
            continue
        first = first or name
        row: dict[str, Any] = {"name": name}
        for measure in MEASURES:
            for key in (measure, f"{measure}_interval"):
                if key in scored.figures:
                    row[key] = scored.figures[key]
        row["size_mb"] = None if model is None else model.size_mb
        row["sentences_per_second"] = (
            None if answers is None or not answers.seconds else asked.asked / answers.seconds
        )
        row["mcnemar"] = None
        if name != first:
            test = mcnemar(evaluation.scored[first].right, scored.right)
            row["mcnemar"] = {
                "only_first": test.only_first,
                "only_this": test.only_second,
                "statistic": test.statistic,
                "exact": test.exact,
                "p_value": test.p_value,
            }
        rows.append(row)
    return {"name": evaluation.name, "n": evaluation.n, "models": rows}


def compare_on_tasks(
    out: Path,
    tasks: Sequence[LyricTask],
    models: Sequence[TextModel | None],
    similarities: Mapping[str, LabelSimilarity],
    *,
    advance: Callable[[int], None] = lambda rows: None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compare models on the committed test sets; writes as :func:`write_comparison`, and plots.

    Raises
    ------
    InputError
        If no text is left of a test.
    """
    comparisons = []
    evaluations = []
    for task in tasks:
        table = table_of_task(task)
        # Asked at once, as `evaluate_lyrics` does it: both give the same figures.
        asked = ask_models(table, models, advance=advance, rows_per_block=max(table.length, 1))
        (found,) = evaluations_of_table(
            task.name, table, asked, models, similarities, resamples=resamples
        )
        evaluations.append(replace(found, name=task.name, ties=task.ties))
        comparisons.append(compare_models(evaluations[-1], asked, models))
    results = write_comparison(out, comparisons)
    write_plots(out, evaluations)
    return results


def table_of_task(task: LyricTask) -> LabelledTable:
    """A committed test as a labelled table of the six emotions, all of whose rows are used."""
    reference = task.reference.astype(np.float32)
    rows = [
        LabelledRow(number, text, shares)
        for number, (text, shares) in enumerate(zip(task.texts, reference, strict=True), start=1)
    ]
    return LabelledTable(task.name, label_set_of(SIX), len(rows), lambda: iter(rows))


def write_comparison(out: Path, comparisons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write ``comparison.json`` and ``comparison.md``; gives the content of the first."""
    results = {"comparisons": list(comparisons)}
    write_results(out, "comparison", results, comparison_markdown(results))
    return results


def comparison_markdown(results: Mapping[str, Any]) -> str:
    """The tables of ``comparison.md``."""
    lines = ["# Models side by side", "", "Command: `maeum evaluate lyrics --compare`.", ""]
    for comparison in results["comparisons"]:
        models: Sequence[Mapping[str, Any]] = comparison["models"]
        measures = [m for m in MEASURES if any(m in model for model in models)]
        headings = [MEASURES[m] for m in measures]
        headings += ["MB", "sentences/s", f"p against {models[0]['name']}"]
        lines += [
            f"## {comparison['name']} (n = {comparison['n']:,})",
            "",
            f"| model | {' | '.join(headings)} |",
            "|---" * (len(headings) + 1) + "|",
        ]
        for model in models:
            cells = [_figure(model, measure) for measure in measures]
            size, speed = model["size_mb"], model["sentences_per_second"]
            cells.append("" if size is None else f"{size:.1f}")
            cells.append("" if speed is None else f"{speed:,.0f}")
            cells.append("" if model["mcnemar"] is None else _p_value(model["mcnemar"]))
            lines.append(f"| {model['name']} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines) + "\n"


def _figure(model: Mapping[str, Any], measure: str) -> str:
    if measure not in model:
        return ""
    value = f"{model[measure]:.3f}"
    if measure in _WITH_INTERVAL:
        low, high = model[f"{measure}_interval"]
        value += f" ({low:.3f} to {high:.3f})"
    return value


def _p_value(test: Mapping[str, Any]) -> str:
    p = test["p_value"]
    shown = "< 0.0001" if p < 1e-4 else f"{p:.4f}"
    return f"{shown}{' (exact)' if test['exact'] else ''}"
