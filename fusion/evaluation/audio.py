"""Evaluation of the audio branch on recordings it did not train on, beside its baselines.

The network's members are cross-fitted: member *k* never heard fold *k*. A
recording of fold *k* is answered by member *k* alone, so the shipped weights are
measured on every actor of RAVDESS, every recording of Emotify and every song of
EMOPIA's train split. EMOPIA's validation split is in nobody's training data and
is answered by all members, as a user's own recording is; a model that has not one
member per fold is measured on it alone.

Each data set is measured on its own labels (native head, where the model has it),
and on the served six as far as its labels tell emotions apart
(``fusion.evaluation.emotion_classes``). Pearson's r on Emotify is over recordings, for the
four emotions that its scales map to (native: sums of scales; served six: shares)
and for the scales themselves; its accuracy is of the strongest of the four.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_model import baseline, input_cache
from audio_model.folds import clip_fold
from audio_model.heads import DATASET_HEADS
from audio_model.input_cache import Clip
from audio_model.predictor import AudioPredictor
from audio_model.windows import TEN_SECONDS
from data_prep.errors import MissingDataError, MissingExtraError, ModelFolderError
from data_prep.metrics import Reliability, accuracy, bootstrap_interval, confusion, pearson_r
from data_prep.model_folder import read_card, write_card
from data_prep.splits import N_FOLDS
from fusion.calibration import calibrate
from fusion.evaluation.audio_scores import (
    MainMeasure,
    answer_figures,
    axis_figures,
    calibration_figures,
    correlation_figures,
)
from fusion.evaluation.emotion_classes import FOUR, EmotionClasses, class_shares
from fusion.evaluation.listening import Heard, ProgressMaker, heard, no_progress, recording_answers
from fusion.evaluation.plots import plot_reliability, plot_windows
from fusion.evaluation.result_files import figure_cell, write_results
from fusion.evaluation.tables import correlation_lines, slug
from fusion.evaluation.window_curve import WindowCurve, curve_lines, window_curve
from fusion.settings import BranchCalibration

WORK: Final = Path(".work")
FITTED: Final = "fitted now"

_COLUMNS: Final = {
    "macro_f1": "macro-F1 (95%)",
    "accuracy": "accuracy (95%)",
    "balanced_accuracy": "balanced accuracy",
    "arousal": "arousal (95%)",
    "valence": "valence (95%)",
    "nll_calibrated": "nll, calibrated",
    "ece": "ece",
    "ece_calibrated": "ece, calibrated",
}
_R_COLUMNS: Final = ("accuracy", "ece", "ece_calibrated")


@dataclass(frozen=True, eq=False)
class AudioTask:
    """One test.

    Attributes
    ----------
    name, dataset
        What it is.
    clips
        The recordings.
    folds
        Array (n_clips,): the member that answers each; -1 for all members.
    training
        What the baselines are fitted on; empty where they are fitted on the other
        folds.
    heard
        Answers to each recording.
    """

    name: str
    dataset: str
    clips: list[Clip]
    folds: NDArray[np.int64]
    training: list[Clip]
    heard: list[Heard]

    @property
    def classes(self) -> EmotionClasses:
        """What the labels tell apart."""
        return EmotionClasses.of(DATASET_HEADS[self.dataset])

    @property
    def targets(self) -> NDArray[np.float32]:
        """Array (n_clips, n_native) of the labels' shares."""
        return np.stack([clip.shares for clip in self.clips])

    @property
    def native(self) -> list[NDArray[np.float32]] | None:
        """Probabilities of the native head by window; ``None`` if the model has none."""
        found = [each.native for each in self.heard if each.native is not None]
        return found or None

    @property
    def six(self) -> list[NDArray[np.float32]]:
        """The served six by window."""
        return [each.six for each in self.heard]


@dataclass(frozen=True, eq=False)
class _Answered:
    """Figures of the network on one test, and what plots show of them."""

    figures: dict[str, dict[str, Any]]
    bins: dict[str, Reliability]
    curve: WindowCurve | None


