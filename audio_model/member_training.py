"""One member of the sound network: losses, optimiser, and its training.

All data sets are trained jointly. Every clip gives a loss on the head of its
native labels and one on the shared head ``six``, which only compares what the
label tells apart (:mod:`audio_model.examples`). While training, each data set
has a bias of its own on ``six``, so that the shares of emotions in a data set
are not learned as a property of its kind of sound; the served bias is their
mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from audio_model.backbone_network import BackboneNetwork
from audio_model.backbones import weights_hash
from audio_model.examples import Batch, TrainingBatches
from audio_model.heads import (
    SCALES,
    SIX,
    SOURCE,
    group_matrix,
    group_shares,
    head_labels,
    head_slices,
)
from audio_model.lightning_run import EpochProgress, fit
from audio_model.network import NetworkConfiguration, SoundNetwork
from audio_model.recording import Recording, recordings_digest
from audio_model.training_configuration import TrainingConfiguration
from data_prep.model_folder import configuration_hash
from data_prep.taxonomy import N_EMOTIONS

EmotionNetwork = SoundNetwork | BackboneNetwork
"""A network of the joint training: ``forward(log_mel, salience, embedding, masked)`` →
logits."""


def make_network(
    configuration: TrainingConfiguration, *, pretrained: bool = True
) -> EmotionNetwork:
    """The network that a configuration describes, untrained.

    Parameters
    ----------
    pretrained
        Read a backbone's pretrained weights; not needed where trained ones follow.
    """
    n_logits = sum(len(labels) for labels in configuration.labels.values())
    if isinstance(configuration.network, NetworkConfiguration):
        return SoundNetwork(configuration.network, n_logits)
    return BackboneNetwork(configuration.network, n_logits, pretrained=pretrained)


class MemberTraining(lightning.LightningModule):
    """Losses and optimiser of one member.

    Parameters
    ----------
    network
        The member, its scales set.
    clips
        Training clips.
    configuration, seed
        See :class:`TrainingConfiguration`.
    """

    group_matrices: Tensor
    native_weights: Tensor
    group_weights: Tensor
    sources: Tensor

    def __init__(
        self,
        network: EmotionNetwork,
        clips: Sequence[Recording],
        configuration: TrainingConfiguration,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.clips = clips
        self.training_configuration = configuration
        self.seed = seed
        self.slices = head_slices(configuration.labels)
        self.label_sets = list(configuration.datasets.values())
        self.six_bias = nn.Parameter(torch.zeros(len(self.label_sets), N_EMOTIONS))
        matrices = np.stack([group_matrix(label_set) for label_set in self.label_sets])
        self.register_buffer("group_matrices", torch.from_numpy(matrices))
        sources = configuration.labels.get(SOURCE, self.label_sets)
        places = [sources.index(s) if s in sources else 0 for s in self.label_sets]
        self.register_buffer("sources", torch.tensor(places))
        native, groups = self._label_weights()
        self.register_buffer("native_weights", native)
        self.register_buffer("group_weights", groups)

    def _label_weights(self) -> tuple[Tensor, Tensor]:
        """Weights of native labels and of groups, one row per data set, zero-padded: mean 1
        over the clips where labels are balanced, else 1 throughout."""
        c = self.training_configuration
        n_native = max(len(head_labels(label_set)) for label_set in self.label_sets)
        native, groups = torch.ones(len(c.datasets), n_native), torch.ones(len(c.datasets), 6)
        if c.balance == "none":
            return native, groups
        for row, (name, label_set) in enumerate(c.datasets.items()):
            shares = [clip.shares for clip in self.clips if clip.dataset == name]
            if not shares or label_set in SCALES:
                continue
            native[row, : shares[0].size] = _inverse(np.stack(shares))
            groups[row] = _inverse(np.stack([group_shares(label_set, s) for s in shares]))
        return native, groups

    def native_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Loss of the data sets' own labels, mean over the batch."""
        total = logits.new_zeros(())
        for index, head in enumerate(self.label_sets):
            chosen = batch.dataset == index
            if head == SIX or not bool(chosen.any()):
                continue
            answer = logits[chosen][:, self.slices[head]]
            target = batch.native[chosen][:, : answer.shape[1]]
            if head in SCALES:
                entropy = nn.functional.binary_cross_entropy_with_logits(
                    answer, target, reduction="none"
                )
                loss = self.training_configuration.emotify_weight * entropy.mean(dim=1).sum()
            else:
                smooth = self.training_configuration.label_smoothing
                target = (1.0 - smooth) * target + smooth / answer.shape[1]
                target = target * self.native_weights[index, : answer.shape[1]]
                loss = -(target * torch.log_softmax(answer, dim=1)).sum()
            total = total + loss
        return total / len(batch.dataset)

    def six_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the groups of emotions that the labels tell apart."""
        matrices = self.group_matrices[batch.dataset]  # (batch, groups, 6)
        labelled = matrices.sum(dim=1) > 0  # (batch, 6)
        answer = logits[:, self.slices[SIX]] + self.six_bias[batch.dataset]
        log_p = torch.log_softmax(answer.masked_fill(~labelled, -1e4), dim=1)
        # log of the summed probability of each group
        in_group = torch.where(matrices > 0, log_p[:, None, :], log_p.new_tensor(-1e4))
        log_group = torch.logsumexp(in_group, dim=2)
        target = batch.groups * self.group_weights[batch.dataset]
        entropy = -(target * torch.where(batch.groups > 0, log_group, 0.0)).sum(dim=1)
        return entropy.mean()

    def _seed_at(self, *place: int) -> int:
        return int(np.random.SeedSequence([self.seed, *place]).generate_state(1)[0])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # dropout does not depend on whether the training was interrupted before
        torch.manual_seed(self._seed_at(self.current_epoch, batch_idx))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        logits = self.network(batch.log_mel, batch.salience, batch.embedding, batch.masked)
        native, six = self.native_loss(logits, batch), self.six_loss(logits, batch)
        c = self.training_configuration
        loss: Tensor = native + c.six_weight * six
        if SOURCE in self.slices:
            loss = loss + c.source_weight * nn.functional.cross_entropy(
                logits[:, self.slices[SOURCE]],
                self.sources[batch.dataset],
                label_smoothing=c.label_smoothing,
            )
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.dataset))
        return loss

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the current epoch; the trainer asks anew for every epoch."""
        c = self.training_configuration
        batches = TrainingBatches(
            self.clips,
            c.shares,
            c.batches_per_epoch,
            c.augmentation,
            self._seed_at(self.current_epoch),
            c.front_end,
            c.datasets,
        )
        return DataLoader(batches, batch_size=None, shuffle=False, num_workers=c.workers)

    def configure_optimizers(self) -> Any:
        c = self.training_configuration
        trained = [p for p in self.network.parameters() if p.requires_grad]
        decayed = [p for p in trained if p.ndim > 1]
        others = [*(p for p in trained if p.ndim <= 1), self.six_bias]
        optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": c.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=c.learning_rate,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=c.learning_rate,
            total_steps=c.n_epochs * c.batches_per_epoch,
            pct_start=0.1,
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.no_grad()
    def served_network(self) -> EmotionNetwork:
        """The member with the mean of the data sets' biases moved into the head ``six``."""
        self.network.output_bias[self.slices[SIX]] += self.six_bias.mean(dim=0)
        self.six_bias.sub_(self.six_bias.mean(dim=0))
        return self.network.eval()


