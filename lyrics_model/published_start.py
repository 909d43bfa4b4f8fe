"""A published English encoder as the start of ours: its lower layers, pieces and vectors.

What a language model knows of composing words into sentences is largely not bound
to the language (Artetxe, Ruder, Yogatama 2020): our encoder takes the lower layers
of a small published one (all-MiniLM-L6-v2, Apache-2.0; Wang et al. 2020, Reimers &
Gurevych 2019) and its vectors of frequent English pieces. Korean pieces join them
with vectors mapped from Kiwi's (:mod:`lyrics_model.word_vectors`), and learn the rest
from sentences whose English translation the published encoder has read
(:mod:`lyrics_model.translations`; Reimers & Gurevych 2020).

Neither the published encoder nor Kiwi is needed to serve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from data_prep.errors import InputError
from lyrics_model.encoder import masked_mean
from lyrics_model.specification import PAD_ID, SPECIAL_TOKENS, EncoderSpecification

_OWN_NAMES: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_READ_AT_ONCE: Final = 64
_CONTINUED: Final = "##"


@dataclass(frozen=True)
class PublishedEncoder:
    """A BERT encoder from a folder, with its WordPiece tokenizer.

    Attributes
    ----------
    model, tokenizer
        As transformers' Auto classes give them.
    """

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, folder: Path) -> PublishedEncoder:
        """Read a local folder.

        Raises
        ------
        InputError
            If it holds no BERT encoder with a WordPiece vocabulary.
        """
        if not (folder / "config.json").is_file():
            raise InputError(
                f"{folder} holds no encoder: expected config.json, model.safetensors and "
                "tokenizer.json of a BERT model such as all-MiniLM-L6-v2"
            )
        try:
            model = AutoModel.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(f"{folder} holds no readable encoder: {error}") from error
        missing = [name for name in _OWN_NAMES if name not in tokenizer.get_vocab()]
        if model.config.model_type != "bert" or missing:
            raise InputError(
                f"{folder} holds a {model.config.model_type} model: expected BERT with a "
                "WordPiece vocabulary"
            )
        return cls(model.eval(), tokenizer)

    @property
    def table(self) -> NDArray[np.float32]:
        """(pieces, hidden) word embeddings."""
        weight: Tensor = self.model.embeddings.word_embeddings.weight
        found: NDArray[np.float32] = weight.detach().numpy()
        return found

    def specification(self, layers: int, vocab_size: int, max_tokens: int) -> EncoderSpecification:
        """Dimensions of an encoder that starts from the lowest ``layers``."""
        configuration = self.model.config
        if not 0 < layers <= configuration.num_hidden_layers:
            raise InputError(
                f"the published encoder has {configuration.num_hidden_layers} layers: {layers} "
                "cannot be taken"
            )
        return EncoderSpecification(
            vocab_size=vocab_size,
            hidden_size=configuration.hidden_size,
            layers=layers,
            attention_heads=configuration.num_attention_heads,
            intermediate_size=configuration.intermediate_size,
            max_tokens=max_tokens,
        )

    def state(self, specification: EncoderSpecification) -> dict[str, Tensor]:
        """All of our encoder's weights but the word embeddings, by our encoder's names."""
        found: dict[str, Tensor] = {}
        for name, value in self.model.state_dict().items():
            parts = name.split(".")
            if parts[0] == "pooler" or parts[1] == "word_embeddings":
                continue
            if parts[0] == "encoder" and int(parts[2]) >= specification.layers:
                continue
            found[name] = value.clone()
        # RoBERTa counts positions from pad_token_id + 1 and has one type of token.
        positions = found["embeddings.position_embeddings.weight"][: specification.max_tokens]
        padding = torch.zeros(PAD_ID + 1, positions.shape[1])
        found["embeddings.position_embeddings.weight"] = torch.cat([padding, positions])
        types = "embeddings.token_type_embeddings.weight"
        found[types] = found[types][:1].clone()
        return {name: value for name, value in found.items() if "_ids" not in name}

    def vectors(self, texts: Sequence[str], max_tokens: int = 96) -> NDArray[np.float32]:
        """(texts, hidden) sentence vectors of length one: the mean over real tokens."""
        found = np.zeros((len(texts), self.model.config.hidden_size), dtype=np.float32)
        order = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(order), _READ_AT_ONCE):
            rows = order[start : start + _READ_AT_ONCE]
            inputs = self.tokenizer(
                [texts[i] for i in rows],
                padding=True,
                truncation=True,
                max_length=max_tokens,
                return_tensors="pt",
            )
            with torch.inference_mode():
                hidden = self.model(**inputs).last_hidden_state
            mean = masked_mean(hidden, inputs["attention_mask"])
            found[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return found


def english_pieces(published: PublishedEncoder, texts: Iterable[str], most: int) -> list[str]:
    """The pieces to keep: single characters, then the most frequent in texts, then by rank.

    Parameters
    ----------
    texts
        Normalised English texts, those the model is for.
    most
        How many.
    """
    vocabulary = published.tokenizer.get_vocab()
    special = set(published.tokenizer.all_special_tokens)
    usual = [
        piece
        for piece in sorted(vocabulary, key=vocabulary.__getitem__)
        if piece.isascii() and piece not in special and not piece.startswith("[unused")
    ]
    backend = published.tokenizer.backend_tokenizer
    counts: Counter[str] = Counter()
    for encoded in backend.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoded.tokens)
    rank = {piece: n for n, piece in enumerate(usual)}

    def order(piece: str) -> tuple[int, int, int]:
        single = len(piece.removeprefix(_CONTINUED)) == 1
        seen = counts[piece] if counts[piece] > 1 else 0
        return (0 if single else 1, -seen, rank[piece])

    return sorted(usual, key=order)[:most]


def bilingual_tokenizer(english: Sequence[str], korean: Tokenizer, vocab_size: int) -> Tokenizer:
    """One WordPiece vocabulary: special tokens, English pieces, then Korean ones in their order.

    Raises
    ------
    InputError
        If there are more English pieces than room.
    """
    pieces = dict.fromkeys([*SPECIAL_TOKENS, *english])
    vocabulary = korean.get_vocab()
    for piece in sorted(vocabulary, key=vocabulary.__getitem__):
        if len(pieces) >= vocab_size:
            break
        if not any(letter.isascii() and letter.isalnum() for letter in piece):
            pieces.setdefault(piece)
    if len(pieces) > vocab_size:
        raise InputError(f"{len(english)} English pieces leave no room among {vocab_size}")
    model = models.WordPiece(
        vocab={piece: n for n, piece in enumerate(pieces)},
        unk_token="[UNK]",
        max_input_chars_per_word=64,
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer
