"""The lyric network: a RoBERTa encoder (deep) beside hashed character n-grams (wide).

Both parts end in one feature vector per text, from which every native head
reads its logits; the network returns logits, never probabilities.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers import RobertaConfig, RobertaModel

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
    """Encoder + wide part → logits of all heads, concatenated in the specification's order."""

    def __init__(self, specification: LyricModelSpecification, encoder: RobertaModel) -> None:
        super().__init__()
        self.specification = specification
        self.encoder = encoder
        hidden = encoder.config.hidden_size
        outputs = sum(size for _, size in specification.heads)
        wide = specification.ngrams
        self.ngrams = nn.Embedding(wide.buckets, wide.dimension, padding_idx=0)
        nn.init.normal_(self.ngrams.weight, std=0.05)
        with torch.no_grad():
            self.ngrams.weight[0].zero_()
        self.dropout = nn.Dropout(specification.dropout)
        self.deep_head = nn.Linear(2 * hidden, outputs)
        self.wide_head = nn.Linear(wide.dimension, outputs, bias=False)

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
        """
        mask = input_ids != PAD_ID
        hidden = self.encoder(input_ids=input_ids, attention_mask=mask.long()).last_hidden_state
        deep = torch.cat([hidden[:, 0], masked_mean(hidden, mask)], dim=-1)  # (batch, 2 hidden)
        wide = (self.ngrams(ngram_ids) * ngram_weights.unsqueeze(-1)).sum(dim=1)
        logits = self.deep_head(self.dropout(deep)) + self.wide_head(self.dropout(wide))
        return cast(Tensor, logits)