def _inverse(shares: NDArray[np.float32]) -> Tensor:
    """Weights (n,) inverse to the mean of shares (clips, n), their mean over the clips 1."""
    frequency = shares.mean(axis=0)
    present = frequency > 0
    weights = np.ones_like(frequency)
    weights[present] = frequency.sum() / (present.sum() * frequency[present])
    return torch.from_numpy(weights)


def _scale_windows(
    clips: Sequence[Recording], configuration: TrainingConfiguration, at_most: int = 2_000
) -> list[Tensor]:
    """Two windows of every clip, of so many at most, to standardise statistics with."""
    chosen = []
    for clip in clips[:: -(-len(clips) // at_most)]:
        found = clip.windows(configuration.front_end)
        chosen.append([part[:2].copy() for part in found])  # a view would keep the others
    return [torch.from_numpy(np.concatenate(parts)) for parts in zip(*chosen, strict=True)]


def train_member(
    folder: Path,
    clips: Sequence[Recording],
    configuration: TrainingConfiguration,
    *,
    seed: int,
    title: str = "member",
    say: Callable[[str], None] = print,
    epochs_after: int = 0,
    fast_dev_run: bool = False,
) -> EmotionNetwork:
    """Train one member, or finish its training.

    Parameters
    ----------
    folder
        Checkpoints go here; an interrupted training of the same settings, seed, clips
        and labels (and of the same backbone, where it starts from one) goes on from the
        last epoch.
    clips
        All training clips.
    epochs_after
        Epochs of other members still to come, for the estimate of the time left.

    Returns
    -------
    The member, in evaluation mode, the mean bias inside.
    """
    lightning.seed_everything(seed, verbose=False)
    network = make_network(configuration)
    network.fit_scales(*_scale_windows(clips, configuration))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = MemberTraining(network, clips, configuration, seed)
    embedded = configuration.front_end.embedding is not None
    decided_by = {
        "settings": configuration.hash,
        "seed": seed,
        "clips": recordings_digest(clips, embedded=embedded),
    }
    start = configuration.start
    if start is not None:
        decided_by["start"] = weights_hash(start)
    run = configuration_hash(decided_by)
    fit(
        module,
        folder / run,
        n_epochs=configuration.n_epochs,
        progress=EpochProgress(title, say, epochs_after),
        precision=configuration.precision,
        fast_dev_run=fast_dev_run,
    )
    return module.served_network()
