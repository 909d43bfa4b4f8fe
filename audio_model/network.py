"""The mel network: statistics of the bands beside a small convolutional network.

*Wide* part: what a linear model on mel statistics would see (mean and spread of
every band, of its change, and of the cepstrum; onset strength and its
autocorrelation), computed inside the network from the same window, standardised
with constants. *Deep* part: a convolutional network over bands and time with
early strides. Both are joined; the wide part also reaches the output directly.

``forward`` returns logits; activations and label names live in the predictor.
Input: decibels relative to the recording's level (:mod:`audio_model.windows`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn

from audio_model.heads import N_LOGITS

_LAGS: Final[tuple[int, ...]] = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64)  # frames of 16 ms
_PER_DB: Final = math.log(10.0) / 10.0
_N_CEPSTRA: Final = 20
_N_GROUPS: Final = 8  # of neighbouring bands, for the modulation spectrum
_MODULATION_HZ: Final = (0.3, 0.6, 1.0, 1.5, 2.0, 2.7, 3.5, 4.5, 6.0, 8.0, 11.0, 16.0)
_FRAMES_PER_SECOND: Final = 62.5


@dataclass(frozen=True)
class NetworkConfiguration:
    """Sizes of the network.

    Attributes
    ----------
    n_mels
        Bands of a window.
    n_frames
        Frames of a window.
    channels
        Output channels of the convolutions; each halves bands and time, the
        first one time by four.
    wide, deep
        Units that the statistics and the pooled convolutions are reduced to.
    wide_dropout, dropout
        Of the standardised statistics, and of the hidden units.
    """

    n_mels: int = 48
    n_frames: int = 624
    channels: tuple[int, ...] = (16, 32, 64, 96)
    wide: int = 64
    deep: int = 64
    wide_dropout: float = 0.2
    dropout: float = 0.2


def _cosines(n_bands: int, n_cepstra: int) -> Tensor:
    """Orthonormal DCT-II rows 1..n_cepstra, (n_cepstra, n_bands)."""
    position = torch.arange(n_bands, dtype=torch.float64) + 0.5
    order = torch.arange(1, n_cepstra + 1, dtype=torch.float64)
    rows = torch.cos(math.pi / n_bands * order[:, None] * position[None, :])
    return (rows * math.sqrt(2.0 / n_bands)).float()


def _modulations(n_frames: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (n_frames, 2 n) of the modulation frequencies, and which of the
    n belong to which range: (n, n_ranges), columns summing to one."""
    hertz = torch.arange(1, n_frames // 2, dtype=torch.float64) * _FRAMES_PER_SECOND / n_frames
    edges = torch.tensor(_MODULATION_HZ, dtype=torch.float64)
    hertz = hertz[(hertz >= edges[0]) & (hertz < edges[-1])]
    inside = (hertz[:, None] >= edges[None, :-1]) & (hertz[:, None] < edges[None, 1:])
    ranges = inside.double() / inside.double().sum(dim=0, keepdim=True).clamp_min(1.0)
    time = torch.arange(n_frames, dtype=torch.float64) / _FRAMES_PER_SECOND
    phase = 2 * math.pi * time[:, None] * hertz[None, :]
    return torch.cat([torch.cos(phase), torch.sin(phase)], dim=1).float(), ranges.float()


def _std(values: Tensor) -> Tensor:
    """Standard deviation over the last axis, differentiable at zero."""
    centred = values - values.mean(dim=-1, keepdim=True)
    return torch.sqrt((centred * centred).mean(dim=-1) + 1e-4)


class MelStatistics(nn.Module):
    """Statistics of a window (batch, n_mels, n_frames) → (batch, n_features).

    Per band: mean, spread, skewness, mean power in dB, spread of the change from
    frame to frame. Of the cepstrum: spread, and spread of its change. Of onsets
    (rises in dB): strength, spread, peaks, autocorrelation, and the spectrum of
    eight groups of bands from 0.3 to 16 Hz, which tells tempo from texture.
    """

    cosines: Tensor
    waves: Tensor
    ranges: Tensor

    def __init__(self, n_mels: int, n_frames: int) -> None:
        super().__init__()
        waves, ranges = _modulations(n_frames - 1)
        self.register_buffer("cosines", _cosines(n_mels, _N_CEPSTRA), persistent=False)
        self.register_buffer("waves", waves, persistent=False)
        self.register_buffer("ranges", ranges, persistent=False)
        self.n_features = (
            5 * n_mels + 2 * _N_CEPSTRA + 3 + len(_LAGS) + _N_GROUPS * (len(_MODULATION_HZ) - 1)
        )

    def forward(self, window: Tensor) -> Tensor:
        change = window[:, :, 1:] - window[:, :, :-1]
        mean, spread = window.mean(dim=-1), _std(window)
        skewness = ((window - mean[:, :, None]) / spread[:, :, None]).pow(3).mean(dim=-1)
        power = 10.0 * torch.log10(torch.exp(window * _PER_DB).mean(dim=-1))
        cepstra = torch.matmul(self.cosines, window)
        rises = torch.relu(change)
        onsets = rises.mean(dim=1)  # (batch, n_frames - 1)
        strength, variation = onsets.mean(dim=-1, keepdim=True), _std(onsets)[:, None]
        centred = onsets - strength
        peaks = torch.pow((centred * centred * torch.relu(centred)).mean(dim=-1) + 1e-4, 1 / 3)
        n = centred.shape[-1]
        correlations = [(centred[:, : n - lag] * centred[:, lag:]).mean(dim=-1) for lag in _LAGS]
        return torch.cat(
            [
                mean,
                spread,
                skewness,
                power,
                _std(change),
                _std(cepstra),
                _std(cepstra[:, :, 1:] - cepstra[:, :, :-1]),
                strength,
                variation,
                peaks[:, None],
                torch.stack(correlations, dim=1) / (variation * variation),
                self._modulation(rises),
            ],
            dim=1,
        )

    def _modulation(self, rises: Tensor) -> Tensor:
        """Log shares of the modulation ranges in each group of bands, flattened."""
        n_bands = rises.shape[1] // _N_GROUPS
        grouped = torch.unflatten(rises, 1, (_N_GROUPS, n_bands)).mean(
            dim=2
        )  # (batch, groups, frames)
        waves = torch.matmul(grouped - grouped.mean(dim=-1, keepdim=True), self.waves)
        cosine, sine = waves.chunk(2, dim=-1)
        power = torch.matmul(cosine * cosine + sine * sine, self.ranges) + 1e-3
        return torch.log(power / power.sum(dim=-1, keepdim=True)).flatten(1)


class MelNetwork(nn.Module):
    """One member: window → logits of all heads.

    Parameters
    ----------
    configuration
        Sizes.

    Notes
    -----
    ``forward(window, masked)`` takes (batch, n_mels, n_frames); ``masked`` is the
    window as the convolutions see it in training (with bands and times blanked),
    and the window itself otherwise. Returns (batch, N_LOGITS).
    """

    feature_mean: Tensor
    feature_std: Tensor
    band_mean: Tensor
    band_std: Tensor

    def __init__(self, configuration: NetworkConfiguration | None = None) -> None:
        super().__init__()
        c = configuration or NetworkConfiguration()
        self.configuration = c
        self.statistics = MelStatistics(c.n_mels, c.n_frames)
        n_features = self.statistics.n_features
        self.register_buffer("feature_mean", torch.zeros(n_features))
        self.register_buffer("feature_std", torch.ones(n_features))
        self.register_buffer("band_mean", torch.zeros(c.n_mels))
        self.register_buffer("band_std", torch.ones(c.n_mels))
        layers: list[nn.Module] = []
        previous, bands = 1, c.n_mels
        for index, width in enumerate(c.channels):
            stride = (2, 4) if index == 0 else (2, 2)
            kernel = 5 if index == 0 else 3
            layers += [
                nn.Conv2d(previous, width, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            previous, bands = width, -(-bands // 2)
        self.convolutions = nn.Sequential(*layers)
        self.deep = nn.Sequential(
            nn.Dropout(c.dropout), nn.Linear(2 * previous * bands, c.deep), nn.ReLU()
        )
        self.wide_dropout = nn.Dropout(c.wide_dropout)
        self.wide = nn.Sequential(nn.Linear(n_features, c.wide), nn.ReLU())
        self.joined = nn.Sequential(nn.Dropout(c.dropout), nn.Linear(c.wide + c.deep, N_LOGITS))
        self.direct = nn.Linear(n_features, N_LOGITS)
        nn.init.zeros_(self.direct.weight)
        nn.init.zeros_(self.direct.bias)

    @torch.no_grad()
    def fit_scales(self, windows: Tensor) -> None:
        """Set the constants that standardise bands and statistics from training windows."""
        self.band_mean.copy_(windows.mean(dim=(0, 2)))
        self.band_std.copy_(windows.std(dim=(0, 2)).clamp_min(1.0))
        features = torch.cat([self.statistics(part) for part in torch.split(windows, 256)])
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_std.copy_(features.std(dim=0).clamp_min(1e-3))

    def forward(self, window: Tensor, masked: Tensor | None = None) -> Tensor:
        return self.logits(self.statistics(window), window if masked is None else masked)

    def logits(self, statistics: Tensor, seen: Tensor) -> Tensor:
        """Logits from the statistics of a window and what the convolutions see of it."""
        features = (statistics - self.feature_mean) / self.feature_std
        # a statistic far outside what training saw must not swamp the rest
        features = self.wide_dropout(torch.clamp(features, -4.0, 4.0))
        scaled = (seen - self.band_mean[:, None]) / self.band_std[:, None]
        maps = self.convolutions(scaled[:, None])  # (batch, channels, bands, frames)
        flat = maps.flatten(1, 2)
        pooled = torch.cat([flat.mean(dim=-1), _std(flat)], dim=1)
        hidden = torch.cat([self.wide(features), self.deep(pooled)], dim=1)
        logits: Tensor = self.joined(hidden) + self.direct(features)
        return logits


class Members(nn.Module):
    """Several members as one network: (batch, n_mels, n_frames) → (batch, n_members, N_LOGITS).

    Parameters
    ----------
    members
        The networks of each member, all of the same window. A member's logits are
        the mean of its networks'; the statistics of a window are computed once for all.
    """

    def __init__(self, members: Sequence[Sequence[MelNetwork]]) -> None:
        super().__init__()
        self.statistics = members[0][0].statistics
        self.members = nn.ModuleList(nn.ModuleList(networks) for networks in members)

    def forward(self, window: Tensor) -> Tensor:
        statistics = self.statistics(window)
        answers = []
        for member in self.members:
            networks = cast(Sequence[MelNetwork], member)
            logits = [network.logits(statistics, window) for network in networks]
            answers.append(torch.stack(logits).mean(dim=0))
        return torch.stack(answers, dim=1)
