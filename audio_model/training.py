"""Training the members of the sound network.

Five members are cross-fitted: member *k* never hears fold *k* of RAVDESS
(folds of actors), Emotify (of recordings) or EMOPIA's train split (of songs),
so that the shipped weights can be measured on every clip by the member that
did not train on it. EMOPIA's validation split is in no member's training data.

All data sets are trained jointly. Every clip gives a loss on the head of its
native labels and one on the shared head ``six``, which only compares what the
label tells apart (:mod:`audio_model.examples`). While training, each data set
has a bias of its own on ``six``, so that the shares of emotions in a data set
are not learned as a property of its kind of sound; the served bias is their
mean.

Hyperparameters are chosen by :func:`validate`: trained without folds *k* and
*k + 1*, measured on fold *k + 1*.
"""

from __future__ import annotations

import ctypes
import json
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from audio_model import input_cache
from audio_model.examples import Augmentation, Batch, TrainingBatches
from audio_model.heads import (
    DATASET_HEADS,
    SIX,
    four_emotions,
    head_labels,
    head_slices,
    probabilities,
    served_six,
)
from audio_model.input_cache import Clip
from audio_model.input_cache import prepare as prepare
from audio_model.labels import clip_fold, group_matrix, group_shares
from audio_model.network import NetworkConfiguration, SoundNetwork
from data_prep.errors import InputError
from data_prep.metrics import accuracy, macro_f1, pearson_r
from data_prep.model_folder import configuration_hash
from data_prep.splits import N_FOLDS
from data_prep.taxonomy import N_EMOTIONS

N_MEMBERS: Final = N_FOLDS


@dataclass(frozen=True)
class TrainingConfiguration:
    """How a member is trained.

    Attributes
    ----------
    n_epochs, batches_per_epoch
        Length of the training.
    shares
        Windows of each data set in a batch.
    learning_rate, weight_decay
        Of AdamW; the rate rises over the first tenth and falls as a cosine.
    six_weight
        Weight of the loss of the shared head against the native one.
    emotify_weight
        Weight of Emotify's loss, whose soft targets give small gradients.
    label_smoothing
        Of the native classes.
    """

    n_epochs: int = 10
    batches_per_epoch: int = 40
    shares: dict[str, int] = field(
        default_factory=lambda: {"ravdess_song": 24, "emotify": 16, "emopia": 24}
    )
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    six_weight: float = 0.5
    emotify_weight: float = 5.0
    label_smoothing: float = 0.05
    network: NetworkConfiguration = field(default_factory=NetworkConfiguration)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        unknown = set(self.shares) - set(DATASET_HEADS)
        if unknown or self.n_epochs <= 0 or self.batches_per_epoch <= 0:
            raise InputError(
                f"training settings do not fit: shares of {', '.join(self.shares)} "
                f"(expected {', '.join(DATASET_HEADS)}), {self.n_epochs} epochs of "
                f"{self.batches_per_epoch} batches"
            )

    @property
    def hash(self) -> str:
        """Hash of all settings; a run of other settings does not resume this one."""
        return configuration_hash(asdict(self))


