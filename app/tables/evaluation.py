"""``maeum evaluate lyrics`` with ``--table`` or ``--compare``: models asked, figures written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.progress import counting
from data_prep.readers.labelled_table import (
    LabelledTable,
    LabelSet,
    label_set_of,
    open_labelled_table,
)
from fusion.analysis import load_lyric_predictor
from fusion.evaluation.label_similarity import similarities_for
from fusion.evaluation.lyrics import lyric_tasks
from fusion.evaluation.model_comparison import compare_models, compare_on_tasks, write_comparison
from fusion.evaluation.table_answers import ask_models
from fusion.evaluation.tables import evaluations_of_table, write_evaluation
from fusion.evaluation.text_models import PredictorModel, TextModel, fit_linear, load_model

_SHOWN = 5


@dataclass(frozen=True)
class TableOptions:
    """What the command line says of a labelled table; see its help."""

    table: Path
    text_column: str
    label_column: str
    label_set: str
    training_table: Path | None
    similarity: Path | None
    as_songs: bool
    threshold: float


def evaluate_table(
    out: Path, options: TableOptions, names: Sequence[str] | None, model: Path | None
) -> tuple[dict[str, Any], Path]:
    """Measure models on a labelled table.

    Parameters
    ----------
    out
        Folder for what is written.
    options
        The table, and how to read it.
    names
        Models to compare; ``None`` for one beside the constant answer.
    model
        That one's folder; ``None`` for the embedded model.

    Returns
    -------
    Content of ``table.json``, with the ``comparisons`` where models were compared,
    and the Markdown file to show.

    Raises
    ------
    InputError
        If the table or an option cannot be used, or no row is left.
    """
    label_set = label_set_of(options.label_set)
    table = _open(options.table, label_set, options)
    training = None
    if options.training_table is not None:
        training = _open(options.training_table, label_set, options)
    similarities = similarities_for(label_set, file=options.similarity, training=training, say=_say)
    asked_of: list[TextModel | None]
    if names is None:
        predictor = load_lyric_predictor(model)
        asked_of = [
            None,
            PredictorModel(predictor, label_set=label_set.name, as_songs=options.as_songs),
        ]
    else:
        asked_of = _models(names, partial(fit_linear, training), label_set.name, options.as_songs)
    with counting(table.length, "texts") as advance:
        asked = ask_models(table, asked_of, advance=advance)
    evaluations = evaluations_of_table(
        table.name, table, asked, asked_of, similarities, threshold=options.threshold
    )
    results = write_evaluation(out, table, asked, evaluations, similarities)
    shown = out / "table.md"
    if names is not None:
        compared = [compare_models(each, asked, asked_of) for each in evaluations]
        results |= write_comparison(out, compared)
        shown = out / "comparison.md"
    tell_left_out(asked.rows, results["left_out"], asked.problems, out / "left_out.jsonl")
    return results, shown


def tell_left_out(
    rows: int, reasons: Mapping[str, int], problems: Sequence[Mapping[str, Any]], file: Path
) -> None:
    """Say how many rows were left out, and why the first of them were."""
    if not problems:
        return
    shown = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    _say(f"{len(problems):,} of {rows:,} rows left out ({shown}):")
    for problem in problems[:_SHOWN]:
        _say(f"  row {problem['row']}: {problem['problem']}")
    if len(problems) > _SHOWN:
        _say(f"  and {len(problems) - _SHOWN:,} more; all are in {file}")


def compare_on_tests(out: Path, names: Sequence[str]) -> dict[str, Any]:
    """Measure models side by side on the committed tests; gives ``comparison.json``.

    Raises
    ------
    InputError
        If a name is no model.
    MissingDataError
        If no test data is there.
    """
    tasks = lyric_tasks()
    similarities = similarities_for(label_set_of("six"), say=_say)
    models = _models(names, fit_linear, None, False)
    with counting(sum(len(task.texts) for task in tasks), "texts") as advance:
        return compare_on_tasks(out, tasks, models, similarities, advance=advance)


def _open(path: Path, label_set: LabelSet, options: TableOptions) -> LabelledTable:
    return open_labelled_table(
        path, label_set, text_column=options.text_column, label_column=options.label_column
    )


def _models(
    names: Sequence[str], fit: Callable[[], Any], label_set: str | None, as_songs: bool
) -> list[TextModel | None]:
    return [
        load_model(name, fit_linear=fit, label_set=label_set, as_songs=as_songs) for name in names
    ]


def _say(text: str) -> None:
    print(text, file=sys.stderr)
