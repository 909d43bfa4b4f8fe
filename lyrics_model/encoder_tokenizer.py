"""The tokenizer of an encoder's folder: WordPiece, byte-level BPE or SentencePiece.

transformers' ``AutoTokenizer`` reads most published folders. Three kinds it
does not, or not rightly, and they are read here:

- KoBERT (BERT weights, a SentencePiece model, a tokenizer class of its own that
  lives outside transformers). The SentencePiece model is rebuilt with the
  ``tokenizers`` library; ids follow ``vocab.txt`` where one lies beside it. No code
  from a model's folder is ever run.
- ``vocab.txt`` beside RoBERTa weights (klue's layout) where nothing names the class.
- A template that does not begin with ``[CLS]`` (XLNet's, under which KoBERT is
  sometimes published): it is replaced by ``[CLS] text [SEP]``, padding on the right.

Conventions: texts become ``[CLS] … [SEP]``, whatever the encoder calls these two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoTokenizer,
    BertTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.convert_slow_tokenizer import import_protobuf

from data_prep.errors import InputError

_BERT_SPECIALS: Final = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_UNKNOWN_PIECE: Final = 2
_NORMAL_PIECE: Final = 1
_UNIGRAM: Final = 1
VERY_LONG: Final = int(1e30)
"""What transformers writes for "no limit"."""
_PLAIN_FAMILIES: Final = ("bert", "electra", "roberta", "distilbert")


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of an encoder's folder.

    Parameters
    ----------
    folder
        With config.json and tokenizer files: tokenizer.json, or vocab.txt, or
        vocab.json and merges.txt, or a SentencePiece ``.model`` (with or without a
        vocab.txt of other ids).

    Raises
    ------
    InputError
        If the files are missing, damaged or of a kind that cannot be read, or if
        there is no token for begin, end or padding.
    """
    configuration = _read_json(folder / "config.json")
    settings = _read_json(folder / "special_tokens_map.json") | _read_json(
        folder / "tokenizer_config.json"
    )
    declared = settings.get("tokenizer_class") or configuration.get("tokenizer_class")
    family = configuration.get("model_type")
    whole = (folder / "tokenizer.json").is_file()
    sentencepiece = sorted(folder.glob("*.model"))
    word_pieces = (folder / "vocab.txt").is_file()
    tokenizer: Any
    try:
        if whole and not declared:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        elif whole and family in _PLAIN_FAMILIES and str(declared).startswith("XLNet"):
            # The class would add <eop> and others, for which the encoder has no rows.
            backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
            tokenizer = plain_tokenizer(backend, _length(settings), **_specials(settings))
        elif sentencepiece and not whole and family in _PLAIN_FAMILIES:
            tokenizer = _from_sentencepiece(sentencepiece[0], folder / "vocab.txt", settings)
        elif word_pieces and not whole and not declared and family in _PLAIN_FAMILIES:
            tokenizer = BertTokenizer.from_pretrained(folder)
        else:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except InputError:
        raise
    except Exception as error:  # the libraries raise bare Exception on damaged files
        raise InputError(
            f"{folder}: its tokenizer cannot be read ({_first_line(error)}): expected "
            "tokenizer.json, vocab.txt, vocab.json with merges.txt, or a SentencePiece .model"
        ) from error
    for name in ("cls_token", "sep_token", "pad_token"):
        if getattr(tokenizer, name, None) is None:
            raise InputError(
                f"{folder}: its tokenizer has no {name}; name one in tokenizer_config.json"
            )
    tokenizer.padding_side = "right"
    return _with_template(tokenizer)  # type: ignore[no-any-return]