def audio_tasks(
    predictor: AudioPredictor,
    work: Path = WORK,
    *,
    say: Callable[[str], None],
    progress: ProgressMaker = no_progress,
) -> list[AudioTask]:
    """Answers of the model for all tests whose data is there.

    Raises
    ------
    MissingDataError
        If none is.
    ModelFolderError
        If the model hears other spectrograms than our own recordings are prepared as, or
        is not cross-fitted, and EMOPIA's validation split is not there.
    """
    _refuse_other_spectrograms(predictor)
    tasks: list[AudioTask] = []
    missing: list[str] = []
    embed = None if predictor.front_end.embedding is None else predictor.patch_embeddings
    crossed = predictor.n_members == N_FOLDS
    if not crossed:
        say(
            f"{predictor.card.name!r} has {predictor.n_members} member(s), not one for each of "
            f"{N_FOLDS} folds: no answer to its training data is out of fold, so it is measured "
            "on EMOPIA's validation split alone"
        )
    for dataset, head in DATASET_HEADS.items():
        if not crossed and dataset != "emopia":
            continue
        say(f"listening to {dataset} …")
        try:
            clips = input_cache.clips(work, dataset, embed=embed, say=say)
        except MissingDataError as error:
            missing.append(str(error))
            continue
        fold_of = [clip_fold(clip) for clip in clips]
        held = [clip for clip, fold in zip(clips, fold_of, strict=True) if fold is not None]
        parts = {"validation": [i for i, fold in enumerate(fold_of) if fold is None]}
        if crossed:
            folded = [i for i, fold in enumerate(fold_of) if fold is not None]
            parts = {"out of fold": folded, **parts}
        for part, chosen in parts.items():
            if not chosen:
                continue
            folds = [fold_of[i] for i in chosen]
            answers = []
            with progress(len(chosen), "recordings") as advance:
                for i in chosen:
                    members = predictor.read_members(clips[i].windows(predictor.front_end))
                    answers.append(heard(predictor, members, head, fold_of[i]))
                    advance(1)
            tasks.append(
                AudioTask(
                    f"{dataset}, {part}",
                    dataset,
                    [clips[i] for i in chosen],
                    np.array([-1 if fold is None else fold for fold in folds]),
                    held if part == "validation" else [],
                    answers,
                )
            )
    for message in missing:
        say(f"left out: {message}")
    if tasks:
        return tasks
    if not crossed:
        raise ModelFolderError(
            f"{predictor.card.name!r} has {predictor.n_members} member(s): out-of-fold answers "
            f"need {N_FOLDS} cross-fitted members, and EMOPIA's validation split, which any model "
            f"can be measured on, is not there ({'; '.join(missing) or 'no such recording'})"
        )
    raise MissingDataError(f"no test data is there: {missing[0]}")


def _refuse_other_spectrograms(predictor: AudioPredictor) -> None:
    made, heard_by = TEN_SECONDS.features(), predictor.front_end.features()
    for kind in ("log_mel", "pitch"):
        wanted = heard_by[kind] or made[kind]  # a model may do without notes
        other = [name for name in wanted if wanted[name] != made[kind][name]]
        if other:
            raise ModelFolderError(
                f"{predictor.card.name!r} hears spectrograms with "
                f"{', '.join(f'{name} {wanted[name]}' for name in other)}, and our own recordings "
                f"are prepared with {', '.join(f'{name} {made[kind][name]}' for name in other)}: "
                "evaluate it on labelled recordings with `maeum evaluate audio --table FILE`"
            )


def _answered(task: AudioTask, temperature: float, seed: int) -> _Answered:
    """The network's native head and its served six."""
    classes, targets = task.classes, task.targets
    labels, _ = classes.strongest(targets)
    kept = labels >= 0
    calibrated = classes.of_six(
        calibrate(recording_answers(task.six), BranchCalibration(temperature=temperature))
    )
    windows: dict[str, Sequence[NDArray[np.float32]]] = {}
    if task.native is not None:
        windows["native head"] = [classes.of_native(each) for each in task.native]
    windows["served six"] = [classes.of_six(each) for each in task.six]
    found: dict[str, dict[str, Any]] = {}
    bins: dict[str, Reliability] = {}
    curves: dict[str, tuple[MainMeasure, Sequence[NDArray[np.float32]]]] = {}
    for name, each in windows.items():
        native = name == "native head"
        answers = recording_answers(each)
        figures: dict[str, Any] = {}
        if classes.are_scales:
            reference = classes.of_native(targets)
            if not native:
                reference = class_shares(reference).astype(np.float32)
            figures |= correlation_figures(FOUR, reference, answers, seed=seed)
        figures |= _strongest_figures(classes, labels[kept], answers[kept], seed)
        own, bins[name] = calibration_figures(labels[kept], class_shares(answers)[kept])
        figures |= own
        figures["confusion"] = confusion(
            labels[kept], answers[kept].argmax(axis=1), len(classes.names)
        ).tolist()
        if native and task.native is not None and classes.are_scales:
            scales = recording_answers(task.native)
            figures["r_of_scales"] = {
                label: pearson_r(targets[:, k], scales[:, k])
                for k, label in enumerate(classes.label_set.labels)
            }
        if not native:
            own, bins[f"{name}, calibrated"] = calibration_figures(
                labels[kept], class_shares(calibrated)[kept], "_calibrated"
            )
            figures |= own
        found[name] = figures
        measure = MainMeasure.of(classes, targets, sums=native)
        if measure is not None:
            curves[name] = measure, each
    return _Answered(found, bins, window_curve(curves, seed=seed))


