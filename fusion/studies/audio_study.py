"""Audio models over seeds: one network for all data sets beside specialised ones, with and
without the tagger's embedding, and a backbone from nothing beside SimCLR's weights.

A run is one network of one row, seed and fold: it never hears that fold, nor EMOPIA's
validation split, and answers both. A row's figures of a seed are of the recordings of
all its folds together, each answered by the one network that did not hear it, and of
EMOPIA's validation split by the mean of the folds' networks. Rows that start from a
pretraining without labels run on the fold that it left out, if it left one out, and are
compared on that fold alone.

Every finished run leaves its answers in ``work/audio/study``
(:mod:`fusion.studies.study_runs`). The same call again makes only what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from audio_model.backbone_network import BackboneNetwork, BackboneNetworkConfiguration
from audio_model.backbones import (
    SMALL_CNN,
    describe,
    load_backbone,
    read_provenance,
    weights_hash,
)
from audio_model.baseline import CLASSIFIERS, REGRESSORS
from audio_model.folds import clip_fold
from audio_model.heads import DATASET_HEADS
from audio_model.input_cache import Clip
from audio_model.member_training import make_network, train_member
from audio_model.network import NetworkConfiguration
from audio_model.receptive_field import receptive_field
from audio_model.recording import recordings_digest
from audio_model.training import RECIPE, answers, load_clips, scores
from audio_model.training_configuration import TrainingConfiguration
from audio_model.windows import TEN_SECONDS, FrontEnd, WindowConfiguration
from data_prep.errors import InputError
from data_prep.metrics import accuracy, constant_prediction, macro_f1
from data_prep.model_folder import checkout_commit, configuration_hash
from data_prep.splits import N_FOLDS
from fusion.evaluation.audio import AudioTask, baseline_answers
from fusion.evaluation.audio_scores import mean_r
from fusion.evaluation.emotion_classes import QUADRANTS
from fusion.studies.audio_study_report import (
    CONSTANT,
    JOINT,
    KERNEL,
    LINEAR,
    WITHOUT_EMBEDDING,
    FoldTable,
    alone_name,
    fine_tuned_name,
    frozen_name,
    nothing_name,
    write_report,
)
from fusion.studies.study_runs import Say, check_counts, finish

LOG_MEL_ALONE: Final = FrontEnd(pitch=None, windows=WindowConfiguration(n_frames=312, at_most=12))
"""What backbones hear: windows of 5 s, twelve of a recording at most."""

_EDITION: Final = 1
"""Of this file's rules: to be raised when they change, so that no earlier answer is taken."""

_DIGITS: Final = 6
_KINDS: Final = {LINEAR: 0, KERNEL: 1}


@dataclass(frozen=True)
class AudioStudySettings:
    """What is run, and how large.

    Attributes
    ----------
    seeds
        Runs of each row and fold, with the seeds 1, 2, …
    folds
        Folds that are held out, one after the other.
    rows
        Names of rows; all if empty.
    epochs, batches
        Of each training: so many epochs of so many batches.
    """

    seeds: int = 3
    folds: tuple[int, ...] = tuple(range(N_FOLDS))
    rows: tuple[str, ...] = ()
    epochs: int = RECIPE.n_epochs
    batches: int = RECIPE.batches_per_epoch

    def __post_init__(self) -> None:
        check_counts(self.seeds, self.epochs, self.batches)
        if not self.folds or not set(self.folds) <= set(range(N_FOLDS)):
            raise InputError(
                f"--folds {','.join(map(str, self.folds))}: expected some of 0 to {N_FOLDS - 1}, "
                "with commas between"
            )
        object.__setattr__(self, "folds", tuple(sorted(set(self.folds))))

    def training(self, changed: TrainingConfiguration) -> TrainingConfiguration:
        """A training as long as the settings say."""
        return replace(changed, n_epochs=self.epochs, batches_per_epoch=self.batches)


