"""How a text becomes token ids for any encoder: training and serving share it to the letter.

A named normalisation comes first, then the tokenizer's own rules: its
``tokenizer.json`` holds vocabulary, pre-processing and special tokens, whatever
kind it is (WordPiece, BPE, Unigram).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from data_prep.errors import InputError
from lyrics_model.normalisation import normalise

_SPACE: Final = re.compile(r"\s+")


def as_written(text: str) -> str:
    """NFC with white space folded; case and signs stay, since most encoders know them."""
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()


NORMALISATIONS: Final[dict[str, Callable[[str], str]]] = {
    "nfc": as_written,
    "nfc-lower-fold3": normalise,
}
"""Folding of text before the tokenizer, by the name that a model folder's card gives."""


@dataclass(frozen=True)
class TextEncoding:
    """Everything between a text and an encoder's input.

    Attributes
    ----------
    tokenizer
        With a post-processor that sets the special tokens.
    normalisation
        Key of ``NORMALISATIONS``.
    max_tokens
        Longest row, special tokens included; what is beyond is cut off.
    pad_id
        Id on padding. Position counting of RoBERTa depends on it.
    """

    tokenizer: Tokenizer
    normalisation: str
    max_tokens: int
    pad_id: int

    def __post_init__(self) -> None:
        if self.normalisation not in NORMALISATIONS:
            raise InputError(
                f"unknown normalisation {self.normalisation!r}: "
                f"expected one of {', '.join(NORMALISATIONS)}"
            )
        special = self.tokenizer.num_special_tokens_to_add(False)
        if self.max_tokens <= special:
            raise InputError(
                f"max_tokens {self.max_tokens} leaves no room for words beside "
                f"{special} special tokens"
            )
        # A tokenizer.json may carry the padding and cutting of whoever saved it.
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_tokens)

    def features(self) -> dict[str, Any]:
        """What a card's ``features`` say of it; a model without n-grams."""
        return {
            "max_tokens": self.max_tokens,
            "ngrams": None,
            "normalisation": self.normalisation,
            "pad_id": self.pad_id,
        }

    def rows(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Token ids of each text, special tokens included."""
        fold = NORMALISATIONS[self.normalisation]
        encoded = self.tokenizer.encode_batch_fast([fold(text) for text in texts])
        return [np.array(item.ids, dtype=np.int32) for item in encoded]


def padded(
    rows: Sequence[NDArray[np.int32]], pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stack rows of ids.

    Returns
    -------
    input_ids, attention_mask
        (rows, longest) int64; the mask is 1 on real tokens.
    """
    longest = max((len(row) for row in rows), default=1)
    ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
