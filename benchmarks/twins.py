"""One encoder served two ways: maeum's int8 model folder, and a transformers pipeline.

The encoder has the dimensions of the embedded model and random weights, so both
sides do the work of a real one and nothing has to be downloaded or trained. Its
texts are made up as well. Both sides run on one thread each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lyrics_model.predictor import EMBEDDED, LyricPredictor

SEED: Final = 7
LABEL_SET: Final = "goemotions"
LARGEST_DIFFERENCE: Final = 0.05
"""Of a probability, between int8 and float32."""

_SPREAD: Final = 0.03
_HEAD_SPREAD: Final = 0.3
_SHORTEST: Final = 4
_LONGEST: Final = 150
_WORDS_PER_LINE: Final = 5
_WORDS: Final = {
    "ko": "오늘 밤 너의 목소리가 그리워 비가 오는 거리에서 혼자 걷는다 우리 함께 웃던 날들은 "
    "어디로 갔을까 눈물이 흘러 가슴이 아파 다시 만날 수 있다면 바람이 불어 꽃이 피는 봄날 "
    "햇살처럼 따뜻한 손을 잡고 춤을 추자 내 마음 속에 작은 별 하나 괜찮아 모두 잊을 거야",
    "en": "tonight i am walking alone in the rain and i remember your voice we were laughing under "
    "the summer stars where did those days go my heart is breaking but the morning will come "
    "hold my hand and dance with me until the world is quiet again love fire shadow light",
}


def texts(count: int) -> list[str]:
    """Texts like lyrics, from a few words to a whole song, half of them Korean.

    Lengths spread evenly over their logarithm, so that short texts are many.
    """
    rng = np.random.default_rng(SEED)
    vocabulary = {language: words.split() for language, words in _WORDS.items()}
    made = []
    for number in range(count):
        words = vocabulary["ko" if number % 2 == 0 else "en"]
        length = int(np.exp(rng.uniform(np.log(_SHORTEST), np.log(_LONGEST))))
        chosen = [words[i] for i in rng.integers(len(words), size=length)]
        lines = [
            " ".join(chosen[start : start + _WORDS_PER_LINE])
            for start in range(0, length, _WORDS_PER_LINE)
        ]
        made.append("\n".join(lines))
    return made


class Twins:
    """The two sides, loaded.

    Parameters
    ----------
    folder
        For the model's files.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import pipeline

        from lyrics_model.tuned_export import export_tuned

        tuned, network, encoding = _tuned(folder / "tuned")
        export_tuned(tuned, folder / "served", name="twin", say=lambda _: None)
        self.predictor = LyricPredictor.load(folder / "served", threads=1)
        make: Any = pipeline
        self._pipeline: Any = make(
            "text-classification",
            model=_classifier(network),
            tokenizer=_fast_tokenizer(encoding),
            device="cpu",
            top_k=None,
            function_to_apply="softmax",
        )
        self._max_tokens = encoding.max_tokens

    def published(self, text: str) -> list[dict[str, Any]]:
        """The pipeline's answer to one text: every label with its ``score``."""
        answers: list[list[dict[str, Any]]] = self._pipeline(
            [text], truncation=True, max_length=self._max_tokens
        )
        return answers[0]

    def one_by_one(self, texts: list[str]) -> None:
        """The published way: each text in a call of its own."""
        for text in texts:
            self.published(text)

    def largest_difference(self, texts: list[str]) -> float:
        """Largest difference of a probability between the two sides.

        Raises
        ------
        RuntimeError
            If the answers hardly differ between texts, so that agreement shows nothing.
        """
        ours = self.predictor.native(texts)[LABEL_SET]
        expected = np.stack([self._probabilities(text) for text in texts])
        if np.ptp(expected, axis=0).max() < 4 * LARGEST_DIFFERENCE:
            raise RuntimeError("the random network gives every text the same answer")
        return float(np.abs(ours - expected).max())

    def _probabilities(self, text: str) -> NDArray[np.float32]:
        labels = self.predictor.card.labels[LABEL_SET]
        given = {entry["label"]: entry["score"] for entry in self.published(text)}
        return np.array([given[label] for label in labels], dtype=np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch and for the tokenizers of both sides."""
    import torch

    name = "TOKENIZERS_PARALLELISM"
    threads, before = torch.get_num_threads(), os.environ.get(name)
    torch.set_num_threads(1)
    os.environ[name] = "false"
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _tuned(folder: Path) -> tuple[Path, Any, Any]:
    """A tuned network's folder with random weights, the network, and how it is given texts."""
    import torch
    from tokenizers.processors import TemplateProcessing

    from data_prep.model_folder import TOKENIZER_NAME, TrainingData
    from lyrics_model.encoder import build_encoder
    from lyrics_model.specification import CLS_ID, PAD_ID, SEP_ID, EncoderSpecification
    from lyrics_model.text_encoding import TextEncoding
    from lyrics_model.tokens import load_tokenizer
    from lyrics_model.tuned_folder import ValidationAnswers, new_network, save_tuned
    from lyrics_model.tuning_specification import (
        TuningConfiguration,
        TuningSpecification,
        parse_sources,
    )

    dimensions = EncoderSpecification()
    tokenizer = load_tokenizer(EMBEDDED / TOKENIZER_NAME)
    if tokenizer.get_vocab_size() > dimensions.vocab_size:
        raise RuntimeError(
            f"the embedded tokenizer has {tokenizer.get_vocab_size():,} pieces, "
            f"the encoder's dimensions {dimensions.vocab_size:,}"
        )
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS_ID), ("[SEP]", SEP_ID)]
    )
    encoding = TextEncoding(tokenizer, "nfc", dimensions.max_tokens, PAD_ID)
    specification = TuningSpecification("twin", "cls", (LABEL_SET,), dimensions.max_tokens)
    state = torch.random.get_rng_state()
    torch.manual_seed(SEED)
    network = new_network(
        build_encoder(dimensions),
        specification,
        hidden_size=dimensions.hidden_size,
        layers=dimensions.layers,
    )
    with torch.no_grad():
        # Wider than RoBERTa starts from: else every text would get the same answer.
        for name, weights in network.named_parameters():
            if weights.ndim > 1 and "position" not in name:
                weights.normal_(std=_SPREAD)
        network.head.out_proj.weight.normal_(std=_HEAD_SPREAD)
    torch.random.set_rng_state(state)
    # Stands for validation texts, which an export wants a temperature of.
    labels = np.arange(6, dtype=np.int64)
    logits = np.random.default_rng(SEED).normal(size=(6, specification.outputs))
    answers = ValidationAnswers(logits.astype(np.float32), labels, np.zeros(6, dtype=np.int64))
    save_tuned(
        folder,
        network,
        specification,
        TuningConfiguration(parse_sources("goemotions-en")),
        encoding,
        answers,
        (TrainingData("none", "none", 0, "random weights"),),
        {},
    )
    return folder, network.eval(), encoding


def _classifier(network: Any) -> Any:
    """The same weights as transformers names them."""
    from transformers import RobertaForSequenceClassification

    from data_prep.taxonomy import native_label_set

    labels = native_label_set(LABEL_SET).labels
    configuration = type(network.encoder.config)(
        **network.encoder.config.to_dict()
        | {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: i for i, label in enumerate(labels)},
        }
    )
    classifier: Any = RobertaForSequenceClassification(configuration)
    classifier.roberta.load_state_dict(network.encoder.state_dict())
    classifier.classifier.load_state_dict(network.head.state_dict())
    return classifier.eval()


def _fast_tokenizer(encoding: Any) -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    return make(
        tokenizer_object=Tokenizer.from_str(encoding.tokenizer.to_str()),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=encoding.max_tokens,
    )
