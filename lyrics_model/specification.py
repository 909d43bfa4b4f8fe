"""What a lyric model is made of: one frozen description shared by training, export and serving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

SPECIAL_TOKENS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD_ID: Final = 0
UNK_ID: Final = 1
CLS_ID: Final = 2
SEP_ID: Final = 3
MASK_ID: Final = 4


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float32] = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    probabilities: NDArray[np.float32] = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return probabilities


ACTIVATIONS: Final[dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]]] = {
    "six": _softmax,
    "goemotions": _softmax,
    "kote": _sigmoid,
}
"""How each head's logits become probabilities: one label of many, or each for itself."""


@dataclass(frozen=True)
class EncoderSpecification:
    """Dimensions of a RoBERTa encoder.

    ``max_tokens`` counts the special tokens. Special token ids are fixed by
    their order in ``SPECIAL_TOKENS``.
    """

    vocab_size: int = 18_000
    hidden_size: int = 384
    layers: int = 4
    attention_heads: int = 12
    intermediate_size: int = 1_536
    max_tokens: int = 192

    def __post_init__(self) -> None:
        if self.hidden_size % self.attention_heads:
            raise InputError(
                f"hidden_size {self.hidden_size} is not a multiple of "
                f"attention_heads {self.attention_heads}"
            )
        if self.vocab_size <= len(SPECIAL_TOKENS):
            raise InputError(f"vocab_size {self.vocab_size} leaves no room for words")


@dataclass(frozen=True)
class NgramSpecification:
    """The wide part: hashed character n-grams of lengths ``shortest..longest``.

    ``buckets`` includes bucket 0, which is padding. ``most`` bounds the n-grams
    of one text (the first ones are kept).
    """

    shortest: int = 1
    longest: int = 4
    buckets: int = 131_072
    most: int = 1_024

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise InputError(f"n-gram lengths {self.shortest}..{self.longest} are not a range")

    @classmethod
    def of_card(cls, content: dict[str, Any]) -> NgramSpecification:
        """From a model folder's card; what an earlier edition's says beside is left out."""
        return cls(**{entry.name: content[entry.name] for entry in fields(cls)})


@dataclass(frozen=True)
class LyricModelSpecification:
    """Encoder, wide part and the native heads with their output sizes."""

    encoder: EncoderSpecification = field(default_factory=EncoderSpecification)
    ngrams: NgramSpecification = field(default_factory=NgramSpecification)
    heads: tuple[tuple[str, int], ...] = (("six", 6), ("goemotions", 28), ("kote", 44))
    dropout: float = 0.1

    def features(self) -> dict[str, Any]:
        """The part that decides how text becomes network input (hashed into the model folder)."""
        return {
            "max_tokens": self.encoder.max_tokens,
            "ngrams": asdict(self.ngrams),
            "normalisation": "nfc-lower-fold3",
        }
