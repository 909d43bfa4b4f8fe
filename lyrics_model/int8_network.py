"""Text networks in int8: what is done to a trained network so that eight bits are enough.

Dynamic quantisation has one scale for a whole batch of activations. A few tokens of
a transformer are many times as large as the others, and take the others' precision
(Bondarenko, Nagel, Blankevoort 2021). So every token is divided by its own largest
value before a matrix is applied, and multiplied by it afterwards, which changes
nothing in exact arithmetic. It also makes an answer all but independent of the
batch it is read in. What comes out of a layer normalisation is level already, and so
is what attention makes of it. Features that are large in every token are made
smaller, and their weights larger (Xiao et al. 2023). Embedding tables keep one scale a
row.
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from lyrics_model.joined_layers import JoinedLayer, join_layers

_SHORT_ROW: Final = 16  # of fewer columns: a scale of its own would take as much as the row
_LEAST_ROWS: Final = 64  # a smaller table stays as it is
_SMALLEST: Final = 1e-6
_MOVED: Final = 0.6  # how much of a feature's size goes to its weights; 0 to 1


class RowScaledLinear(nn.Module):
    """``nn.Linear`` on tokens scaled to a largest value of one, scaled back afterwards.

    Parameters
    ----------
    factor
        (in,) what every feature is multiplied by first, and its weights divided by.
    level
        Tokens are of one size as they come: none is scaled.
    """

    def __init__(
        self, linear: nn.Linear, factor: nn.Parameter | None = None, *, level: bool = False
    ) -> None:
        super().__init__()
        weight = linear.weight.detach()
        if factor is not None:
            weight = weight / factor.detach()
        self.factor = factor
        self.level = level
        self.weight = nn.Parameter(weight.T.contiguous())
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        if self.factor is not None:
            features = features * self.factor
        if self.level:
            product = torch.matmul(features, self.weight)
        else:
            largest = features.abs().amax(dim=-1, keepdim=True) + _SMALLEST
            product = torch.matmul(features / largest, self.weight) * largest
        return product if self.bias is None else product + self.bias


class QuantisedEmbedding(nn.Module):
    """``nn.Embedding`` in int8, with a float32 scale for every row, or column if rows are short."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        table = embedding.weight.detach()
        self.of_rows = embedding.embedding_dim >= _SHORT_ROW
        size = table.abs().amax(dim=1 if self.of_rows else 0, keepdim=True)
        scales = size.clamp(min=_SMALLEST) / 127.0
        self.register_buffer("rows", (table / scales).round().to(torch.int8))
        self.register_buffer("scales", scales)

    def forward(self, ids: Tensor) -> Tensor:
        """(…) int64 → (…, dimensions)."""
        rows: Tensor = self.get_buffer("rows")[ids]
        scales = self.get_buffer("scales")
        return rows.to(torch.float32) * (scales[ids] if self.of_rows else scales[0])


Network = TypeVar("Network", bound=nn.Module)


def made_ready(network: Network, samples: Sequence[tuple[Tensor, ...]]) -> Network:
    """A copy whose matrices and embedding tables suit :func:`quantise`.

    Parameters
    ----------
    samples
        Inputs as the network takes them; how large each feature gets is seen on them.
    """
    ready = copy.deepcopy(network).eval()
    if join_layers(ready, samples[0]):
        seen = _look(ready, samples)
        for layer in ready.modules():
            if isinstance(layer, JoinedLayer):
                layer.scale_values(1.0 / seen.factors[layer.mixed].detach())
    seen = _look(ready, samples)
    # attention gives means of values, which are level as what they are made of is
    folded = {layer.mixed for layer in ready.modules() if isinstance(layer, JoinedLayer)}
    level = seen.level | folded
    for parent in list(ready.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                factor = None if child in folded else seen.factors.get(child)
                setattr(parent, name, RowScaledLinear(child, factor, level=child in level))
            elif type(child) is nn.Embedding and child.num_embeddings >= _LEAST_ROWS:
                setattr(parent, name, QuantisedEmbedding(child))
    return ready


@dataclass(frozen=True)
class _Seen:
    """What was seen of the matrices on samples.

    Attributes
    ----------
    factors
        (in,) what to multiply the features of each by; one for all that read the same features.
    level
        Those that read what a layer normalisation gives.
    """

    factors: dict[nn.Linear, nn.Parameter]
    level: set[nn.Linear]


def _look(network: nn.Module, samples: Sequence[tuple[Tensor, ...]]) -> _Seen:
    largest: dict[nn.Linear, Tensor] = {}
    source: dict[nn.Linear, int] = {}
    normalised: set[int] = set()
    kept: list[Tensor] = []  # a tensor's identity holds while it lives

    def before_matrix(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Linear), "hooked below"
        features = inputs[0].abs().flatten(0, -2).amax(dim=0)
        if module in largest:
            features = torch.maximum(largest[module], features)
        else:
            source[module] = id(inputs[0])
            kept.append(inputs[0])
        largest[module] = features

    def after_normalisation(_: nn.Module, __: Any, output: Tensor) -> None:
        normalised.add(id(output))
        kept.append(output)

    hooks = [
        module.register_forward_pre_hook(before_matrix)
        for module in network.modules()
        if type(module) is nn.Linear
    ]
    hooks += [
        module.register_forward_hook(after_normalisation)
        for module in network.modules()
        if isinstance(module, nn.LayerNorm)
    ]
    with torch.no_grad():
        for sample in samples:
            network(*sample)
    for hook in hooks:
        hook.remove()
    readers: dict[int, list[nn.Linear]] = {}
    for module, identity in source.items():
        readers.setdefault(identity, []).append(module)
    factors: dict[nn.Linear, nn.Parameter] = {}
    for modules in readers.values():
        weights = torch.stack([module.weight.detach().abs().amax(dim=0) for module in modules])
        features = largest[modules[0]].clamp(min=_SMALLEST)
        divisor = features**_MOVED / weights.amax(dim=0).clamp(min=_SMALLEST) ** (1.0 - _MOVED)
        shared = nn.Parameter(1.0 / divisor.clamp(min=_SMALLEST), requires_grad=False)
        factors |= dict.fromkeys(modules, shared)
    return _Seen(factors, {module for module in source if source[module] in normalised})


def quantise(source: Path, target: Path) -> None:
    """Fuse what can be fused of an ONNX file, and quantise its matrices dynamically.

    Weights are unsigned: processors without VNNI add products of signed weights of
    eight bits with saturation, which would change answers from machine to machine,
    and seven bits are not enough.

    Parameters
    ----------
    source
        A network that went through :func:`made_ready`, as float32 ONNX.
    """
    # the quantiser warns of every tensor whose type it does not know, which it is told below
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        _quantise(source, target)
    finally:
        logging.disable(before)


def _quantise(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    with tempfile.TemporaryDirectory() as temporary:
        fused = Path(temporary) / "fused.onnx"
        optimised: Any = optimizer.optimize_model(str(source), model_type="bert", opt_level=0)
        optimised.save_model_to_file(str(fused))
        quantize_dynamic(
            fused,
            target,
            weight_type=QuantType.QUInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul", "Gemm"],
            # the types of what the fused nodes give are not known to the quantiser
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
