"""Transformer layers of BERT's layout with fewer steps: for serving one sentence quickly.

A short text spends more time between the matrices than in them. So queries, keys and
values come from one matrix, and attention is one operator of onnxruntime. What a
layer answers stays the same. BERT, RoBERTa, XLM-RoBERTa and ELECTRA have this
layout (Devlin et al. 2019); other encoders are left as they are.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions as Output

DOMAIN: Final = "com.microsoft"  # of the operator
_PARTS: Final = ("query", "key", "value")


class _Attention(torch.autograd.Function):
    """Softmax attention, which ONNX files hold as one operator."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, heads: int
    ) -> Tensor:
        """(batch, tokens, hidden) three times, and what is added: (batch, 1, tokens, tokens)."""
        query, key, value = (
            part.reshape(*part.shape[:-1], heads, -1).transpose(1, 2)
            for part in (query, key, value)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return mixed.transpose(1, 2).flatten(-2)

    @staticmethod
    def symbolic(g: Any, query: Any, key: Any, value: Any, mask: Any, heads: int) -> Any:
        """The operator; it takes no bias of its own and no padding beside the mask."""
        nothing = g.op("prim::Constant")
        nothing.setType(torch._C.OptionalType.ofTensor())
        found = g.op(
            f"{DOMAIN}::MultiHeadAttention",
            query,
            key,
            value,
            nothing,
            nothing,
            mask,
            num_heads_i=heads,
        )
        found.setType(query.type())
        return found


class JoinedLayer(nn.Module):
    """One layer with the weights of a transformers layer of BERT's layout.

    Attributes
    ----------
    joint
        One matrix for queries, keys and values.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention = layer.attention.self
        self.heads: int = attention.num_attention_heads
        parts = [getattr(attention, name) for name in _PARTS]
        self.hidden: int = parts[0].out_features
        self.joint = nn.Linear(parts[0].in_features, 3 * self.hidden)
        with torch.no_grad():
            self.joint.weight.copy_(torch.cat([part.weight for part in parts]))
            self.joint.bias.copy_(torch.cat([part.bias for part in parts]))
        self.mixed: nn.Linear = layer.attention.output.dense
        self.first_norm: nn.LayerNorm = layer.attention.output.LayerNorm
        self.up: nn.Linear = layer.intermediate.dense
        self.activation = layer.intermediate.intermediate_act_fn
        self.down: nn.Linear = layer.output.dense
        self.second_norm: nn.LayerNorm = layer.output.LayerNorm

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(batch, tokens, hidden) and (batch, 1, tokens, tokens) → (batch, tokens, hidden)."""
        query, key, value = self.joint(hidden).split(self.hidden, dim=-1)
        attend: Any = _Attention.apply
        context = attend(query, key, value, mask, self.heads)
        hidden = self.first_norm(self.mixed(context) + hidden)
        answer: Tensor = self.second_norm(self.down(self.activation(self.up(hidden))) + hidden)
        return answer

    def scale_values(self, divisor: Tensor) -> None:
        """Divide every feature of the context, and multiply the weights that read it.

        Parameters
        ----------
        divisor
            (hidden,) positive.
        """
        with torch.no_grad():
            self.joint.weight[-self.hidden :] /= divisor[:, None]
            self.joint.bias[-self.hidden :] /= divisor
            self.mixed.weight *= divisor


class JoinedLayers(nn.Module):
    """A stack of layers in place of transformers' own."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = nn.ModuleList(JoinedLayer(layer) for layer in layers)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> Output:
        """Hidden states of the last layer.

        Parameters
        ----------
        attention_mask
            Added to the attention's logits, as eager attention has it; ``None`` where
            no token is padding.

        Raises
        ------
        ValueError
            If the mask is another one.
        """
        if attention_mask is None:
            tokens = hidden_states.shape[1]
            attention_mask = hidden_states.new_zeros(1, 1, tokens, tokens)
        elif attention_mask.dtype != hidden_states.dtype:
            raise ValueError("joined layers need the mask that eager attention has")
        for layer in self.layers:
            hidden_states = layer(hidden_states, attention_mask)
        return Output(last_hidden_state=hidden_states)


def join_layers(network: nn.Module, samples: tuple[Tensor, ...]) -> bool:
    """Replace a network's stacks of layers in place, where the answer to a sample stays the same.

    Returns
    -------
    Whether anything was replaced.
    """
    for module in network.modules():
        if isinstance(module, PreTrainedModel):
            module.set_attn_implementation("eager")  # whose mask can be added
            break
    with torch.no_grad():
        before = network(*samples)
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            layers = getattr(child, "layer", None)
            if isinstance(layers, nn.ModuleList) and len(layers) and all(map(_fits, layers)):
                replaced.append((parent, name, child))
                setattr(parent, name, JoinedLayers(layers))
    if not replaced:
        return False
    try:
        with torch.no_grad():
            after = network(*samples)
        same = torch.allclose(before, after, rtol=1e-3, atol=1e-3 * float(before.abs().max()))
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        same = False  # an encoder that asks more of its layers than the last one's answer
    if not same:
        for parent, name, child in replaced:
            setattr(parent, name, child)
    return same


def operator_sets(network: nn.Module) -> dict[str, int]:
    """What ``torch.onnx.export`` has to be told of a network's operators."""
    joined = any(isinstance(module, JoinedLayer) for module in network.modules())
    return {DOMAIN: 1} if joined else {}


def _fits(layer: Any) -> bool:
    try:
        attention = layer.attention.self
        return (
            all(type(getattr(attention, name)) is nn.Linear for name in _PARTS)
            and all(getattr(attention, name).bias is not None for name in _PARTS)
            and type(layer.attention.output.dense) is nn.Linear
            and type(layer.attention.output.LayerNorm) is nn.LayerNorm
            and type(layer.intermediate.dense) is nn.Linear
            and callable(layer.intermediate.intermediate_act_fn)
            and type(layer.output.dense) is nn.Linear
            and type(layer.output.LayerNorm) is nn.LayerNorm
            and getattr(layer, "crossattention", None) is None
        )
    except AttributeError:
        return False
