"""What is done to a network before eight bits: nothing changes, and outliers cost nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
from torch import nn  # noqa: E402

from lyrics_model.int8_network import (  # noqa: E402
    QuantisedEmbedding,
    RowScaledLinear,
    made_ready,
    quantise,
)

SAMPLES = [(torch.arange(98)[None],)]
CLOSE = {"atol": 1e-3, "rtol": 1e-4}


class Small(nn.Module):
    """An embedding and a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 64)
        self.dense = nn.Linear(64, 32)
        self.kinds = nn.Embedding(2, 64)
        self.narrow = nn.Linear(32, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.narrow(
            torch.relu(self.dense(self.words(ids) + self.kinds.weight[0]))
        )
        return logits


def test_scaling_rows_changes_nothing() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 8)
    tokens = torch.randn(2, 5, 64) * torch.logspace(-3, 3, 5)[None, :, None]
    tokens[0, 0] = 0.0
    torch.testing.assert_close(RowScaledLinear(linear)(tokens), linear(tokens), **CLOSE)
    bare = nn.Linear(64, 8, bias=False)
    torch.testing.assert_close(RowScaledLinear(bare)(tokens), bare(tokens), **CLOSE)


def test_scaling_features_changes_nothing() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(8, 4)
    tokens = torch.randn(3, 8)
    factor = nn.Parameter(torch.logspace(-2, 2, 8))
    for level in (False, True):
        scaled = RowScaledLinear(linear, factor, level=level)
        torch.testing.assert_close(scaled(tokens), linear(tokens), **CLOSE)


def test_matrices_that_read_the_same_features_share_their_factor() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.last = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.last(self.one(features) + self.two(features))
            return answer

    torch.manual_seed(0)
    network = Two()
    sample = torch.randn(5, 8) * torch.tensor([1.0] * 7 + [50.0])
    ready = made_ready(network, [(sample,)])
    assert ready.one.factor is ready.two.factor
    assert ready.one.factor is not ready.last.factor
    assert float(ready.one.factor[7]) < 0.2 * float(ready.one.factor[:7].min())
    torch.testing.assert_close(ready(sample), network(sample), **CLOSE)


def test_rows_of_a_table_keep_their_own_precision() -> None:
    torch.manual_seed(0)
    embedding = nn.Embedding(70, 16)
    with torch.no_grad():
        embedding.weight[3] *= 100  # one large row must not cost the others their precision
        embedding.weight[5] = 0.0
    ids = torch.arange(70)
    error = (QuantisedEmbedding(embedding)(ids) - embedding(ids)).abs().amax(dim=1)
    largest = embedding.weight.detach().abs().amax(dim=1)
    assert bool((error <= largest / 254 + 1e-7).all())


def test_short_rows_share_a_scale_with_their_column() -> None:
    torch.manual_seed(0)
    embedding = nn.Embedding(70, 6)
    with torch.no_grad():
        embedding.weight[:, 2] *= 100  # one large column must not cost the others theirs
    quantised = QuantisedEmbedding(embedding)
    assert quantised.get_buffer("scales").shape == (1, 6)
    ids = torch.arange(70).reshape(7, 10)
    error = (quantised(ids) - embedding(ids)).abs().amax(dim=(0, 1))
    largest = embedding.weight.detach().abs().amax(dim=0)
    assert bool((error <= largest / 254 + 1e-7).all())


def test_matrices_and_tables_are_replaced_in_a_copy() -> None:
    network = Small()
    ready = made_ready(network, SAMPLES)
    assert isinstance(ready.words, QuantisedEmbedding)
    assert isinstance(ready.dense, RowScaledLinear)
    assert isinstance(ready.narrow, RowScaledLinear)
    assert type(ready.kinds) is nn.Embedding  # small
    assert type(network.words) is nn.Embedding
    ids = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(ready(ids), network(ids), atol=0.02, rtol=0.0)


def _answers(path: Path, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"ids": ids})[0]
    return found


def test_an_outlier_in_the_batch_costs_the_others_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Small().eval()
    with torch.no_grad():
        network.words.weight[99] *= 300
    found = {}
    for name, exported in (("plain", network), ("ready", made_ready(network, SAMPLES))):
        torch.onnx.export(
            exported,
            (torch.tensor([[1, 2, 3]]),),
            str(tmp_path / f"{name}.onnx"),
            input_names=["ids"],
            output_names=["logits"],
            dynamic_axes={"ids": {0: "batch", 1: "tokens"}},
            opset_version=17,
            dynamo=False,
        )
        quantise(tmp_path / f"{name}.onnx", tmp_path / f"{name}8.onnx")
        found[name] = _answers(tmp_path / f"{name}8.onnx", np.array([[1, 2, 99]]))
    with torch.no_grad():
        expected = network(torch.tensor([[1, 2]])).numpy()
    error = {name: np.abs(rows[:, :2] - expected).max() for name, rows in found.items()}
    assert error["ready"] < 0.03
    assert error["ready"] < 0.2 * error["plain"]
    alone = _answers(tmp_path / "ready8.onnx", np.array([[1, 2]]))
    np.testing.assert_allclose(found["ready"][:, :2], alone, atol=0.01)
    assert (tmp_path / "ready8.onnx").stat().st_size < (tmp_path / "plain.onnx").stat().st_size
