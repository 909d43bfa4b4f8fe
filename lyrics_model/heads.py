"""Heads on any encoder: what is read from its layers, and how it becomes logits.

A head works in two steps. :meth:`Head.gather` takes from the encoder's hidden
states what the head needs, without any weight of its own, so that a frozen
encoder has to run once only and its answer can be kept on disk;
:meth:`Head.forward` turns that into logits.

``cls``
    As klue's (``RobertaClassificationHead``): first token of the last layer,
    dropout, dense, tanh, dropout, linear.
``architecture1``
    Two ``Conv1d`` (kernel 2, padding 1) one after the other, hidden → 64 → 64,
    each followed by ReLU; average over positions; MLP 64 → 64 → labels with ReLU
    and dropout. The source gives neither order nor activation: they are chosen
    here.
``architecture2``
    First token of the last layer, first token of layer −4, and the mean of the
    last layer's tokens 1.. stacked to (3, hidden), ``Conv1d`` 3 → 1 with kernel 1
    (one weight per vector), dropout, linear.
``architecture2-padded-mean``
    The same with the published mean, which divides the sum over real tokens by
    the padded length (``max_tokens`` − 1) whatever the text's own length.

Every head gives the same logits however far a batch is padded: states of
padding are zeroed before each convolution, and a mean is divided by the number
of real tokens (``architecture1``: of positions that saw one). Under the
published mean a short text counts less than a long one, which is its flaw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_prep.errors import InputError
from lyrics_model.tuning_specification import HEAD_NAMES, HeadName

CHANNELS: Final = 64
EARLIER_LAYER: Final = -4


class Head(nn.Module):
    """From the hidden states of a batch to its logits."""

    keeps_tokens: bool = False
    """Whether :meth:`gather` keeps one vector per token, not a fixed number."""
    reads_layers: bool = False
    """Whether :meth:`gather` needs the states of all layers, not only the last."""

    def gather(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """What the head reads.

        Parameters
        ----------
        states
            Hidden states (batch, tokens, hidden) of the embeddings and every
            layer, or of the last layer alone if ``reads_layers`` is false.
        mask
            (batch, tokens), 1 on real tokens.

        Returns
        -------
        (batch, vectors, hidden); ``vectors`` is ``tokens`` if ``keeps_tokens``.
        """
        raise NotImplementedError

    def forward(self, gathered: Tensor, mask: Tensor) -> Tensor:
        """Logits (batch, labels) from :meth:`gather`'s answer and the same mask."""
        raise NotImplementedError


