"""How often the audio branch changes its mind when only the recording's technique changes.

Each recording is heard as it is, and after each of ``fusion.evaluation.sound_changes``: at
-12 dB, through mp3 at 64 kbit/s, at 8 kHz, and so on. *Unchanged* is the share of
recordings whose strongest emotion of the served six stays the same, with
Wilson's 95% interval; *distance* the mean total-variation distance of the two
distributions, from 0 to 1. A recording that has no answer after a change counts
as changed, with a distance of 1.

A constant answer never changes, so these figures say nothing without the accuracy
(for scales: the mean correlation) beside them. It is of the served six, as far as
the labels tell emotions apart, and its change comes with a 95% interval,
bootstrap over recordings.

Our own data sets are answered out of fold, as in ``fusion.evaluation.audio``: a
recording of fold *k* by member *k*, others by all members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_model.heads import DATASET_HEADS
from data_prep.errors import InputError, MissingDataError, explain
from data_prep.metrics import total_variation, wilson_interval
from data_prep.readers import emopia, emotify, ravdess_song
from data_prep.readers.labelled_table import LabelledTable
from data_prep.readers.row import ClipRow
from data_prep.splits import N_FOLDS, fold_of, split_of
from data_prep.taxonomy import N_EMOTIONS
from fusion.evaluation.audio_scores import MainMeasure
from fusion.evaluation.emotion_classes import EmotionClasses
from fusion.evaluation.listening import Listener, ProgressMaker, no_progress
from fusion.evaluation.recording_answers import NOT_HEARD
from fusion.evaluation.result_files import write_results
from fusion.evaluation.sound_changes import CHANGES, Change, Sound, unchanged
from fusion.evaluation.table_answers import LeftOutRows

RECORDINGS: Final = 60
ALL: Final = "all recordings"

_MEASURES: Final = {"accuracy": "accuracy", "mean_r": "mean r"}


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording that is changed.

    Attributes
    ----------
    number
        Of its row, from 1.
    path
        Its file.
    shares
        (n_labels,) of its labels; zeros where it has none.
    member
        Of the network that answers; all if ``None``.
    """

    number: int
    path: Path
    shares: NDArray[np.float32]
    member: int | None = None


@dataclass(frozen=True, eq=False)
class RobustnessTask:
    """Recordings of one source.

    Attributes
    ----------
    name
        Of the data set or table.
    classes
        What its labels tell apart.
    recordings
        The sample.
    n_all
        What it is a sample of.
    """

    name: str
    classes: EmotionClasses
    recordings: list[Recording]
    n_all: int


@dataclass(eq=False)
class ChangedAnswers:
    """What a model says of each recording, as it is and changed.

    Attributes
    ----------
    shares
        Labels of the recordings that were heard.
    before
        The served six (6,) of each, as it is.
    after
        Name of a change → likewise; NaN where there was no answer.
    """

    shares: list[NDArray[np.float32]] = field(default_factory=list)
    before: list[NDArray[np.float32]] = field(default_factory=list)
    after: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)


def sampled(
    recordings: Sequence[Recording], classes: EmotionClasses, n: int, seed: int
) -> list[Recording]:
    """At most ``n`` recordings, each class in its proportion, in their order."""
    if len(recordings) <= n:
        return list(recordings)
    strongest, _ = classes.strongest(np.stack([each.shares for each in recordings]))
    place = np.empty(len(recordings))
    random = np.random.default_rng(seed)
    for label in np.unique(strongest):
        members = random.permutation(np.flatnonzero(strongest == label))
        place[members] = (np.arange(len(members)) + random.random()) / len(members)
    return [recordings[i] for i in sorted(np.argsort(place, kind="stable")[:n])]


