"""Tiny random encoders, saved in the layouts in which the real ones are published.

Each maker writes config.json, model.safetensors and the tokenizer files under
their published names, with the published peculiarities, and returns the folder:

``klue``
    RoBERTa weights with a BERT-style tokenizer: vocab.txt with ``[CLS]`` first and
    ``[PAD]`` at 1; the tokenizer's class is named in config.json only.
``kcbert``
    BERT, vocab.txt, hardly any tokenizer settings.
``koelectra``, ``kcelectra``
    ELECTRA discriminators: no vocabulary head in the file; KoELECTRA-small has
    embeddings narrower than its layers.
``koelectra_generator``
    The generator, with its vocabulary head.
``kobert_skt``, ``kobert_monologg``
    BERT weights with a SentencePiece model: ids as in the SentencePiece model, or
    as in a vocab.txt beside it; both name a tokenizer class that transformers does
    not have.
``roberta``
    RoBERTa with byte-level BPE in vocab.json and merges.txt.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

TEXTS = (
    "오늘 너무 우울해서 노래를 들었다",
    "정말 행복한 하루였다, 고마워요",
    "I feel so lonely tonight",
    "화가 나서 참을 수 없어!",
    "It is a calm morning by the sea",
    "그냥 그런 하루였다",
    "비가 오는 날에는 너의 목소리가 그리워",
    "나는 오늘도 혼자 노래를 부른다",
    "we dance all night under the stars",
    "두근두근 떨리는 내 마음",
)


@dataclass(frozen=True)
class ToySize:
    """Dimensions; ``max_tokens`` counts the special tokens."""

    hidden_size: int = 16
    layers: int = 2
    attention_heads: int = 2
    intermediate_size: int = 32
    max_tokens: int = 40
    dropout: float = 0.1

    def settings(self) -> dict[str, Any]:
        """As transformers' configurations call them, without the positions."""
        return {
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.attention_heads,
            "intermediate_size": self.intermediate_size,
            "hidden_dropout_prob": self.dropout,
            "attention_probs_dropout_prob": self.dropout,
        }


DEFAULT = ToySize()
_BERT_ORDER = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_KLUE_ORDER = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
_KOBERT_ORDER = ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")


def klue(folder: Path, size: ToySize = DEFAULT, *, seed: int = 0) -> Path:
    """As klue/roberta-base."""
    words = _word_pieces(folder, _KLUE_ORDER)
    _json(
        folder / "tokenizer_config.json",
        {
            "do_lower_case": False,
            "do_basic_tokenize": True,
            "never_split": None,
            "unk_token": "[UNK]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "mask_token": "[MASK]",
            "bos_token": "[CLS]",
            "eos_token": "[SEP]",
            "tokenize_chinese_chars": True,
            "strip_accents": None,
            "model_max_length": size.max_tokens,
        },
    )
    configuration = RobertaConfig(
        vocab_size=words,
        max_position_embeddings=size.max_tokens + 2,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **size.settings(),
    )
    _save(RobertaForMaskedLM, configuration, folder, seed)
    _change(folder / "config.json", {"tokenizer_class": "BertTokenizer"})
    return folder


def kcbert(folder: Path, size: ToySize = DEFAULT, *, seed: int = 0) -> Path:
    """As beomi/kcbert-base."""
    words = _word_pieces(folder, _BERT_ORDER)
    settings = {"do_lower_case": False, "model_max_length": size.max_tokens}
    _json(folder / "tokenizer_config.json", settings)
    configuration = BertConfig(
        vocab_size=words, max_position_embeddings=size.max_tokens, **size.settings()
    )
    return _save(BertForMaskedLM, configuration, folder, seed)


