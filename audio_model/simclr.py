"""Pretraining of a backbone without labels: SimCLR (Chen et al. 2020) on log-mels.

Two views of every recording of a batch (:mod:`audio_model.view_augmentation`) go
through the backbone and a projection of two layers; the loss (NT-Xent, an InfoNCE in
both directions) asks each view to find its partner among all views of the batch.
Other recordings of the same group (the same singer, song or rendered piece) are
neither partners nor strangers, and are left out of its choice. The projection is
thrown away afterwards; the features below it are what is kept.

A run keeps its checkpoint in a folder of its own, named by the hash of settings and
recordings, and goes on from the last whole epoch. What is random depends on the seed,
the epoch and the step, and the memory of the mixup starts every epoch empty, so an
interrupted run ends as an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader

from audio_model.backbones import MIN_FRAMES, Backbone, describe, make_backbone, save_backbone
from audio_model.folds import clip_fold
from audio_model.lightning_run import PRECISIONS, Precision, fit
from audio_model.probing import ProbeCallback, ProbeReport
from audio_model.recording import Recording
from audio_model.view_augmentation import (
    InputMemory,
    Normalisation,
    ViewAugmentation,
    augmented,
    by_batch,
)
from audio_model.views import (
    ViewBatches,
    Views,
    read_log_mel,
    two_crops,
)
from data_prep.errors import InputError, MissingDataError
from data_prep.model_folder import checkout_commit, configuration_hash
from data_prep.splits import N_FOLDS

_SCALED_BY: Final = 512  # recordings that the scales are fitted on
_QUIET_S: Final = 60.0  # without a line of progress


@dataclass(frozen=True)
class SimclrConfiguration:
    """How a backbone is pretrained.

    Attributes
    ----------
    backbone
        As :func:`audio_model.backbones.make_backbone` takes it.
    n_frames
        Length of a view in frames.
    max_shift
        Most that the crops of the two views are apart, in views: 0 augments one crop
        twice, as BYOL-A does; 0.5 takes crops that overlap by half at least, so that a
        mood and not only the very notes are in common, which distant parts of a song
        need not have.
    batch_size
        Recordings in a batch, each of which gives two views.
    temperature
        Of the loss.
    hidden, projected
        Units of the projection.
    learning_rate, weight_decay
        Of AdamW; the rate rises over ``warmup_epochs`` and falls as a cosine.
    n_epochs
        Passes over the recordings.
    gradient_clip
        Largest norm of a gradient.
    precision
        ``"auto"`` is bf16 autocast where the machine computes in it.
    workers
        Processes that read recordings beside the training.
    probe_every, probe_clips
        Epochs between two probes, and most recordings of a data set in one.
    augmentation
        How views are made.
    seed
        Of everything random.
    """

    backbone: str = "resnet18"
    n_frames: int = 256
    max_shift: float = 0.5
    batch_size: int = 128
    temperature: float = 0.1
    hidden: int = 512
    projected: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    n_epochs: int = 50
    warmup_epochs: int = 3
    gradient_clip: float = 2.0
    precision: Precision = "auto"
    workers: int = 0
    probe_every: int = 5
    probe_clips: int = 300
    augmentation: ViewAugmentation = field(default_factory=ViewAugmentation)
    seed: int = 1

    def __post_init__(self) -> None:
        if self.n_frames < MIN_FRAMES:
            raise InputError(f"views of {self.n_frames} frames: expected {MIN_FRAMES} or more")
        if self.batch_size < 2:
            raise InputError(f"a batch of {self.batch_size}: a view needs others to tell it from")
        if self.precision not in PRECISIONS:
            raise InputError(
                f"precision {self.precision!r}: expected one of {', '.join(PRECISIONS)}"
            )
        counts = (self.hidden, self.projected, self.n_epochs, self.probe_every, self.probe_clips)
        if (
            min(*counts, self.temperature, self.learning_rate, self.gradient_clip) <= 0
            or min(self.max_shift, self.weight_decay, self.warmup_epochs, self.workers) < 0
        ):
            raise InputError(f"pretraining settings do not make sense: {self}")

    @property
    def hash(self) -> str:
        """Hash of the settings that decide the weights."""
        decisive = asdict(self)
        for name in ("workers", "probe_every", "probe_clips"):
            del decisive[name]
        return configuration_hash(decisive)


def nt_xent(
    first: Tensor, second: Tensor, group: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Loss of a batch, and the share of views that find their partner.

    Parameters
    ----------
    first, second
        Projections (batch, n) of both views; compared by their cosine.
    group
        (batch,): recordings with equal numbers are not compared with each other.
    temperature
        That cosines are divided by.

    Returns
    -------
    Cross-entropy of each view's partner among the views of other groups, mean over all
    views (so in both directions), and how often the partner is the nearest.
    """
    views = nn.functional.normalize(torch.cat([first, second]).float(), dim=1)
    with torch.autocast(views.device.type, enabled=False):  # bf16 is too coarse for a cosine
        logits = views @ views.T / temperature  # (2 batch, 2 batch)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    groups = torch.cat([group, group])
    left_out = groups[:, None] == groups[None, :]  # itself as well
    left_out.scatter_(1, partner[:, None], False)
    logits = logits.masked_fill(left_out, -torch.inf)
    found = (logits.argmax(dim=1) == partner).float().mean()
    return nn.functional.cross_entropy(logits, partner), found


