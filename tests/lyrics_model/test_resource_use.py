"""What a training takes: interrupted runs add up, and a peak is a peak."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from lyrics_model.resource_use import (  # noqa: E402
    ResourceUse,
    count_parameters,
    forget_peak,
    peak_resident_mib,
    resident_mib,
)


def test_a_resumed_run_goes_on_counting() -> None:
    before = ResourceUse()
    before.load_state_dict(
        {"seconds": 100.0, "cpu_seconds": 50.0, "peak_resident": 1e9, "peak_cuda": 5.0}
    )
    resumed = ResourceUse()
    resumed.load_state_dict(before.state_dict())
    resumed.on_train_start(None, None)  # type: ignore[arg-type]
    resumed.on_train_end(None, None)  # type: ignore[arg-type]
    figures = resumed.figures()
    assert figures["seconds"] >= 100
    assert figures["cpu_seconds"] >= 50
    assert figures["peak_resident_mib"] == 1e9
    assert figures["peak_cuda_mib"] >= 5


def test_the_peak_is_forgotten_and_found_anew() -> None:
    if not forget_peak():
        pytest.skip("this system does not forget the peak of a process")
    before = peak_resident_mib()
    # mapped, since an allocator may keep what is freed
    block = mmap.mmap(-1, 64 * 2**20)
    pages = np.frombuffer(block, dtype=np.uint8)
    pages[:] = 1
    held = resident_mib()
    del pages
    block.close()
    assert peak_resident_mib() >= max(before + 50, held - 1)
    assert forget_peak()
    assert peak_resident_mib() < held


def test_parameters_by_hand() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    network[0].requires_grad_(False)
    assert count_parameters(network) == (3, 11)