def koelectra(folder: Path, size: ToySize = DEFAULT, *, seed: int = 0) -> Path:
    """As monologg/koelectra-small-v3-discriminator."""
    return _electra(folder, size, seed, ElectraForPreTraining, size.hidden_size // 2)


def koelectra_generator(folder: Path, size: ToySize = DEFAULT, *, seed: int = 0) -> Path:
    """As monologg/koelectra-small-v3-generator."""
    return _electra(folder, size, seed, ElectraForMaskedLM, size.hidden_size // 2)


def kcelectra(folder: Path, size: ToySize = DEFAULT, *, seed: int = 0) -> Path:
    """As beomi/KcELECTRA-base-v2022."""
    _electra(folder, size, seed, ElectraForPreTraining, size.hidden_size)
    specials = {
        f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")
    }
    _change(
        folder / "tokenizer_config.json",
        {"do_basic_tokenize": True, "tokenize_chinese_chars": True, "strip_accents": None}
        | specials,
    )
    return folder


def kobert_skt(folder: Path, size: ToySize = DEFAULT, *, seed: int = 0) -> Path:
    """As skt/kobert-base-v1."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _unigram_pieces()
    rows = [(name, 0.0) for name in _KOBERT_ORDER] + pieces
    kinds = [2, 3, 3, 3, 3] + [1] * len(pieces)
    _write_sentencepiece(folder / "spiece.model", rows, kinds)
    _json(
        folder / "tokenizer_config.json",
        {
            "do_lower_case": False,
            "remove_space": True,
            "keep_accents": False,
            "bos_token": "[CLS]",
            "eos_token": "[SEP]",
            "unk_token": "[UNK]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "mask_token": {"content": "[MASK]", "lstrip": True, "__type": "AddedToken"},
            "sp_model_kwargs": {},
            "tokenizer_class": "KoBERTTokenizer",
        },
    )
    return _kobert(folder, size, seed, len(rows))


def kobert_monologg(folder: Path, size: ToySize = DEFAULT, *, seed: int = 0) -> Path:
    """As monologg/kobert."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _unigram_pieces()
    rows = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *pieces]
    _write_sentencepiece(folder / "tokenizer_78b3253a26.model", rows, [2, 3, 3] + [1] * len(pieces))
    vocabulary = [*_KOBERT_ORDER, *sorted(piece for piece, _ in pieces)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    _json(
        folder / "tokenizer_config.json",
        {
            "model_max_length": size.max_tokens,
            "max_len": size.max_tokens,
            "do_lower_case": False,
            "tokenizer_class": "KoBertTokenizer",
            "auto_map": {
                "AutoTokenizer": [
                    "tokenization_kobert.KoBertTokenizer",
                    "tokenization_kobert.KoBertTokenizer",
                ]
            },
        },
    )
    return _kobert(folder, size, seed, len(vocabulary))


def roberta(folder: Path, size: ToySize = DEFAULT, *, seed: int = 0) -> Path:
    """As FacebookAI/roberta-base."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.model.save(str(folder))
    settings = {"model_max_length": size.max_tokens}
    _json(folder / "tokenizer_config.json", settings)
    configuration = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=size.max_tokens + 2,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **size.settings(),
    )
    return _save(RobertaForMaskedLM, configuration, folder, seed)


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "klue": klue,
    "kcbert": kcbert,
    "koelectra": koelectra,
    "koelectra_generator": koelectra_generator,
    "kcelectra": kcelectra,
    "kobert_skt": kobert_skt,
    "kobert_monologg": kobert_monologg,
    "roberta": roberta,
}
"""Every layout by name, for tests that run over all."""


def _electra(
    folder: Path, size: ToySize, seed: int, kind: type[PreTrainedModel], embedding_size: int
) -> Path:
    words = _word_pieces(folder, _BERT_ORDER)
    settings = {"do_lower_case": False, "model_max_length": size.max_tokens}
    _json(folder / "tokenizer_config.json", settings)
    configuration = ElectraConfig(
        vocab_size=words,
        embedding_size=embedding_size,
        max_position_embeddings=size.max_tokens,
        **size.settings(),
    )
    return _save(kind, configuration, folder, seed)


def _kobert(folder: Path, size: ToySize, seed: int, words: int) -> Path:
    configuration = BertConfig(
        vocab_size=words,
        max_position_embeddings=size.max_tokens,
        pad_token_id=1,
        **size.settings(),
    )
    return _save(BertForMaskedLM, configuration, folder, seed)


def _save(kind: type[PreTrainedModel], configuration: Any, folder: Path, seed: int) -> Path:
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    kind(configuration).save_pretrained(folder)
    torch.random.set_rng_state(state)
    return folder


def _word_pieces(folder: Path, specials: tuple[str, ...]) -> int:
    """A vocabulary of whole words, of single characters and of these within words."""
    folder.mkdir(parents=True, exist_ok=True)
    split = pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in TEXTS for word, _ in split.pre_tokenize_str(text)})
    characters = sorted({character for word in words for character in word})
    # Every second word only, so that the others are cut into pieces.
    pieces = dict.fromkeys([*characters, *(f"##{c}" for c in characters), *words[::2]])
    vocabulary = [*specials, *pieces]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return len(vocabulary)


def _unigram_pieces() -> list[tuple[str, float]]:
    """Pieces with their log shares: characters, and every second word with its ``▁``."""
    marked = [f"▁{word}" for text in TEXTS for word in text.split()]
    counts = Counter(character for word in marked for character in word)
    counts.update(marked[::2])
    total = sum(counts.values())
    return [(piece, math.log(count / total)) for piece, count in sorted(counts.items())]


def _write_sentencepiece(path: Path, rows: list[tuple[str, float]], kinds: list[int]) -> None:
    from transformers.convert_slow_tokenizer import import_protobuf

    model = import_protobuf().ModelProto()
    for (piece, score), kind in zip(rows, kinds, strict=True):
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = 1
    model.trainer_spec.unk_id = 0
    model.normalizer_spec.add_dummy_prefix = True
    path.write_bytes(model.SerializeToString())


def _json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _change(path: Path, content: dict[str, Any]) -> None:
    _json(path, json.loads(path.read_text(encoding="utf-8")) | content)