@dataclass(frozen=True)
class SimclrStart:
    """A backbone that ``maeum pretrain audio`` made, as far as the study asks.

    Attributes
    ----------
    folder
        Where it lies.
    name, n_mels
        Of the backbone.
    hash
        Of its weights.
    held_out_fold
        Fold that the pretraining did not hear; ``None`` if it left none out.
    recordings
        Data set → recordings that it heard.
    epochs
        How often; ``None`` where it is not said.
    """

    folder: Path
    name: str
    n_mels: int
    hash: str
    held_out_fold: int | None
    recordings: dict[str, int]
    epochs: int | None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What lies in a folder.

        Raises
        ------
        ModelFolderError, InputError
            If it is no backbone folder, or this version does not have the backbone.
        """
        backbone = load_backbone(folder)
        provenance = read_provenance(folder)
        return cls(
            folder,
            backbone.name,
            backbone.n_mels,
            weights_hash(folder),
            provenance.get("held_out_fold"),
            dict(provenance.get("recordings", {})),
            provenance.get("configuration", {}).get("n_epochs"),
        )


@dataclass(frozen=True)
class StudyRow:
    """One row: how its networks are trained, and on which folds.

    ``weights`` is the hash of pretrained weights; empty without any.
    """

    name: str
    configuration: TrainingConfiguration
    folds: tuple[int, ...]
    weights: str = ""

    @property
    def decided_by(self) -> dict[str, Any]:
        """What decides its networks, apart from recordings and seed."""
        settings = self.configuration.as_dict()
        settings["network"]["start"] = self.weights  # not the folder that they lie in
        return {"edition": _EDITION, "settings": settings}


def study_rows(settings: AudioStudySettings, simclr: SimclrStart | None = None) -> list[StudyRow]:
    """The rows that the settings choose, in order.

    Raises
    ------
    InputError
        If a name is unknown (the message lists those there are), or the fold that the
        pretraining left out is not among the folds.
    """
    joint = settings.training(RECIPE)
    configurations = {
        JOINT: joint,
        WITHOUT_EMBEDDING: replace(joint, network=NetworkConfiguration(), front_end=TEN_SECONDS),
    }
    configurations |= {alone_name(name): joint.only(name) for name in DATASET_HEADS}
    rows = [StudyRow(name, own, settings.folds) for name, own in configurations.items()]
    small = _on_backbone(joint, BackboneNetworkConfiguration(SMALL_CNN))
    rows.append(StudyRow(nothing_name(SMALL_CNN), small, settings.folds))
    if simclr is not None:
        rows += _simclr_rows(settings, joint, simclr)
    known = [row.name for row in rows]
    for name in settings.rows:
        if name not in known:
            more = "" if simclr else "; with --simclr FOLDER also those of its backbone"
            raise InputError(
                f"--rows {name!r}: expected some of {', '.join(map(repr, known))}{more}"
            )
    chosen = [row for row in rows if not settings.rows or row.name in settings.rows]
    for row in chosen:
        if not row.folds:
            assert simclr is not None  # all other rows have the folds of the settings
            raise InputError(
                f"{simclr.folder} was pretrained without fold {simclr.held_out_fold}, on which "
                f"alone it can be compared: add {simclr.held_out_fold} to --folds"
            )
    return chosen


def _on_backbone(
    joint: TrainingConfiguration, network: BackboneNetworkConfiguration
) -> TrainingConfiguration:
    return replace(joint, network=network, front_end=LOG_MEL_ALONE)


def _simclr_rows(
    settings: AudioStudySettings, joint: TrainingConfiguration, simclr: SimclrStart
) -> list[StudyRow]:
    """A backbone from nothing and from pretrained weights, on the folds these did not hear."""
    folds = settings.folds
    if simclr.held_out_fold is not None:
        folds = tuple(fold for fold in folds if fold == simclr.held_out_fold)
    fresh = BackboneNetworkConfiguration(simclr.name, n_mels=simclr.n_mels)
    started = replace(fresh, start=str(simclr.folder))
    frozen = replace(started, frozen=True)
    rows = [
        StudyRow(frozen_name(simclr.name), _on_backbone(joint, frozen), folds, simclr.hash),
        StudyRow(fine_tuned_name(simclr.name), _on_backbone(joint, started), folds, simclr.hash),
    ]
    if simclr.name == SMALL_CNN:  # from nothing it is a row already
        return rows
    return [StudyRow(nothing_name(simclr.name), _on_backbone(joint, fresh), folds), *rows]


@dataclass(frozen=True, eq=False)
class _Run:
    """One training: its recordings, those it is asked about, and where its answers are kept."""

    row: StudyRow
    seed: int
    fold: int
    training: list[Clip]
    held_out: list[Clip]
    validation: list[Clip]
    key: str

    @property
    def configuration(self) -> TrainingConfiguration:
        return self.row.configuration

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}, fold {self.fold}"


class _Recordings:
    """All recordings, as rows hear them."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.clips = list(clips)
        self._folds = [clip_fold(clip) for clip in clips]

    def of(
        self, configuration: TrainingConfiguration, take: Callable[[int | None], bool]
    ) -> list[Clip]:
        """Those of the data sets of a training whose fold is taken."""
        pairs = zip(self.clips, self._folds, strict=True)
        return [clip for clip, fold in pairs if take(fold) and clip.dataset in configuration.shares]

    def held_out(self, configuration: TrainingConfiguration, fold: int) -> list[Clip]:
        """Those of a fold."""
        return self.of(configuration, lambda own: own == fold)

    def training(self, configuration: TrainingConfiguration, fold: int) -> list[Clip]:
        """Those of the other folds."""
        return self.of(configuration, lambda own: own not in (None, fold))

    def validation(self, configuration: TrainingConfiguration) -> list[Clip]:
        """EMOPIA's validation split."""
        return self.of(configuration, lambda own: own is None)


