"""Any backbone as a network of the joint training: log-mel windows → logits of all heads.

``frozen`` trains a small perceptron on the features of a pretrained backbone,
which stays as it is; otherwise the backbone is trained as well, from pretrained
weights (``start``) or from nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from audio_model.backbones import Backbone, load_backbone, make_backbone
from audio_model.heads import N_LOGITS
from data_prep.errors import InputError


@dataclass(frozen=True)
class BackboneNetworkConfiguration:
    """Sizes of the network.

    Attributes
    ----------
    backbone
        ``"small-cnn"``, or the name of any timm model.
    n_mels
        Bands of the log-mel.
    start
        Folder of pretrained weights (:func:`audio_model.backbones.save_backbone`);
        empty for none.
    frozen
        Keep the pretrained weights as they are.
    hidden
        Units of the perceptron between features and logits.
    dropout
        Of features and hidden units.
    """

    backbone: str = "small-cnn"
    n_mels: int = 48
    start: str = ""
    frozen: bool = False
    hidden: int = 64
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if self.frozen and not self.start:
            raise InputError(
                "a frozen backbone needs pretrained weights: give the folder that "
                "`maeum pretrain audio` wrote"
            )
        if self.hidden <= 0 or not 0 <= self.dropout < 1:
            raise InputError(f"network settings do not make sense: {self}")


class BackboneNetwork(nn.Module):
    """A backbone with a perceptron: (batch, n_mels, n_frames) → (batch, n_logits).

    ``forward`` takes what :class:`audio_model.network.SoundNetwork` takes, and reads of
    it the log-mel alone.
    """

    def __init__(
        self,
        configuration: BackboneNetworkConfiguration,
        n_logits: int = N_LOGITS,
        *,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.backbone = self._backbone(c, pretrained)
        if c.frozen:
            self.backbone.requires_grad_(False)
        self.head = nn.Sequential(
            nn.LayerNorm(self.backbone.n_features),
            nn.Dropout(c.dropout),
            nn.Linear(self.backbone.n_features, c.hidden),
            nn.ReLU(),
            nn.Dropout(c.dropout),
        )
        self.output = nn.Linear(c.hidden, n_logits)

    @staticmethod
    def _backbone(c: BackboneNetworkConfiguration, pretrained: bool) -> Backbone:
        if not c.start or not pretrained:
            return make_backbone(c.backbone, n_mels=c.n_mels)
        backbone = load_backbone(Path(c.start))
        if (backbone.name, backbone.n_mels) != (c.backbone, c.n_mels):
            raise InputError(
                f"{c.start} holds {backbone.name} for {backbone.n_mels} bands, not {c.backbone} "
                f"for {c.n_mels}"
            )
        return backbone

    @property
    def output_bias(self) -> nn.Parameter:
        """Bias (n_logits,) of the output."""
        return self.output.bias

    def fit_scales(self, log_mel: Tensor, salience: Tensor, embedding: Tensor) -> None:
        """Set what standardises bands from training windows; pretrained weights keep theirs."""
        if not self.configuration.start:
            self.backbone.fit_scales(log_mel)

    def train(self, mode: bool = True) -> BackboneNetwork:
        """Switch dropout and the statistics of batches; a frozen backbone stays in evaluation."""
        super().train(mode)
        if self.configuration.frozen:
            self.backbone.eval()
        return self

    def forward(
        self,
        log_mel: Tensor,
        salience: Tensor | None = None,
        embedding: Tensor | None = None,
        masked: Tensor | None = None,
    ) -> Tensor:
        seen = log_mel if masked is None else masked
        if self.configuration.frozen:
            with torch.no_grad():
                features = self.backbone(seen)
        else:
            features = self.backbone(seen)
        logits: Tensor = self.output(self.head(features))
        return logits


class BackboneMembers(nn.Module):
    """Several members as one network: log-mel → (batch, n_members, n_logits)."""

    def __init__(self, members: list[list[BackboneNetwork]]) -> None:
        super().__init__()
        self.members = nn.ModuleList(nn.ModuleList(networks) for networks in members)

    def forward(
        self, log_mel: Tensor, salience: Tensor | None = None, embedding: Tensor | None = None
    ) -> Tensor:
        answers = []
        for member in self.members:
            networks = cast(Sequence[BackboneNetwork], member)
            answers.append(torch.stack([network(log_mel) for network in networks]).mean(dim=0))
        return torch.stack(answers, dim=1)
