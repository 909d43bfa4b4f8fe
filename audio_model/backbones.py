"""Convolutional backbones: a log-mel of any length → one vector of features.

Two kinds, one interface: ``small-cnn``, our own, and any convolutional network of
timm by its name, with one input channel. A backbone standardises bands itself, takes
the log-mel as an image of one channel, and pools the network's maps as BYOL-A does
(Niizumi et al. 2023): mean over bands, then mean plus maximum over time, so that a
resnet18 has 512 features.

A *backbone folder* holds ``backbone.safetensors`` (weights and scales) and
``backbone.json``: name, sizes, the configuration of the log-mels it was trained on
with its hash, and where it comes from.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from audio_model.log_mel import KAKAO
from audio_model.receptive_field import Spans, receptive_field
from audio_model.windows import TEN_SECONDS
from data_prep.errors import InputError, MissingExtraError, ModelFolderError
from data_prep.model_folder import configuration_hash

SMALL_CNN: Final = "small-cnn"
MIN_FRAMES: Final = 64
"""Shortest log-mel that every backbone takes: one second."""

WEIGHTS_NAME: Final = "backbone.safetensors"
CARD_NAME: Final = "backbone.json"

_WIDTHS: Final = (24, 48, 96, 128, 192)
_LEAST_STD_DB: Final = 1.0


class SmallCnn(nn.Module):
    """Our own trunk: five blocks of a 3 × 3 convolution, batch normalisation and ReLU.

    24, 48, 96, 128 and 192 channels; the first four blocks halve bands and frames.
    384,808 parameters; a position sees 63 × 63 and the next one is 16 further.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = 1
        for block, width in enumerate(_WIDTHS):
            stride = 2 if block < len(_WIDTHS) - 1 else 1
            layers += [
                nn.Conv2d(previous, width, 3, stride, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            previous = width
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        maps: Tensor = self.layers(image)
        return maps


class Backbone(nn.Module):
    """A trunk between the standardisation of bands and the pooling of its maps.

    Parameters
    ----------
    name
        As :func:`make_backbone` takes it.
    trunk
        From images (batch, 1, n_mels, n_frames) to maps (batch, n_features, …, …).

    Notes
    -----
    ``forward(log_mel)`` takes (batch, n_mels, n_frames) in dB relative to the
    recording's level (:func:`audio_model.windows.levelled`), with at least
    :data:`MIN_FRAMES` frames, and returns (batch, n_features).
    """

    band_mean: Tensor
    band_std: Tensor

    def __init__(self, name: str, trunk: nn.Module, n_mels: int, n_features: int) -> None:
        super().__init__()
        self.name = name
        self.trunk = trunk
        self.n_mels = n_mels
        self.n_features = n_features
        self.register_buffer("band_mean", torch.zeros(n_mels))
        self.register_buffer("band_std", torch.ones(n_mels))

    @torch.no_grad()
    def fit_scales(self, log_mel: Tensor) -> None:
        """Set the scales of the bands from training log-mels (n, n_mels, n_frames)."""
        self.band_mean.copy_(log_mel.mean(dim=(0, 2)))
        self.band_std.copy_(log_mel.std(dim=(0, 2)).clamp_min(_LEAST_STD_DB))

    def forward(self, log_mel: Tensor) -> Tensor:
        scaled = (log_mel - self.band_mean[:, None]) / self.band_std[:, None]
        maps = self.trunk(scaled[:, None])  # (batch, n_features, rows, columns)
        over_bands = maps.mean(dim=2)
        pooled: Tensor = over_bands.mean(dim=-1) + over_bands.amax(dim=-1)
        return pooled


def make_backbone(name: str, *, n_mels: int = 48) -> Backbone:
    """A backbone with fresh weights.

    Parameters
    ----------
    name
        ``small-cnn``, or a model name of timm.
    n_mels
        Bands of the log-mels.

    Raises
    ------
    InputError
        If timm has no such model, or it does not take images of ``n_mels`` bands by any
        number of frames.
    MissingExtraError
        If timm is not installed.
    """
    trunk = SmallCnn() if name == SMALL_CNN else _timm_trunk(name)
    try:
        shapes = [receptive_field(trunk, n_mels, n)[0] for n in (MIN_FRAMES, 5 * MIN_FRAMES + 1)]
    except Exception as error:  # timm's models refuse an image in as many ways as there are models
        raise _unfit(name, n_mels, str(error).partition("\n")[0].rstrip(".")) from error
    for shape in shapes:
        if len(shape) != 4 or shape[1] != shapes[0][1] or shape[3] > shapes[1][3]:
            raise _unfit(name, n_mels, f"it makes {shape} of one image, not maps of channels")
    if shapes[0][3] == shapes[1][3]:
        raise _unfit(name, n_mels, f"its maps have {shapes[0][3]} columns whatever the length")
    return Backbone(name, trunk, n_mels, shapes[0][1])


def _unfit(name: str, n_mels: int, reason: str) -> InputError:
    return InputError(
        f"backbone {name!r} does not take log-mels of {n_mels} bands by {MIN_FRAMES} frames or "
        f"more ({reason}): choose a convolutional network without a fixed image size, as "
        f"{SMALL_CNN}, resnet18, efficientnet_b0 or convnext_tiny"
    )


def _timm_trunk(name: str) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError(f"backbone {name!r}") from error

    if not timm.is_model(name):
        names = [SMALL_CNN, *timm.list_models()]
        near = difflib.get_close_matches(name, names, n=5) or timm.list_models(f"*{name}*")[:5]
        meant = f" (near it: {', '.join(near)})" if near else ""
        raise InputError(
            f"unknown backbone {name!r}{meant}: expected {SMALL_CNN} or a model of timm; "
            "python -c 'import timm; print(*timm.list_models())' lists them all"
        )
    try:
        trunk: nn.Module = timm.create_model(
            name, pretrained=False, in_chans=1, num_classes=0, global_pool=""
        )
    except Exception as error:
        raise InputError(
            f"timm cannot make {name!r} with one input channel and without pooling: {error}"
        ) from error
    return trunk


@dataclass(frozen=True)
class BackboneDescription:
    """Size and reach of a backbone.

    Attributes
    ----------
    name, n_features, n_mels, n_frames
        As the backbone's; the length it is described for.
    n_parameters
        Of the trunk.
    rows, columns
        Of its maps.
    spans
        Bands and frames that one position of the maps depends on; ``None`` if every
        position depends on the whole log-mel (attention, squeeze-and-excitation).
    hop_s
        Seconds from frame to frame.
    """

    name: str
    n_features: int
    n_mels: int
    n_frames: int
    n_parameters: int
    rows: int
    columns: int
    spans: Spans | None
    hop_s: float

    @property
    def receptive_bands(self) -> int | None:
        """Bands of a position's receptive field; may be more than there are."""
        return self.spans and self.spans[0].size

    @property
    def receptive_frames(self) -> int | None:
        """Frames of a position's receptive field; may be more than there are."""
        return self.spans and self.spans[1].size

    @property
    def receptive_s(self) -> float | None:
        """Seconds of a position's receptive field."""
        frames = self.receptive_frames
        return None if frames is None else frames * self.hop_s

    def line(self) -> str:
        """All of it in one line."""
        size = f"{self.name}: {self.n_parameters:,} parameters, {self.n_features} features; "
        maps = f"{self.n_mels} × {self.n_frames} → maps of {self.rows} × {self.columns}; "
        if self.spans is None:
            return size + maps + "a position sees everything"
        bands, frames = self.spans
        return (
            f"{size}{maps}a position sees {bands.size} bands × {frames.size} frames "
            f"({frames.size * self.hop_s:.2f} s), the next one is {frames.step} frames "
            f"({frames.step * self.hop_s:.2f} s) further"
        )


def describe(
    backbone: Backbone, n_frames: int, *, hop_s: float = 1.0 / KAKAO.frames_per_second
) -> BackboneDescription:
    """Size and reach of a backbone, for log-mels of ``n_frames`` frames every ``hop_s`` seconds."""
    shape, spans = receptive_field(backbone.trunk, backbone.n_mels, n_frames)
    return BackboneDescription(
        name=backbone.name,
        n_features=backbone.n_features,
        n_mels=backbone.n_mels,
        n_frames=n_frames,
        n_parameters=sum(p.numel() for p in backbone.trunk.parameters()),
        rows=shape[2],
        columns=shape[3],
        spans=spans,
        hop_s=hop_s,
    )


def _features(n_mels: int) -> dict[str, Any]:
    """What decides the values of the log-mels that a backbone is given."""
    limits = TEN_SECONDS.windows
    return {
        "log_mel": asdict(replace(TEN_SECONDS.log_mel, n_mels=n_mels)),
        "floor_db": limits.floor_db,
        "ceiling_db": limits.ceiling_db,
    }


def save_backbone(backbone: Backbone, folder: Path, *, provenance: dict[str, Any]) -> Path:
    """Write a backbone folder; made if it is not there, its backbone replaced if it is.

    Parameters
    ----------
    provenance
        How the weights came about; kept in ``backbone.json``, anything JSON can hold.

    Returns
    -------
    The folder.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    features = _features(backbone.n_mels)
    card = {
        "name": backbone.name,
        "n_mels": backbone.n_mels,
        "n_features": backbone.n_features,
        "features": features,
        "feature_hash": configuration_hash(features),
        "provenance": provenance,
    }
    text = json.dumps(card, ensure_ascii=False, indent=1) + "\n"
    weights = {name: value.contiguous() for name, value in backbone.state_dict().items()}
    _replace(folder / WEIGHTS_NAME, lambda path: save_file(weights, str(path)))
    _replace(folder / CARD_NAME, lambda path: path.write_text(text, encoding="utf-8"))
    return folder


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that it is whole or not there."""
    unfinished = path.with_name(f"{path.name}.part")
    write(unfinished)
    os.replace(unfinished, path)


def weights_hash(folder: Path) -> str:
    """Hash of the weights in a backbone folder."""
    return hashlib.sha256((folder / WEIGHTS_NAME).read_bytes()).hexdigest()


def read_provenance(folder: Path) -> dict[str, Any]:
    """What :func:`save_backbone` was told of the weights, of a folder that can be loaded."""
    card = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
    return dict(card.get("provenance") or {})


def load_backbone(folder: Path) -> Backbone:
    """Read a backbone that :func:`save_backbone` wrote, in evaluation mode.

    Raises
    ------
    ModelFolderError
        If a file is missing or damaged, or the backbone was trained on other log-mels
        than this version makes.
    InputError
        If this version of timm does not have the backbone.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for path in (folder / CARD_NAME, folder / WEIGHTS_NAME):
        if not path.is_file():
            raise ModelFolderError(
                f"{path} is missing: expected a backbone folder made by `maeum pretrain audio`"
            )
    try:
        card = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
        name, n_mels, n_features = card["name"], int(card["n_mels"]), int(card["n_features"])
        stored = card["feature_hash"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelFolderError(
            f"{folder / CARD_NAME} does not describe a backbone: {error!r}"
        ) from error
    wanted = configuration_hash(_features(n_mels))
    if stored != wanted:
        raise ModelFolderError(
            f"{folder / CARD_NAME}: the backbone was trained on other log-mels (feature hash "
            f"{stored}) than this version makes ({wanted}): pretrain it again"
        )
    backbone = make_backbone(name, n_mels=n_mels)
    try:
        weights = load_file(str(folder / WEIGHTS_NAME))
        backbone.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelFolderError(
            f"{folder / WEIGHTS_NAME} does not hold the weights of {name!r}: {reason}"
        ) from error
    if n_features != backbone.n_features:
        raise ModelFolderError(
            f"{folder / CARD_NAME}: {n_features} features, but {name!r} has {backbone.n_features}"
        )
    return backbone.eval()
