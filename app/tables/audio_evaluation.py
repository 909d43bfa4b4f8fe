"""``maeum evaluate audio`` with ``--table`` or ``--robustness``: models heard, figures written."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.progress import counting
from app.tables.evaluation import tell_left_out
from data_prep.readers.labelled_table import LabelledTable, open_recording_table
from fusion.evaluation.audio_robustness import (
    evaluate_robustness,
    task_of_table,
    tasks_of_data_sets,
)
from fusion.evaluation.audio_tables import audio_label_set, evaluation_of_recordings
from fusion.evaluation.listening import Listener
from fusion.evaluation.recording_answers import hear_table
from fusion.evaluation.tables import write_evaluation


@dataclass(frozen=True)
class RecordingTableOptions:
    """What the command line says of a table of recordings; see its help."""

    table: Path
    audio_column: str
    label_column: str | None
    label_set: str


def evaluate_recordings(
    out: Path, options: RecordingTableOptions, model: Path | None
) -> tuple[dict[str, Any], Path]:
    """Measure a model on a labelled table of recordings.

    Parameters
    ----------
    out
        Folder for what is written.
    options
        The table, and how to read it.
    model
        Model folder; ``None`` for the embedded model.

    Returns
    -------
    Content of ``table.json``, and the Markdown file to show.

    Raises
    ------
    InputError
        If the table or an option cannot be used, or no row is left.
    """
    table = _open(options)
    listener = Listener.load(model)
    with counting(table.length, "recordings") as advance:
        heard = hear_table(table, listener, advance=advance)
    evaluation = evaluation_of_recordings(table, heard, listener.card)
    asked = heard.asked
    results = write_evaluation(out, table, asked, [evaluation], {}, branch="audio")
    tell_left_out(asked.rows, results["left_out"], asked.problems, out / "left_out.jsonl")
    return results, out / "table.md"


def evaluate_changes(
    out: Path,
    options: RecordingTableOptions | None,
    model: Path | None,
    *,
    recordings: int,
    work: Path,
) -> tuple[dict[str, Any], Path]:
    """Measure how much changes of gain, codec and sample rate change a model's answers.

    Parameters
    ----------
    out
        Folder for what is written.
    options
        A table of recordings, with labels or without; ``None`` for our data sets.
    model
        Model folder; ``None`` for the embedded model.
    recordings
        At most so many are taken of each data set.
    work
        Work folder with the rendered EMOPIA clips.

    Returns
    -------
    Content of ``audio_robustness.json``, and the Markdown file to show.

    Raises
    ------
    InputError
        If the table or an option cannot be used, or nothing can be heard.
    MissingDataError
        If no table is given and no data set is there.
    """
    table = None if options is None else _open(options, labels_needed=False)
    listener = Listener.load(model)
    if table is None:
        tasks = tasks_of_data_sets(listener, work, recordings=recordings, say=_say)
        left_out = None
        rows = sum(len(task.recordings) for task in tasks)
    else:
        task, left_out = task_of_table(table, recordings=recordings)
        tasks, rows = [task], table.length
    results = evaluate_robustness(
        out, listener, tasks, left_out=left_out, say=_say, progress=counting
    )
    file = out / "audio_robustness.json"
    tell_left_out(rows, results["left_out"], results["problems"], file)
    return results, out / "audio_robustness.md"


def _open(options: RecordingTableOptions, *, labels_needed: bool = True) -> LabelledTable:
    return open_recording_table(
        options.table,
        audio_label_set(options.label_set),
        audio_column=options.audio_column,
        label_column=options.label_column,
        labels_needed=labels_needed,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
