"""The training step of tuning: losses of every label set, rates by layer, figures on the six.

Losses are those of the embedded model where the labels are the same: binary
cross-entropy against labels or annotators' shares where labels do not exclude
each other (KOTE, KPoEM), cross-entropy against normalised labels elsewhere.
A text speaks to its own label set only; a label set counts by its share of the
texts in a step.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, cast

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from data_prep.errors import InputError
from lyrics_model.tuning_data import TuningData
from lyrics_model.tuning_figures import validation_figures
from lyrics_model.tuning_specification import (
    MULTI_LABEL,
    TuningConfiguration,
    TuningSpecification,
)

MULTI_LABEL_WEIGHT: Final = 8.0
"""Of a mean binary loss beside cross-entropies, which are that much larger by nature."""

WATCHED: Final = "validation_f1"
_LAYER: Final = re.compile(r"(?:^|\.)(?:layer|layers|block|blocks|h)\.(\d+)\.")


class Batch(NamedTuple):
    """Texts as they come to a step; tensors have one entry per text.

    Attributes
    ----------
    given
        Token ids (texts, tokens), or features of a frozen encoder (texts, vectors, hidden).
    mask
        (texts, tokens), 1 on real tokens.
    targets
        (texts, outputs), NaN outside a text's own label set.
    places
        (texts,) position in the data.
    """

    given: Tensor
    mask: Tensor
    targets: Tensor
    places: Tensor


class Tuning(L.LightningModule):
    """One model under all its losses.

    Parameters
    ----------
    model
        Takes ``given`` and ``mask`` of a batch and gives logits: a
        ``TunedNetwork``, or the head alone on a frozen encoder's features.
    data
        What validation figures are computed on.
    label_weights
        Label set → weights (labels,); ``None`` for none.
    total_steps
        Optimiser steps until the rate has fallen to zero.
    """

    def __init__(
        self,
        model: nn.Module,
        specification: TuningSpecification,
        configuration: TuningConfiguration,
        data: TuningData,
        *,
        label_weights: dict[str, NDArray[np.float32]] | None,
        total_steps: int,
    ) -> None:
        super().__init__()
        # Weights that are not trained lie in the encoder's own files, not in checkpoints.
        self.strict_loading = False
        self.model = model
        self.specification = specification
        self.configuration = configuration
        self.data = data
        self.total_steps = total_steps
        self.label_weights = {
            name: torch.from_numpy(weights) for name, weights in (label_weights or {}).items()
        }
        self.answers: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout depends on the seed and the step alone, so a resumed run repeats it."""
        torch.manual_seed(
            (self.configuration.seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        logits = self.model(batch.given, batch.mask).float()
        total = torch.zeros((), device=logits.device)
        several = len(self.specification.label_sets) > 1
        for name in self.specification.label_sets:
            columns = self.specification.columns(name)
            targets = batch.targets[:, columns].float()
            known = ~torch.isnan(targets[:, 0])
            if not bool(known.any()):
                continue
            weights = self.label_weights.get(name)
            if weights is not None:
                weights = weights.to(logits.device)
            each = label_loss(logits[known][:, columns], targets[known], name, weights)
            self.log(f"{name}_loss", each.mean())
            factor = MULTI_LABEL_WEIGHT if several and name in MULTI_LABEL else 1.0
            total = total + factor * each.sum() / len(targets)
        self.log("loss", total, prog_bar=True)
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the logits until all are there."""
        logits = self.model(batch.given, batch.mask).float()
        self.answers.append((batch.places.cpu().numpy(), logits.cpu().numpy()))

    def on_validation_epoch_end(self) -> None:
        """Macro-F1 of the six by source, and its mean, which decides what is kept."""
        index, logits = together(self.answers, self.trainer)
        self.answers.clear()
        if not np.isfinite(logits).all():
            raise InputError(
                "training has diverged (its answers are no numbers any more): "
                f"use a --learning-rate below {self.configuration.rate:g}"
            )
        figures = validation_figures(logits, index, self.data, self.specification)
        for name, value in figures.items():
            self.log(f"{name}_f1", value)
        self.log(WATCHED, float(np.mean(list(figures.values()))), prog_bar=True)

    def predict_step(
        self, batch: Batch, batch_idx: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Positions and logits."""
        logits = self.model(batch.given, batch.mask).float()
        return batch.places.cpu().numpy(), logits.cpu().numpy()

    def configure_optimizers(self) -> Any:
        """AdamW or Adafactor with a rate per layer, warmed up and falling to zero."""
        configuration = self.configuration
        groups = parameter_groups(self.model, configuration)
        optimizer: torch.optim.Optimizer
        if configuration.optimiser == "adafactor":
            from transformers import optimization

            optimizer = cast(Any, optimization).Adafactor(
                groups,
                lr=configuration.rate,
                scale_parameter=False,
                relative_step=False,
                warmup_init=False,
            )
        else:
            # Mixed precision cuts gradients itself before the step, which fused cannot have.
            fused = configuration.precision.startswith("32")
            optimizer = torch.optim.AdamW(groups, lr=configuration.rate, fused=fused)
        warmup = max(1, round(configuration.warmup_share * self.total_steps))

        def rate(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return max((self.total_steps - step) / max(self.total_steps - warmup, 1), 0.0)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the trained weights alone."""
        trained = {name for name, value in self.named_parameters() if value.requires_grad}
        checkpoint["state_dict"] = {
            name: value for name, value in checkpoint["state_dict"].items() if name in trained
        }


def label_loss(logits: Tensor, targets: Tensor, label_set: str, weights: Tensor | None) -> Tensor:
    """Loss of each text (texts,) in one label set.

    Parameters
    ----------
    logits, targets
        (texts, labels); targets in 0..1, rows that sum to one unless labels do
        not exclude each other.
    label_set
        Decides between binary cross-entropy (mean over labels) and cross-entropy.
    weights
        (labels,): of a label's positive side, or of its share of the target.
    """
    if label_set in MULTI_LABEL:
        loss = functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weights, reduction="none"
        )
        return loss.mean(dim=1)
    return functional.cross_entropy(logits, targets, weight=weights, reduction="none")


def parameter_groups(model: nn.Module, configuration: TuningConfiguration) -> list[dict[str, Any]]:
    """Trained parameters by rate and weight decay.

    The head has ``head_rate``, the encoder's top layer ``learning_rate``, each
    layer below ``layer_decay`` times the one above, the embeddings least.
    Biases and norms (one dimension) are not decayed.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    found = [_LAYER.search(name) for name, _ in named]
    layers = 1 + max((int(match.group(1)) for match in found if match), default=-1)
    head_rate = configuration.head_rate or configuration.rate
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for (name, parameter), match in zip(named, found, strict=True):
        if not name.startswith("encoder."):
            rate = head_rate
        else:
            below = 0
            if match:
                below = layers - 1 - int(match.group(1))
            elif "embed" in name:
                below = layers
            rate = configuration.rate * configuration.layer_decay**below
        decay = configuration.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def together(
    answers: list[tuple[NDArray[np.int64], NDArray[np.float32]]], trainer: L.Trainer
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Positions (rows,) and logits (rows, outputs) from all processes, each text once."""
    gathered = answers
    if trainer.world_size > 1:
        parts: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(parts, answers)
        gathered = [answer for part in parts for answer in cast(list[Any], part)]
    return each_once(gathered)


def each_once(
    answers: list[tuple[NDArray[np.int64], NDArray[np.float32]]],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Positions in rising order and their logits; processes may have shared a text."""
    index = np.concatenate([answer[0] for answer in answers])
    logits = np.concatenate([answer[1] for answer in answers])
    unique, first = np.unique(index, return_index=True)
    return unique, logits[first]
