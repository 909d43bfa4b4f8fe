"""Text networks in int8: what is done to a trained network so that eight bits are enough.

Dynamic quantisation has one scale for a whole batch of activations. A few tokens of
a transformer are many times as large as the others, and take the others' precision
(Bondarenko, Nagel, Blankevoort 2021). So every token is divided by its own largest
value before a matrix is applied, and multiplied by it afterwards, which changes
nothing in exact arithmetic. It also makes an answer all but independent of the
batch it is read in. Embedding tables keep one scale a row.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

_LEAST_ROWS: Final = 64  # a smaller table stays as it is
_SMALLEST: Final = 1e-6


class RowScaledLinear(nn.Module):
    """``nn.Linear`` on tokens scaled to a largest value of one, scaled back afterwards."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().T.contiguous())
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        largest = features.abs().amax(dim=-1, keepdim=True).clamp(min=_SMALLEST)
        product = torch.matmul(features / largest, self.weight) * largest
        return product if self.bias is None else product + self.bias


class RowQuantisedEmbedding(nn.Module):
    """``nn.Embedding`` with int8 rows and a float32 scale for each."""

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        table = embedding.weight.detach()
        scales = table.abs().amax(dim=1, keepdim=True).clamp(min=_SMALLEST) / 127.0
        self.register_buffer("rows", (table / scales).round().to(torch.int8))
        self.register_buffer("scales", scales)

    def forward(self, ids: Tensor) -> Tensor:
        """(…) int64 → (…, dimensions)."""
        rows: Tensor = self.get_buffer("rows")[ids]
        return rows.to(torch.float32) * self.get_buffer("scales")[ids]


Network = TypeVar("Network", bound=nn.Module)


def made_ready(network: Network) -> Network:
    """A copy whose matrices and embedding tables suit :func:`quantise`."""
    ready = copy.deepcopy(network).eval()
    for parent in list(ready.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                setattr(parent, name, RowScaledLinear(child))
            elif type(child) is nn.Embedding and child.num_embeddings >= _LEAST_ROWS:
                setattr(parent, name, RowQuantisedEmbedding(child))
    return ready


def quantise(source: Path, target: Path) -> None:
    """Fuse what can be fused of an ONNX file, and quantise its matrices dynamically.

    Weights take seven bits: processors without VNNI add products of eight bits
    with saturation, which would change answers from machine to machine.

    Parameters
    ----------
    source
        A network that went through :func:`made_ready`, as float32 ONNX.
    """
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
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["MatMul", "Gemm"],
            # the types of what the fused nodes give are not known to the quantiser
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
