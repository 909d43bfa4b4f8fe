"""musicnn (Pons & Serra 2019) up to its last layer before the tags, as a frozen network.

Its shapes are those of the published weights (:mod:`audio_model.musicnn_weights`):
convolutions over patches of the spectrogram, tall ones for timbre and long ones for
rhythm, each followed by the maximum over frequency; three layers over time with
residual connections; maximum and mean over time; a dense layer of 200.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audio_model.musicnn_weights import read_weights
from audio_model.tag_embedding import MUSICNN
from data_prep.errors import InputError

_EPSILON: Final = 1e-3  # of the batch normalisations
_TIMBRE: Final = ("conv2d", "conv2d_1")
_RHYTHM: Final = ("conv2d_2", "conv2d_3", "conv2d_4")
_TIME: Final = ("conv2d_5", "conv2d_6", "conv2d_7")


class Musicnn(nn.Module):
    """Patches (n, 187, 96) → vectors (n, 200).

    Parameters
    ----------
    weights
        As :func:`audio_model.musicnn_weights.read_weights` gives them.

    Raises
    ------
    InputError
        If a tensor is missing or of another shape.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        super().__init__()
        self._weights = weights
        self.input_scale, self.input_shift = self._normalisation(0)
        self.timbre = nn.ModuleList(
            self._convolution(name, number) for number, name in enumerate(_TIMBRE, 1)
        )
        self.rhythm = nn.ModuleList(
            self._convolution(name, number) for number, name in enumerate(_RHYTHM, 3)
        )
        self.time = nn.ModuleList(
            self._convolution(name, number) for number, name in enumerate(_TIME, 6)
        )
        self.pooled_scale, self.pooled_shift = self._normalisation(9)
        self.dense = nn.Linear(*self._tensor("dense/kernel").shape)
        self.dense.weight = self._parameter("dense/kernel", transposed=True)
        self.dense.bias = self._parameter("dense/bias")
        self.scale, self.shift = self._normalisation(10)
        del self._weights
        self.requires_grad_(False)
        self.eval()
        with torch.no_grad():
            made = self(torch.zeros(1, *MUSICNN.patch_shape))
        if made.shape[1:] != (MUSICNN.size,):
            raise InputError(f"the weights of musicnn give vectors of {made.shape[1]} numbers")

    def _tensor(self, name: str) -> Tensor:
        if name not in self._weights:
            raise InputError(f"the weights of musicnn lack {name!r}")
        return torch.from_numpy(self._weights[name])

    def _parameter(self, name: str, *, transposed: bool = False) -> nn.Parameter:
        values = self._tensor(name)
        return nn.Parameter((values.T if transposed else values).contiguous())

    def _normalisation(self, number: int) -> tuple[nn.Parameter, nn.Parameter]:
        """A batch normalisation as scale and shift."""
        name = "batch_normalization" + (f"_{number}" if number else "")
        scale = self._tensor(f"{name}/gamma") / torch.sqrt(
            self._tensor(f"{name}/moving_variance") + _EPSILON
        )
        shift = self._tensor(f"{name}/beta") - scale * self._tensor(f"{name}/moving_mean")
        return nn.Parameter(scale), nn.Parameter(shift)

    def _convolution(self, name: str, number: int) -> _NormalisedConvolution:
        kernel = self._tensor(f"{name}/kernel").permute(3, 2, 0, 1).contiguous()
        return _NormalisedConvolution(
            kernel, self._tensor(f"{name}/bias"), *self._normalisation(number)
        )

    @staticmethod
    def load(source: Path) -> Musicnn:
        """From the published wheel, or a folder with its content.

        Raises
        ------
        MissingDataError, InputError
            As :func:`audio_model.musicnn_weights.read_weights`.
        """
        return Musicnn(read_weights(source))

    def forward(self, patches: Tensor) -> Tensor:
        image = patches[:, None] * self.input_scale + self.input_shift  # (n, 1, frames, bands)
        front = [layer(image).amax(dim=3) for layer in (*self.timbre, *self.rhythm)]
        maps = torch.cat(front, dim=1)  # (n, channels, frames)
        found = [maps]
        for index, layer in enumerate(self.time):
            made = layer(maps.transpose(1, 2)[:, None])[..., 0]
            maps = made + maps if index else made
            found.append(maps)
        everything = torch.cat(found, dim=1)
        # published as pairs of maximum and mean, channel by channel
        pooled = torch.stack([everything.amax(dim=2), everything.mean(dim=2)], dim=2).flatten(1)
        hidden = torch.relu(self.dense(pooled * self.pooled_scale + self.pooled_shift))
        vectors: Tensor = hidden * self.scale + self.shift
        return vectors


class _NormalisedConvolution(nn.Module):
    """Convolution with as many frames out as in, ReLU, then scale and shift."""

    def __init__(self, kernel: Tensor, bias: Tensor, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        length = kernel.shape[2]
        self.padding = (0, 0, (length - 1) // 2, length // 2)  # of frames alone
        self.kernel, self.bias = nn.Parameter(kernel), nn.Parameter(bias)
        self.scale, self.shift = nn.Parameter(scale.detach()), nn.Parameter(shift.detach())

    def forward(self, image: Tensor) -> Tensor:
        padded = nn.functional.pad(image, self.padding)
        maps = torch.relu(nn.functional.conv2d(padded, self.kernel, self.bias))
        scaled: Tensor = maps * self.scale[:, None, None] + self.shift[:, None, None]
        return scaled