def load_clips(work: Path) -> list[Clip]:
    """All clips of the cache."""
    return [clip for dataset in input_cache.DATASETS for clip in input_cache.load(work, dataset)]


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

    def __init__(
        self,
        network: SoundNetwork,
        clips: Sequence[Clip],
        configuration: TrainingConfiguration,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.clips = clips
        self.training_configuration = configuration
        self.seed = seed
        self.six_bias = nn.Parameter(torch.zeros(len(DATASET_HEADS), N_EMOTIONS))
        matrices = np.stack([group_matrix(dataset) for dataset in DATASET_HEADS])
        self.register_buffer("group_matrices", torch.from_numpy(matrices))

    def native_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Loss of the data sets' own labels, mean over the batch."""
        total = logits.new_zeros(())
        for index, head in enumerate(DATASET_HEADS.values()):
            chosen = batch.dataset == index
            if not bool(chosen.any()):
                continue
            answer = logits[chosen][:, head_slices()[head]]
            target = batch.native[chosen][:, : answer.shape[1]]
            if head == "emotify":
                entropy = nn.functional.binary_cross_entropy_with_logits(
                    answer, target, reduction="none"
                )
                loss = self.training_configuration.emotify_weight * entropy.mean(dim=1).sum()
            else:
                loss = nn.functional.cross_entropy(
                    answer,
                    target,
                    reduction="sum",
                    label_smoothing=self.training_configuration.label_smoothing,
                )
            total = total + loss
        return total / len(batch.dataset)

    def six_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the groups of emotions that the labels tell apart."""
        matrices = self.group_matrices[batch.dataset]  # (batch, groups, 6)
        labelled = matrices.sum(dim=1) > 0  # (batch, 6)
        answer = logits[:, head_slices()[SIX]] + self.six_bias[batch.dataset]
        log_p = torch.log_softmax(answer.masked_fill(~labelled, -1e4), dim=1)
        # log of the summed probability of each group
        in_group = torch.where(matrices > 0, log_p[:, None, :], log_p.new_tensor(-1e4))
        log_group = torch.logsumexp(in_group, dim=2)
        entropy = -(batch.groups * torch.where(batch.groups > 0, log_group, 0.0)).sum(dim=1)
        return entropy.mean()

    def _seed_at(self, *place: int) -> int:
        return int(np.random.SeedSequence([self.seed, *place]).generate_state(1)[0])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # dropout does not depend on whether the training was interrupted before
        torch.manual_seed(self._seed_at(self.current_epoch, batch_idx))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        logits = self.network(batch.log_mel, batch.salience, batch.masked)
        native, six = self.native_loss(logits, batch), self.six_loss(logits, batch)
        loss: Tensor = native + self.training_configuration.six_weight * six
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
        )
        return DataLoader(batches, batch_size=None)

    def configure_optimizers(self) -> Any:
        c = self.training_configuration
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1 or p is self.six_bias]
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
    def served_network(self) -> SoundNetwork:
        """The member with the mean of the data sets' biases moved into the head ``six``."""
        self.network.direct.bias[head_slices()[SIX]] += self.six_bias.mean(dim=0)
        self.six_bias.sub_(self.six_bias.mean(dim=0))
        return self.network.eval()


class _Progress(Callback):
    """One line per epoch: loss and time left."""

    def __init__(self, title: str, say: Callable[[str], None], epochs_after: int) -> None:
        self._title, self._say, self._after = title, say, epochs_after
        self._started = self._first = 0.0

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self._started, self._first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        done = trainer.current_epoch + 1
        total = trainer.max_epochs or done
        if done % 5 and done != total:
            return
        per_epoch = (time.monotonic() - self._started) / (done - self._first)
        left = per_epoch * (total - done + self._after) / 60
        loss = float(trainer.callback_metrics["loss"])
        self._say(f"{self._title}: epoch {done} of {total}, loss {loss:.3f}, {left:.1f} min left")


def _keep_memory() -> None:
    """Let glibc keep freed memory: large tensors that go back to the system cost half the time."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    for parameter, value in ((-4, 0), (-1, 2**31 - 1), (-2, 1 << 28)):
        mallopt(parameter, value)  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD


def _scale_windows(clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
    """Some windows of every clip, to standardise statistics with."""
    chosen = [clip.windows() for clip in clips]
    return (
        torch.from_numpy(np.concatenate([window.log_mel[:2] for window in chosen])),
        torch.from_numpy(np.concatenate([window.salience[:2] for window in chosen])),
    )


def train_member(
    folder: Path,
    clips: Sequence[Clip],
    configuration: TrainingConfiguration,
    *,
    seed: int,
    title: str = "member",
    say: Callable[[str], None] = print,
    epochs_after: int = 0,
    fast_dev_run: bool = False,
) -> SoundNetwork:
    """Train one member, or finish its training.

    Parameters
    ----------
    folder
        Checkpoints go here; an interrupted training of the same settings, seed and
        clips goes on from the last epoch.
    clips
        All training clips.
    epochs_after
        Epochs of other members still to come, for the estimate of the time left.

    Returns
    -------
    The member, in evaluation mode, the mean bias inside.
    """
    _keep_memory()
    lightning.seed_everything(seed, verbose=False)
    network = SoundNetwork(configuration.network)
    network.fit_scales(*_scale_windows(clips))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = MemberTraining(network, clips, configuration, seed)
    run = configuration_hash(
        {"settings": configuration.hash, "seed": seed, "clips": [c.dataset + c.id for c in clips]}
    )
    folder = folder / run
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*IterableDataset.*")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        trainer = lightning.Trainer(
            max_epochs=configuration.n_epochs,
            accelerator="auto",
            devices=1,
            gradient_clip_val=2.0,
            reload_dataloaders_every_n_epochs=1,
            callbacks=[
                _Progress(title, say, epochs_after),
                ModelCheckpoint(dirpath=folder, filename="epoch", save_last=True),
            ],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            fast_dev_run=fast_dev_run,
        )
        last = folder / "last.ckpt"
        trainer.fit(module, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
    return module.served_network()


@torch.no_grad()
def answers(network: nn.Module, clips: Sequence[Clip]) -> NDArray[np.float32]:
    """Probabilities of all heads, mean over a clip's windows: (n_clips, N_LOGITS)."""
    found = []
    for clip in clips:
        window = clip.windows()
        logits = network(torch.from_numpy(window.log_mel), torch.from_numpy(window.salience))
        found.append(probabilities(logits.numpy()).mean(axis=0))
    return np.stack(found)


def _mean_r(wanted: NDArray[np.float32], got: NDArray[np.float32]) -> float:
    columns = range(wanted.shape[1])
    return float(np.mean([pearson_r(wanted[:, k], got[:, k]) for k in columns]))


def scores(
    clips: Sequence[Clip],
    probability: NDArray[np.float32],
    head_weights: dict[str, float] | None = None,
) -> dict[str, float]:
    """Figures of a set of clips.

    Parameters
    ----------
    clips, probability
        Clips and their :func:`answers`.
    head_weights
        Weights of the served six; the head ``six`` alone if not given.

    Returns
    -------
    Native heads: ``ravdess_song`` macro-F1, ``emotify`` mean Pearson r over the
    four mapped emotions, ``quadrants`` accuracy. Served six, as far as the labels
    go: ``six_ravdess_song``, ``six_emotify``, ``six_quadrants``, the same measures
        (Emotify: of the shares of joy, tension or anger, calm and sadness).
    """
    six = served_six(probability, head_weights or {SIX: 1.0})
    slices = head_slices()
    result: dict[str, float] = {}
    for dataset, head in DATASET_HEADS.items():
        chosen = [i for i, clip in enumerate(clips) if clip.dataset == dataset]
        if not chosen:
            continue
        native, served = probability[chosen][:, slices[head]], six[chosen]
        target = np.stack([clips[i].shares for i in chosen])
        if head == "emotify":
            result[head] = _mean_r(four_emotions(target), four_emotions(native))
            # of the served six only shares can be compared: it sums to one
            shares = np.stack([group_shares(dataset, row) for row in target])
            by_group = served @ group_matrix(dataset).T
            result[f"six_{head}"] = _mean_r(shares[:, :4], by_group[:, :4])
            continue
        labels, n = target.argmax(axis=1), len(head_labels(head))
        by_group = served @ group_matrix(dataset)[:n].T  # six → native classes
        if head == "ravdess_song":
            result[head] = macro_f1(labels, native.argmax(axis=1), n)
            result[f"six_{head}"] = macro_f1(labels, by_group.argmax(axis=1), n)
        else:
            result[head] = accuracy(labels, native.argmax(axis=1))
            result[f"six_{head}"] = accuracy(labels, by_group.argmax(axis=1))
    return result


RECIPES: Final[tuple[TrainingConfiguration, ...]] = (
    TrainingConfiguration(),
    TrainingConfiguration(),
)
"""Settings of the networks of one member: the same, seeded differently, since the mean of
networks errs less than one."""


def weights_path(work: Path, member: int, network: int) -> Path:
    """Where the weights of one network of a member lie; its checkpoints are beside them."""
    folder = work / "audio" / f"member-{member}" / f"network-{network}"
    return folder / "weights.safetensors"


def train(
    work: Path,
    *,
    folds: Sequence[int] | None = None,
    seed: int = 1,
    recipes: Sequence[TrainingConfiguration] = RECIPES,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Train the members, or finish training them.

    Parameters
    ----------
    work
        Work folder that holds the cache (:func:`audio_model.input_cache.prepare`).
    folds
        Which members; all five if not given. Member *k* is trained without fold *k*.
    seed
        Network *n* of member *k* is seeded with ``100 * seed + 10 * n + k``.
    recipes
        Settings of each network of a member.
    say
        Receives lines of progress.

    Returns
    -------
    Path of the weights of each network.

    Raises
    ------
    MissingDataError
        If the cache is not there.
    InputError
        If a fold is not 0..4.
    """
    chosen = list(range(N_MEMBERS)) if folds is None else list(folds)
    if not chosen or not set(chosen) <= set(range(N_MEMBERS)):
        raise InputError(f"folds {chosen}: expected some of 0..{N_MEMBERS - 1}")
    clips = load_clips(work)
    jobs = [(member, n) for member in chosen for n in range(len(recipes))]
    paths = []
    for done, (member, n) in enumerate(jobs):
        kept = [clip for clip in clips if clip_fold(clip) not in (None, member)]
        held_out = [clip for clip in clips if clip_fold(clip) == member]
        path = weights_path(work, member, n)
        own_seed = 100 * seed + 10 * n + member
        network = train_member(
            path.parent,
            kept,
            recipes[n],
            seed=own_seed,
            title=f"member {member + 1} of {N_MEMBERS}, network {n + 1} of {len(recipes)}",
            say=say,
            epochs_after=sum(recipes[later].n_epochs for _, later in jobs[done + 1 :]),
        )
        save_member(path, network, recipes[n], own_seed)
        found = scores(held_out, answers(network, held_out))
        say("  out of fold: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
        paths.append(path)
    return paths


def save_member(
    path: Path, network: SoundNetwork, configuration: TrainingConfiguration, seed: int
) -> None:
    """Write a member's weights, with its configuration beside them."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, str(path))
    text = json.dumps({"seed": seed, **asdict(configuration)}, indent=1) + "\n"
    path.with_name("configuration.json").write_text(text, encoding="utf-8")


def load_member(path: Path) -> SoundNetwork:
    """Read a member that :func:`save_member` wrote."""
    from safetensors.torch import load_file

    content = json.loads(path.with_name("configuration.json").read_text(encoding="utf-8"))
    sizes = content["network"]
    network = SoundNetwork(NetworkConfiguration(**{**sizes, "channels": tuple(sizes["channels"])}))
    network.load_state_dict(load_file(str(path)))
    return network.eval()


def validate(
    work: Path,
    configuration: TrainingConfiguration,
    *,
    fold: int = 0,
    seed: int = 1,
    say: Callable[[str], None] = print,
) -> dict[str, float]:
    """Measure settings by inner validation.

    The member is trained without folds ``fold`` and ``fold + 1`` and measured on
    fold ``fold + 1``: what member ``fold`` will be measured on is not touched.
    """
    clips = load_clips(work)
    inner = (fold + 1) % N_MEMBERS
    kept = [c for c in clips if clip_fold(c) not in (None, fold, inner)]
    held_out = [clip for clip in clips if clip_fold(clip) == inner]
    network = train_member(
        work / "audio" / "validation", kept, configuration, seed=seed, title="inner", say=say
    )
    return scores(held_out, answers(network, held_out))