def tasks_of_data_sets(
    listener: Listener,
    work: Path,
    *,
    recordings: int = RECORDINGS,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> list[RobustnessTask]:
    """A sample of each of our data sets that is there.

    A model that has not one member per fold is asked about EMOPIA's validation
    split alone, which is in nobody's training data.

    Raises
    ------
    MissingDataError
        If there is nothing.
    """
    readers: dict[str, Callable[[], list[ClipRow]]] = {
        "ravdess_song": ravdess_song.read,
        "emotify": emotify.read,
        "emopia": partial(emopia.read, cache=work / "emopia"),
    }
    crossed = listener.n_members == N_FOLDS
    if not crossed:
        say(
            f"{listener.card.name!r} has {listener.n_members} member(s), not one for each of "
            f"{N_FOLDS} folds: only EMOPIA's validation split is heard"
        )
    tasks: list[RobustnessTask] = []
    missing: list[str] = []
    for dataset, read in readers.items():
        try:
            rows = read()
        except MissingDataError as error:
            missing.append(str(error))
            say(f"left out: {error}")
            continue
        classes = EmotionClasses.of(DATASET_HEADS[dataset])
        found = []
        for number, row in enumerate(rows, start=1):
            held_out = dataset == "emopia" and split_of(dataset, row.group) != "train"
            if crossed or held_out:
                member = None if held_out else fold_of(dataset, row.group)
                found.append(Recording(number, row.path, row.shares, member))
        if found:
            chosen = sampled(found, classes, recordings, seed)
            tasks.append(RobustnessTask(dataset, classes, chosen, len(found)))
    if not tasks:
        raise MissingDataError(f"no test data is there: {missing[0] if missing else 'none found'}")
    return tasks


def task_of_table(
    table: LabelledTable, *, recordings: int = RECORDINGS, seed: int = 0
) -> tuple[RobustnessTask, LeftOutRows]:
    """A sample of a table's recordings, and the rows that cannot be used.

    Raises
    ------
    InputError
        If no row can be.
    """
    left_out = LeftOutRows()
    found: list[Recording] = []
    for row in table.rows():
        if row.shares is None:
            left_out.add(row.number, str(row.reason), str(row.problem))
        else:
            found.append(Recording(row.number, Path(row.text), row.shares))
    if not found:
        raise left_out.nothing_left(table.name)
    classes = EmotionClasses.of(table.label_set.name)
    chosen = sampled(found, classes, recordings, seed)
    return RobustnessTask(table.name, classes, chosen, len(found)), left_out


def hear_changes(
    listener: Listener,
    task: RobustnessTask,
    left_out: LeftOutRows,
    *,
    changes: Mapping[str, Change] = CHANGES,
    advance: Callable[[int], None] = lambda done: None,
) -> ChangedAnswers:
    """Hear a task's recordings, as they are and after each change.

    Parameters
    ----------
    left_out
        Takes the recordings that cannot be heard as they are, or not be changed.
    advance
        Told of each recording that was done.
    """
    answers = ChangedAnswers(after={name: [] for name in changes})
    for recording in task.recordings:
        try:
            sound = Sound.of(recording.path)
            before = _six(listener, unchanged(sound), recording.member)
            changed = {name: change(sound) for name, change in changes.items()}
        except Exception as error:
            problem = explain(error)
            if str(recording.path) not in problem:
                problem = f"{recording.path}: {problem}"
            left_out.add(recording.number, NOT_HEARD, problem)
        else:
            answers.shares.append(recording.shares)
            answers.before.append(before)
            for name, waveform in changed.items():
                try:
                    after = _six(listener, waveform, recording.member)
                except InputError:  # nothing is left to hear
                    after = np.full(N_EMOTIONS, np.nan, dtype=np.float32)
                answers.after[name].append(after)
        advance(1)
    return answers


def _six(
    listener: Listener, waveform: tuple[NDArray[np.float32], int], member: int | None
) -> NDArray[np.float32]:
    six: NDArray[np.float32] = listener.hear_waveform(*waveform, member=member).six.mean(axis=0)
    return six


def stability_figures(
    before: NDArray[np.floating[Any]], after: NDArray[np.floating[Any]]
) -> dict[str, Any]:
    """How much two answers (n, 6) to the same recordings have in common; NaN is no answer."""
    answered = np.isfinite(after).all(axis=1)
    same = answered & (before.argmax(axis=1) == np.nan_to_num(after).argmax(axis=1))
    distance = np.ones(len(before))
    if answered.any():
        distance[answered] = total_variation(before[answered], after[answered])
    n, n_same = len(before), int(same.sum())
    return {
        "n": n,
        "no_answer": int((~answered).sum()),
        "unchanged": n_same,
        "share": n_same / n,
        "share_interval": list(wilson_interval(n_same, n)),
        "distance": float(distance.mean()),
    }


def task_figures(task: RobustnessTask, answers: ChangedAnswers, *, seed: int = 0) -> dict[str, Any]:
    """Content of one entry of ``tests``.

    Returns
    -------
    ``changes`` and, where labels are, ``measure`` with ``before``, ``constant``, and
    in each change ``after`` and ``change``.
    """
    shares, before = np.stack(answers.shares), np.stack(answers.before)
    figures: dict[str, Any] = {"name": task.name, "n": len(before), "of": task.n_all}
    measure = MainMeasure.of(task.classes, shares)
    if measure is not None:
        masses = task.classes.of_six(before)
        figures |= {
            "measure": measure.name,
            "labelled": int(measure.kept.sum()),
            "before": measure.value(masses),
            "before_interval": measure.interval(masses, seed=seed),
            "constant": measure.constant(),
        }
    figures["changes"] = {}
    for name, rows in answers.after.items():
        after = np.stack(rows)
        found = stability_figures(before, after)
        answered = np.isfinite(after).all(axis=1)
        # Both answers are scored on the recordings that have both.
        own = MainMeasure.of(task.classes, shares[answered]) if answered.any() else None
        if own is not None:
            old, new = (task.classes.of_six(each[answered]) for each in (before, after))
            found |= {
                "after": own.value(new),
                "after_interval": own.interval(new, seed=seed),
                "change": own.value(new) - own.value(old),
                "change_interval": own.change_interval(old, new, seed=seed),
            }
        figures["changes"][name] = found
    return figures


def evaluate_robustness(
    out: Path,
    listener: Listener,
    tasks: Sequence[RobustnessTask],
    *,
    left_out: LeftOutRows | None = None,
    changes: Mapping[str, Change] = CHANGES,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    progress: ProgressMaker = no_progress,
) -> dict[str, Any]:
    """Hear all tasks and write ``audio_robustness.json`` and ``audio_robustness.md``.

    Parameters
    ----------
    left_out
        Rows that were left out before.
    say, progress
        Receive lines of progress, and count the recordings.

    Returns
    -------
    The content of ``audio_robustness.json``.

    Raises
    ------
    InputError
        If no recording can be heard.
    """
    left_out = LeftOutRows() if left_out is None else left_out
    tests: list[dict[str, Any]] = []
    heard: list[ChangedAnswers] = []
    for task in tasks:
        say(f"{task.name}: {len(task.recordings):,} of {task.n_all:,} recordings …")
        with progress(len(task.recordings), "recordings") as advance:
            answers = hear_changes(listener, task, left_out, changes=changes, advance=advance)
        if answers.before:
            heard.append(answers)
            tests.append(task_figures(task, answers, seed=seed))
    if not tests:
        raise left_out.nothing_left(tasks[0].name)
    results: dict[str, Any] = {
        "model": listener.card.name,
        "model_hash": listener.model_hash,
        "seed": seed,
        "left_out": dict(left_out.reasons.most_common()),
        "problems": left_out.in_order(),
        "tests": tests,
    }
    if len(tests) > 1:
        before = np.concatenate([np.stack(each.before) for each in heard])
        results["all"] = {
            name: stability_figures(
                before, np.concatenate([np.stack(each.after[name]) for each in heard])
            )
            for name in changes
        }
    write_results(out, "audio_robustness", results, robustness_markdown(results))
    return results


def robustness_markdown(results: Mapping[str, Any]) -> str:
    """The tables of ``audio_robustness.md``."""
    lines = [
        "# Audio branch on recordings of other loudness, codec and sample rate",
        "",
        "Command: `maeum evaluate audio --robustness`. Unchanged: the strongest emotion of the "
        "served six is the same as for the recording as it is (95%, Wilson). Distance: total "
        "variation of the two distributions, mean. A constant answer never changes: its line "
        "says that these figures mean nothing without the accuracy beside them.",
        "",
    ]
    if results["left_out"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in results["left_out"].items())
        lines += [f"Left out: {reasons}.", ""]
    if "all" in results:
        n = next(iter(results["all"].values()))["n"]
        lines += [
            f"## {ALL} (n = {n:,})",
            "",
            "| change | unchanged (95%) | distance |",
            "|---|---|---|",
            *(
                f"| {name} | {_share(f)} | {f['distance']:.3f} |"
                for name, f in results["all"].items()
            ),
            "| any, constant answer | 100.0% | 0.000 |",
            "",
        ]
    for test in results["tests"]:
        lines += _test_lines(test)
    return "\n".join(lines)


def _test_lines(test: Mapping[str, Any]) -> list[str]:
    lines = [f"## {test['name']} (n = {test['n']:,} of {test['of']:,})", ""]
    if "measure" not in test:
        lines += ["| change | unchanged (95%) | distance |", "|---|---|---|"]
        for name, figures in test["changes"].items():
            lines.append(f"| {name} | {_share(figures)} | {figures['distance']:.3f} |")
        return [*lines, "| any, constant answer | 100.0% | 0.000 |", ""]
    measure = _MEASURES[test["measure"]]
    lines += [
        f"| change | unchanged (95%) | distance | {measure} (95%) | change of {measure} (95%) |",
        "|---|---|---|---|---|",
        f"| none |  |  | {_figure(test, 'before')} |  |",
    ]
    for name, figures in test["changes"].items():
        cells = [_share(figures), f"{figures['distance']:.3f}"]
        cells += [_figure(figures, "after"), _figure(figures, "change", sign="+")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append(f"| any, constant answer | 100.0% | 0.000 | {test['constant']:.3f} | +0.000 |")
    return [*lines, ""]


def _share(figures: Mapping[str, Any]) -> str:
    low, high = figures["share_interval"]
    shown = f"{figures['share']:.1%} ({low:.1%} to {high:.1%})"
    return shown + (f", {figures['no_answer']:,} without answer" if figures["no_answer"] else "")


def _figure(figures: Mapping[str, Any], name: str, sign: str = "") -> str:
    if name not in figures:
        return ""
    low, high = figures[f"{name}_interval"]
    return f"{figures[name]:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"
