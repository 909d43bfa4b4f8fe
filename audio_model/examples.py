"""Training examples: augmented windows with their partial labels, in mixed batches.

Every batch holds a fixed share of each data set. An example knows its data set,
its native target, and its *groups*: what its label says about the six emotions.
A group is a set of emotions that the label does not tell apart (quadrant Q2 =
tension or anger); emotions in no group of a data set are left out of its loss
(EMOPIA says nothing about neutral).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from audio_model.heads import DATASET_HEADS, group_shares, head_labels
from audio_model.recording import Recording
from audio_model.windows import TEN_SECONDS, FrontEnd, Spectra, filled


@dataclass(frozen=True)
class Augmentation:
    """How training windows are varied. Zero switches a variation off.

    Attributes
    ----------
    gain_db
        Standard deviation of the level.
    tilt_db
        Largest smooth change of the bands' balance, at either end.
    raise_floor
        Probability that everything quieter than some level is raised to it (noise).
    low_pass
        Probability that the upper bands are silenced (low bit rates, old recordings).
    masks
        Blanked stretches of time, and of bands, that the convolutions see.
    """

    gain_db: float = 1.0
    tilt_db: float = 2.0
    raise_floor: float = 0.3
    low_pass: float = 0.1
    masks: int = 2


class Batch(NamedTuple):
    """Examples of one step.

    Attributes
    ----------
    log_mel, salience
        Windows: (batch, n_mels, n_frames) and (batch, n_notes, n_frames // step).
    embedding
        (batch, size) embeddings of the recordings; of size 0 without any.
    masked
        The log-mels with blanked parts.
    dataset
        (batch,) index into the data sets of the training.
    native
        (batch, n_native) shares of the native labels, zero-padded.
    groups
        (batch, 6) shares of the groups, zero-padded.
    """

    log_mel: Tensor
    salience: Tensor
    embedding: Tensor
    masked: Tensor
    dataset: Tensor
    native: Tensor
    groups: Tensor


def random_window(piece: Spectra, random: np.random.Generator, front_end: FrontEnd) -> Spectra:
    """A random window of a clip; a short clip is repeated from a random place."""
    step, n_frames = front_end.step, front_end.windows.n_frames
    piece = piece.seen_by(front_end)
    spare = piece.n_frames - n_frames
    if spare < 0:
        by = int(random.integers(0, piece.notes.shape[1]))
        rolled = Spectra(
            np.roll(piece.log_mel, -by * step, axis=1), np.roll(piece.notes, -by, axis=1)
        )
        return filled(rolled, n_frames, step)
    return piece.part(int(random.integers(0, spare // step + 1)) * step, n_frames, step)


def _varied(
    log_mel: NDArray[np.float16],
    augmentation: Augmentation,
    random: np.random.Generator,
    front_end: FrontEnd,
) -> NDArray[np.float32]:
    """A window's log-mel, varied."""
    c, n_mels = front_end.windows, log_mel.shape[0]
    part = log_mel.astype(np.float32)
    place = np.linspace(-1, 1, n_mels)
    tilt = random.uniform(-1, 1) * place + random.uniform(-1, 1) * (place**2 - 0.5)
    offset = augmentation.tilt_db * 0.5 * tilt + random.normal(0, augmentation.gain_db or 0.0)
    part = part + offset.astype(np.float32)[:, None]
    if random.random() < augmentation.low_pass:
        part[int(random.integers(n_mels // 2, n_mels)) :] = c.floor_db
    floor = c.floor_db
    if random.random() < augmentation.raise_floor:
        floor = random.uniform(c.floor_db, c.floor_db + 25.0)
    limited: NDArray[np.float32] = np.clip(part, floor, c.ceiling_db).astype(np.float32)
    return limited


def _embedding(
    clip: Recording, random: np.random.Generator, front_end: FrontEnd
) -> NDArray[np.floating[Any]]:
    """Embedding of a recording: the mean of some of its patches, as serving hears some."""
    if front_end.embedding is None:
        return np.zeros(0, dtype=np.float32)
    patches = clip.some_patches()
    n = int(random.integers(1, min(len(patches), front_end.embedding.at_most) + 1))
    mean: NDArray[np.float32] = patches[random.permutation(len(patches))[:n]].mean(
        axis=0, dtype=np.float32
    )
    return mean


def _mask(
    windows: NDArray[np.float32], augmentation: Augmentation, random: np.random.Generator
) -> NDArray[np.float32]:
    """Copy with ``masks`` stretches of time and of bands set to the window's mean."""
    masked = windows.copy()
    n_mels, n_frames = windows.shape[1:]
    for window, blank in zip(masked, windows.mean(axis=(1, 2)), strict=True):
        for _ in range(augmentation.masks):
            width = int(random.integers(0, n_mels // 6 + 1))
            start = int(random.integers(0, n_mels - width + 1))
            window[start : start + width] = blank
            width = int(random.integers(0, n_frames // 8 + 1))
            start = int(random.integers(0, n_frames - width + 1))
            window[:, start : start + width] = blank
    return masked


class TrainingBatches(Dataset[Batch]):
    """Mixed batches of one epoch, each made when it is asked for.

    A batch depends on the seed and its number alone, so workers may make them.

    Parameters
    ----------
    clips
        Training clips of every data set.
    shares
        Windows of each data set in one batch.
    n_batches
        Batches in an epoch.
    augmentation
        How windows are varied.
    seed
        Of this epoch: the same seed gives the same batches.
    front_end
        How windows are cut.
    datasets
        Data set → label set; ours if not given.
    """

    def __init__(
        self,
        clips: Sequence[Recording],
        shares: Mapping[str, int],
        n_batches: int,
        augmentation: Augmentation,
        seed: int,
        front_end: FrontEnd = TEN_SECONDS,
        datasets: Mapping[str, str] = DATASET_HEADS,
    ) -> None:
        super().__init__()
        by_dataset = {name: [c for c in clips if c.dataset == name] for name in datasets}
        self.shares = {name: n for name, n in shares.items() if by_dataset[name] and n > 0}
        self.n_batches = n_batches
        self.augmentation = augmentation
        self.seed = seed
        self.front_end = front_end
        self.datasets = datasets
        random = np.random.default_rng(seed)
        self._drawn = {
            name: _drawn(by_dataset[name], n * n_batches, random) for name, n in self.shares.items()
        }

    def __len__(self) -> int:
        return self.n_batches

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < self.n_batches:
            raise IndexError(index)
        random = np.random.default_rng([self.seed, index])
        names = list(self.datasets)
        n_native = max(len(head_labels(label_set)) for label_set in self.datasets.values())
        log_mels, saliences, embeddings, datasets, natives, groups = [], [], [], [], [], []
        for name, n in self.shares.items():
            for clip in self._drawn[name][index * n : (index + 1) * n]:
                window = random_window(clip.spectra, random, self.front_end)
                log_mels.append(_varied(window.log_mel, self.augmentation, random, self.front_end))
                saliences.append(window.notes)
                embeddings.append(_embedding(clip, random, self.front_end))
                datasets.append(names.index(name))
                native = np.zeros(n_native, dtype=np.float32)
                native[: clip.shares.size] = clip.shares
                natives.append(native)
                groups.append(group_shares(self.datasets[name], clip.shares))
        log_mel = np.stack(log_mels)
        arrays = (
            log_mel,
            np.stack(saliences).astype(np.float32),
            np.stack(embeddings).astype(np.float32),
            _mask(log_mel, self.augmentation, random),
            np.array(datasets),
            np.stack(natives),
            np.stack(groups),
        )
        return Batch(*(torch.from_numpy(array) for array in arrays))


def _drawn(clips: Sequence[Recording], wanted: int, random: np.random.Generator) -> list[Recording]:
    """Permutation after permutation of the clips, as many as are wanted."""
    rounds = [random.permutation(len(clips)) for _ in range(-(-wanted // len(clips)))]
    return [clips[i] for i in np.concatenate(rounds)[:wanted]]
