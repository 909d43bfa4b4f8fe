"""What is tuned and how: two frozen descriptions, the first of which is served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import native_label_set
from lyrics_model.specification import ACTIVATIONS
from lyrics_model.text_encoding import NORMALISATIONS

HeadName = Literal["cls", "architecture1", "architecture2", "architecture2-padded-mean"]
SourceName = Literal["kote", "kpoem", "goemotions-en", "goemotions-ko", "aihub-60", "aihub-7"]
OptimiserName = Literal["adamw", "adafactor"]
BalanceName = Literal["none", "sampling", "weights"]
AdapterName = Literal["none", "lora", "qlora"]

HEAD_NAMES: Final[tuple[HeadName, ...]] = get_args(HeadName)

LABEL_SETS: Final[dict[SourceName, str]] = {
    "kote": "kote",
    "kpoem": "kote",
    "goemotions-en": "goemotions",
    "goemotions-ko": "goemotions",
    "aihub-60": "aihub_dialogue_60",
    "aihub-7": "aihub_single_7",
}
"""Which native label set each source was annotated with; one output per label set."""

FROM_FILE: Final[tuple[SourceName, ...]] = ("aihub-60", "aihub-7")
"""Sources that a user has a copy of: their name comes with ``=FILE``."""

MULTI_LABEL: Final = frozenset({"kote"})
"""Label sets whose labels do not exclude each other (sigmoid, binary cross-entropy)."""


def activation_of(label_set: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """How the logits of a label set become probabilities: softmax unless it is known otherwise."""
    return ACTIVATIONS.get(label_set, ACTIVATIONS["six"])


@dataclass(frozen=True)
class LabelSource:
    """A labelled data set to learn from, with its file where the user has to give one."""

    name: SourceName
    path: Path | None = None

    def __post_init__(self) -> None:
        if self.name not in LABEL_SETS:
            raise InputError(
                f"unknown labels {self.name!r}: expected some of "
                + ", ".join(f"{n}=FILE" if n in FROM_FILE else n for n in LABEL_SETS)
            )
        if self.name in FROM_FILE and self.path is None:
            raise InputError(
                f"labels {self.name!r} come from a file of your own: give {self.name}=FILE"
            )
        if self.name not in FROM_FILE and self.path is not None:
            raise InputError(
                f"labels {self.name!r} are read from the data folder (MAEUM_DATA): "
                f"give {self.name} without '={self.path}'"
            )

    @property
    def label_set(self) -> str:
        """Native label set of the source."""
        return LABEL_SETS[self.name]


def parse_sources(text: str) -> tuple[LabelSource, ...]:
    """Sources from ``"kote,kpoem,aihub-60=FILE"``.

    Raises
    ------
    InputError
        If a name is unknown or given twice, or a file is missing or out of place.
    """
    sources = []
    for part in text.split(","):
        name, equals, path = part.strip().partition("=")
        sources.append(LabelSource(name, Path(path) if equals else None))  # type: ignore[arg-type]
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"labels {', '.join(twice)} are given twice")
    return tuple(sources)


def label_sets_of(sources: tuple[LabelSource, ...]) -> tuple[str, ...]:
    """Native label sets of some sources, each once, in order of first use."""
    return tuple(dict.fromkeys(source.label_set for source in sources))


@dataclass(frozen=True)
class TuningSpecification:
    """The tuned network.

    Attributes
    ----------
    encoder
        Hub name or folder of the encoder.
    head
        One of ``HEAD_NAMES``.
    label_sets
        Native label sets in the order of the network's output.
    max_tokens
        Longest input, special tokens included.
    normalisation
        Key of ``lyrics_model.text_encoding.NORMALISATIONS``.
    dropout
        In the head, and in the encoder while it is trained.
    """

    encoder: str
    head: HeadName
    label_sets: tuple[str, ...]
    max_tokens: int = 128
    normalisation: str = "nfc"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.head not in HEAD_NAMES:
            raise InputError(f"unknown head {self.head!r}: expected one of {', '.join(HEAD_NAMES)}")
        if not self.label_sets or len(set(self.label_sets)) < len(self.label_sets):
            raise InputError(f"label sets {self.label_sets} must be some, each once")
        for name in self.label_sets:
            native_label_set(name)
        if self.max_tokens < 3:
            raise InputError(f"--max-tokens {self.max_tokens} leaves no room for a word")
        if self.normalisation not in NORMALISATIONS:
            raise InputError(
                f"unknown normalisation {self.normalisation!r}: "
                f"expected one of {', '.join(NORMALISATIONS)}"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"--dropout {self.dropout} is not in 0..1")

    @property
    def heads(self) -> tuple[tuple[str, int], ...]:
        """Label sets with their numbers of labels."""
        return tuple((name, len(native_label_set(name).labels)) for name in self.label_sets)

    @property
    def outputs(self) -> int:
        """Logits of all label sets together."""
        return sum(size for _, size in self.heads)

    def columns(self, label_set: str) -> slice:
        """Where the logits of one label set stand."""
        start = 0
        for name, size in self.heads:
            if name == label_set:
                return slice(start, start + size)
            start += size
        raise InputError(f"the network has no output for {label_set!r}")


@dataclass(frozen=True)
class TuningConfiguration:
    """How a network is tuned.

    Attributes
    ----------
    sources
        Labelled data sets.
    frozen
        Train the head alone, on features of the encoder kept on disk.
    optimiser, learning_rate, head_rate
        ``learning_rate`` suits what is trained if ``None`` (3e-5 the whole, 2e-4 an
        adapter, 1e-3 the head alone); ``head_rate`` is ``learning_rate`` if ``None``.
    layer_decay
        Each layer's rate is that of the layer above times this; 1 for one rate.
    patience
        Passes without a better validation figure after which training ends.
    batch
        Texts per step.
    epochs
        Most passes over the training texts.
    balance, per_label
        ``sampling`` keeps at most ``per_label`` training texts of a label
        (the published 9,000), ``weights`` makes rare labels count more.
    folds
        0 for the committed splits, else folds of cross-validation.
    adapter, rank
        Low-rank adapters in place of the encoder's own weights, and their rank.
    limit
        Most training texts in all, drawn by the seed; ``None`` for all.
    precision, devices, nodes, strategy
        As Lightning's ``Trainer`` takes them (``nodes`` is its ``num_nodes``): devices are those
        of one machine, nodes the machines.
    wandb
        Log to Weights & Biases as well.
    warmup_share
        Share of all steps in which the rate rises.
    steps_per_part
        A checkpoint is written at least after so many steps.
    """

    sources: tuple[LabelSource, ...]
    frozen: bool = False
    optimiser: OptimiserName = "adamw"
    learning_rate: float | None = None
    head_rate: float | None = None
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    patience: int = 5
    batch: int = 32
    epochs: int = 10
    balance: BalanceName = "none"
    per_label: int = 9_000
    folds: int = 0
    adapter: AdapterName = "none"
    rank: int = 8
    limit: int | None = None
    precision: str = "32-true"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    wandb: bool = False
    warmup_share: float = 0.06
    steps_per_part: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("--labels names no data set to learn from")
        for name, value, allowed in (
            ("--optimiser", self.optimiser, get_args(OptimiserName)),
            ("--balance", self.balance, get_args(BalanceName)),
            ("--adapter", self.adapter, get_args(AdapterName)),
        ):
            if value not in allowed:
                raise InputError(f"{name} {value!r}: expected one of {', '.join(allowed)}")
        if self.frozen and self.adapter != "none":
            raise InputError(
                f"--frozen and --adapter {self.adapter} exclude each other: an adapter "
                "changes what the encoder says, a frozen one is read from disk"
            )
        if self.frozen and self.layer_decay != 1.0:
            raise InputError("--layer-decay has no layers to act on with --frozen")
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"--layer-decay {self.layer_decay} is not above 0 and at most 1")
        for name, rate in (
            ("--learning-rate", self.learning_rate),
            ("--head-rate", self.head_rate),
        ):
            if rate is not None and rate <= 0:
                raise InputError(f"{name} {rate:g} must be positive")
        if self.weight_decay < 0:
            raise InputError(f"--weight-decay {self.weight_decay} is negative")
        counts = {
            "--patience": self.patience,
            "--batch": self.batch,
            "--epochs": self.epochs,
            "--per-label": self.per_label,
            "--rank": self.rank,
            "--devices": self.devices,
            "--nodes": self.nodes,
            "--limit": 1 if self.limit is None else self.limit,
            "steps_per_part": self.steps_per_part,
        }
        for name, count in counts.items():
            if count < 1:
                raise InputError(f"{name} {count} must be at least 1")
        if self.folds == 1 or self.folds < 0:
            raise InputError(f"--folds {self.folds}: expected 2 or more, or 0 for none")
        if not 0 <= self.warmup_share < 1:
            raise InputError(f"warmup_share {self.warmup_share} is not in 0..1")

    @property
    def rate(self) -> float:
        """Learning rate as given, or as it suits what is trained."""
        if self.learning_rate is not None:
            return self.learning_rate
        if self.frozen:
            return 1e-3
        return 3e-5 if self.adapter == "none" else 2e-4
