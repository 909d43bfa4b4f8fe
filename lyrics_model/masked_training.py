"""Masked-language modelling of one stage under Lightning, with any family of encoders.

The vocabulary head runs on the chosen positions only: a hook on the encoder hands it
these and nothing else, so that no architecture's head has to be known.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lyrics_model.dapt_configuration import DaptConfiguration
from lyrics_model.masked_text import Blocks, Masking, TrainingSteps, generator_for
from lyrics_model.token_file import time_left


class MaskedTraining(L.LightningModule):
    """Masked-language modelling of one stage.

    Parameters
    ----------
    model
        A transformers model for masked-language modelling, of any family.
    steps
        Of the stage.
    stage
        Its number, from which the random numbers derive.
    """

    def __init__(
        self, model: Any, configuration: DaptConfiguration, *, steps: int, stage: int
    ) -> None:
        super().__init__()
        self.model = model
        self.configuration = configuration
        self.steps = steps
        self.stage = stage
        self.losses: list[float] = []
        self.seconds = 0.0
        self._sum: Tensor | None = None
        self._evaluated: dict[int, tuple[float, int]] = {}
        self._positions: Tensor | None = None
        model.base_model.register_forward_hook(self._keep_chosen)

    def masked_logits(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits (chosen positions, vocabulary)."""
        self._positions = batch["positions"]
        try:
            answer = self.model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
            )
        finally:
            self._positions = None
        logits: Tensor = answer.logits
        return logits.reshape(-1, logits.shape[-1])

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """The batch's part of the step's mean loss, times the number of batches."""
        place = (self.configuration.seed, self.stage, int(batch["number"]))
        torch.manual_seed(int(generator_for("dropout", *place).integers(2**63)))
        total = nn.functional.cross_entropy(
            self.masked_logits(batch).float(), batch["labels"], reduction="sum"
        )
        part = total * batch["weight"]
        self._sum = part.detach() if self._sum is None else self._sum + part.detach()
        if (batch_idx + 1) % self.configuration.accumulate == 0:
            self.losses.append(float(self._sum))
            self._sum = None
            self.log("loss", self.losses[-1])
        # Lightning divides by the number of batches.
        whole: Tensor = part * self.configuration.accumulate
        return whole

    def validation_step(
        self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Add up the losses of a held-out batch."""
        total = nn.functional.cross_entropy(
            self.masked_logits(batch).float(), batch["labels"], reduction="sum"
        )
        loss, count = self._evaluated.get(dataloader_idx, (0.0, 0))
        self._evaluated[dataloader_idx] = (loss + float(total), count + len(batch["labels"]))

    def take_perplexities(self) -> dict[int, float]:
        """Perplexity by number of the data loader, of what was evaluated since the last call."""
        found = {
            number: math.exp(min(loss / count, 700.0))
            for number, (loss, count) in self._evaluated.items()
            if count
        }
        self._evaluated = {}
        return found

    def configure_optimizers(self) -> Any:
        """AdamW, matrices decayed, warmed up and decaying linearly to 0."""
        configuration = self.configuration
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            [
                {
                    "params": [p for p in parameters if p.ndim > 1],
                    "weight_decay": configuration.weight_decay,
                },
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=configuration.learning_rate,
            betas=(0.9, 0.98),
            eps=1e-6,
            fused=True,
        )
        warmup = round(configuration.warmup_share * self.steps)

        def rate(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return max((self.steps - step) / max(self.steps - warmup, 1), 0.0)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """By norm, also with bf16, for which Lightning's own refuses a fused optimiser."""
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Losses and seconds belong to the checkpoint, so that a resumed run has them all."""
        checkpoint["losses"] = list(self.losses)
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Counterpart of :meth:`on_save_checkpoint`."""
        self.losses = list(checkpoint["losses"])
        self.seconds = float(checkpoint["seconds"])

    def _keep_chosen(self, _module: nn.Module, _inputs: Any, answer: Any) -> Any:
        """Leave only the chosen positions of the encoder's answer to the vocabulary head."""
        if self._positions is None:
            return None
        hidden = answer[0]
        chosen = hidden.reshape(-1, hidden.shape[-1])[self._positions]
        answer["last_hidden_state"] = chosen.unsqueeze(0)
        return answer


class StageData(L.LightningDataModule):
    """Serves the steps of chunk ``trainer.current_epoch``."""

    def __init__(self, training: Blocks, masking: Masking, module: MaskedTraining) -> None:
        super().__init__()
        self.training = training
        self.masking = masking
        self.module = module

    def train_dataloader(self) -> DataLoader[Any]:
        configuration = self.module.configuration
        chunk = self.trainer.current_epoch if self.trainer else 0
        first = chunk * configuration.steps_per_checkpoint
        steps = TrainingSteps(
            self.training,
            self.masking,
            batch=configuration.batch,
            accumulate=configuration.accumulate,
            seed=configuration.seed,
            stage=self.module.stage,
            first=first,
            count=min(configuration.steps_per_checkpoint, self.module.steps - first),
        )
        return DataLoader(steps, batch_size=None, shuffle=False, num_workers=0)


class StageLine(L.Callback):
    """One line per checkpoint: what was reached and how much time is left."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self.name = name
        self.say = say
        self._since = 0.0
        self._first = 0
        self._begun = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Time is counted from here, also in a resumed run."""
        self._since = self._begun = time.monotonic()
        self._first = trainer.global_step

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the time, say the line. Runs before the checkpoint is written."""
        assert isinstance(pl_module, MaskedTraining), "the stage's own module"
        now = time.monotonic()
        pl_module.seconds += now - self._since
        self._since = now
        done = trainer.global_step
        each = (now - self._begun) / max(done - self._first, 1)
        loss = float(np.mean(pl_module.losses[-pl_module.configuration.steps_per_checkpoint :]))
        self.say(
            f"{self.name}: step {done:,} of {pl_module.steps:,}, loss {loss:.3f}, "
            f"{time_left(each * (pl_module.steps - done))} left"
        )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's notices on every trainer: what matters is said by the caller."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        logger.setLevel(level)
