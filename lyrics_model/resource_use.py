"""What a training takes: seconds, memory and weights, kept over interruptions."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import lightning as L
import torch
from torch import nn

_MEBIBYTE: Final = 1024.0 * 1024.0


class ResourceUse(L.Callback):
    """Measures a training from its first step to its last; interrupted runs add up.

    ``figures`` holds seconds by the clock and of the processor (of all threads), the
    peak of resident memory in MiB (of this process since training began, where the
    system can tell, which ``peak_resident_of`` says), what was resident when it
    began, and the peak of memory on a CUDA device, 0 without one.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.resident_before = 0.0
        self.peak_resident = 0.0
        self.peak_cuda = 0.0
        self.peak_of = "training"
        self._started: tuple[float, float] | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start counting."""
        if not forget_peak():
            self.peak_of = "process"
        if not self.resident_before:
            self.resident_before = resident_mib()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._started = time.monotonic(), time.process_time()

    def state_dict(self) -> dict[str, Any]:
        """Saved with every checkpoint."""
        seconds, cpu_seconds = self._seconds()
        return {
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "resident_before": self.resident_before,
            "peak_resident": max(self.peak_resident, peak_resident_mib()),
            "peak_cuda": max(self.peak_cuda, _peak_cuda_mib()),
            "peak_of": self.peak_of,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what an interrupted run had taken."""
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop counting."""
        self.load_state_dict(self.state_dict())
        self._started = None

    def figures(self) -> dict[str, Any]:
        """For ``metrics.json``."""
        return {
            "seconds": round(self.seconds, 2),
            "cpu_seconds": round(self.cpu_seconds, 2),
            "resident_before_mib": round(self.resident_before, 1),
            "peak_resident_mib": round(self.peak_resident, 1),
            "peak_resident_of": self.peak_of,
            "peak_cuda_mib": round(self.peak_cuda, 1),
        }

    def _seconds(self) -> tuple[float, float]:
        if self._started is None:
            return self.seconds, self.cpu_seconds
        clock, processor = self._started
        return (
            self.seconds + time.monotonic() - clock,
            self.cpu_seconds + time.process_time() - processor,
        )


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Weights that are trained, and all of them."""
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return trained, sum(p.numel() for p in module.parameters())


def forget_peak() -> bool:
    """Let the peak of resident memory count from now on; ``False`` where that cannot be done."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def resident_mib() -> float:
    """Resident memory of this process now, in MiB; 0 where the system does not tell."""
    return _status("VmRSS") or 0.0


def peak_resident_mib() -> float:
    """Peak of resident memory since :func:`forget_peak`, in MiB; since the start without it."""
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    import resource  # not on every system

    unit = 1.0 if sys.platform == "darwin" else 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MEBIBYTE


def _status(field: str) -> float | None:
    try:
        content = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in content.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return float(value.split()[0]) * 1024.0 / _MEBIBYTE
    return None


def _peak_cuda_mib() -> float:
    return torch.cuda.max_memory_allocated() / _MEBIBYTE if torch.cuda.is_available() else 0.0