def _strongest_figures(
    classes: EmotionClasses,
    labels: NDArray[np.int64],
    answers: NDArray[np.floating[Any]],
    seed: int,
) -> dict[str, Any]:
    """Figures of the strongest class: all of them where a recording has one label."""
    top = answers.argmax(axis=1)
    if classes.are_scales:
        interval = bootstrap_interval(accuracy, labels, top, seed=seed)
        return {"accuracy": accuracy(labels, top), "accuracy_interval": list(interval)}
    n = len(classes.names)
    return {
        **answer_figures(labels, top, n, seed=seed),
        **axis_figures(classes, labels, answers, seed=seed),
    }


def _constant_figures(task: AudioTask, seed: int) -> dict[str, Any]:
    """The best answer that is the same for every recording, for each figure."""
    classes = task.classes
    labels, _ = classes.strongest(task.targets)
    labels = labels[labels >= 0]
    shares = np.bincount(labels, minlength=len(classes.names)) / len(labels)
    figures = _strongest_figures(classes, labels, np.tile(shares, (len(labels), 1)), seed)
    if classes.are_scales:
        reference = classes.of_native(task.targets)
        figures |= correlation_figures(FOUR, reference, np.zeros_like(reference), seed=seed)
    return figures


def baseline_answers(task: AudioTask) -> dict[str, NDArray[np.floating[Any]]]:
    """Answers (n_clips, n_classes) of models on mel statistics, by kind of model.

    Fitted on the clips of the other folds; validation on the whole train split.
    """
    statistics = _mel_statistics(task.clips)
    trained = _mel_statistics(task.training) if task.training else None

    def answers(fit: Callable[..., Any], kind: str, target: NDArray[Any]) -> NDArray[Any]:
        if trained is not None:
            labels = np.stack([clip.shares for clip in task.training]).argmax(axis=1)
            return np.asarray(fit(kind, trained, labels, statistics))
        estimated = np.empty_like(target)
        for fold in range(N_FOLDS):
            unheard = task.folds == fold
            if unheard.any():
                estimated[unheard] = fit(
                    kind, statistics[~unheard], target[~unheard], statistics[unheard]
                )
        return estimated

    classes = task.classes
    if classes.are_scales:
        reference = classes.of_native(task.targets)
        return {kind: answers(baseline.regress, kind, reference) for kind in baseline.REGRESSORS}
    labels, _ = classes.strongest(task.targets)
    one_hot = np.eye(len(classes.names))
    return {
        kind: one_hot[answers(baseline.classify, kind, labels)] for kind in baseline.CLASSIFIERS
    }


def _baseline_figures(task: AudioTask, seed: int) -> dict[str, dict[str, Any]]:
    """Of the models on mel statistics."""
    classes = task.classes
    labels, _ = classes.strongest(task.targets)
    kept = labels >= 0
    found: dict[str, dict[str, Any]] = {}
    for kind, estimated in baseline_answers(task).items():
        figures: dict[str, Any] = {}
        if classes.are_scales:
            reference = classes.of_native(task.targets)
            figures = correlation_figures(FOUR, reference, estimated, seed=seed)
        figures |= _strongest_figures(classes, labels[kept], estimated[kept], seed)
        found[kind] = figures
    return found


def _mel_statistics(clips: Sequence[Clip]) -> NDArray[np.float32]:
    return np.stack([baseline.mel_statistics(clip.spectra.log_mel) for clip in clips])


