"""The folder of a tuned network: everything that loading, serving and judging it needs.

``network.safetensors``
    All weights, encoder and head, adapters added in.
``encoder/config.json``
    The encoder's architecture, as transformers writes it.
``tokenizer.json``
    As the encoder was given texts, special tokens and all.
``specification.json``
    Specification, configuration and where the weights came from.
``validation.npz``
    Logits (texts, outputs) on the validation texts, the strongest of the six of
    each text (-1 where there is none) and its source, but no text.
``metrics.json``
    Figures; written last, so a folder that has it is complete.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_model, save_model
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel

from data_prep.errors import InputError, MissingDataError
from data_prep.model_folder import TOKENIZER_NAME, TrainingData
from lyrics_model.heads import TunedNetwork, build_head
from lyrics_model.text_encoding import TextEncoding
from lyrics_model.tokens import load_tokenizer
from lyrics_model.tuning_specification import TuningConfiguration, TuningSpecification

NETWORK: Final = "network.safetensors"
ENCODER: Final = "encoder"
SPECIFICATION: Final = "specification.json"
VALIDATION: Final = "validation.npz"
METRICS: Final = "metrics.json"


@dataclass(frozen=True, eq=False)
class ValidationAnswers:
    """What a network said of its validation texts.

    Attributes
    ----------
    logits
        (texts, outputs) float32.
    six
        (texts,) strongest of the six 0..5, -1 where there is none.
    sources
        (texts,) index of the source.
    """

    logits: NDArray[np.float32]
    six: NDArray[np.int64]
    sources: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TunedFolder:
    """A finished folder's description; weights are read by :func:`load_tuned`."""

    folder: Path
    specification: TuningSpecification
    encoding: TextEncoding
    provenance: tuple[TrainingData, ...]
    metrics: dict[str, Any]


def new_network(
    encoder: nn.Module, specification: TuningSpecification, *, hidden_size: int, layers: int
) -> TunedNetwork:
    """An encoder under a head with fresh weights."""
    head = build_head(
        specification.head,
        hidden_size=hidden_size,
        layers=layers,
        labels=specification.outputs,
        dropout=specification.dropout,
        max_tokens=specification.max_tokens,
    )
    return TunedNetwork(encoder, head)


def save_tuned(
    folder: Path,
    network: TunedNetwork,
    specification: TuningSpecification,
    configuration: TuningConfiguration,
    encoding: TextEncoding,
    answers: ValidationAnswers,
    provenance: tuple[TrainingData, ...],
    metrics: dict[str, Any],
) -> None:
    """Write a finished folder."""
    (folder / ENCODER).mkdir(parents=True, exist_ok=True)
    encoder: Any = network.encoder
    encoder.config.save_pretrained(folder / ENCODER)
    encoding.tokenizer.save(str(folder / TOKENIZER_NAME))
    content = {
        "specification": asdict(specification),
        "pad_id": encoding.pad_id,
        "configuration": _plain(asdict(configuration)),
        "provenance": [asdict(entry) for entry in provenance],
    }
    _write(folder / SPECIFICATION, json.dumps(content, ensure_ascii=False, indent=1))
    _replace(
        folder / VALIDATION,
        lambda path: np.savez(
            path, logits=answers.logits, six=answers.six, sources=answers.sources
        ),
    )
    _replace(folder / NETWORK, lambda path: save_model(network, str(path)))
    write_metrics(folder, metrics)
    write_metrics(folder, metrics)


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write ``metrics.json``."""
    _write(folder / METRICS, json.dumps(metrics, ensure_ascii=False, indent=1))


def read_tuned(folder: Path) -> TunedFolder:
    """Read a finished folder's description.

    Raises
    ------
    MissingDataError
        If the folder is not there, or its training has not ended.
    InputError
        If it is a cross-validation, or a file of it cannot be read.
    """
    metrics_path = folder / METRICS
    if not metrics_path.is_file():
        raise MissingDataError(
            f"{folder} holds no tuned network (no {METRICS}): run "
            "`maeum train lyrics --encoder … --labels …` to its end and give the folder it prints"
        )
    metrics = _read(metrics_path)
    if "folds" in metrics:
        raise InputError(
            f"{folder} is a cross-validation: give one of its folds, such as "
            f"{folder / fold_name(0)}, or train without --folds"
        )
    content = _read(folder / SPECIFICATION)
    try:
        fields = dict(content["specification"])
        fields["label_sets"] = tuple(fields["label_sets"])
        specification = TuningSpecification(**fields)
        encoding = TextEncoding(
            load_tokenizer(folder / TOKENIZER_NAME),
            specification.normalisation,
            specification.max_tokens,
            int(content["pad_id"]),
        )
        provenance = tuple(TrainingData(**entry) for entry in content["provenance"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / SPECIFICATION} is not a specification: {error!r}") from error
    return TunedFolder(folder, specification, encoding, provenance, metrics)


def load_tuned(folder: Path) -> TunedNetwork:
    """The network of a finished folder, ready for evaluation or export.

    Raises
    ------
    MissingDataError, InputError
        As :func:`read_tuned`; also if the weights do not fit the specification.
    """
    specification = read_tuned(folder).specification
    try:
        configuration = AutoConfig.from_pretrained(folder / ENCODER)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / ENCODER} cannot be read: {error}") from error
    network = new_network(
        _empty_encoder(configuration),
        specification,
        hidden_size=int(configuration.hidden_size),
        layers=int(configuration.num_hidden_layers),
    )
    try:
        load_model(network, str(folder / NETWORK))
    except Exception as error:  # safetensors and torch share no root
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{folder / NETWORK} does not fit: {reason}") from error
    return network.eval()


def read_answers(folder: Path) -> ValidationAnswers:
    """Logits on the validation texts; :class:`MissingDataError` if they are not there."""
    path = folder / VALIDATION
    if not path.is_file():
        raise MissingDataError(f"{path} is missing: the folder is incomplete, train it again")
    with np.load(path) as arrays:
        return ValidationAnswers(arrays["logits"], arrays["six"], arrays["sources"])


def fold_name(fold: int) -> str:
    """Folder of one fold, counted from 0, within that of a cross-validation."""
    return f"fold-{fold + 1}"


def tokenizer_of(backend: Tokenizer) -> Tokenizer:
    """A copy of a tokenizer that cutting and padding settings can be changed on."""
    return Tokenizer.from_str(backend.to_str())


def _empty_encoder(configuration: Any) -> nn.Module:
    kind: Any = AutoModel._model_mapping[type(configuration)]
    arguments: dict[str, Any] = {}
    if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        arguments["add_pooling_layer"] = False
    auto: Any = AutoModel
    encoder: nn.Module = auto.from_config(configuration, **arguments)
    return encoder


def _plain(value: Any) -> Any:
    """Paths as text, for JSON."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected an object, got {type(content).__name__}")
    return content


def _write(path: Path, text: str) -> None:
    _replace(path, lambda partial: partial.write_text(text + "\n", encoding="utf-8"))


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write beside the file and put it in its place in one step."""
    partial = path.with_name(f"partial-{path.name}")
    write(partial)
    os.replace(partial, path)
