"""Evaluation of the audio branch on recordings it did not train on, beside its baselines.

The network's members are cross-fitted: member *k* never heard fold *k*. A
recording of fold *k* is answered by member *k* alone, so the shipped weights are
measured on every actor of RAVDESS, every recording of Emotify and every song of
EMOPIA's train split. EMOPIA's validation split is in nobody's training data and
is answered by all members, as a user's own recording is.

Each data set is measured on its own labels (native head), and on the served six
as far as its labels tell emotions apart: quadrant Q2 and Emotify's *tension* are
tension or anger. Pearson's r on Emotify is over recordings, for the four
emotions that its scales map to (native: sums of scales; served six: shares).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_model import baseline, input_cache
from audio_model.heads import DATASET_HEADS, four_emotions, head_slices, served_six
from audio_model.input_cache import Clip
from audio_model.labels import clip_fold, group_matrix, group_shares
from audio_model.predictor import AudioPredictor
from data_prep.errors import MissingDataError, MissingExtraError, ModelFolderError
from data_prep.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    confusion,
    ece,
    macro_f1,
    nll,
    pearson_r,
)
from data_prep.model_folder import read_card, write_card
from data_prep.splits import N_FOLDS
from data_prep.taxonomy import native_label_set
from fusion.result_files import figure_cell, write_results

WORK: Final = Path(".work")
FITTED: Final = "fitted now"
FOUR: Final = ("joy", "tension", "calm", "sadness")


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
    native
        Array (n_clips, n_native): probabilities of the data set's own head.
    six
        Array (n_clips, 6): the served six.
    """

    name: str
    dataset: str
    clips: list[Clip]
    folds: NDArray[np.int64]
    native: NDArray[np.float32]
    six: NDArray[np.float32]

    @property
    def targets(self) -> NDArray[np.float32]:
        """Array (n_clips, n_native) of the labels' shares."""
        return np.stack([clip.shares for clip in self.clips])


