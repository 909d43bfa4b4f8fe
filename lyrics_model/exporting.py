"""Export of a fine-tuned network to a model folder: int8 ONNX, tokenizer and card."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from data_prep.errors import InputError
from data_prep.model_folder import (
    NETWORK_NAME,
    TOKENIZER_NAME,
    ModelCard,
    TrainingData,
    checkout_commit,
    read_card,
    write_card,
)
from data_prep.readers import goemotions, kote, kpoem, nsmc
from data_prep.taxonomy import EMOTIONS, native_label_set
from lyrics_model import linear_part
from lyrics_model.corpus import load_vectors, tokenizer_path
from lyrics_model.encoder import LyricNetwork
from lyrics_model.examples import labelled_texts
from lyrics_model.finetuning import CHECKPOINTS, TEACHERS, finished_network
from lyrics_model.int8_network import made_ready, quantise
from lyrics_model.joined_layers import operator_sets
from lyrics_model.linear_part import LinearPart
from lyrics_model.mixture import choose_head_weights
from lyrics_model.moods import read_moods
from lyrics_model.ngrams import ngram_batch, ngram_ids
from lyrics_model.predictor import LyricPredictor, WordsAndNgrams
from lyrics_model.specification import CLS_ID, SEP_ID
from lyrics_model.tokens import load_tokenizer
from lyrics_model.word_vectors import PieceVectors

INPUTS: Final = ("input_ids", "ngram_ids", "ngram_weights")
SAMPLES: Final = 512
_SAMPLES_AT_ONCE: Final = 32


def to_onnx(network: LyricNetwork, path: Path) -> None:
    """Write the network as float32 ONNX with free batch, token and n-gram axes."""
    network = network.eval()
    network.encoder.set_attn_implementation("eager")
    specification = network.specification
    rows = [ngram_ids(text, specification.ngrams) for text in ("example", "a longer example")]
    ids, weights = ngram_batch(rows)
    tokens = torch.tensor([[CLS_ID, 7, SEP_ID, 0, 0], [CLS_ID, 7, 8, 9, SEP_ID]])
    torch.onnx.export(
        network,
        (tokens, torch.from_numpy(ids), torch.from_numpy(weights)),
        str(path),
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_axes={
            "input_ids": {0: "batch", 1: "tokens"},
            "ngram_ids": {0: "batch", 1: "ngrams"},
            "ngram_weights": {0: "batch", 1: "ngrams"},
            "logits": {0: "batch"},
        },
        opset_version=17,
        custom_opsets=operator_sets(network),
        dynamo=False,
    )


def training_data(vectors: PieceVectors, *, taught: bool) -> list[TrainingData]:
    """What the embedded model was trained on, as its card states it.

    Parameters
    ----------
    taught
        Whether earlier models of ours labelled reviews for it.
    """
    start = [
        TrainingData(name, licence, vectors.words[language], f"start: {use}")
        for language, name, licence, use in (
            ("ko", "Kiwi's morpheme vectors", "Apache-2.0", "embeddings of Korean words"),
            ("en", "all-MiniLM-L6-v2", "Apache-2.0", "lower layers and English pieces"),
        )
        if vectors.words[language]
    ]
    reviews = sum(1 for _ in nsmc.iter_reviews())
    return [
        *start,
        TrainingData(
            "NSMC",
            nsmc.LICENCE,
            reviews,
            "pretraining: masked words and ratings"
            + ("; fine-tuning: some, labelled by earlier models of ours" if taught else ""),
        ),
        TrainingData("KOTE", kote.LICENCE, len(kote.read("train")), "44 labels"),
        TrainingData("KPoEM", kpoem.LICENCE, len(kpoem.read("train")), "44 labels, shares"),
        TrainingData(
            "GoEmotions, English and Korean translation",
            goemotions.LICENCE,
            2 * len(goemotions.read("train")),
            "28 labels",
        ),
        TrainingData(
            "maeum moods",
            "Apache-2.0 (ours)",
            len(read_moods("train")),
            "six emotions, written by us",
        ),
    ]


def export(
    work: Path,
    folder: Path,
    *,
    name: str = "maeum lyrics, second edition",
    float32: Path | None = None,
) -> Path:
    """Write a model folder from ``work``'s fine-tuned checkpoint.

    Parameters
    ----------
    float32
        Folder for the unquantised network as well, which the quantised one is
        measured against.

    Raises
    ------
    InputError
        If both folders are the same.
    MissingDataError
        If there is no checkpoint or a data set is missing.
    """
    refuse_same(folder, float32)
    network = finished_network(work)
    network.join(LinearPart.load(work / CHECKPOINTS / linear_part.FILE))
    specification = network.specification
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        ready = Path(temporary) / NETWORK_NAME
        to_onnx(made_ready(network, _samples(network, load_tokenizer(tokenizer_path(work)))), ready)
        quantise(ready, folder / NETWORK_NAME)
    if float32 is not None:
        float32.mkdir(parents=True, exist_ok=True)
        to_onnx(network, float32 / NETWORK_NAME)
    _copy_compact(tokenizer_path(work), folder / TOKENIZER_NAME)
    heads = [head for head, _ in specification.heads]
    card = ModelCard(
        kind="lyrics",
        name=name,
        labels={
            head: list(EMOTIONS) if head == "six" else list(native_label_set(head).labels)
            for head in heads
        },
        head_weights={head: 1.0 / len(heads) for head in heads},
        features=json.loads(json.dumps(specification.features())),
        training_data=training_data(
            load_vectors(work), taught=(work / CHECKPOINTS / TEACHERS).is_file()
        ),
        commit=checkout_commit(),
    )
    write_card(folder, card)
    weights, figures = choose_head_weights(LyricPredictor.load(folder))
    rounded = {source: round(value, 4) for source, value in figures.items()}
    card = replace(card, head_weights=weights, metrics={"validation_macro_f1": rounded})
    write_card(folder, card)
    print(f"head weights {weights}; validation macro-F1 {rounded}")
    size = (folder / NETWORK_NAME).stat().st_size / 1e6
    parameters = sum(np.prod(p.shape) for p in network.parameters())
    print(f"{int(parameters):,} parameters, {size:.1f} MB → {folder}")
    if float32 is not None:
        complete_float32(folder, float32)
    return folder


def _samples(network: LyricNetwork, tokenizer: Tokenizer) -> list[tuple[Tensor, ...]]:
    """Training texts of every source as network input."""
    specification = network.specification
    reading = WordsAndNgrams(tokenizer, specification.ngrams, specification.encoder.max_tokens)
    texts = labelled_texts("train")
    chosen = np.random.default_rng(0).choice(len(texts), SAMPLES, replace=False)
    some = sorted((texts[i] for i in chosen), key=len)
    batches = []
    for first in range(0, len(some), _SAMPLES_AT_ONCE):
        batch = some[first : first + _SAMPLES_AT_ONCE]
        _, feed = reading.prepare(batch)
        given = feed(range(len(batch)))
        batches.append(tuple(torch.from_numpy(given[name]) for name in INPUTS))
    return batches


def refuse_same(folder: Path, float32: Path | None) -> None:
    """:class:`InputError` if the unquantised network would overwrite the quantised one."""
    if float32 is not None and float32.resolve() == folder.resolve():
        raise InputError(f"--float32 {float32} is the folder of the int8 model: give another one")


def complete_float32(folder: Path, float32: Path) -> None:
    """Tokenizer and card of a model folder beside its unquantised network."""
    shutil.copyfile(folder / TOKENIZER_NAME, float32 / TOKENIZER_NAME)
    card = read_card(folder, "lyrics")
    write_card(float32, replace(card, name=f"{card.name}, float32"))
    LyricPredictor.load(float32)


def _copy_compact(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    content = json.loads(target.read_text(encoding="utf-8"))
    target.write_text(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
    )
