"""What networks run on."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from data_prep.errors import InputError, ModelFolderError
from data_prep.onnx_network import GPU, execution_providers, open_network

EMBEDDED = Path(__file__).parents[2] / "lyrics_model" / "embedded" / "model.onnx"


@pytest.mark.parametrize("asked", [None, "", "0"])
def test_the_processor_is_taken_unless_another_is_asked_for(monkeypatch, asked):
    monkeypatch.delenv(GPU, raising=False)
    if asked is not None:
        monkeypatch.setenv(GPU, asked)
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    assert execution_providers() == ["CPUExecutionProvider"]
    assert open_network(EMBEDDED).get_providers() == ["CPUExecutionProvider"]


def test_a_card_comes_first_and_the_processor_after_it(monkeypatch):
    monkeypatch.setenv(GPU, "1")
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    assert execution_providers() == available


def test_a_card_that_cannot_be_used_is_told(monkeypatch):
    monkeypatch.setenv(GPU, "1")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(InputError, match="onnxruntime-gpu"):
        open_network(EMBEDDED)


def test_what_is_no_network_is_told(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelFolderError, match="cannot be loaded"):
        open_network(tmp_path / "model.onnx")