class ClsHead(Head):
    """``cls``: dropout, dense, tanh, dropout, linear on the first token."""

    def __init__(self, hidden_size: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.out_proj = nn.Linear(hidden_size, labels)

    def gather(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """First token of the last layer, (batch, 1, hidden)."""
        return states[-1][:, :1]

    def forward(self, gathered: Tensor, mask: Tensor) -> Tensor:
        """Logits (batch, labels)."""
        inner = torch.tanh(self.dense(self.dropout(gathered[:, 0])))  # (batch, hidden)
        return cast(Tensor, self.out_proj(self.dropout(inner)))


class ConvolutionHead(Head):
    """``architecture1``: two convolutions over the tokens, average, MLP."""

    keeps_tokens = True

    def __init__(self, hidden_size: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv1d(hidden_size, CHANNELS, kernel_size=2, padding=1)
        self.second = nn.Conv1d(CHANNELS, CHANNELS, kernel_size=2, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(CHANNELS, CHANNELS)
        self.out_proj = nn.Linear(CHANNELS, labels)

    def gather(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """Last layer, (batch, tokens, hidden)."""
        return states[-1]

    def forward(self, gathered: Tensor, mask: Tensor) -> Tensor:
        """Logits (batch, labels)."""
        seen = mask.to(gathered.dtype).unsqueeze(1)  # (batch, 1, tokens)
        inner = gathered.transpose(1, 2) * seen  # (batch, hidden, tokens)
        for convolution in (self.first, self.second):
            seen = _seen_by_two(seen)  # one position longer each time
            inner = functional.relu(convolution(inner)) * seen  # (batch, 64, positions)
        mean = inner.sum(dim=2) / seen.sum(dim=2).clamp(min=1.0)  # (batch, 64)
        inner = functional.relu(self.dense(self.dropout(mean)))
        return cast(Tensor, self.out_proj(self.dropout(inner)))


class StackedHead(Head):
    """``architecture2``: two first tokens and a mean, weighed against each other.

    Parameters
    ----------
    padded_length
        Number of tokens 1.. that the mean is divided by; ``None`` divides by the
        number of real ones.
    """

    reads_layers = True

    def __init__(
        self, hidden_size: int, labels: int, dropout: float, *, padded_length: int | None = None
    ) -> None:
        super().__init__()
        self.padded_length = padded_length
        self.convolution = nn.Conv1d(3, 1, kernel_size=1)
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(hidden_size, labels)

    def gather(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """(batch, 3, hidden): first tokens of the last layer and of layer −4, and the mean."""
        last = states[-1]
        real = mask[:, 1:].to(last.dtype).unsqueeze(-1)  # (batch, tokens - 1, 1)
        total = (last[:, 1:] * real).sum(dim=1)  # (batch, hidden)
        if self.padded_length is None:
            mean = total / real.sum(dim=1).clamp(min=1.0)
        else:
            mean = total / self.padded_length
        return torch.stack([last[:, 0], states[EARLIER_LAYER][:, 0], mean], dim=1)

    def forward(self, gathered: Tensor, mask: Tensor) -> Tensor:
        """Logits (batch, labels)."""
        mixed = self.convolution(gathered)[:, 0]  # (batch, hidden)
        return cast(Tensor, self.out_proj(self.dropout(mixed)))


def build_head(
    name: HeadName,
    *,
    hidden_size: int,
    layers: int,
    labels: int,
    dropout: float,
    max_tokens: int,
) -> Head:
    """A head with fresh weights.

    Parameters
    ----------
    name
        One of ``HEAD_NAMES``.
    hidden_size, layers
        Of the encoder.
    labels
        Number of logits, all label sets together.
    dropout
        Share of values dropped in training.
    max_tokens
        Longest input, special tokens included.

    Raises
    ------
    InputError
        If there is no such head, or the encoder has too few layers for it.
    """
    if name not in HEAD_NAMES:
        raise InputError(f"unknown head {name!r}: expected one of {', '.join(HEAD_NAMES)}")
    if name == "cls":
        return ClsHead(hidden_size, labels, dropout)
    if name == "architecture1":
        return ConvolutionHead(hidden_size, labels, dropout)
    if layers < -EARLIER_LAYER:
        raise InputError(
            f"head {name!r} reads layer {EARLIER_LAYER}, but the encoder has {layers} layers: "
            "use the head 'cls' or 'architecture1'"
        )
    padded_length = max_tokens - 1 if name == "architecture2-padded-mean" else None
    return StackedHead(hidden_size, labels, dropout, padded_length=padded_length)


class TunedNetwork(nn.Module):
    """An encoder with a head: token ids → logits of all label sets.

    Parameters
    ----------
    encoder
        A transformers model without pooler.
    head
        Its logits are those of every label set, one after the other.
    """

    def __init__(self, encoder: nn.Module, head: Head) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def gather(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """What the head reads from the encoder, (batch, vectors, hidden)."""
        answer: Any = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            output_hidden_states=self.head.reads_layers,
        )
        states = answer.hidden_states if self.head.reads_layers else (answer.last_hidden_state,)
        return self.head.gather(states, attention_mask)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """
        Parameters
        ----------
        input_ids, attention_mask
            (batch, tokens) int64; the mask is 1 on real tokens.

        Returns
        -------
        Logits (batch, labels), label sets in the specification's order.
        """
        return cast(Tensor, self.head(self.gather(input_ids, attention_mask), attention_mask))


def _seen_by_two(seen: Tensor) -> Tensor:
    """Which outputs of a convolution (kernel 2, padding 1) saw a real position.

    (batch, 1, positions) of 0 and 1 → (batch, 1, positions + 1).
    """
    return torch.maximum(functional.pad(seen, (1, 0)), functional.pad(seen, (0, 1)))
