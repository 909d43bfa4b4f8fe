"""Two views of one log-mel: the augmentations of BYOL-A.

Niizumi et al. (2021), *BYOL for Audio: Self-supervised learning for general-purpose
audio representation* (arXiv 2103.06695), in this order:

1. pre-normalisation by the mean and standard deviation of the training data;
2. mixup: a quiet other recording from a memory of past inputs is added, as powers
   add (the log-mels are exponentiated, averaged, and the logarithm taken again);
3. random resize crop: a rectangle of bands and time of random size and place,
   stretched to the input's size; it may reach beyond the ends of the input, where
   there is the training data's mean;
4. post-normalisation: by the mean and standard deviation of the whole batch, which
   the other two have moved.

Unlike there, a unit is turned into decibels for the mixup, so that powers are really
powers, and the views are given in decibels of the training data again, since a
backbone standardises its bands itself.

What is random is drawn from a generator on the processor: the same seed gives the
same views on any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from data_prep.errors import InputError

_NATURAL_PER_DB = math.log(10.0) / 10.0
_LEAST_STD = 1e-3


@dataclass(frozen=True)
class ViewAugmentation:
    """How views are made of inputs. The defaults are the paper's.

    Attributes
    ----------
    mixup
        Largest share of the other recording's power.
    memory
        How many past inputs are remembered.
    band_scale, time_scale
        Smallest and largest height and width of the crop, relative to the input's.
    virtual_bands, virtual_time
        Size of the area a crop may lie in, relative to the input's; the input is in its
        middle. A crop is no larger than that.
    """

    mixup: float = 0.4
    memory: int = 2048
    band_scale: tuple[float, float] = (0.6, 1.5)
    time_scale: tuple[float, float] = (0.6, 1.5)
    virtual_bands: float = 1.0
    virtual_time: float = 1.5

    def __post_init__(self) -> None:
        scales = (*self.band_scale, *self.time_scale)
        ordered = self.band_scale[0] <= self.band_scale[1] and (
            self.time_scale[0] <= self.time_scale[1]
        )
        if (
            not 0 <= self.mixup < 1
            or self.memory < 0
            or min(scales) <= 0
            or not ordered
            or min(self.virtual_bands, self.virtual_time) < 1
        ):
            raise InputError(f"settings of the views do not make sense: {self}")


class Normalisation(nn.Module):
    """By a fixed mean and standard deviation in dB, and back."""

    mean_db: Tensor
    std_db: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean_db", torch.zeros(()))
        self.register_buffer("std_db", torch.ones(()))

    def fit(self, log_mel: Tensor) -> None:
        """Take mean and standard deviation from training log-mels."""
        self.mean_db.copy_(log_mel.mean())
        self.std_db.copy_(log_mel.std().clamp_min(_LEAST_STD))

    def forward(self, log_mel: Tensor) -> Tensor:
        normalised: Tensor = (log_mel - self.mean_db) / self.std_db
        return normalised

    def inverse(self, normalised: Tensor) -> Tensor:
        """Back to dB."""
        log_mel: Tensor = normalised * self.std_db + self.mean_db
        return log_mel


def by_batch(values: Tensor) -> Tensor:
    """A batch with mean 0 and standard deviation 1 over all of its values."""
    centred = values - values.mean()
    return centred / centred.pow(2).mean().sqrt().clamp_min(_LEAST_STD)


def mix_powers(first: Tensor, second: Tensor, share: Tensor, unit_db: Tensor | float) -> Tensor:
    """Log of ``(1 - share)`` of one power plus ``share`` of another.

    Parameters
    ----------
    first, second
        Log-mels (n, n_bands, n_frames) of which one unit is ``unit_db`` decibels.
    share
        (n,) in 0 to 1, exclusive of 1.
    """
    natural = unit_db * _NATURAL_PER_DB
    kept, added = torch.log1p(-share), torch.log(share)  # -inf adds nothing
    mixed = torch.logaddexp(
        first * natural + kept[:, None, None], second * natural + added[:, None, None]
    )
    return mixed / natural


class InputMemory:
    """The last inputs of a training: first in, first out.

    Parameters
    ----------
    capacity
        How many are kept, in 16 bits.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: Tensor | None = None
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, self._capacity)

    def push(self, inputs: Tensor) -> None:
        """Remember inputs (n, n_bands, n_frames)."""
        if self._kept is None:
            self._kept = inputs.new_empty((self._capacity, *inputs.shape[1:]), dtype=torch.float16)
        newest = inputs[-self._capacity :] if self._capacity else inputs[:0]
        self._count += len(inputs) - len(newest)
        places = torch.arange(self._count, self._count + len(newest), device=inputs.device)
        self._kept[places % max(self._capacity, 1)] = newest.to(torch.float16)
        self._count += len(newest)

    def draw(self, n: int, generator: Generator) -> Tensor | None:
        """Some of them (n, n_bands, n_frames), each drawn from all; ``None`` if there are none."""
        if self._kept is None or not len(self):
            return None
        chosen = torch.randint(len(self), (n,), generator=generator)
        return self._kept[chosen.to(self._kept.device)].float()


