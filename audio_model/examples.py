"""Training examples: augmented windows with their partial labels, in mixed batches.

Every batch holds a fixed share of each data set. An example knows its data set,
its native target, and its *groups*: what its label says about the six emotions.
A group is a set of emotions that the label does not tell apart (quadrant Q2 =
tension or anger); emotions in no group of a data set are left out of its loss
(EMOPIA says nothing about neutral).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from audio_model.heads import DATASET_HEADS
from audio_model.input_cache import Clip
from audio_model.labels import group_shares
from audio_model.windows import TEN_SECONDS, FrontEnd, Spectra, filled
from data_prep.taxonomy import native_label_set

N_NATIVE: Final = max(len(native_label_set(head).labels) for head in DATASET_HEADS.values())


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
    masked
        The log-mels with blanked parts.
    dataset
        (batch,) index into ``DATASET_HEADS``.
    native
        (batch, N_NATIVE) shares of the native labels, zero-padded.
    groups
        (batch, 6) shares of the groups, zero-padded.
    """

    log_mel: Tensor
    salience: Tensor
    masked: Tensor
    dataset: Tensor
    native: Tensor
    groups: Tensor


def _window(piece: Spectra, random: np.random.Generator, front_end: FrontEnd) -> Spectra:
    """A random window of a clip; a short clip is repeated from a random place."""
    step, n_frames = front_end.step, front_end.windows.n_frames
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


class TrainingBatches(IterableDataset[Batch]):
    """Mixed batches of one epoch.

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
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        shares: dict[str, int],
        n_batches: int,
        augmentation: Augmentation,
        seed: int,
        front_end: FrontEnd = TEN_SECONDS,
    ) -> None:
        super().__init__()
        self.by_dataset = {
            name: [clip for clip in clips if clip.dataset == name] for name in DATASET_HEADS
        }
        self.shares = {name: n for name, n in shares.items() if self.by_dataset[name] and n > 0}
        self.n_batches = n_batches
        self.augmentation = augmentation
        self.seed = seed
        self.front_end = front_end

    def __len__(self) -> int:
        return self.n_batches

    def _orders(self, random: np.random.Generator) -> dict[str, Iterator[int]]:
        def endless(n: int) -> Iterator[int]:
            while True:
                yield from random.permutation(n).tolist()

        return {name: endless(len(self.by_dataset[name])) for name in self.shares}

    def __iter__(self) -> Iterator[Batch]:
        random = np.random.default_rng(self.seed)
        orders = self._orders(random)
        names = list(DATASET_HEADS)
        for _ in range(self.n_batches):
            log_mels, saliences, datasets, natives, groups = [], [], [], [], []
            for name, n in self.shares.items():
                for _ in range(n):
                    clip = self.by_dataset[name][next(orders[name])]
                    window = _window(clip.spectra, random, self.front_end)
                    log_mels.append(
                        _varied(window.log_mel, self.augmentation, random, self.front_end)
                    )
                    saliences.append(window.notes)
                    datasets.append(names.index(name))
                    native = np.zeros(N_NATIVE, dtype=np.float32)
                    native[: clip.shares.size] = clip.shares
                    natives.append(native)
                    groups.append(group_shares(name, clip.shares))
            log_mel = np.stack(log_mels)
            arrays = (
                log_mel,
                np.stack(saliences).astype(np.float32),
                _mask(log_mel, self.augmentation, random),
                np.array(datasets),
                np.stack(natives),
                np.stack(groups),
            )
            yield Batch(*(torch.from_numpy(array) for array in arrays))
