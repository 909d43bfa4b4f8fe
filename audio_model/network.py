"""The sound network: statistics of bands and notes beside a small convolutional network.

*Wide* part: what a linear model would see: :class:`MelStatistics` (mean and
spread of every band, of its change, and of the cepstrum; onset strength and its
autocorrelation) and :class:`TonalStatistics` (key, mode, chords, register),
computed inside the network from the same window, standardised with constants.
*Deep* part: a convolutional network over bands and time with
early strides. Both are joined; the wide part also reaches the output directly.

``forward`` returns logits; activations and label names live in the predictor.
Input: log-mel and salience of notes (:mod:`audio_model.windows`).
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

# Krumhansl and Kessler (1982): how well each pitch class fits a key, from the tonic up
_MAJOR: Final = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR: Final = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_TRIADS: Final = ((4, 7), (3, 7), (3, 6), (5, 7))  # major, minor, diminished, suspended
_CHORD_FRAMES: Final = 6  # of 64 ms
_SHARPNESS: Final = 60.0  # of the tonic's weight, per unit of correlation
_BRIGHTNESS: Final = 20.0
_RANGE: Final = 4  # notes
_SILENT: Final = 1e-6


@dataclass(frozen=True)
class NetworkConfiguration:
    """Sizes of the network.

    Attributes
    ----------
    n_mels, n_frames
        Shape of a window's log-mel.
    n_notes, n_note_frames
        Shape of its salience.
    lowest_note
        MIDI number of the first note.
    n_embedding
        Size of the recording's embedding; 0 for none.
    channels
        Output channels of the convolutions; each halves bands and time, the
        first one time by four.
    wide, deep
        Units that the statistics and the pooled convolutions are reduced to.
    wide_dropout, embedding_dropout, dropout
        Of the standardised statistics, of the embedding, and of the hidden units.
    """

    n_mels: int = 48
    n_frames: int = 624
    n_notes: int = 64
    n_note_frames: int = 156
    lowest_note: int = 33
    n_embedding: int = 0
    channels: tuple[int, ...] = (16, 32, 64, 96)
    wide: int = 64
    deep: int = 64
    wide_dropout: float = 0.2
    embedding_dropout: float = 0.5
    dropout: float = 0.2

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """As :attr:`audio_model.windows.FrontEnd.input_shapes`."""
        shapes: dict[str, tuple[int, ...]] = {
            "log_mel": (self.n_mels, self.n_frames),
            "salience": (self.n_notes, self.n_note_frames),
        }
        if self.n_embedding:
            shapes["embedding"] = (self.n_embedding,)
        return shapes


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


class TonalStatistics(nn.Module):
    """Statistics of a window's salience (batch, n_notes, n_frames) → (batch, n_features).

    Of the chroma (salience summed over octaves): how well it fits the best major and
    the best minor key of Krumhansl and Kessler (1982), and by how much major is the
    better; its shares relative to the tonic of either; the strength of its intervals.
    Of stretches of :data:`_CHORD_FRAMES` frames: how strong the best major, minor,
    diminished and suspended triads are, how often major is stronger than minor, and
    how evenly the notes are spread. Change of the chroma. Register: mean and spread
    of the notes, and the shares of ranges of four.
    """

    major_keys: Tensor
    minor_keys: Tensor
    rotations: Tensor
    folding: Tensor
    register: Tensor
    triads: Tensor

    def __init__(self, n_notes: int, lowest: int) -> None:
        super().__init__()
        notes = torch.arange(lowest, lowest + n_notes)
        major, minor = torch.tensor(_MAJOR), torch.tensor(_MINOR)
        turned = [torch.roll(torch.arange(12), -k) for k in range(12)]  # tonic k first
        places = torch.stack(turned)  # (tonic, degree) → pitch class
        self.register_buffer("major_keys", self._keys(major), persistent=False)
        self.register_buffer("minor_keys", self._keys(minor), persistent=False)
        # (12, tonic * degree): chroma @ rotations = chroma relative to every tonic
        self.register_buffer(
            "rotations", torch.eye(12)[:, places.reshape(-1)].contiguous(), persistent=False
        )
        self.register_buffer("folding", torch.eye(12)[notes % 12], persistent=False)
        ranges = torch.arange(n_notes) // _RANGE
        shares = torch.eye(int(ranges[-1]) + 1)[ranges]
        high = ((notes - notes.float().mean()) / 12.0)[:, None]
        self.register_buffer(
            "register", torch.cat([high, high**2, shares], dim=1), persistent=False
        )
        chords = torch.zeros(len(_TRIADS), 12, 12)  # (kind, root, pitch class)
        for kind, degrees in enumerate(_TRIADS):
            for root in range(12):
                for degree in (0, *degrees):
                    chords[kind, root, (root + degree) % 12] = 1.0
        self.register_buffer("triads", chords.reshape(-1, 12).T.contiguous(), persistent=False)
        n_chord_features = 2 * (len(_TRIADS) + 2)
        self.n_features = 3 + 2 * 12 + 6 + n_chord_features + 2 + 2 + shares.shape[1]

    @staticmethod
    def _keys(profile: Tensor) -> Tensor:
        """(12, 12): the standardised profile of each tonic as a column."""
        standard = profile - profile.mean()
        standard = standard / torch.linalg.vector_norm(standard)
        return torch.stack([torch.roll(standard, k) for k in range(12)], dim=1)

    def forward(self, salience: Tensor) -> Tensor:
        chroma = torch.matmul(salience.transpose(1, 2), self.folding)  # (batch, frames, 12)
        total = chroma.mean(dim=1)
        share = total / (total.sum(dim=-1, keepdim=True) + _SILENT)
        centred = share - share.mean(dim=-1, keepdim=True)
        centred = centred / torch.sqrt((centred * centred).sum(dim=-1, keepdim=True) + _SILENT**2)
        major = torch.matmul(centred, self.major_keys)  # correlation with each key
        minor = torch.matmul(centred, self.minor_keys)
        relative = torch.unflatten(torch.matmul(share, self.rotations), 1, (12, 12))
        best = [keys.amax(dim=-1, keepdim=True) for keys in (major, minor)]
        # the tonic as a sharp weight rather than an index: differentiable, and no jumps
        shares = [
            (torch.softmax(_SHARPNESS * keys, dim=-1)[:, :, None] * relative).sum(dim=1)
            for keys in (major, minor)
        ]
        intervals = [
            (share * torch.roll(share, step, dims=-1)).sum(dim=-1, keepdim=True)
            for step in range(1, 7)
        ]
        weight = salience.mean(dim=-1)
        placed = torch.matmul(weight, self.register) / (weight.sum(dim=-1, keepdim=True) + _SILENT)
        height = placed[:, :1]
        spread = torch.sqrt(torch.relu(placed[:, 1:2] - height * height) + 1e-4)
        return torch.cat(
            [
                best[0] - best[1],
                *best,
                *shares,
                *intervals,
                self._chords(chroma),
                self._movement(chroma),
                height,
                spread,
                placed[:, 2:],
            ],
            dim=1,
        )

    def _chords(self, chroma: Tensor) -> Tensor:
        """Mean and spread over time of what stretches sound like as chords."""
        n = chroma.shape[1] // _CHORD_FRAMES
        parts = torch.unflatten(chroma[:, : n * _CHORD_FRAMES], 1, (n, _CHORD_FRAMES)).mean(dim=2)
        size = torch.sqrt((parts * parts).sum(dim=-1, keepdim=True) + _SILENT)
        fits = torch.matmul(parts / size, self.triads)  # (batch, n, kinds * roots)
        strength = torch.unflatten(fits, 2, (len(_TRIADS), 12)).amax(dim=-1)
        brighter = torch.sigmoid(_BRIGHTNESS * (strength[..., :1] - strength[..., 1:2]))
        shares = parts / (parts.sum(dim=-1, keepdim=True) + _SILENT)
        evenness = -(shares * torch.log(shares + _SILENT)).sum(dim=-1, keepdim=True)
        found = torch.cat([strength, brighter, evenness], dim=-1).transpose(1, 2)
        return torch.cat([found.mean(dim=-1), _std(found)], dim=1)

    def _movement(self, chroma: Tensor) -> Tensor:
        """Mean and spread of the distance between the directions of successive chromas."""
        direction = chroma / torch.sqrt((chroma * chroma).sum(dim=-1, keepdim=True) + _SILENT)
        step = direction[:, 1:] - direction[:, :-1]
        distance = torch.sqrt((step * step).sum(dim=-1) + 1e-6)
        return torch.stack([distance.mean(dim=-1), _std(distance)], dim=1)


class WindowStatistics(nn.Module):
    """Both statistics of a window, side by side: (batch, n_features)."""

    def __init__(self, configuration: NetworkConfiguration) -> None:
        super().__init__()
        c = configuration
        self.mel = MelStatistics(c.n_mels, c.n_frames)
        self.tonal = TonalStatistics(c.n_notes, c.lowest_note)
        self.n_features = self.mel.n_features + self.tonal.n_features

    def forward(self, log_mel: Tensor, salience: Tensor) -> Tensor:
        return torch.cat([self.mel(log_mel), self.tonal(salience)], dim=1)


class SoundNetwork(nn.Module):
    """One member: window → logits of all heads.

    Parameters
    ----------
    configuration
        Sizes.
    n_logits
        Of all heads together.

    Notes
    -----
    ``forward(log_mel, salience, embedding, masked)`` takes (batch, n_mels, n_frames),
    (batch, n_notes, n_note_frames) and (batch, n_embedding); ``masked`` is the log-mel as
    the convolutions see it in training (with bands and times blanked), and the log-mel
    itself otherwise.
    Returns (batch, n_logits).
    """

    feature_mean: Tensor
    feature_std: Tensor
    band_mean: Tensor
    band_std: Tensor

    def __init__(
        self, configuration: NetworkConfiguration | None = None, n_logits: int = N_LOGITS
    ) -> None:
        super().__init__()
        c = configuration or NetworkConfiguration()
        self.configuration = c
        self.statistics = WindowStatistics(c)
        n_features = self.statistics.n_features + c.n_embedding
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
        self.embedding_dropout = nn.Dropout(c.embedding_dropout)
        self.wide = nn.Sequential(nn.Linear(n_features, c.wide), nn.ReLU())
        self.joined = nn.Sequential(nn.Dropout(c.dropout), nn.Linear(c.wide + c.deep, n_logits))
        self.direct = nn.Linear(n_features, n_logits)
        nn.init.zeros_(self.direct.weight)
        nn.init.zeros_(self.direct.bias)

    @property
    def output_bias(self) -> nn.Parameter:
        """Bias (n_logits,) of the output."""
        return self.direct.bias

    @torch.no_grad()
    def fit_scales(self, log_mel: Tensor, salience: Tensor, embedding: Tensor) -> None:
        """Set the constants that standardise bands and statistics from training windows."""
        self.band_mean.copy_(log_mel.mean(dim=(0, 2)))
        self.band_std.copy_(log_mel.std(dim=(0, 2)).clamp_min(1.0))
        parts = zip(torch.split(log_mel, 256), torch.split(salience, 256), strict=True)
        statistics = torch.cat([self.statistics(*part) for part in parts])
        features = torch.cat([statistics, embedding], dim=1)
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_std.copy_(features.std(dim=0).clamp_min(1e-3))

    def forward(
        self,
        log_mel: Tensor,
        salience: Tensor,
        embedding: Tensor | None = None,
        masked: Tensor | None = None,
    ) -> Tensor:
        return self.logits(
            self.statistics(log_mel, salience), embedding, log_mel if masked is None else masked
        )

    def logits(self, statistics: Tensor, embedding: Tensor | None, seen: Tensor) -> Tensor:
        """Logits from the statistics of a window, its recording's embedding, and what the
        convolutions see of it."""
        n = self.statistics.n_features
        # a statistic far outside what training saw must not swamp the rest
        features = self.wide_dropout(
            torch.clamp((statistics - self.feature_mean[:n]) / self.feature_std[:n], -4.0, 4.0)
        )
        if self.configuration.n_embedding and embedding is not None:
            scaled = (embedding - self.feature_mean[n:]) / self.feature_std[n:]
            scaled = self.embedding_dropout(torch.clamp(scaled, -4.0, 4.0))
            features = torch.cat([features, scaled], dim=1)
        image = (seen - self.band_mean[:, None]) / self.band_std[:, None]
        maps = self.convolutions(image[:, None])  # (batch, channels, bands, frames)
        flat = maps.flatten(1, 2)
        pooled = torch.cat([flat.mean(dim=-1), _std(flat)], dim=1)
        hidden = torch.cat([self.wide(features), self.deep(pooled)], dim=1)
        logits: Tensor = self.joined(hidden) + self.direct(features)
        return logits


class Members(nn.Module):
    """Several members as one network: a window → (batch, n_members, n_logits).

    Parameters
    ----------
    members
        The networks of each member, all of the same window. A member's logits are
        the mean of its networks'; the statistics of a window are computed once for all.
    """

    def __init__(self, members: Sequence[Sequence[SoundNetwork]]) -> None:
        super().__init__()
        self.statistics = members[0][0].statistics
        self.members = nn.ModuleList(nn.ModuleList(networks) for networks in members)

    def forward(self, log_mel: Tensor, salience: Tensor, embedding: Tensor | None = None) -> Tensor:
        statistics = self.statistics(log_mel, salience)
        answers = []
        for member in self.members:
            networks = cast(Sequence[SoundNetwork], member)
            logits = [network.logits(statistics, embedding, log_mel) for network in networks]
            answers.append(torch.stack(logits).mean(dim=0))
        return torch.stack(answers, dim=1)
