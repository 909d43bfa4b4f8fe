"""The lyric network: a RoBERTa encoder (deep) beside hashed character n-grams (wide).

Every native head reads its logits from the encoder's feature vector of the text. In
the shared head the linear part (:mod:`lyrics_model.linear_part`) has its share.
The network returns logits, never probabilities.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers import RobertaConfig, RobertaModel

from lyrics_model.linear_part import SHARE, LinearPart
from lyrics_model.specification import (
    CLS_ID,
    PAD_ID,
    SEP_ID,
    EncoderSpecification,
    LyricModelSpecification,
)


def build_encoder(specification: EncoderSpecification, dropout: float = 0.0) -> RobertaModel:
    """A randomly initialised RoBERTa encoder without pooler; its attention weights drop nothing."""
    configuration = RobertaConfig(
        vocab_size=specification.vocab_size,
        hidden_size=specification.hidden_size,
        num_hidden_layers=specification.layers,
        num_attention_heads=specification.attention_heads,
        intermediate_size=specification.intermediate_size,
        # RoBERTa counts positions from pad_token_id + 1.
        max_position_embeddings=specification.max_tokens + PAD_ID + 1,
        type_vocab_size=1,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
        pad_token_id=PAD_ID,
        bos_token_id=CLS_ID,
        eos_token_id=SEP_ID,
    )
    return RobertaModel(configuration, add_pooling_layer=False)


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over real tokens only: (batch, tokens, hidden), (batch, tokens) → (batch, hidden)."""
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


class LyricNetwork(nn.Module):
    """Encoder and linear part → logits of all heads, concatenated in the specification's order.

    A new network's linear part is silent: it has no share until :meth:`join` gives it one.
    """

    def __init__(self, specification: LyricModelSpecification, encoder: RobertaModel) -> None:
        super().__init__()
        self.specification = specification
        self.encoder = encoder
        hidden = encoder.config.hidden_size
        outputs = sum(size for _, size in specification.heads)
        self.dropout = nn.Dropout(specification.dropout)
        self.deep_head = nn.Linear(2 * hidden, outputs)
        self.linear: LinearLayer | None = None
        self.share = 0.0

    def join(self, part: LinearPart, share: float = SHARE) -> None:
        """Give the linear part its share in the head ``six``."""
        self.linear = LinearLayer(part)
        self.share = share

    def deep(self, input_ids: Tensor) -> Tensor:
        """(batch, tokens) piece ids, padded with 0 → logits of the encoder alone."""
        mask = input_ids != PAD_ID
        hidden = self.encoder(input_ids=input_ids, attention_mask=mask.long()).last_hidden_state
        features = torch.cat([hidden[:, 0], masked_mean(hidden, mask)], dim=-1)
        return cast(Tensor, self.deep_head(self.dropout(features)))

    def forward(self, input_ids: Tensor, ngram_ids: Tensor, ngram_weights: Tensor) -> Tensor:
        """
        Parameters
        ----------
        input_ids
            (batch, tokens) piece ids, padded with 0.
        ngram_ids, ngram_weights
            (batch, n-grams) bucket ids and their weights, padded with 0.

        Returns
        -------
        Logits (batch, sum of head sizes).

        Raises
        ------
        RuntimeError
            Before :meth:`join`.
        """
        if self.linear is None:
            raise RuntimeError("the network has no linear part yet: join one, or call deep()")
        logits = self.deep(input_ids)
        wide = self.linear(ngram_ids, ngram_weights)
        sizes = [size for _, size in self.specification.heads]
        parts = list(torch.split(logits, sizes, dim=1))
        for place, (head, _) in enumerate(self.specification.heads):
            if head == "six":
                parts[place] = (1.0 - self.share) * parts[place] + self.share * wide
        return torch.cat(parts, dim=1)


class LinearLayer(nn.Module):
    """A linear part as a layer that is not trained."""

    def __init__(self, part: LinearPart) -> None:
        super().__init__()
        self.ngrams = nn.Embedding(*part.table.shape)
        self.ngrams.weight = nn.Parameter(torch.from_numpy(part.table), requires_grad=False)
        self.register_buffer("bias", torch.from_numpy(part.bias))

    def forward(self, ngram_ids: Tensor, ngram_weights: Tensor) -> Tensor:
        """(batch, n-grams) bucket ids and weights → (batch, 6) logits."""
        rows = self.ngrams(ngram_ids) * ngram_weights.unsqueeze(-1)
        return cast(Tensor, rows.sum(dim=1) + self.get_buffer("bias"))
