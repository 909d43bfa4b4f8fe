"""One line per chunk of a long run: what was reached and how much time is left."""

from __future__ import annotations

import time
from typing import Any

import lightning as L


class ChunkReport(L.Callback):
    """Prints the chunk, its logged figures and the time left, so that a log file tells all."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._first_chunk = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Time is counted from here, also in a resumed run."""
        self._started = time.monotonic()
        self._first_chunk = trainer.current_epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the line."""
        assert self._started is not None, "training has started"
        done = trainer.current_epoch + 1
        total = trainer.max_epochs or done
        each = (time.monotonic() - self._started) / (done - self._first_chunk)
        left = round(each * (total - done))
        figures = ", ".join(
            f"{name} {float(value):.3f}" for name, value in _plain(trainer.callback_metrics).items()
        )
        print(
            f"chunk {done} of {total}, {left // 60} min {left % 60:02d} s left: {figures}",
            flush=True,
        )


def _plain(metrics: dict[str, Any]) -> dict[str, Any]:
    """Without the copies that Lightning keeps per step and per epoch."""
    return {
        name: value for name, value in metrics.items() if not name.endswith(("_step", "_epoch"))
    }
