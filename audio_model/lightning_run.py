"""What the trainings of the audio branch share: the trainer, its progress, its precision.

A run keeps its checkpoint in a folder of its own and goes on from the last epoch
when it is started again with the same settings.
"""

from __future__ import annotations

import ctypes
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from data_prep.errors import InputError

Precision = Literal["auto", "bf16", "32"]
PRECISIONS: Final[tuple[Precision, ...]] = ("auto", "bf16", "32")

_SAID_EVERY: Final = 5  # epochs
_BF16_FLAGS: Final = ("avx512_bf16", "amx_bf16")


def lightning_precision(wanted: Precision) -> Any:
    """Lightning's name of a precision.

    ``"auto"`` is bf16 autocast where the processor or the GPU computes in it, and
    32 bits elsewhere, where it would be slower.

    Raises
    ------
    InputError
        If the precision is none of :data:`PRECISIONS`.
    """
    if wanted not in PRECISIONS:
        raise InputError(f"precision {wanted!r}: expected one of {', '.join(PRECISIONS)}")
    half = wanted == "bf16" or (wanted == "auto" and _computes_bf16())
    return "bf16-mixed" if half else "32-true"


def _computes_bf16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    information = Path("/proc/cpuinfo")
    if not information.is_file():
        return False
    text = information.read_text(encoding="utf-8", errors="replace")
    return any(flag in text for flag in _BF16_FLAGS)


def keep_memory() -> None:
    """Let glibc keep freed memory: large tensors that go back to the system cost half the time."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    for parameter, value in ((-4, 0), (-1, 2**31 - 1), (-2, 1 << 28)):
        mallopt(parameter, value)  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD


class EpochProgress(Callback):
    """A line every few epochs: loss and time left.

    Parameters
    ----------
    title
        What is trained.
    say
        Receives the lines.
    epochs_after
        Epochs of other trainings still to come, for the estimate of the time left.
    """

    def __init__(self, title: str, say: Callable[[str], None], epochs_after: int = 0) -> None:
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
        if done % _SAID_EVERY and done != total:
            return
        per_epoch = (time.monotonic() - self._started) / (done - self._first)
        left = per_epoch * (total - done + self._after) / 60
        loss = float(trainer.callback_metrics["loss"])
        self._say(f"{self._title}: epoch {done} of {total}, loss {loss:.3f}, {left:.1f} min left")


def fit(
    module: lightning.LightningModule,
    folder: Path,
    *,
    n_epochs: int,
    progress: Callback,
    callbacks: Sequence[Callback] = (),
    precision: Precision = "32",
    gradient_clip: float | None = 2.0,
    fast_dev_run: bool = False,
) -> None:
    """Train a module, or finish its training.

    Parameters
    ----------
    module
        It logs ``loss`` once an epoch, and gives the batches of an epoch anew for each.
    folder
        Of the run: holds its last checkpoint, from which it goes on.
    progress
        Tells how far it is.
    callbacks
        Others.
    """
    keep_memory()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            ".*does not have many workers.*",
            ".*lr_scheduler.step.*",
            ".*LeafSpec.*",
            ".*exists and is not empty.*",
        ):
            warnings.filterwarnings("ignore", message=message)
        trainer = lightning.Trainer(
            max_epochs=n_epochs,
            accelerator="auto",
            devices=1,
            precision=lightning_precision(precision),
            gradient_clip_val=gradient_clip,
            reload_dataloaders_every_n_epochs=1,
            callbacks=[
                progress,
                *callbacks,
                ModelCheckpoint(dirpath=folder, filename="epoch", save_last=True),
            ],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            fast_dev_run=fast_dev_run,
        )
        last = folder / "last.ckpt"
        trainer.fit(module, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