def evaluate_audio(
    out: Path,
    predictor: AudioPredictor,
    *,
    baselines: bool = True,
    work: Path = WORK,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
    progress: ProgressMaker = no_progress,
) -> dict[str, Any]:
    """Run every test and write ``audio.json``, ``audio.md`` and plots below ``out``.

    Parameters
    ----------
    baselines
        Fit the models on mel statistics (a minute; needs the extra ``train``).
        Without the extra, or if not wanted, the figures in the model's card are
        shown in their place.
    work
        Work folder with the rendered EMOPIA clips and, if it was made, the cache of
        spectrograms. The model's own embedding network, if it has one, hears the
        recordings themselves, as it does when it is served.
    seed
        Of the bootstrap.
    say
        Receives lines of progress; standard error if not given.
    progress
        Counts the recordings heard.

    Returns
    -------
    The content of ``audio.json``.

    Raises
    ------
    MissingDataError
        If no data set is there.
    ModelFolderError
        If the model hears other spectrograms than our own recordings are prepared as, or
        is not cross-fitted, and EMOPIA's validation split is not there.
    """
    tell = say or (lambda line: print(line, file=sys.stderr, flush=True))
    tasks = audio_tasks(predictor, work, say=tell, progress=progress)
    card = predictor.card
    stored: dict[str, Any] = card.metrics.get("baselines", {})
    results: dict[str, Any] = {
        "model": card.name,
        "model_hash": predictor.model_hash,
        "temperature": card.temperature,
        "tests": [],
    }
    if baselines:
        tell("fitting the baselines on mel statistics …")
    answered: dict[str, _Answered] = {}
    for task in tasks:
        models: dict[str, Any] = {"constant": _constant_figures(task, seed)}
        source = FITTED
        try:
            if not baselines:
                raise MissingExtraError("fitting the baselines")
            fitted = _baseline_figures(task, seed)
        except MissingExtraError as error:
            if baselines:
                tell(f"{error}; the baselines shown are those in the model's card")
                baselines = False
            fitted, source = stored.get(task.name, {}), "from the model's card"
        models |= {f"mel statistics, {kind}": figures for kind, figures in fitted.items()}
        own = answered[task.name] = _answered(task, card.temperature, seed)
        models |= {f"{card.name}, {way}": figures for way, figures in own.figures.items()}
        test = {
            "name": task.name,
            "n": len(task.clips),
            "groups": len({clip.group for clip in task.clips}),
            "baselines": source,
            "models": models,
        }
        if own.curve is not None:
            test["windows"] = own.curve.to_json()
        results["tests"].append(test)
    write_results(out, "audio", results, audio_markdown(results))
    try:
        _write_plots(out, answered)
    except MissingExtraError as error:
        tell(f"no plots: {error}")
    return results


def _write_plots(out: Path, answered: Mapping[str, _Answered]) -> None:
    """Reliability of each test, and its figures over the windows heard."""
    for name, own in answered.items():
        stem = slug(name, "test")
        plot_reliability(out / f"audio-reliability-{stem}.png", own.bins, name)
        if own.curve is not None:
            plot_windows(out / f"audio-windows-{stem}.png", own.curve, name)


def stored_baselines(results: dict[str, Any]) -> dict[str, Any]:
    """The baselines' figures of an evaluation, as a card keeps them under ``baselines``."""
    prefix = "mel statistics, "
    return {
        test["name"]: {
            name.removeprefix(prefix): figures
            for name, figures in test["models"].items()
            if name.startswith(prefix)
        }
        for test in results["tests"]
    }


def store_baselines(folder: Path, results: dict[str, Any]) -> None:
    """Put the baselines of an evaluation into a model folder's card, under ``metrics``.

    There they are shown where scikit-learn is not installed. An evaluation without
    fitted baselines changes nothing.

    Raises
    ------
    ModelFolderError
        If the folder is not an audio model folder.
    """
    if any(test["baselines"] != FITTED for test in results["tests"]):
        return
    card = read_card(folder, "audio")
    metrics = {**card.metrics, "baselines": stored_baselines(results)}
    write_card(folder, replace(card, metrics=metrics))


def audio_markdown(results: dict[str, Any]) -> str:
    """The tables of ``audio.md``."""
    lines = [
        "# Audio branch on recordings it did not train on",
        "",
        "Command: `maeum evaluate audio`. Out of fold: each recording answered by the one member "
        "that never heard its actor, recording or song. Validation: EMOPIA's published split, "
        "answered by all members. Intervals: 95%, bootstrap over recordings. The served six count "
        "as far as the labels tell emotions apart (Q2: tension or anger).",
        "",
    ]
    for test in results["tests"]:
        models: dict[str, dict[str, Any]] = test["models"]
        lines += [
            f"## {test['name']} (n = {test['n']:,} of {test['groups']:,} groups; baselines "
            f"{test['baselines']})",
            "",
        ]
        if any("mean_r" in figures for figures in models.values()):
            lines += [
                "| model | mean r (95%) | " + " | ".join(FOUR) + " |",
                "|---|---|---|---|---|---|",
            ]
            for name, figures in models.items():
                cells = " | ".join(f"{figures['r'][emotion]:.3f}" for emotion in FOUR)
                lines.append(f"| {name} | {figure_cell(figures, 'mean_r')} | {cells} |")
            lines.append("")
            lines += correlation_lines(models, "r_of_scales", "Pearson's r of each scale:")
            lines += [f"Strongest of {', '.join(FOUR)} (ties left out):", ""]
            columns = [name for name in _R_COLUMNS if any(name in f for f in models.values())]
        else:
            columns = [name for name in _COLUMNS if any(name in f for f in models.values())]
        lines += [
            "| model | " + " | ".join(_COLUMNS[name] for name in columns) + " |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for name, figures in models.items():
            cells = " | ".join(figure_cell(figures, column) for column in columns)
            lines.append(f"| {name} | {cells} |")
        lines.append("")
        if "windows" in test:
            lines += curve_lines(test["windows"])
        else:
            lines += ["Every recording is one window long.", ""]
    return "\n".join(lines)
