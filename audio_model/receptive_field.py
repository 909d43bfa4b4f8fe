"""Which part of its input one position of a convolutional network's output depends on.

The network runs once on tensors without values, and every operation on the way is
watched: convolutions, pooling and padding widen or shift the part, branches that
meet have the union of theirs, and what works position by position changes nothing.
An operation that mixes all positions (a global mean, as in squeeze-and-excitation;
attention), or that is not known here, makes the part the whole input.

Araujo, Norris and Sim (2019), *Computing receptive fields of convolutional neural
networks*, derive the arithmetic.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_WINDOWED: Final = ("max_pool2d_with_indices", "avg_pool2d")
_LINEAR: Final = ("addmm", "mm", "linear")  # with weights, over the channels of each position
_MIXING: Final = ("_softmax", "bmm", "native_group_norm", "roll")
# of operations that leave less than they are given: which argument says along which axis
_LESSENING: Final = {"mean": 1, "sum": 1, "amax": 1, "slice": 1, "split": 2, "split_with_sizes": 2}
_CHANNELS: Final = 1


@dataclass(frozen=True)
class Span:
    """Input positions ``first`` to ``last`` of an output's position 0; each next one is
    ``step`` further. Along one axis; positions before 0 are padding."""

    first: int = 0
    last: int = 0
    step: int = 1

    @property
    def size(self) -> int:
        """Input positions that one output position depends on."""
        return self.last - self.first + 1

    def windowed(self, kernel: int, stride: int, padding: int, dilation: int) -> Span:
        """After a convolution or pooling."""
        first = self.first - padding * self.step
        last = self.last + (dilation * (kernel - 1) - padding) * self.step
        return Span(first, last, self.step * stride)

    def padded(self, before: int) -> Span:
        """After so many positions were put in front."""
        return self.windowed(1, 1, before, 1)

    def union(self, other: Span) -> Span:
        """Of two branches that meet."""
        return Span(min(self.first, other.first), max(self.last, other.last), self.step)


Spans = tuple[Span, Span]
"""Of both axes of an image; ``None`` in its place stands for the whole image."""


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the spans of every tensor from the input on."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tensors: list[Tensor] = []  # kept, so that no id is used twice
        self._spans: dict[int, Spans | None] = {}
        self._keep(image, (Span(), Span()))

    def _keep(self, tensor: Tensor, spans: Spans | None) -> None:
        self._tensors.append(tensor)
        self._spans[id(tensor)] = spans

    def spans(self, tensor: Tensor) -> Spans | None:
        return self._spans[id(tensor)]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [
            tensor
            for value in args
            for tensor in (value if isinstance(value, list | tuple) else [value])
            if isinstance(tensor, Tensor) and id(tensor) in self._spans
        ]
        if inputs:
            spans = self._after(func._schema.name.partition("::")[2], args, inputs, result)
            for tensor in result if isinstance(result, list | tuple) else [result]:
                if isinstance(tensor, Tensor):
                    self._keep(tensor, spans)
        return result

    def _after(
        self, name: str, args: tuple[Any, ...], inputs: list[Tensor], result: Any
    ) -> Spans | None:
        known = [self.spans(tensor) for tensor in inputs]
        before = [spans for spans in known if spans is not None]
        if len(before) < len(known) or name in _MIXING:
            return None
        if name == "convolution":
            transposed, kernel = args[6], args[1].shape[2:]
            return None if transposed else _windowed(before[0], kernel, *args[3:6])
        if name in _WINDOWED:
            kernel, stride, padding = (*args[1:4], *([], 0)[len(args) - 2 :])[:3]
            dilation = args[4] if name == "max_pool2d_with_indices" and len(args) > 4 else 1
            return _windowed(before[0], kernel, stride or kernel, padding, dilation)
        if name == "constant_pad_nd":
            across = args[1][2] if len(args[1]) > 2 else 0
            return before[0][0].padded(across), before[0][1].padded(args[1][0])
        local = name in _LINEAR or _along_channels(name, args)
        if _largest(result) < _largest(inputs) and not local:
            return None
        down, across_time = before[0]
        for other in before[1:]:
            down, across_time = down.union(other[0]), across_time.union(other[1])
        return down, across_time


def _largest(tensors: Any) -> int:
    several = tensors if isinstance(tensors, list | tuple) else [tensors]
    return max(tensor.numel() for tensor in several if isinstance(tensor, Tensor))


def _along_channels(name: str, args: tuple[Any, ...]) -> bool:
    place = _LESSENING.get(name, len(args))
    return place < len(args) and args[place] in (_CHANNELS, [_CHANNELS])


def _both(value: Any) -> Sequence[int]:
    pair = [value] if isinstance(value, int) else list(value)
    return pair * 2 if len(pair) == 1 else pair


def _windowed(spans: Spans, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Spans:
    sizes = [_both(value) for value in (kernel, stride, padding, dilation)]
    return (
        spans[0].windowed(*(pair[0] for pair in sizes)),
        spans[1].windowed(*(pair[1] for pair in sizes)),
    )


def receptive_field(
    network: nn.Module, height: int, width: int
) -> tuple[tuple[int, ...], Spans | None]:
    """Shape of a network's output, and the spans of its positions.

    Parameters
    ----------
    network
        From images (batch, 1, height, width) to maps (batch, channels, rows, columns).

    Returns
    -------
    Shape for one image; spans of rows and columns, ``None`` if every position depends on
    the whole image.
    """
    without_values = copy.deepcopy(network).to("meta").eval()
    image = torch.zeros(1, 1, height, width, device="meta")
    with torch.no_grad(), _Watch(image) as watch:
        maps: Tensor = without_values(image)
    return tuple(maps.shape), watch.spans(maps)