def study(
    out: Path,
    work: Path,
    settings: AudioStudySettings | None = None,
    *,
    simclr: Path | None = None,
    threads: int | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Make the tables and plots, or what is missing of them.

    Parameters
    ----------
    out
        For ``audio_study.json``, ``audio_study.md`` and the plots.
    work
        Work folder with the cache of recordings; what is finished there is not made
        again.
    simclr
        A backbone folder that ``maeum pretrain audio`` made, for three more rows.
    threads
        CPU threads; all if ``None``.
    say
        Takes lines of progress.

    Returns
    -------
    The content of ``audio_study.json``.

    Raises
    ------
    MissingDataError
        If the cache, the recordings or, where a row needs them, the embeddings are not
        there.
    ModelFolderError
        If ``simclr`` is no backbone folder.
    InputError
        If there is no such row, or a file of an earlier run cannot be read.
    """
    settings = settings or AudioStudySettings()
    if threads:
        torch.set_num_threads(threads)
    start = None if simclr is None else SimclrStart.read(simclr)
    rows = study_rows(settings, start)
    networks = {row.name: network_size(row.configuration) for row in rows}
    for name, size in networks.items():
        say(f"{name}: {size['line']}")
    recordings = _Recordings(load_clips(work))
    if any(row.configuration.front_end.embedding is not None for row in rows):
        for clip in recordings.clips:
            clip.some_patches()  # before anything is trained
    runs = _runs(rows, recordings, settings)
    records = finish(runs, work / "audio" / "study", _train, say)
    answered = {
        (run.row.name, run.seed, run.fold): record
        for run, record in zip(runs, records, strict=True)
    }
    say("fitting the baselines on mel statistics …")
    tables = _tables(rows, recordings, settings, answered)
    description = {
        "command": _command(settings, simclr),
        "commit": checkout_commit(),
        "settings": asdict(settings)
        | {"folds": list(settings.folds), "rows": [row.name for row in rows]},
        "batch": RECIPE.shares,
        "recordings": {n: sum(c.dataset == n for c in recordings.clips) for n in DATASET_HEADS},
        "networks": networks,
        "simclr": start
        and {
            "name": start.name,
            "held_out_fold": start.held_out_fold,
            "recordings": start.recordings,
            "epochs": start.epochs,
        },
        "minutes": sum(record["seconds"] for record in records) / 60.0,
    }
    return write_report(out, description, tables)


def _command(settings: AudioStudySettings, simclr: Path | None) -> str:
    folds = ",".join(map(str, settings.folds))
    parts = [f"maeum study audio --seeds {settings.seeds} --folds {folds}"]
    parts += [f'--rows "{name}"' for name in settings.rows]
    parts += [f"--simclr {simclr}"] if simclr else []
    return " ".join([*parts, f"--epochs {settings.epochs} --batches {settings.batches}"])


def network_size(configuration: TrainingConfiguration) -> dict[str, Any]:
    """Size and reach of a network.

    Returns
    -------
    ``parameters`` and how many are ``trained``; ``window_s``; ``receptive_bands``,
    ``receptive_frames`` and ``receptive_s`` of one position of the convolutions
    (``None`` if it depends on the whole window); ``whole`` what depends on the whole
    window, or on the whole recording, beside them; all of it as one ``line``.
    """
    network = make_network(configuration, pretrained=False)
    front_end = configuration.front_end
    n_frames, hop_s = front_end.windows.n_frames, 1.0 / front_end.log_mel.frames_per_second
    whole = []
    if isinstance(network, BackboneNetwork):
        spans = describe(network.backbone, n_frames, hop_s=hop_s).spans
    else:
        _, spans = receptive_field(network.convolutions, front_end.log_mel.n_mels, n_frames)
        whole.append("statistics of the whole window")
        if front_end.embedding is not None:
            whole.append("an embedding of the whole recording")
    parameters = [p.numel() for p in network.parameters()]
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    size: dict[str, Any] = {
        "parameters": sum(parameters),
        "trained": trained,
        "window_s": front_end.window_s,
        "receptive_bands": spans and spans[0].size,
        "receptive_frames": spans and spans[1].size,
        "receptive_s": spans and spans[1].size * hop_s,
        "whole": whole,
    }
    sees = "the whole window"
    if spans is not None:
        bands, frames = (span.size for span in spans)
        sees = f"{bands} bands × {frames} frames ({frames * hop_s:.2f} s)"
    size["line"] = (
        f"{sum(parameters):,} parameters, {trained:,} of them trained; windows of "
        f"{front_end.window_s:.2f} s; a position of the convolutions sees {sees}"
    ) + (f"; beside them {' and '.join(whole)}" if whole else "")
    return size


def _runs(
    rows: Sequence[StudyRow], recordings: _Recordings, settings: AudioStudySettings
) -> list[_Run]:
    """All trainings, seed by seed."""
    runs = []
    for row in rows:
        c = row.configuration
        validation = recordings.validation(c)
        for fold in row.folds:
            training, held_out = recordings.training(c, fold), recordings.held_out(c, fold)
            embedded = c.front_end.embedding is not None
            decided_by = row.decided_by | {
                "training": recordings_digest(training, embedded=embedded),
                "asked": recordings_digest([*held_out, *validation], embedded=embedded),
            }
            for seed in range(1, settings.seeds + 1):
                key = configuration_hash(decided_by | {"seed": seed, "fold": fold})
                runs.append(_Run(row, seed, fold, training, held_out, validation, key))
    return sorted(runs, key=lambda run: run.seed)


def _train(run: _Run, folder: Path, epochs_after: int, say: Say) -> dict[str, Any]:
    """Train one network, or finish it, and ask it.

    Returns
    -------
    ``held_out`` and ``validation``, probabilities (recordings, n_logits) of all heads,
    what was run, and how long it took.
    """
    start = time.monotonic()
    network = train_member(
        folder / run.key,
        run.training,
        run.configuration,
        seed=100 * run.seed + run.fold,  # as the first network of a member
        title=str(run),
        say=say,
        epochs_after=epochs_after,
    )
    record: dict[str, Any] = {"row": run.row.name, "seed": run.seed, "fold": run.fold}
    for part, clips in (("held_out", run.held_out), ("validation", run.validation)):
        found = answers(network, clips, run.configuration).astype(float) if clips else np.zeros(0)
        record[part] = np.round(found, _DIGITS).tolist()
    return record | {"seconds": time.monotonic() - start}


def _tables(
    rows: Sequence[StudyRow],
    recordings: _Recordings,
    settings: AudioStudySettings,
    answered: Mapping[tuple[str, int, int], Mapping[str, Any]],
) -> list[FoldTable]:
    """A table of the folds that most rows ran on, and one of those that fewer did."""
    baselines = _Baselines(recordings.clips)
    tables = []
    for folds in sorted({row.folds for row in rows}, key=len, reverse=True):
        of_baselines = baselines.figures(folds)
        compared = [row for row in rows if set(row.folds) >= set(folds)]
        seeds = [
            of_baselines
            | {
                row.name: _row_figures(
                    row.configuration,
                    recordings,
                    {fold: answered[row.name, seed, fold] for fold in folds},
                )
                for row in compared
            }
            for seed in range(1, settings.seeds + 1)
        ]
        tables.append(FoldTable(folds, baselines.counts(folds), seeds))
    return tables


def _row_figures(
    configuration: TrainingConfiguration,
    recordings: _Recordings,
    records: Mapping[int, Mapping[str, Any]],
) -> dict[str, float]:
    """Figures of one row and seed: of the recordings of all folds, and of the validation split.

    Named as :func:`audio_model.training.scores` does; the validation split's with
    ``_validation`` after it.
    """
    c = configuration
    held_out = [clip for fold in records for clip in recordings.held_out(c, fold)]
    answer = np.concatenate([_answers(record["held_out"]) for record in records.values()])
    figures = scores(held_out, answer, c.datasets, c.labels)
    validation = recordings.validation(c)
    if validation:
        mean = np.mean([_answers(record["validation"]) for record in records.values()], axis=0)
        found = scores(validation, mean.astype(np.float32), c.datasets, c.labels)
        figures |= {f"{name}_validation": value for name, value in found.items()}
    return figures


def _answers(stored: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    return np.array(stored, dtype=np.float32)


class _Baselines:
    """What does not hear, or hears only statistics: the same whatever the seed."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._tasks: dict[str, AudioTask] = {}
        self._answers: dict[str, dict[str, NDArray[np.floating[Any]]]] = {}
        for dataset in DATASET_HEADS:
            own = [clip for clip in clips if clip.dataset == dataset]
            folds = [clip_fold(clip) for clip in own]
            pairs = list(zip(own, folds, strict=True))
            held = [clip for clip, fold in pairs if fold is not None]
            left = [clip for clip, fold in pairs if fold is None]
            numbers = np.array([fold for fold in folds if fold is not None])
            self._add(dataset, AudioTask(dataset, dataset, held, numbers, [], []))
            everybody = np.full(len(left), -1)
            self._add(
                f"{dataset}_validation",
                AudioTask(dataset, dataset, left, everybody, held, []),
            )

    def _add(self, name: str, task: AudioTask) -> None:
        if task.clips:
            self._tasks[name] = task
            self._answers[name] = baseline_answers(task)

    def counts(self, folds: Sequence[int]) -> dict[str, int]:
        """Recordings that each figure is of."""
        return {name: int(_of(task, folds).sum()) for name, task in self._tasks.items()}

    def figures(self, folds: Sequence[int]) -> dict[str, dict[str, float]]:
        """Figures of the recordings of some folds, by row."""
        found: dict[str, dict[str, float]] = {CONSTANT: {}, LINEAR: {}, KERNEL: {}}
        for name, task in self._tasks.items():
            chosen = _of(task, folds)
            classes = task.classes
            reference = classes.of_native(task.targets[chosen])
            if classes.are_scales:
                found[CONSTANT][name] = 0.0
                for row, kind in _KINDS.items():
                    estimated = self._answers[name][REGRESSORS[kind]][chosen]
                    found[row][name] = mean_r(reference, estimated)
            else:
                labels = reference.argmax(axis=1)
                said = {CONSTANT: constant_prediction(labels, len(labels))} | {
                    row: self._answers[name][CLASSIFIERS[kind]][chosen].argmax(axis=1)
                    for row, kind in _KINDS.items()
                }
                for row, own in said.items():
                    found[row][name] = (
                        accuracy(labels, own)
                        if classes.label_set.name == QUADRANTS
                        else macro_f1(labels, own, len(classes.names))
                    )
            # the same whether it is said of native labels or of the six
            found[CONSTANT][f"six_{name}"] = found[CONSTANT][name]
        return found


def _of(task: AudioTask, folds: Sequence[int]) -> NDArray[np.bool_]:
    """Which recordings of a test are of some folds, or of none."""
    return np.isin(task.folds, [*folds, -1])
