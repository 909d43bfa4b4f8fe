"""Export of a tuned network to a model folder: int8 ONNX, tokenizer and card.

How much each label set counts in the served six, and the temperature of the
mixture, are chosen on the logits that training kept of its validation texts, so
an export needs no data set.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.metrics import ece, macro_f1
from data_prep.model_folder import (
    NETWORK_NAME,
    TOKENIZER_NAME,
    ModelCard,
    checkout_commit,
    write_card,
)
from data_prep.taxonomy import N_EMOTIONS, native_label_set
from data_prep.temperature import fit_temperature
from lyrics_model.exporting import complete_float32, refuse_same
from lyrics_model.heads import TunedNetwork
from lyrics_model.int8_network import made_ready, quantise
from lyrics_model.joined_layers import operator_sets
from lyrics_model.predictor import LyricPredictor
from lyrics_model.text_encoding import TextEncoding, padded
from lyrics_model.tuned_folder import (
    TunedFolder,
    ValidationAnswers,
    load_tuned,
    read_answers,
    read_tuned,
)
from lyrics_model.tuning_figures import six_probabilities
from lyrics_model.tuning_specification import TuningSpecification

INPUTS: Final = ("input_ids", "attention_mask")
STEPS: Final = 10
LARGEST_DIFFERENCE: Final = 1e-3
"""Of a logit between torch and the float32 ONNX network, relative to the largest logit."""

_CHECKED: Final = (
    "정말 행복한 하루였다",
    "I feel so lonely tonight, and nobody knows",
    "비가 온다",
)


def to_onnx(network: TunedNetwork, encoding: TextEncoding, path: Path) -> None:
    """Write the network as float32 ONNX with free batch and token axes, and check it.

    Raises
    ------
    InputError
        If the written network answers differently from the one in memory.
    """
    network = network.eval()
    encoder: Any = network.encoder
    encoder.set_attn_implementation("eager")
    rows = encoding.rows(_CHECKED)
    ids, mask = (torch.from_numpy(array) for array in padded(rows, encoding.pad_id))
    try:
        with warnings.catch_warnings():
            # Of what tracing may get wrong, which is checked below.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (ids, mask),
                str(path),
                input_names=list(INPUTS),
                output_names=["logits"],
                dynamic_axes={
                    "input_ids": {0: "batch", 1: "tokens"},
                    "attention_mask": {0: "batch", 1: "tokens"},
                    "logits": {0: "batch"},
                },
                opset_version=17,
                custom_opsets=operator_sets(network),
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"this encoder's architecture cannot be exported: {reason}") from error
    difference = largest_difference(network, encoding, path)
    if difference > LARGEST_DIFFERENCE:
        raise InputError(
            f"the exported network answers differently (by {difference:.2g} of the largest "
            "logit): this encoder's architecture cannot be exported"
        )


def largest_difference(network: TunedNetwork, encoding: TextEncoding, path: Path) -> float:
    """Largest difference of logits between a network and its ONNX file, relative to the largest.

    Texts of other lengths and numbers than those the file was traced with are among
    those compared.
    """
    import onnxruntime  # whose telemetry data_prep has turned off by now

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for texts in (_CHECKED[:1], _CHECKED, (" ".join(_CHECKED * 3), *_CHECKED, "아")):
        ids, mask = padded(encoding.rows(texts), encoding.pad_id)
        with torch.inference_mode():
            expected = network(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
        answered = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        scale = max(float(np.abs(expected).max()), 1e-6)
        worst = max(worst, float(np.abs(answered - expected).max()) / scale)
    return worst


def choose_mixture(
    answers: ValidationAnswers, specification: TuningSpecification
) -> dict[str, float]:
    """Weight of each label set in the six: the best mean macro-F1 over sources, in tenths.

    A single label set weighs 1. Among equals the more even weights win.
    """
    label_sets = specification.label_sets
    if len(label_sets) == 1:
        return {label_sets[0]: 1.0}
    six = [six_probabilities(answers.logits, specification, name) for name in label_sets]
    best = (-1.0, 0.0)
    chosen: tuple[float, ...] = ()
    for counts in product(range(STEPS + 1), repeat=len(label_sets)):
        if sum(counts) != STEPS:
            continue
        weights = tuple(count / STEPS for count in counts)
        mixed = sum(weight * part for weight, part in zip(weights, six, strict=True))
        rank = (_mean_score(np.asarray(mixed), answers), -max(weights))
        if rank > best:
            best, chosen = rank, weights
    return dict(zip(label_sets, chosen, strict=True))


def mixture(
    answers: ValidationAnswers, specification: TuningSpecification, weights: dict[str, float]
) -> NDArray[np.float32]:
    """(texts, 6) as the predictor serves it: projected label sets, weighed and normalised."""
    total = np.zeros((len(answers.logits), N_EMOTIONS), dtype=np.float32)
    for name, weight in weights.items():
        total += weight * six_probabilities(answers.logits, specification, name)
    mixed: NDArray[np.float32] = total / total.sum(axis=1, keepdims=True)
    return mixed


def export_tuned(
    tuned: Path,
    folder: Path,
    *,
    name: str | None = None,
    float32: Path | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Write a model folder from the folder of a tuned network.

    Parameters
    ----------
    tuned
        As :func:`lyrics_model.tuning.tune` gives it.
    folder
        To write; serves by :class:`lyrics_model.predictor.LyricPredictor`.
    name
        Of the model, for its card; made of encoder and head if ``None``.
    float32
        Folder for the unquantised network as well, which the quantised one is
        measured against.

    Raises
    ------
    MissingDataError
        If there is no finished network.
    InputError
        If it is a cross-validation, or cannot be exported, or both folders are
        the same.
    """
    refuse_same(folder, float32)
    described = read_tuned(tuned)
    specification, encoding = described.specification, described.encoding
    network = load_tuned(tuned)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        ready = Path(temporary) / NETWORK_NAME
        ids, mask = padded(encoding.rows(_CHECKED), encoding.pad_id)
        sample = (torch.from_numpy(ids), torch.from_numpy(mask))
        to_onnx(made_ready(network, [sample]), encoding, ready)
        quantise(ready, folder / NETWORK_NAME)
    if float32 is not None:
        float32.mkdir(parents=True, exist_ok=True)
        to_onnx(network, encoding, float32 / NETWORK_NAME)
    encoding.tokenizer.save(str(folder / TOKENIZER_NAME), pretty=False)
    answers = read_answers(tuned)
    weights = choose_mixture(answers, specification)
    distributions = mixture(answers, specification, weights)
    temperature = fit_temperature(distributions, answers.six)
    known = answers.six >= 0
    sharpened = distributions[known].astype(np.float64) ** (1.0 / temperature)
    sharpened /= sharpened.sum(axis=1, keepdims=True)
    write_card(
        folder,
        ModelCard(
            kind="lyrics",
            name=name or f"{Path(specification.encoder).name}, {specification.head}",
            labels={
                label_set: list(native_label_set(label_set).labels)
                for label_set in specification.label_sets
            },
            head_weights=weights,
            features=encoding.features(),
            temperature=round(temperature, 4),
            training_data=list(described.provenance),
            metrics={
                "validation_macro_f1": _scores(distributions, answers, described),
                "validation_ece": round(ece(sharpened, answers.six[known]), 4),
                "tuning": described.metrics,
            },
            commit=checkout_commit(),
        ),
    )
    LyricPredictor.load(folder)
    if float32 is not None:
        complete_float32(folder, float32)
    size = (folder / NETWORK_NAME).stat().st_size / 1e6
    say(f"label sets count {weights}; temperature {temperature:.3f}; {size:.1f} MB → {folder}")
    return folder


def _scores(
    distributions: NDArray[np.float32], answers: ValidationAnswers, described: TunedFolder
) -> dict[str, float]:
    names = [entry.name for entry in described.provenance]
    return {
        names[number]: round(_score(distributions, answers, number), 4)
        for number in np.unique(answers.sources[answers.six >= 0])
    }


def _mean_score(distributions: NDArray[np.floating[Any]], answers: ValidationAnswers) -> float:
    numbers = np.unique(answers.sources[answers.six >= 0])
    return float(np.mean([_score(distributions, answers, int(n)) for n in numbers]))


def _score(
    distributions: NDArray[np.floating[Any]], answers: ValidationAnswers, source: int
) -> float:
    scored = (answers.sources == source) & (answers.six >= 0)
    predictions = distributions[scored].argmax(axis=1)
    return macro_f1(answers.six[scored], predictions, N_EMOTIONS)