class SimclrTraining(lightning.LightningModule):
    """Loss and optimiser of a pretraining.

    Parameters
    ----------
    backbone
        Its scales set.
    normalisation
        Fitted on training log-mels.
    clips
        Recordings to learn from.
    """

    def __init__(
        self,
        backbone: Backbone,
        normalisation: Normalisation,
        clips: Sequence[Recording],
        configuration: SimclrConfiguration,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.normalisation = normalisation
        c = self.simclr_configuration = configuration
        self.clips = clips
        self.projection = nn.Sequential(
            nn.Linear(backbone.n_features, c.hidden, bias=False),
            nn.BatchNorm1d(c.hidden),
            nn.ReLU(),
            nn.Linear(c.hidden, c.projected, bias=False),
        )
        self.left_out: dict[str, None] = {}
        self._memory = InputMemory(c.augmentation.memory)

    def _seed_at(self, *place: int) -> int:
        sequence = np.random.SeedSequence([self.simclr_configuration.seed, *place])
        return int(sequence.generate_state(1)[0])

    def batches(self, epoch: int) -> ViewBatches:
        """The batches of an epoch."""
        c = self.simclr_configuration
        return ViewBatches(
            self.clips,
            batch_size=c.batch_size,
            n_frames=c.n_frames,
            max_shift=c.max_shift,
            seed=self._seed_at(epoch),
        )

    def train_dataloader(self) -> DataLoader[Views]:
        """Batches of the current epoch; the trainer asks anew for every epoch."""
        workers = self.simclr_configuration.workers
        return DataLoader(self.batches(self.current_epoch), batch_size=None, num_workers=workers)

    def on_train_epoch_start(self) -> None:
        """Forget the inputs of the last epoch."""
        self._memory = InputMemory(self.simclr_configuration.augmentation.memory)

    def views(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Views of a batch of inputs: (2, batch, n_mels, n_frames) in dB, both ways."""
        normalised = self.normalisation(inputs)
        made = torch.stack(
            [
                augmented(
                    one,
                    self._memory,
                    self.simclr_configuration.augmentation,
                    self.normalisation.std_db,
                    generator,
                )
                for one in normalised
            ]
        )
        self._memory.push(normalised[0])
        return self.normalisation.inverse(by_batch(made))

    def training_step(self, batch: Views, batch_idx: int) -> Tensor:
        """Loss of a batch."""
        seed = self._seed_at(self.current_epoch, batch_idx)
        torch.manual_seed(seed)  # dropout does not depend on whether the run was interrupted
        self.left_out.update(dict.fromkeys(batch.left_out))
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            made = self.views(batch.log_mel, torch.Generator().manual_seed(seed))
        first, second = self.projection(self.backbone(made.flatten(0, 1))).chunk(2)
        loss, found = nt_xent(first, second, batch.group, self.simclr_configuration.temperature)
        n = len(batch.group)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=n)
        self.log("found", found, on_step=False, on_epoch=True, batch_size=n)
        return loss

    def configure_optimizers(self) -> Any:
        """AdamW, matrices decayed; warm-up, then a cosine to 0, step by step."""
        c = self.simclr_configuration
        parameters = [p for p in self.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": c.weight_decay},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=c.learning_rate,
        )
        per_epoch = len(self.batches(0))
        warmup, total = c.warmup_epochs * per_epoch, c.n_epochs * per_epoch

        def rate(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            done = (step - warmup) / max(total - warmup, 1)
            return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Progress(Callback):
    """A line per epoch, and one a minute within: loss, partners found and time left."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._started = self._said = 0.0
        self._steps = 0

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        self._started = self._said = time.monotonic()

    def _tell(self, trainer: lightning.Trainer, done: float, what: str) -> None:
        self._said = time.monotonic()
        steps_left = (int(trainer.max_epochs or 0) - done) * int(trainer.num_training_batches)
        left = (self._said - self._started) / self._steps * steps_left
        self._say(f"{what}, {left / 60:.1f} min left")

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._steps += 1
        done, of = batch_idx + 1, int(trainer.num_training_batches)
        if done < of and time.monotonic() - self._said > _QUIET_S:
            loss = float(outputs["loss"])
            place = f"epoch {trainer.current_epoch + 1}, step {done} of {of}: loss {loss:.3f}"
            self._tell(trainer, trainer.current_epoch + done / of, place)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        done = trainer.current_epoch + 1
        loss, found = (float(trainer.callback_metrics[name]) for name in ("loss", "found"))
        what = f"epoch {done} of {trainer.max_epochs}: loss {loss:.3f}, partners found {found:.0%}"
        self._tell(trainer, done, what)


class Pretrained(NamedTuple):
    """What a pretraining made.

    Attributes
    ----------
    folder
        The backbone folder.
    left_out
        Recordings that could not be used, a sentence each.
    probe
        The last probe, if there are labelled recordings.
    """

    folder: Path
    left_out: tuple[str, ...]
    probe: ProbeReport | None


def _scale_crops(clips: Sequence[Recording], c: SimclrConfiguration) -> Tensor:
    """A crop of each of some recordings, spread over all of them."""
    random = np.random.default_rng(c.seed)
    places = np.unique(np.linspace(0, len(clips) - 1, _SCALED_BY).astype(int))
    crops, first_error = [], None
    for place in places:
        try:
            log_mel = read_log_mel(clips[place])
        except InputError as error:  # told when it is its turn in training
            first_error = first_error or error
            continue
        crops.append(two_crops(log_mel, c.n_frames, 0.0, random)[0])
    if not crops:
        raise InputError(f"none of the recordings can be used, first {first_error}")
    sizes = {crop.shape[0] for crop in crops}
    if len(sizes) > 1:
        raise InputError(
            f"recordings with log-mels of {' and '.join(map(str, sorted(sizes)))} bands cannot "
            "be learned from together"
        )
    return torch.from_numpy(np.stack(crops))


def pretrain(
    clips: Sequence[Recording],
    out: Path,
    configuration: SimclrConfiguration | None = None,
    *,
    labelled: Sequence[Recording] = (),
    without_fold: int | None = None,
    say: Callable[[str], None] = print,
    threads: int | None = None,
) -> Pretrained:
    """Pretrain a backbone, or finish its pretraining.

    Parameters
    ----------
    clips
        Recordings to learn from; their labels are not used. Those of EMOPIA's validation
        split are left out.
    out
        Becomes a backbone folder (:func:`audio_model.backbones.load_backbone`); checkpoints
        and ``probe.jsonl`` lie in a folder of the run in it.
    labelled
        Recordings that the features are probed on.
    without_fold
        Fold whose recordings are left out as well, for figures on them that owe nothing to
        having heard them; kept as ``held_out_fold`` in what is said of the weights.
    say
        Receives lines of progress.
    threads
        CPU threads; torch's own default if ``None``.

    Raises
    ------
    MissingDataError
        If there are fewer than two recordings.
    InputError
        If the backbone cannot be made, the fold is not 0..4, or no recording can be used.
    """
    c = configuration or SimclrConfiguration()
    if without_fold is not None and not 0 <= without_fold < N_FOLDS:
        raise InputError(f"--without-fold {without_fold}: expected one of 0 to {N_FOLDS - 1}")
    if threads:
        torch.set_num_threads(threads)
    clips = [clip for clip in clips if clip_fold(clip) not in (None, without_fold)]
    if len(clips) < 2:
        raise MissingDataError(
            f"{len(clips)} recordings to pretrain on, at least two are needed: run "
            "`maeum prepare audio` first, or give --store"
        )
    lightning.seed_everything(c.seed, verbose=False)
    crops = _scale_crops(clips, c)
    backbone = make_backbone(c.backbone, n_mels=crops.shape[1])
    backbone.fit_scales(crops)
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    normalisation = Normalisation()
    normalisation.fit(crops)
    say(describe(backbone, c.n_frames).line())
    names = [f"{clip.dataset}\n{clip.id}" for clip in clips]
    run = out / f"run-{configuration_hash({'settings': c.hash, 'recordings': names})}"
    counts: dict[str, int] = {}
    for clip in clips:
        counts[clip.dataset] = counts.get(clip.dataset, 0) + 1
    told = ", ".join(f"{count:,} of {name}" for name, count in counts.items())
    going_on = "; goes on where it was" if (run / "last.ckpt").is_file() else ""
    say(f"{len(clips):,} recordings ({told}), {c.n_epochs} epochs{going_on}")
    module = SimclrTraining(backbone, normalisation, clips, c)
    probe = ProbeCallback(
        labelled,
        run / "probe.jsonl",
        n_frames=c.n_frames,
        every=c.probe_every,
        at_most=c.probe_clips,
        seed=c.seed,
        say=say,
    )
    fit(
        module,
        run,
        n_epochs=c.n_epochs,
        progress=_Progress(say),
        callbacks=[probe],
        precision=c.precision,
        gradient_clip=c.gradient_clip,
    )
    for reason in module.left_out:
        say(f"left out: {reason}")
    report = probe.last_report()
    save_backbone(
        backbone.to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
        out,
        provenance={
            "method": "SimCLR",
            "configuration": asdict(c),
            "recordings": counts,
            "left_out": len(module.left_out),
            "held_out_fold": without_fold,
            "probe": report and report.figures(),
            "commit": checkout_commit(),
        },
    )
    return Pretrained(out, tuple(module.left_out), report)
