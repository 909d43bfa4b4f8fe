"""Batches of labelled texts, drawn so that a run can stop and go on anywhere.

A pass over the training texts is cut into parts, each of which is an "epoch" to
Lightning, with a checkpoint at its end. What a part holds depends on the seed
and its number alone, so a resumed run sees what an uninterrupted one would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lyrics_model.feature_cache import FeatureCache
from lyrics_model.text_encoding import padded
from lyrics_model.tuning_data import TuningData
from lyrics_model.tuning_module import Batch
from lyrics_model.tuning_specification import TuningConfiguration

_SORTED_TOGETHER: Final = 50
_SCORED_AT_ONCE: Final = 4


class BatchDataset(Dataset[Batch]):
    """One item is one batch.

    Parameters
    ----------
    batches
        Positions of each batch's texts.
    caches
        Features by source; ``None`` gives token ids.
    """

    def __init__(
        self,
        data: TuningData,
        batches: Sequence[NDArray[np.int64]],
        pad_id: int,
        caches: Sequence[FeatureCache] | None,
    ) -> None:
        self.data = data
        self.batches = batches
        self.pad_id = pad_id
        self.caches = caches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch:
        index = self.batches[number]
        ids, mask = padded([self.data.pieces[i] for i in index], self.pad_id)
        given = torch.from_numpy(ids) if self.caches is None else self._features(index)
        return Batch(
            given,
            torch.from_numpy(mask),
            torch.from_numpy(self.data.targets[index]),
            torch.from_numpy(index),
        )

    def _features(self, index: NDArray[np.int64]) -> Tensor:
        assert self.caches is not None
        rows: list[NDArray[np.float32]] = []
        for i in index:
            cache = self.caches[int(self.data.sources[i])]
            rows.extend(cache.read(self.data.positions[[i]]))
        longest = max(len(row) for row in rows)
        stacked = np.zeros((len(rows), longest, rows[0].shape[1]), dtype=np.float32)
        for place, row in zip(stacked, rows, strict=True):
            place[: len(row)] = row
        return torch.from_numpy(stacked)


class TuningBatches(L.LightningDataModule):
    """Serves part ``trainer.current_epoch`` of the training texts, and all validation texts."""

    def __init__(
        self,
        data: TuningData,
        configuration: TuningConfiguration,
        pad_id: int,
        caches: Sequence[FeatureCache] | None,
    ) -> None:
        super().__init__()
        self.data = data
        self.configuration = configuration
        self.pad_id = pad_id
        self.caches = caches
        self.lengths = data.lengths
        self.per_pass = -(-len(data.train) // configuration.batch)
        self.parts = -(-self.per_pass // configuration.steps_per_part)
        self.smallest_part = self.per_pass // self.parts

    def train_dataloader(self) -> DataLoader[Any]:
        """Of the part that is due."""
        part = self.trainer.current_epoch if self.trainer else 0
        return self._loader(self.part(part))

    def val_dataloader(self) -> DataLoader[Any]:
        """All validation texts."""
        return self.scoring(self.data.validation)

    def part(self, number: int) -> list[NDArray[np.int64]]:
        """Batches of one part, counted over all passes."""
        number_of_pass, part = divmod(number, self.parts)
        generator = np.random.default_rng([self.configuration.seed, 3, number_of_pass])
        batches = shuffled_batches(
            self.data.train, self.lengths, self.configuration.batch, generator
        )
        edges = np.linspace(0, len(batches), self.parts + 1).round().astype(int)
        return batches[edges[part] : edges[part + 1]]

    def scoring(self, index: NDArray[np.int64]) -> DataLoader[Any]:
        """Some texts, similar lengths together, in no particular order."""
        ordered = index[np.argsort(self.lengths[index], kind="stable")]
        size = _SCORED_AT_ONCE * self.configuration.batch
        return self._loader([ordered[i : i + size] for i in range(0, len(ordered), size)])

    def _loader(self, batches: list[NDArray[np.int64]]) -> DataLoader[Any]:
        dataset = BatchDataset(self.data, batches, self.pad_id, self.caches)
        return DataLoader(dataset, batch_size=None, num_workers=0)


def shuffled_batches(
    index: NDArray[np.int64],
    lengths: NDArray[np.int64],
    size: int,
    generator: np.random.Generator,
) -> list[NDArray[np.int64]]:
    """Cut texts into batches of one size, similar lengths together, in random order.

    Texts are shuffled, sorted by length within stretches of fifty batches, cut,
    and the batches shuffled, so that little is padded and much is left to chance.
    The last batch may be smaller.
    """
    order = generator.permutation(index)
    stretch = size * _SORTED_TOGETHER
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), stretch):
        own = order[start : start + stretch]
        own = own[np.argsort(lengths[own], kind="stable")]
        batches.extend(own[i : i + size] for i in range(0, len(own), size))
    return [batches[i] for i in generator.permutation(len(batches))]
