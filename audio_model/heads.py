"""The heads of the mel network: their layout, activations and projection to the six.

A network's output is the concatenation of its heads' logits. Native heads carry
the labels of the data sets; the head ``six`` carries the six emotions. Numpy
only: training and serving share this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.taxonomy import EMOTIONS, N_EMOTIONS, native_label_set, project

SIX: Final = "six"

DATASET_HEADS: Final[dict[str, str]] = {
    "ravdess_song": "ravdess_song",
    "emotify": "emotify",
    "emopia": "quadrants",
}
"""Training data set → its native head; the order is the index of the data set."""

SCALES: Final = frozenset({"emotify"})
"""Label sets whose labels do not exclude each other: soft scales, each in 0..1."""


def heads_for(label_sets: Iterable[str]) -> tuple[str, ...]:
    """Heads of a network that learns from these label sets: each once, and the six last."""
    return (*(name for name in dict.fromkeys(label_sets) if name != SIX), SIX)


def head_labels(head: str) -> tuple[str, ...]:
    """Labels of a head, in the order of its logits."""
    return EMOTIONS if head == SIX else native_label_set(head).labels


HEADS: Final[tuple[str, ...]] = heads_for(DATASET_HEADS.values())
"""Heads of the network this package ships, in the order of their logits."""


def head_slices(labels: Mapping[str, Sequence[str]] | None = None) -> dict[str, slice]:
    """Where each head lies in a network's output.

    Parameters
    ----------
    labels
        Head → its labels, in output order, as a model card has them; the heads
        of the network this package ships if not given.
    """
    if labels is None:
        labels = {head: head_labels(head) for head in HEADS}
    slices, start = {}, 0
    for head, names in labels.items():
        slices[head] = slice(start, start + len(names))
        start += len(names)
    return slices


N_LOGITS: Final = sum(len(head_labels(head)) for head in HEADS)


def probabilities(
    logits: NDArray[np.float32], slices: Mapping[str, slice] | None = None
) -> NDArray[np.float32]:
    """Activations of all heads: sigmoid for Emotify's scales, softmax for the others.

    Parameters
    ----------
    logits
        Array (..., n_logits).
    slices
        Layout; that of :func:`head_slices` if not given.
    """
    result = np.empty_like(logits)
    for head, columns in (slices or head_slices()).items():
        part = logits[..., columns]
        if head in SCALES:
            result[..., columns] = 1.0 / (1.0 + np.exp(-np.clip(part, -60.0, 60.0)))
        else:
            exponents = np.exp(part - part.max(axis=-1, keepdims=True))
            result[..., columns] = exponents / exponents.sum(axis=-1, keepdims=True)
    return result


def served_six(
    probability: NDArray[np.float32],
    head_weights: Mapping[str, float],
    slices: Mapping[str, slice] | None = None,
) -> NDArray[np.float32]:
    """Weighted mean of the heads' projections: (..., n_logits) → (..., 6).

    Parameters
    ----------
    probability
        What :func:`probabilities` gives.
    head_weights
        Non-negative weights that sum to one.
    """
    slices = slices or head_slices()
    total = np.zeros((*probability.shape[:-1], N_EMOTIONS), dtype=np.float32)
    for head, weight in head_weights.items():
        if weight > 0:
            part = probability[..., slices[head]]
            total += np.float32(weight) * (part if head == SIX else project(head, part))
    six: NDArray[np.float32] = total / total.sum(axis=-1, keepdims=True)
    return six


def labels_of(heads: Iterable[str]) -> dict[str, list[str]]:
    """Head → its labels, as a model card has them."""
    return {head: list(head_labels(head)) for head in heads}


def four_emotions(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Emotify's nine scales summed into joy, tension, calm, sadness: (..., 9) → (..., 4)."""
    summed: NDArray[np.float32] = scales @ native_label_set("emotify").projection()[:, :4]
    return summed