def resized_crops(inputs: Tensor, boxes: Tensor) -> Tensor:
    """Rectangles of inputs, stretched to the inputs' size by bicubic interpolation.

    Parameters
    ----------
    inputs
        (n, n_bands, n_frames).
    boxes
        (n, 4): first band and first frame, which may be negative, and number of bands
        and of frames. Beyond the ends there is 0.
    """
    n_bands, n_frames = inputs.shape[1:]
    top, left, height, width = boxes.to(inputs).unbind(dim=1)

    def places(first: Tensor, length: Tensor, n: int) -> Tensor:
        """Where each of n outputs comes from, with -1 and 1 for the input's first and last."""
        steps = torch.linspace(0.0, 1.0, n, device=inputs.device, dtype=inputs.dtype)
        at = first[:, None] + steps * (length[:, None] - 1.0)  # (batch, n)
        return at * (2.0 / (n - 1)) - 1.0

    down, across = places(top, height, n_bands), places(left, width, n_frames)
    grid = torch.stack(
        [
            across[:, None, :].expand(-1, n_bands, -1),
            down[:, :, None].expand(-1, -1, n_frames),
        ],
        dim=-1,
    )  # (batch, n_bands, n_frames, 2)
    return nn.functional.grid_sample(
        inputs[:, None], grid, mode="bicubic", padding_mode="zeros", align_corners=True
    )[:, 0]


def crop_boxes(
    n: int, n_bands: int, n_frames: int, settings: ViewAugmentation, generator: Generator
) -> Tensor:
    """Random boxes (n, 4) as :func:`resized_crops` takes them, in whole bands and frames."""
    drawn = torch.rand((n, 4), generator=generator)

    def along(
        size: int, virtual: float, scale: tuple[float, float], length: Tensor, place: Tensor
    ) -> tuple[Tensor, Tensor]:
        area = int(size * virtual)
        lengths = (size * (scale[0] + length * (scale[1] - scale[0]))).floor().clamp(1, area)
        first = (place * (area - lengths + 1)).floor() - (area - size) // 2
        return first, lengths

    c = settings
    top, height = along(n_bands, c.virtual_bands, c.band_scale, drawn[:, 0], drawn[:, 1])
    left, width = along(n_frames, c.virtual_time, c.time_scale, drawn[:, 2], drawn[:, 3])
    return torch.stack([top, left, height, width], dim=1)


def augmented(
    inputs: Tensor,
    memory: InputMemory,
    settings: ViewAugmentation,
    unit_db: Tensor | float,
    generator: Generator,
) -> Tensor:
    """One view of each input: mixed, then cropped.

    Parameters
    ----------
    inputs
        Pre-normalised log-mels (n, n_bands, n_frames).
    memory
        Holds inputs of other batches.
    unit_db
        Decibels of one unit of the inputs.
    """
    share = torch.rand(len(inputs), generator=generator) * settings.mixup
    others = memory.draw(len(inputs), generator)
    if others is not None:
        inputs = mix_powers(inputs, others, share.to(inputs), unit_db)
    n, n_bands, n_frames = inputs.shape
    boxes = crop_boxes(n, n_bands, n_frames, settings, generator)
    return resized_crops(inputs, boxes)
