"""Heads: hand-computed answers, padding that changes nothing, agreement with transformers' own."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import RobertaConfig, RobertaModel  # noqa: E402
from transformers.models.roberta.modeling_roberta import RobertaClassificationHead  # noqa: E402

from data_prep.errors import InputError  # noqa: E402
from lyrics_model.heads import (  # noqa: E402
    ClsHead,
    ConvolutionHead,
    StackedHead,
    TunedNetwork,
    build_head,
)
from lyrics_model.tuning_specification import HEAD_NAMES  # noqa: E402

torch.set_num_threads(1)
HIDDEN, LAYERS, LABELS, MAX_TOKENS = 8, 4, 5, 12


def _configuration() -> RobertaConfig:
    return RobertaConfig(
        vocab_size=30,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=MAX_TOKENS + 2,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=1,
        num_labels=LABELS,
    )


def _network(head: str) -> TunedNetwork:
    torch.manual_seed(0)
    encoder = RobertaModel(_configuration(), add_pooling_layer=False)
    built = build_head(
        head,  # type: ignore[arg-type]
        hidden_size=HIDDEN,
        layers=LAYERS,
        labels=LABELS,
        dropout=0.5,
        max_tokens=MAX_TOKENS,
    )
    return TunedNetwork(encoder, built).eval()


def _batch(length: int, padded: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.full((2, padded), 1)
    ids[:, :length] = torch.arange(2, 2 + length)
    ids[1, 1:length] += 7
    mask = torch.zeros(2, padded, dtype=torch.long)
    mask[:, :length] = 1
    return ids, mask


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_logits_do_not_depend_on_padding(head: str) -> None:
    network = _network(head)
    with torch.no_grad():
        short, long = (network(*_batch(6, padded)) for padded in (6, MAX_TOKENS))
    assert short.shape == (2, LABELS)
    assert not torch.equal(short[0], short[1])
    torch.testing.assert_close(short, long, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_every_real_token_counts_for_heads_over_tokens(head: str) -> None:
    network = _network(head)
    states = [torch.randn(1, 4, HIDDEN) for _ in range(LAYERS + 1)]
    changed = [*states[:-1], states[-1].clone()]
    changed[-1][:, 2] += 1.0
    mask = torch.tensor([[1, 1, 1, 0]])
    with torch.no_grad():
        one, other = (network.head(network.head.gather(s, mask), mask) for s in (states, changed))
    assert torch.equal(one, other) == (head == "cls")


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_padding_states_never_count(head: str) -> None:
    network = _network(head)
    states = [torch.randn(1, 4, HIDDEN) for _ in range(LAYERS + 1)]
    changed = [*states[:-1], states[-1].clone()]
    changed[-1][:, 3] = 1e4
    mask = torch.tensor([[1, 1, 1, 0]])
    with torch.no_grad():
        one, other = (network.head(network.head.gather(s, mask), mask) for s in (states, changed))
    assert torch.equal(one, other)


def test_cls_is_transformers_own_head() -> None:
    torch.manual_seed(1)
    theirs = RobertaClassificationHead(_configuration()).eval()
    ours = ClsHead(HIDDEN, LABELS, 0.1).eval()
    ours.load_state_dict(theirs.state_dict())
    states = torch.randn(3, 7, HIDDEN)
    mask = torch.ones(3, 7)
    torch.testing.assert_close(ours(ours.gather([states], mask), mask), theirs(states))


def test_architecture1_by_hand() -> None:
    head = ConvolutionHead(1, 1, 0.0).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.first.weight.fill_(1.0)
        head.second.weight.fill_(1.0 / 64)
        head.dense.weight.copy_(torch.eye(64))
        head.out_proj.weight[0, 0] = 1.0
    # 1 2 -> 1 3 2 -> 1 4 5 2, mean 3; the padded 9 must not be seen.
    states, mask = torch.tensor([[[1.0], [2.0], [9.0]]]), torch.tensor([[1, 1, 0]])
    assert head(head.gather([states], mask), mask).item() == pytest.approx(3.0)
    # ReLU after each: -1 2 -> -1 1 2 -> 0 1 2 -> 0 1 3 2, mean 1.5.
    states = torch.tensor([[[-1.0], [2.0], [9.0]]])
    assert head(head.gather([states], mask), mask).item() == pytest.approx(1.5)


def test_architecture2_by_hand() -> None:
    states = [torch.full((1, 4, 1), float(i)) for i in range(5)]
    states[-1] = torch.tensor([[[10.0], [1.0], [3.0], [50.0]]])
    mask = torch.tensor([[1, 1, 1, 0]])
    gathered = StackedHead(1, 1, 0.0).gather(states, mask)
    # last [CLS], [CLS] of layer -4 (the first of four), mean of two real tokens
    assert gathered[0, :, 0].tolist() == [10.0, 1.0, 2.0]
    padded = StackedHead(1, 1, 0.0, padded_length=8).gather(states, mask)
    assert padded[0, :, 0].tolist() == [10.0, 1.0, 0.5]
    head = StackedHead(1, 1, 0.0).eval()
    with torch.no_grad():
        head.convolution.weight.copy_(torch.tensor([[[1.0], [2.0], [3.0]]]))
        head.convolution.bias.fill_(0.5)
        head.out_proj.weight.fill_(2.0)
        head.out_proj.bias.fill_(1.0)
    assert head(gathered, mask).item() == pytest.approx(2 * (10 + 2 + 6 + 0.5) + 1)


def test_a_single_token_has_a_finite_mean() -> None:
    states = [torch.ones(1, 3, 2)] * 5
    gathered = StackedHead(2, 1, 0.0).gather(states, torch.tensor([[1, 0, 0]]))
    assert gathered[0, 2].tolist() == [0.0, 0.0]


def test_heads_that_cannot_be_are_refused() -> None:
    sizes = {"hidden_size": 8, "labels": 5, "dropout": 0.1, "max_tokens": 12}
    with pytest.raises(InputError, match="architecture2-padded-mean"):
        build_head("pooler", layers=4, **sizes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="3 layers"):
        build_head("architecture2", layers=3, **sizes)
