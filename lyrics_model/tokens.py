"""Word pieces: training the vocabulary and turning texts into padded id arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from data_prep.errors import ModelFolderError
from lyrics_model.normalisation import normalise
from lyrics_model.specification import CLS_ID, PAD_ID, SEP_ID, SPECIAL_TOKENS


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a WordPiece vocabulary (BERT style, as klue's) on normalised texts."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=64))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        min_frequency=2,
        limit_alphabet=3_000,
        show_progress=False,
    )
    tokenizer.train_from_iterator((normalise(text) for text in texts), trainer)
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Read ``tokenizer.json``; :class:`ModelFolderError` if it is missing or damaged."""
    if not path.is_file():
        raise ModelFolderError(f"{path} is missing: a lyric model folder needs its tokenizer")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ModelFolderError(f"{path} is not a tokenizer file: {error}") from error


def encode(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> list[NDArray[np.int32]]:
    """Piece ids of normalised texts, each ``[CLS] … [SEP]`` and at most ``max_tokens`` long."""
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    rows = []
    for item in encoded:
        ids = item.ids[: max_tokens - 2]
        rows.append(np.array([CLS_ID, *ids, SEP_ID], dtype=np.int32))
    return rows


def pad(rows: Sequence[NDArray[np.int32]]) -> NDArray[np.int64]:
    """Stack id rows into (batch, longest), padded with ``[PAD]`` = 0."""
    longest = max((len(row) for row in rows), default=1)
    padded = np.full((len(rows), longest), PAD_ID, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
