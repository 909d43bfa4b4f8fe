"""The model folder: the bridge between training and serving.

A folder holds ``model.onnx``, ``tokenizer.json`` (text models), ``embedding.onnx``
(sound models that hear a recording as a whole beside its windows) and ``model.json``,
the card: labels and taxonomy version, the feature configuration
with its hash, temperature and prior, training data with licences, metrics and
commit. Loading refuses a folder whose labels or feature hash do not fit, and
says which.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from data_prep.errors import ModelFolderError
from data_prep.taxonomy import EMOTIONS, TAXONOMY_VERSION, native_label_set

Kind = Literal["lyrics", "audio"]

CARD_NAME: Final = "model.json"
NETWORK_NAME: Final = "model.onnx"
TOKENIZER_NAME: Final = "tokenizer.json"
EMBEDDING_NAME: Final = "embedding.onnx"


def configuration_hash(configuration: dict[str, Any]) -> str:
    """Hash of a feature configuration: 16 hex digits, independent of key order."""
    text = json.dumps(configuration, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


@dataclass(frozen=True)
class TrainingData:
    """One data set a model was trained on, as the card states it."""

    name: str
    licence: str
    rows: int
    use: str


@dataclass(frozen=True)
class ModelCard:
    """Contents of ``model.json``.

    Attributes
    ----------
    kind
        Which branch the model belongs to.
    name
        Human-readable name and edition.
    heads
        Native label set name → index of its first column in the network's
        output; every head's labels are listed in ``labels``.
    labels
        Native label set name → its labels, in output order.
    head_weights
        Native label set name → weight of its projection in the served six.
        Non-negative, sums to one.
    features
        Configuration of everything before the network (log-mel or tokens).
    temperature
        Softmax temperature of the branch, fitted on validation data.
    prior
        The branch's own average answer (6,), for prior correction in fusion.
    training_data, metrics, commit
        Provenance. ``metrics`` is free-form JSON written by evaluation.
    """

    kind: Kind
    name: str
    labels: dict[str, list[str]]
    head_weights: dict[str, float]
    features: dict[str, Any]
    temperature: float = 1.0
    prior: list[float] = field(default_factory=lambda: [1.0 / len(EMOTIONS)] * len(EMOTIONS))
    training_data: list[TrainingData] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    commit: str = ""
    emotions: list[str] = field(default_factory=lambda: list(EMOTIONS))
    taxonomy_version: str = TAXONOMY_VERSION

    @property
    def feature_hash(self) -> str:
        """Hash of ``features``; stored in the file and compared on loading."""
        return configuration_hash(self.features)


def write_card(folder: Path, card: ModelCard) -> None:
    """Write ``model.json`` into an existing folder."""
    content = asdict(card) | {"feature_hash": card.feature_hash}
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    (folder / CARD_NAME).write_text(text, encoding="utf-8")


def read_card(folder: Path, kind: Kind) -> ModelCard:
    """Read and check ``model.json``.

    Raises
    ------
    ModelFolderError
        If the folder or a file of it is missing, the card is not readable, the
        model is of the other branch, or its labels, taxonomy version or feature
        hash do not fit this version of the project.
    """
    path = folder / CARD_NAME
    for needed in (path, folder / NETWORK_NAME):
        if not needed.is_file():
            raise ModelFolderError(
                f"{needed} is missing: expected a model folder made by `maeum export-model {kind}`"
            )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        stored_hash = content.pop("feature_hash")
        content["training_data"] = [TrainingData(**d) for d in content["training_data"]]
        card = ModelCard(**content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelFolderError(f"{path} is not a model card: {error}") from error
    if card.kind != kind:
        raise ModelFolderError(f"{path} describes a model of kind {card.kind!r}, expected {kind!r}")
    if card.emotions != list(EMOTIONS) or card.taxonomy_version != TAXONOMY_VERSION:
        raise ModelFolderError(
            f"{path}: emotions {card.emotions} (taxonomy {card.taxonomy_version}) do not fit "
            f"this version's {list(EMOTIONS)} (taxonomy {TAXONOMY_VERSION}); export the model again"
        )
    for name, labels in card.labels.items():
        if name == "source":
            fits = set(labels) <= set(card.labels)
        else:
            fits = name == "six" or list(native_label_set(name).labels) == labels
        if not fits:
            raise ModelFolderError(
                f"{path}: the labels of head {name!r} do not fit taxonomy {TAXONOMY_VERSION}; "
                "export the model again"
            )
    if "six" in card.labels and card.labels["six"] != list(EMOTIONS):
        raise ModelFolderError(f"{path}: the labels of head 'six' are not {list(EMOTIONS)}")
    if set(card.head_weights) != set(card.labels):
        raise ModelFolderError(f"{path}: head_weights and labels name different heads")
    if stored_hash != card.feature_hash:
        raise ModelFolderError(
            f"{path}: feature hash {stored_hash} does not fit the stored features "
            f"({card.feature_hash}); the card was edited or the file is damaged"
        )
    return card


def checkout_commit() -> str:
    """Commit of the checkout this code lies in, 12 digits; empty outside one."""
    import subprocess  # only exporting asks; loading a model must not pay for it

    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def folder_hash(folder: Path) -> str:
    """Hash of the bytes that decide a model's answers: network, tokenizer, features, heads.

    Metrics and prose of the card do not count, so a new evaluation does not make
    a catalogue stale.
    """
    digest = hashlib.sha256()
    for name in (NETWORK_NAME, TOKENIZER_NAME, EMBEDDING_NAME):
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    content = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
    decisive = {key: content[key] for key in ("labels", "head_weights", "features")}
    digest.update(json.dumps(decisive, sort_keys=True).encode("utf-8"))
    return digest.hexdigest()[:16]
