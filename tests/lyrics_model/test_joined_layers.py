"""Joined layers answer as transformers' own do, and leave alone what they do not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
onnxruntime = pytest.importorskip("onnxruntime")
from torch import nn  # noqa: E402

from lyrics_model.joined_layers import JoinedLayer, JoinedLayers, join_layers, operator_sets  # noqa: E402

IDS = torch.tensor([[2, 9, 8, 7, 3], [2, 9, 3, 0, 0]])
MASK = (IDS != 0).long()
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 20,
    "pad_token_id": 0,
}


class Network(nn.Module):
    """The last hidden states of an encoder."""

    def __init__(self, kind: str, *, all_layers: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        configuration = getattr(transformers, f"{kind}Config")(**SIZES)
        self.encoder = getattr(transformers, f"{kind}Model")(configuration)
        self.all_layers = all_layers
        with torch.no_grad():  # so that attention differs between tokens
            for parameter in self.parameters():
                parameter.mul_(3.0 if parameter.ndim > 1 else 1.0)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        answer: Any = self.encoder(
            input_ids=ids, attention_mask=mask, output_hidden_states=self.all_layers
        )
        states = answer.hidden_states if self.all_layers else [answer.last_hidden_state]
        hidden: torch.Tensor = torch.stack([state * mask[..., None] for state in states]).sum(0)
        return hidden


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "Electra", "XLMRoberta"])
def test_the_same_answers_and_fewer_matrices(kind: str, tmp_path: Path) -> None:
    network = Network(kind).eval()
    with torch.no_grad():
        expected, short = network(IDS, MASK), network(IDS[1:, :3], MASK[1:, :3])
        assert join_layers(network, (IDS, MASK))
        assert sum(isinstance(module, JoinedLayer) for module in network.modules()) == 2
        close = {"atol": 1e-4, "rtol": 1e-4}
        torch.testing.assert_close(network(IDS, MASK), expected, **close)
        torch.testing.assert_close(network(IDS[1:, :3], MASK[1:, :3]), short, **close)
    path = tmp_path / "joined.onnx"
    torch.onnx.export(
        network,
        (IDS, MASK),
        str(path),
        input_names=["ids", "mask"],
        output_names=["hidden"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in ("ids", "mask", "hidden")},
        opset_version=17,
        custom_opsets=operator_sets(network),
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for rows, answer in ((IDS, expected), (IDS[1:, :3], short)):
        given = {"ids": rows.numpy(), "mask": (rows != 0).long().numpy()}
        found = session.run(None, given)[0]
        np.testing.assert_allclose(found, answer.numpy(), atol=1e-4, rtol=1e-3)


def test_values_may_be_scaled() -> None:
    network = Network("Roberta").eval()
    join_layers(network, (IDS, MASK))
    with torch.no_grad():
        expected = network(IDS, MASK)
        for module in network.modules():
            if isinstance(module, JoinedLayer):
                before = module.joint.bias.clone()
                module.scale_values(torch.logspace(-1, 1, 16))
                torch.testing.assert_close(module.joint.bias[:32], before[:32])
        torch.testing.assert_close(network(IDS, MASK), expected, atol=1e-4, rtol=1e-4)


def test_an_encoder_that_needs_its_own_layers_keeps_them() -> None:
    network = Network("Roberta", all_layers=True).eval()
    with torch.no_grad():
        expected = network(IDS, MASK)
        assert not join_layers(network, (IDS, MASK))
        torch.testing.assert_close(network(IDS, MASK), expected)
    assert not any(isinstance(module, JoinedLayers) for module in network.modules())
    plain = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    assert not join_layers(plain, (torch.randn(2, 4),))


def test_another_mask_is_refused() -> None:
    network = Network("Bert").eval()
    join_layers(network, (IDS, MASK))
    layers = next(m for m in network.modules() if isinstance(m, JoinedLayers))
    with pytest.raises(ValueError, match="mask"):
        layers(torch.randn(1, 3, 16), torch.ones(1, 1, 3, 3, dtype=torch.bool))
