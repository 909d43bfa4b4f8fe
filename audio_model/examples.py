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
from audio_model.labels import group_shares
from audio_model.mel_cache import Clip
from audio_model.windows import TEN_SECONDS, WindowConfiguration, fill
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
    stretch
        Largest relative change of tempo. Off: interpolation between frames blurs what
        the statistics measure, and costs more than it gains (as does the next).
    shift_bands
        Largest shift along the bands (voice and instrument size), in bands. Off.
    raise_floor
        Probability that everything quieter than some level is raised to it (noise).
    low_pass
        Probability that the upper bands are silenced (low bit rates, old recordings).
    masks
        Blanked stretches of time, and of bands, that the convolutions see.
    mixup
        Parameter of the Beta distribution that mixes two windows of one data set.
    """

    gain_db: float = 1.0
    tilt_db: float = 2.0
    stretch: float = 0.0
    shift_bands: float = 0.0
    raise_floor: float = 0.3
    low_pass: float = 0.1
    masks: int = 2
    mixup: float = 0.0


class Batch(NamedTuple):
    """Examples of one step.

    Attributes
    ----------
    window, masked
        (batch, n_mels, n_frames): as it is, and with blanked parts.
    dataset
        (batch,) index into ``DATASET_HEADS``.
    native
        (batch, N_NATIVE) shares of the native labels, zero-padded.
    groups
        (batch, 6) shares of the groups, zero-padded.
    """

    window: Tensor
    masked: Tensor
    dataset: Tensor
    native: Tensor
    groups: Tensor


def _varied(
    clip: NDArray[np.float16],
    augmentation: Augmentation,
    random: np.random.Generator,
    c: WindowConfiguration,
) -> NDArray[np.float32]:
    """One random window (n_mels, n_frames) of a clip."""
    n_mels, n = clip.shape
    rate = 1.0 + random.uniform(-augmentation.stretch, augmentation.stretch)
    span = int(c.n_frames * rate) + 2
    if n >= span:
        start = int(random.integers(0, n - span + 1))
        part = clip[:, start : start + span].astype(np.float32)
    else:
        rolled = np.roll(clip.astype(np.float32), -int(random.integers(0, n)), axis=1)
        part = fill(rolled, span)[:, :span]
    if augmentation.stretch:
        at = np.arange(c.n_frames) * rate
        low = at.astype(np.intp)
        share = (at - low).astype(np.float32)
        part = part[:, low] * (1 - share) + part[:, low + 1] * share
    part = part[:, : c.n_frames]
    if augmentation.shift_bands:
        by = random.uniform(-augmentation.shift_bands, augmentation.shift_bands)
        band = np.clip(np.arange(n_mels) + by, 0, n_mels - 1.001)
        low = band.astype(np.intp)
        share = (band - low).astype(np.float32)[:, None]
        part = part[low] * (1 - share) + part[low + 1] * share
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
        configuration: WindowConfiguration = TEN_SECONDS,
    ) -> None:
        super().__init__()
        self.by_dataset = {
            name: [clip for clip in clips if clip.dataset == name] for name in DATASET_HEADS
        }
        self.shares = {name: n for name, n in shares.items() if self.by_dataset[name] and n > 0}
        self.n_batches = n_batches
        self.augmentation = augmentation
        self.seed = seed
        self.configuration = configuration

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
            windows, datasets, natives, groups = [], [], [], []
            for name, n in self.shares.items():
                for _ in range(n):
                    clip = self.by_dataset[name][next(orders[name])]
                    window = _varied(clip.log_mel, self.augmentation, random, self.configuration)
                    windows.append(window)
                    datasets.append(names.index(name))
                    native = np.zeros(N_NATIVE, dtype=np.float32)
                    native[: clip.shares.size] = clip.shares
                    natives.append(native)
                    groups.append(group_shares(name, clip.shares))
            window_array, native_array = np.stack(windows), np.stack(natives)
            group_array, dataset_array = np.stack(groups), np.array(datasets)
            if self.augmentation.mixup > 0:
                for index in set(datasets):
                    of = np.flatnonzero(dataset_array == index)
                    partner = random.permutation(of)
                    share = random.beta(self.augmentation.mixup, self.augmentation.mixup, of.size)
                    share = np.maximum(share, 1 - share).astype(np.float32)
                    for array in (window_array, native_array, group_array):
                        s = share.reshape(-1, *([1] * (array.ndim - 1)))
                        array[of] = s * array[of] + (1 - s) * array[partner]
            masked = _mask(window_array, self.augmentation, random)
            yield Batch(
                torch.from_numpy(window_array),
                torch.from_numpy(masked),
                torch.from_numpy(dataset_array),
                torch.from_numpy(native_array),
                torch.from_numpy(group_array),
            )