def _listen(
    predictor: AudioPredictor, clips: Sequence[Clip], folds: NDArray[np.int64], dataset: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    slices = head_slices(predictor.card.labels)
    natives, sixes = [], []
    for clip, fold in zip(clips, folds, strict=True):
        members = predictor.read_members(clip.windows(predictor.front_end))
        if fold >= 0:
            members = members[:, fold : fold + 1]
        natives.append(members[..., slices[DATASET_HEADS[dataset]]].mean(axis=(0, 1)))
        six = served_six(members, predictor.card.head_weights, slices)
        sixes.append(six.mean(axis=(0, 1)))
    return np.stack(natives), np.stack(sixes)


def audio_tasks(
    predictor: AudioPredictor, work: Path = WORK, *, say: Callable[[str], None]
) -> list[AudioTask]:
    """Answers of the model for all tests whose data is there.

    Raises
    ------
    MissingDataError
        If none is.
    """
    tasks: list[AudioTask] = []
    missing: list[str] = []
    for dataset in DATASET_HEADS:
        say(f"listening to {dataset} …")
        try:
            clips = input_cache.clips(work, dataset)
        except MissingDataError as error:
            missing.append(str(error))
            continue
        fold_of = [clip_fold(clip) for clip in clips]
        parts = {"out of fold": [i for i, fold in enumerate(fold_of) if fold is not None]}
        parts["validation"] = [i for i, fold in enumerate(fold_of) if fold is None]
        for part, chosen in parts.items():
            if not chosen:
                continue
            kept = [clips[i] for i in chosen]
            folds = np.array([-1 if fold_of[i] is None else fold_of[i] for i in chosen])
            native, six = _listen(predictor, kept, folds, dataset)
            tasks.append(AudioTask(f"{dataset}, {part}", dataset, kept, folds, native, six))
    for message in missing:
        say(f"left out: {message}")
    if not tasks:
        raise MissingDataError(f"no test data is there: {missing[0]}")
    return tasks


def _class_figures(
    labels: NDArray[np.int64], answers: NDArray[np.int64], n: int, seed: int
) -> dict[str, Any]:
    def f1(reference: NDArray[Any], estimated: NDArray[Any]) -> float:
        return macro_f1(reference, estimated, n)

    return {
        "macro_f1": f1(labels, answers),
        "macro_f1_interval": bootstrap_interval(f1, labels, answers, seed=seed),
        "accuracy": accuracy(labels, answers),
        "accuracy_interval": bootstrap_interval(accuracy, labels, answers, seed=seed),
        "balanced_accuracy": balanced_accuracy(labels, answers),
    }


def _mean_r(reference: NDArray[Any], estimated: NDArray[Any]) -> float:
    n = reference.shape[1]
    return float(np.mean([pearson_r(reference[:, k], estimated[:, k]) for k in range(n)]))


def _scale_figures(
    reference: NDArray[np.float32], estimated: NDArray[np.float32], seed: int
) -> dict[str, Any]:
    return {
        "mean_r": _mean_r(reference, estimated),
        "mean_r_interval": bootstrap_interval(_mean_r, reference, estimated, seed=seed),
        "r": {name: pearson_r(reference[:, k], estimated[:, k]) for k, name in enumerate(FOUR)},
    }


def _network_figures(task: AudioTask, temperature: float, seed: int) -> dict[str, dict[str, Any]]:
    groups = group_matrix(task.dataset)
    if task.dataset == "emotify":
        native = _scale_figures(four_emotions(task.targets), four_emotions(task.native), seed)
        scales = native_label_set("emotify").labels
        native["r_of_scales"] = {
            name: pearson_r(task.targets[:, k], task.native[:, k]) for k, name in enumerate(scales)
        }
        shares = np.stack([group_shares("emotify", row) for row in task.targets])[:, :4]
        return {
            "native": native,
            "six": _scale_figures(shares, (task.six @ groups.T)[:, :4], seed),
        }
    labels, n = task.targets.argmax(axis=1), task.targets.shape[1]
    by_group = task.six @ groups[:n].T
    native = _class_figures(labels, task.native.argmax(axis=1), n, seed)
    native["confusion"] = confusion(labels, task.native.argmax(axis=1), n).tolist()
    six = _class_figures(labels, by_group.argmax(axis=1), n, seed)
    sharp = np.power(np.maximum(task.six, 1e-9), 1.0 / temperature) @ groups[:n].T
    for suffix, values in (("", by_group), ("_calibrated", sharp)):
        shares = values / values.sum(axis=1, keepdims=True)
        six[f"nll{suffix}"], six[f"ece{suffix}"] = nll(shares, labels), ece(shares, labels)
    return {"native": native, "six": six}


def _constant_figures(task: AudioTask, seed: int) -> dict[str, Any]:
    if task.dataset == "emotify":
        reference = four_emotions(task.targets)
        return _scale_figures(reference, np.tile(reference.mean(axis=0), (len(reference), 1)), seed)
    labels, n = task.targets.argmax(axis=1), task.targets.shape[1]
    always = np.full(len(labels), np.bincount(labels).argmax())
    return _class_figures(labels, always, n, seed)


def _baseline_figures(
    task: AudioTask, trained: AudioTask | None, seed: int
) -> dict[str, dict[str, Any]]:
    """Models on mel statistics, fitted on the same folds; validation from the whole train split."""
    statistics = np.stack([baseline.mel_statistics(clip.spectra.log_mel) for clip in task.clips])

    def answers(fit: Callable[..., Any], kind: str, target: NDArray[Any]) -> NDArray[Any]:
        if trained is not None:
            heard = np.stack(
                [baseline.mel_statistics(clip.spectra.log_mel) for clip in trained.clips]
            )
            labels: NDArray[Any] = trained.targets.argmax(axis=1)
            return np.asarray(fit(kind, heard, labels, statistics))
        found = np.empty_like(target)
        for fold in range(N_FOLDS):
            unheard = task.folds == fold
            if unheard.any():
                found[unheard] = fit(
                    kind, statistics[~unheard], target[~unheard], statistics[unheard]
                )
        return found

    if task.dataset == "emotify":
        reference = four_emotions(task.targets)
        return {
            kind: _scale_figures(reference, answers(baseline.regress, kind, reference), seed)
            for kind in baseline.REGRESSORS
        }
    labels, n = task.targets.argmax(axis=1), task.targets.shape[1]
    return {
        kind: _class_figures(labels, answers(baseline.classify, kind, labels), n, seed)
        for kind in baseline.CLASSIFIERS
    }


def evaluate_audio(
    out: Path,
    predictor: AudioPredictor,
    *,
    baselines: bool = True,
    work: Path = WORK,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run every test and write ``audio.json`` and ``audio.md`` below ``out``.

    Parameters
    ----------
    baselines
        Fit the models on mel statistics (a minute; needs the extra ``train``).
        Without the extra, or if not wanted, the figures in the model's card are
        shown in their place.
    work
        Work folder with the rendered EMOPIA clips and, if it was built, the cache
        of spectrograms; without the cache the recordings are decoded.
    seed
        Of the bootstrap.
    say
        Receives lines of progress; standard error if not given.

    Returns
    -------
    The content of ``audio.json``.

    Raises
    ------
    MissingDataError
        If no data set is there.
    ModelFolderError
        If the model has not one member per fold, so that no answer of it would be
        out of fold.
    """
    tell = say or (lambda line: print(line, file=sys.stderr, flush=True))
    if predictor.n_members != N_FOLDS or set(DATASET_HEADS.values()) - set(predictor.card.labels):
        raise ModelFolderError(
            f"{predictor.card.name!r} has {predictor.n_members} members and the heads "
            f"{', '.join(predictor.card.labels)}: the evaluation needs {N_FOLDS} cross-fitted "
            f"members with the heads {', '.join(DATASET_HEADS.values())}"
        )
    tasks = audio_tasks(predictor, work, say=tell)
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
    for task in tasks:
        models: dict[str, Any] = {"constant": _constant_figures(task, seed)}
        source = FITTED
        trained = None
        if task.folds[0] < 0:
            trained = next(
                (t for t in tasks if t.dataset == task.dataset and t.folds[0] >= 0), None
            )
        try:
            if not baselines:
                raise MissingExtraError("fitting the baselines")
            fitted = _baseline_figures(task, trained, seed)
        except MissingExtraError as error:
            if baselines:
                tell(f"{error}; the baselines shown are those in the model's card")
                baselines = False
            fitted, source = stored.get(task.name, {}), "from the model's card"
        models |= {f"mel statistics, {kind}": figures for kind, figures in fitted.items()}
        found = _network_figures(task, card.temperature, seed)
        models[f"{card.name}, native head"] = found["native"]
        models[f"{card.name}, served six"] = found["six"]
        results["tests"].append(
            {
                "name": task.name,
                "n": len(task.clips),
                "groups": len({clip.group for clip in task.clips}),
                "baselines": source,
                "models": models,
            }
        )
    write_results(out, "audio", results, audio_markdown(results))
    return results


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
        "answered by all members. Intervals: 95%, bootstrap over recordings.",
        "",
    ]
    for test in results["tests"]:
        lines += [
            f"## {test['name']} (n = {test['n']:,} of {test['groups']:,} groups; baselines "
            f"{test['baselines']})",
            "",
        ]
        if any("mean_r" in figures for figures in test["models"].values()):
            lines += [
                "| model | mean r (95%) | " + " | ".join(FOUR) + " |",
                "|---|---|---|---|---|---|",
            ]
            for name, figures in test["models"].items():
                cells = " | ".join(f"{figures['r'][emotion]:.3f}" for emotion in FOUR)
                lines.append(f"| {name} | {figure_cell(figures, 'mean_r')} | {cells} |")
        else:
            columns = (
                "macro_f1",
                "accuracy",
                "balanced_accuracy",
                "nll_calibrated",
                "ece_calibrated",
            )
            lines += [
                "| model | macro-F1 (95%) | accuracy (95%) | balanced accuracy | nll, calibrated "
                "| ece, calibrated |",
                "|---|---|---|---|---|---|",
            ]
            for name, figures in test["models"].items():
                cells = " | ".join(figure_cell(figures, column) for column in columns)
                lines.append(f"| {name} | {cells} |")
        lines.append("")
    return "\n".join(lines)