def plain_tokenizer(backend: Tokenizer, max_tokens: int, **specials: str) -> Any:
    """A ``tokenizers`` tokenizer as transformers' kind, ``[CLS] text [SEP]``.

    Parameters
    ----------
    backend
        Knows the special tokens; changed: it gets the template.
    max_tokens
        Longest input, special tokens included.
    specials
        ``cls_token="[CLS]"`` and so on; BERT's names where not given.

    Raises
    ------
    InputError
        If a special token is not in the vocabulary.
    """
    names = _BERT_SPECIALS | specials
    missing = [token for token in names.values() if backend.token_to_id(token) is None]
    if missing:
        raise InputError(f"the vocabulary lacks the special tokens {', '.join(missing)}")
    backend.no_truncation()
    backend.no_padding()
    backend.post_processor = _template(backend, names["cls_token"], names["sep_token"])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"],
        padding_side="right",
        clean_up_tokenization_spaces=False,
        **names,
    )


def _template(backend: Tokenizer, begin: str, end: str) -> TemplateProcessing:
    return TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} $B:1 {end}:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in (begin, end)],
    )


def _with_template(tokenizer: Any) -> Any:
    ids = tokenizer("a")["input_ids"]
    if ids[0] == tokenizer.cls_token_id and ids[-1] == tokenizer.sep_token_id:
        return tokenizer
    specials = {
        name: str(getattr(tokenizer, name) or token) for name, token in _BERT_SPECIALS.items()
    }
    return plain_tokenizer(tokenizer.backend_tokenizer, tokenizer.model_max_length, **specials)


def _from_sentencepiece(path: Path, vocabulary: Path, settings: dict[str, Any]) -> Any:
    """Rebuild a SentencePiece unigram model.

    Normalisation as KoBERT's: quotes unified, accents dropped, NFKC (which puts
    Hangul together again), and the model's own table of characters where it has one.
    """
    model = import_protobuf().ModelProto()  # type: ignore[no-untyped-call]
    model.ParseFromString(path.read_bytes())
    if not model.pieces:
        raise InputError(f"{path} is not a SentencePiece model: it holds no pieces")
    if model.trainer_spec.model_type != _UNIGRAM:
        raise InputError(f"{path} is no unigram SentencePiece model, which alone is supported")
    specials = _specials(settings)
    scores = {piece.piece: piece.score for piece in model.pieces}
    normal = [piece.score for piece in model.pieces if piece.type == _NORMAL_PIECE]
    lowest = min(normal, default=0.0)
    if vocabulary.is_file():
        names = vocabulary.read_text(encoding="utf-8").splitlines()
        unknown = specials["unk_token"]
    else:
        names = [piece.piece for piece in model.pieces]
        kinds = [piece.type for piece in model.pieces]
        unknown = names[kinds.index(_UNKNOWN_PIECE)] if _UNKNOWN_PIECE in kinds else names[0]
        specials["unk_token"] = unknown
    if unknown not in names:
        raise InputError(f"{vocabulary} lacks the token for the unknown, {unknown}")
    normal_names = {piece.piece for piece in model.pieces if piece.type == _NORMAL_PIECE}
    rows = [(name, scores[name] if name in normal_names else lowest) for name in names]
    backend = Tokenizer(models.Unigram(rows, unk_id=names.index(unknown), byte_fallback=False))
    steps: list[Any] = [
        normalizers.Replace("``", '"'),
        normalizers.Replace("''", '"'),
        normalizers.NFKD(),
        normalizers.StripAccents(),
    ]
    if settings.get("do_lower_case"):
        steps.append(normalizers.Lowercase())
    if model.normalizer_spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap))
    steps += [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens([name for name in specials.values() if name in set(names)])
    return plain_tokenizer(backend, _length(settings), **specials)


def _length(settings: dict[str, Any]) -> int:
    return int(settings.get("model_max_length") or settings.get("max_len") or VERY_LONG)


def _specials(settings: dict[str, Any]) -> dict[str, str]:
    return {
        name: _content(settings.get(name)) or default for name, default in _BERT_SPECIALS.items()
    }


def _content(token: Any) -> str | None:
    """A special token is written as text, or as an object with its content."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: expected an object")
    return content


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
