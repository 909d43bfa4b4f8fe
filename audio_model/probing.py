"""What the features of a backbone know of labels that it was not trained on.

Two readings of the same features, both by cross-validation over the folds of
:mod:`data_prep.splits` (singers, recordings or songs stay on one side): a *linear
probe* (logistic regression, or ridge for soft scales) and the *nearest neighbours* by
cosine. Each is given beside the constant answer. The recordings may have been heard in
pretraining, without their labels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray

from audio_model.backbones import Backbone
from audio_model.baseline import classify, regress
from audio_model.folds import clip_fold
from audio_model.recording import Recording
from audio_model.views import read_log_mel
from data_prep.errors import InputError
from data_prep.metrics import accuracy, balanced_accuracy, constant_prediction, macro_f1, pearson_r
from data_prep.splits import N_FOLDS

NEIGHBOURS: Final = 15
_WINDOWS: Final = 4  # of a recording, evenly spaced
_AT_ONCE: Final = 64
_SMALL: Final = 1e-6

Figures = dict[str, float]


@dataclass(frozen=True)
class DatasetProbe:
    """Figures of one data set, out of fold.

    Attributes
    ----------
    dataset, n_clips
        Which, and how many recordings.
    linear, nearest, constant
        ``balanced_accuracy``, ``macro_f1`` and ``accuracy`` of classes, or
        ``pearson_r``, mean over soft scales: of the linear probe, of the
        :data:`NEIGHBOURS` nearest neighbours, and of the constant answer.
    """

    dataset: str
    n_clips: int
    linear: Figures
    nearest: Figures
    constant: Figures

    def line(self) -> str:
        """In a few words."""
        name = next(iter(self.linear))
        kind = {"balanced_accuracy": "balanced accuracy", "pearson_r": "mean r"}[name]
        return (
            f"{self.dataset} {kind}: linear {self.linear[name]:.3f}, nearest "
            f"{self.nearest[name]:.3f}, constant {self.constant[name]:.3f}"
        )


@dataclass(frozen=True)
class ProbeReport:
    """Figures of all data sets."""

    datasets: tuple[DatasetProbe, ...]

    def figures(self) -> dict[str, Any]:
        """As JSON holds it: by data set."""
        found = {probe.dataset: asdict(probe) for probe in self.datasets}
        for one in found.values():
            del one["dataset"]
        return found

    def line(self) -> str:
        """All in one line."""
        return "; ".join(probe.line() for probe in self.datasets)


def probe(features: NDArray[np.float32], clips: Sequence[Recording]) -> ProbeReport:
    """Probe the features of labelled recordings.

    Parameters
    ----------
    features
        (n_clips, n_features), finite.
    clips
        Those without labels or fold (EMOPIA's validation split) do not count, nor does a
        data set with recordings in one fold only.

    Raises
    ------
    InputError
        If there is not one row of features per recording.
    MissingExtraError
        If scikit-learn is not installed.
    """
    if features.ndim != 2 or len(features) != len(clips):
        raise InputError(f"features of shape {features.shape} of {len(clips)} recordings")
    rows_of: dict[str, list[int]] = {}
    for row, clip in enumerate(clips):
        if clip.shares.size and clip_fold(clip) is not None:
            rows_of.setdefault(clip.dataset, []).append(row)
    found = []
    for dataset, rows in rows_of.items():
        folds = np.array([clip_fold(clips[row]) for row in rows])
        if len(np.unique(folds)) < 2:
            continue
        shares = np.stack([clips[row].shares for row in rows])
        own = features[rows].astype(np.float32)
        of_classes = bool(np.isin(shares, (0, 1)).all() and (shares.sum(axis=1) == 1).all())
        figures = _of_classes if of_classes else _of_scales
        found.append(DatasetProbe(dataset, len(rows), *figures(own, shares, folds)))
    return ProbeReport(tuple(found))


def _held_out(folds: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Rows to fit on and rows to answer, fold by fold."""
    for fold in range(N_FOLDS):
        asked = folds == fold
        if asked.any():
            yield ~asked, asked


def _of_classes(
    features: NDArray[np.float32], shares: NDArray[np.float32], folds: NDArray[np.int64]
) -> tuple[Figures, Figures, Figures]:
    labels, n_classes = shares.argmax(axis=1), shares.shape[1]
    answers = {name: np.zeros_like(labels) for name in ("linear", "nearest")}
    for fitted, asked in _held_out(folds):
        known = labels[fitted]
        answers["linear"][asked] = (
            classify("logistic regression", features[fitted], known, features[asked])
            if len(np.unique(known)) > 1
            else known[0]
        )
        near = nearest_neighbours(features[fitted], features[asked])
        votes = shares[fitted][near].sum(axis=1)
        votes += _SMALL * shares[fitted][near[:, 0]]  # the nearest decides a tie
        answers["nearest"][asked] = votes.argmax(axis=1)

    def figures(given: NDArray[np.int64]) -> Figures:
        return {
            "balanced_accuracy": balanced_accuracy(labels, given),
            "macro_f1": macro_f1(labels, given, n_classes),
            "accuracy": accuracy(labels, given),
        }

    constant = constant_prediction(labels, len(labels))
    return figures(answers["linear"]), figures(answers["nearest"]), figures(constant)


def _of_scales(
    features: NDArray[np.float32], shares: NDArray[np.float32], folds: NDArray[np.int64]
) -> tuple[Figures, Figures, Figures]:
    linear, nearest = np.zeros_like(shares), np.zeros_like(shares)
    for fitted, asked in _held_out(folds):
        linear[asked] = regress("ridge", features[fitted], shares[fitted], features[asked])
        near = nearest_neighbours(features[fitted], features[asked])
        nearest[asked] = shares[fitted][near].mean(axis=1)

    def mean_r(given: NDArray[np.float32]) -> Figures:
        columns = range(shares.shape[1])
        return {
            "pearson_r": float(np.mean([pearson_r(shares[:, k], given[:, k]) for k in columns]))
        }

    return mean_r(linear), mean_r(nearest), {"pearson_r": 0.0}


def nearest_neighbours(
    known: NDArray[np.float32], asked: NDArray[np.float32], n: int = NEIGHBOURS
) -> NDArray[np.int64]:
    """Rows of ``known`` that are nearest to each of ``asked``, nearest first: (n_asked, n).

    By the cosine of features standardised with the known ones'. Fewer if fewer are known.
    """
    mean, spread = known.mean(axis=0), known.std(axis=0) + _SMALL

    def directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = (rows - mean) / spread
        length = np.linalg.norm(scaled, axis=1, keepdims=True)
        found: NDArray[np.float32] = scaled / np.maximum(length, _SMALL)
        return found

    cosine = directions(asked) @ directions(known).T
    return np.argsort(-cosine, axis=1, kind="stable")[:, :n]


@torch.no_grad()
def clip_features(
    backbone: Backbone, clips: Sequence[Recording], n_frames: int
) -> NDArray[np.float32]:
    """Features (n_clips, n_features): mean over windows of ``n_frames``, evenly spaced.

    At most four windows of a recording are read; one that is shorter is repeated until
    it fills one.

    Raises
    ------
    InputError
        If a recording cannot be used.
    """
    training = backbone.training
    backbone.eval()
    device = backbone.band_mean.device
    total = np.zeros((len(clips), backbone.n_features), dtype=np.float32)
    waiting: list[NDArray[np.float32]] = []
    owners: list[int] = []

    def answer() -> None:
        rows = torch.from_numpy(np.stack(waiting)).to(device)
        np.add.at(total, owners, backbone(rows).float().cpu().numpy())
        waiting.clear()
        owners.clear()

    counts = np.zeros((len(clips), 1), dtype=np.float32)
    for row, clip in enumerate(clips):
        log_mel = read_log_mel(clip)
        if log_mel.shape[1] < n_frames:
            log_mel = np.tile(log_mel, (1, -(-n_frames // log_mel.shape[1])))
        n_windows = min(_WINDOWS, log_mel.shape[1] // n_frames)
        for start in np.linspace(0, log_mel.shape[1] - n_frames, n_windows).astype(int):
            waiting.append(log_mel[:, start : start + n_frames].astype(np.float32))
            owners.append(row)
            counts[row] += 1
            if len(waiting) == _AT_ONCE:
                answer()
    if waiting:
        answer()
    backbone.train(training)
    return total / counts


def sample(clips: Sequence[Recording], at_most: int, seed: int) -> list[Recording]:
    """A fixed choice of recordings that can be probed, at most so many of each data set."""
    by_dataset: dict[str, list[Recording]] = {}
    for clip in clips:
        if clip.shares.size and clip_fold(clip) is not None:
            by_dataset.setdefault(clip.dataset, []).append(clip)
    random = np.random.default_rng(seed)
    chosen: list[Recording] = []
    for own in by_dataset.values():
        places = np.sort(random.permutation(len(own))[:at_most])
        chosen += [own[place] for place in places]
    return chosen


class ProbeCallback(Callback):
    """Probes the backbone before training, every few epochs, and after the last.

    Parameters
    ----------
    labelled
        Recordings; nothing is done if none can be probed.
    path
        Lines of JSON: epoch and figures. An epoch that is repeated after an interruption
        replaces its line.
    n_frames
        Length of a window.
    every
        Epochs between two probes.
    at_most, seed
        As in :func:`sample`.
    say
        Receives a line per probe.
    """

    def __init__(
        self,
        labelled: Sequence[Recording],
        path: Path,
        *,
        n_frames: int,
        every: int,
        at_most: int,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self._clips = sample(labelled, at_most, seed)
        self._path, self._n_frames, self._every, self._say = path, n_frames, every, say
        self._last: ProbeReport | None = None

    def last_report(self) -> ProbeReport | None:
        """What the last probe found, of this run or of the one that was interrupted."""
        if self._last is None:
            lines = self._lines()
            if lines:
                figures = lines[-1]["figures"]
                self._last = ProbeReport(tuple(DatasetProbe(k, **v) for k, v in figures.items()))
        return self._last

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.is_file():
            return []
        text = self._path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def _probe(self, module: lightning.LightningModule, epoch: int) -> None:
        if not self._clips:
            return
        backbone = module.backbone
        assert isinstance(backbone, Backbone)
        self._last = probe(clip_features(backbone, self._clips, self._n_frames), self._clips)
        lines = [line for line in self._lines() if line["epoch"] < epoch]
        lines.append({"epoch": epoch, "figures": self._last.figures()})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # under another name until it is whole: a run that is killed goes on from these lines
        part = self._path.with_name(f"{self._path.name}.part")
        part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        os.replace(part, self._path)
        self._say(f"probe after epoch {epoch}: {self._last.line()}")

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Probe the fresh weights."""
        if trainer.current_epoch == 0:
            self._probe(pl_module, 0)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Probe if it is time."""
        done = trainer.current_epoch + 1
        if done % self._every == 0 or done == trainer.max_epochs:
            self._probe(pl_module, done)
