"""The six emotions, and how every native label set maps to them.

Order is a contract: ``joy tension calm sadness anger neutral`` (기쁨 긴장 평화
슬픔 분노 중립), the published index 0..5. Arrays of emotions anywhere in the
project have this order on their last axis.

A *native* label set is the one a data set was annotated with (KOTE's 44,
GoEmotions' 28, ...). Models keep it native in their output; a projection matrix
``(n_native, 6)`` sums native probabilities into the six. A native label that
does not decide between two of the six (quadrant Q2 = tension or anger) is a
*union*: its row is split evenly for projection, and a loss treats it as
"one of these" (``unions``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

TAXONOMY_VERSION: Final = "1"

EMOTIONS: Final[tuple[str, ...]] = ("joy", "tension", "calm", "sadness", "anger", "neutral")
EMOTIONS_KO: Final[tuple[str, ...]] = ("기쁨", "긴장", "평화", "슬픔", "분노", "중립")
N_EMOTIONS: Final = len(EMOTIONS)

_INDEX: Final[dict[str, int]] = {
    **{name: i for i, name in enumerate(EMOTIONS)},
    **{name: i for i, name in enumerate(EMOTIONS_KO)},
}


def emotion_index(name: str) -> int:
    """Index 0..5 of an emotion given in English or Korean.

    Raises
    ------
    InputError
        If the name is not one of the six.
    """
    try:
        return _INDEX[name.strip().lower()]
    except KeyError:
        raise InputError(
            f"unknown emotion {name!r}: expected one of {', '.join(EMOTIONS)} "
            f"({', '.join(EMOTIONS_KO)})"
        ) from None


@dataclass(frozen=True)
class NativeLabelSet:
    """One data set's labels and their map to the six.

    Attributes
    ----------
    name
        Key of the set, e.g. ``"kote"``.
    labels
        Native labels; their order is that of the data set's own ids where it
        has any, and of the taxonomy file otherwise.
    targets
        For each native label the six-emotion indices it stands for: one, two
        for a union, none if the label is unmapped.
    """

    name: str
    labels: tuple[str, ...]
    targets: tuple[tuple[int, ...], ...]

    def projection(self) -> NDArray[np.float32]:
        """Matrix (n_native, 6); rows sum to 1, or to 0 for an unmapped label."""
        matrix = np.zeros((len(self.labels), N_EMOTIONS), dtype=np.float32)
        for row, target in zip(matrix, self.targets, strict=True):
            if target:
                row[list(target)] = 1.0 / len(target)
        return matrix

    def index(self, label: str) -> int:
        """Position of a native label; :class:`InputError` if it is unknown."""
        try:
            return self.labels.index(label)
        except ValueError:
            raise InputError(
                f"{label!r} is not a label of {self.name!r}: "
                f"expected one of {', '.join(self.labels)}"
            ) from None


@cache
def _label_sets() -> dict[str, NativeLabelSet]:
    raw = json.loads(files("data_prep").joinpath("taxonomy.json").read_text(encoding="utf-8"))
    sets: dict[str, NativeLabelSet] = {}
    for name, mapping in raw["label_sets"].items():
        targets = tuple(tuple(_INDEX[t] for t in target) for target in mapping.values())
        sets[name] = NativeLabelSet(name, tuple(mapping), targets)
    return sets


def native_label_set(name: str) -> NativeLabelSet:
    """Look up a native label set by key.

    Raises
    ------
    InputError
        If there is no such set; the message lists those there are.
    """
    sets = _label_sets()
    if name not in sets:
        raise InputError(f"unknown label set {name!r}: expected one of {', '.join(sets)}")
    return sets[name]


def native_label_set_names() -> tuple[str, ...]:
    """Keys of all native label sets."""
    return tuple(_label_sets())


def project(name: str, native: NDArray[np.floating]) -> NDArray[np.float32]:
    """Sum native probabilities or shares into the six and normalise.

    Parameters
    ----------
    name
        Key of the label set.
    native
        Array (..., n_native), non-negative.

    Returns
    -------
    Array (..., 6) that sums to one; all zeros where no mapped label has mass.

    Raises
    ------
    InputError
        If the last axis does not fit the label set, or a value is negative or
        not finite.
    """
    label_set = native_label_set(name)
    native = np.asarray(native, dtype=np.float32)
    if native.shape[-1:] != (len(label_set.labels),):
        raise InputError(
            f"{name!r} has {len(label_set.labels)} labels, got an array of shape {native.shape}"
        )
    if not np.all(np.isfinite(native)) or np.any(native < 0):
        raise InputError(f"native shares of {name!r} must be finite and non-negative")
    six = native @ label_set.projection()
    total = six.sum(axis=-1, keepdims=True)
    projected: NDArray[np.float32] = np.divide(six, total, out=np.zeros_like(six), where=total > 0)
    return projected


def top_emotion(distribution: NDArray[np.floating]) -> str:
    """English name of the strongest emotion of one distribution (6,); the first of equals."""
    return EMOTIONS[int(np.argmax(distribution))]


def as_mapping(distribution: NDArray[np.floating] | None) -> dict[str, float] | None:
    """One distribution (6,) as ``{"joy": ..., ...}``; ``None`` stays ``None``."""
    if distribution is None:
        return None
    return {name: float(p) for name, p in zip(EMOTIONS, distribution, strict=True)}


def check_distribution(values: NDArray[np.floating], what: str) -> NDArray[np.float32]:
    """Validate an emotion distribution and return it as float32 (6,).

    Raises
    ------
    InputError
        If the shape is not (6,), or values are negative, not finite, or do not
        sum to one within 1e-3.
    """
    array = np.asarray(values, dtype=np.float32)
    if array.shape != (N_EMOTIONS,):
        raise InputError(f"{what}: expected 6 emotions, got an array of shape {array.shape}")
    total = float(array.sum())
    if not np.all(np.isfinite(array)) or bool(np.any(array < 0)) or abs(total - 1.0) > 1e-3:
        raise InputError(
            f"{what}: expected non-negative numbers that sum to 1, got {array.tolist()}"
        )
    return array
