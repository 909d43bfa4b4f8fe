"""The heads of an audio network: their layout, activations and projection to the six.

A network's output is the concatenation of its heads' logits. Native heads carry
the labels of the data sets; the head ``six`` carries the six emotions; the head
``source`` tells which native head knows such sound: a voice alone, released music, a
piano. What a native label stands for is a *group* of emotions: quadrant Q2 is tension
or anger. Numpy only: training and serving share this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.taxonomy import EMOTIONS, N_EMOTIONS, native_label_set, project

SIX: Final = "six"
SOURCE: Final = "source"

DATASET_HEADS: Final[dict[str, str]] = {
    "ravdess_song": "ravdess_song",
    "emotify": "emotify",
    "emopia": "quadrants",
}
"""Training data set → its native head; the order is the index of the data set."""

LABEL_SETS: Final = (SIX, *DATASET_HEADS.values())
"""Label sets that recordings may have: classes, soft scales (Emotify's), unions, the six."""

SCALES: Final = frozenset({"emotify"})
"""Label sets whose labels do not exclude each other: soft scales, each in 0..1."""


_TENSION: Final = EMOTIONS.index("tension")
_ANGER: Final = EMOTIONS.index("anger")
_SMALLEST: Final = 1e-9


def labels_for(label_sets: Iterable[str]) -> dict[str, list[str]]:
    """Heads of a network that learns from these label sets, each with its labels.

    The native ones in the order given, each once; then the six; then, where there are
    several label sets, the source, whose labels are their names.
    """
    sets = list(dict.fromkeys(label_sets))
    heads = [name for name in sets if name != SIX]
    found = {head: list(native_label_set(head).labels) for head in heads}
    found[SIX] = list(EMOTIONS)
    if len(sets) > 1:
        found[SOURCE] = sets
    return found


LABELS: Final[dict[str, list[str]]] = labels_for(DATASET_HEADS.values())
"""Heads of the network this package ships, in the order of their logits."""


def head_labels(head: str) -> tuple[str, ...]:
    """Labels of a label set, in the order of its logits."""
    return EMOTIONS if head == SIX else native_label_set(head).labels


@cache
def group_matrix(label_set: str) -> NDArray[np.float32]:
    """Which emotions each group of a label set stands for: (6, 6) of 0 and 1, zero-padded.

    Also takes the name of one of our data sets. One row per native label where the
    native labels exclude each other, and one per emotion for labels in the six; for
    Emotify, whose scales do not, one row per emotion a scale maps to. Its scale
    *tension* is described to listeners as "agitated, nervous, impatient,
    irritated", so here it does not decide between tension and anger; left out of
    the loss, anger would be whatever actors' shouting makes of loud music.
    """
    matrix = np.zeros((N_EMOTIONS, N_EMOTIONS), dtype=np.float32)
    label_set = DATASET_HEADS.get(label_set, label_set)
    if label_set == SIX:
        return np.eye(N_EMOTIONS, dtype=np.float32)
    targets = native_label_set(label_set).targets
    if label_set in SCALES:
        targets = tuple(
            (_TENSION, _ANGER) if t == (_TENSION,) else t for t in sorted({t for t in targets if t})
        )
    for row, emotions in zip(matrix, targets, strict=False):
        row[list(emotions)] = 1.0
    return matrix


def group_shares(label_set: str, native: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shares of the groups of :func:`group_matrix`, which sum to one: (..., n) → (..., 6)."""
    label_set = DATASET_HEADS.get(label_set, label_set)
    if label_set in SCALES:
        shares: NDArray[np.float32] = project(label_set, native) @ group_matrix(label_set).T
        return shares
    shares = np.zeros((*native.shape[:-1], N_EMOTIONS), dtype=np.float32)
    shares[..., : native.shape[-1]] = native / native.sum(axis=-1, keepdims=True)
    return shares


def head_slices(labels: Mapping[str, Sequence[str]] | None = None) -> dict[str, slice]:
    """Where each head lies in a network's output.

    Parameters
    ----------
    labels
        Head → its labels, in output order, as a model card has them; the heads
        of the network this package ships if not given.
    """
    if labels is None:
        labels = LABELS
    slices, start = {}, 0
    for head, names in labels.items():
        slices[head] = slice(start, start + len(names))
        start += len(names)
    return slices


N_LOGITS: Final = sum(len(labels) for labels in LABELS.values())


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
    labels: Mapping[str, Sequence[str]] = LABELS,
    six_weight: float = 0.0,
) -> NDArray[np.float32]:
    """The six, as the native heads have them where they know: (..., n_logits) → (..., 6).

    A native head decides between the groups that its labels tell apart; within a group,
    and how much is left for emotions that it does not know, the head ``six`` decides. The
    native heads are averaged as the head ``source`` says.

    Parameters
    ----------
    probability
        What :func:`probabilities` gives.
    labels
        Head → its labels, in the order of the logits.
    six_weight
        Share of the answer that the head ``six`` gives alone.
    """
    slices = head_slices(labels)
    six = probability[..., slices[SIX]]
    sets = list(labels.get(SOURCE, [head for head in labels if head != SIX] or [SIX]))
    if SOURCE in labels:
        gates = probability[..., slices[SOURCE]]
    else:
        gates = np.full((*six.shape[:-1], len(sets)), 1.0 / len(sets), dtype=np.float32)
    total = np.float32(six_weight) * six
    for place, head in enumerate(sets):
        answer = six if head == SIX else _decided(head, probability[..., slices[head]], six)
        total = total + np.float32(1.0 - six_weight) * gates[..., place : place + 1] * answer
    served: NDArray[np.float32] = total / total.sum(axis=-1, keepdims=True)
    return served


def _decided(
    head: str, native: NDArray[np.float32], six: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The six with the groups of a native head as that head has them."""
    groups = group_matrix(head)
    known = groups.sum(axis=0) > 0
    ratio = group_shares(head, native) / np.maximum(six @ groups.T, _SMALLEST)
    within = (ratio @ groups) * six
    mass = np.where(known, six, 0.0).sum(axis=-1, keepdims=True)
    decided: NDArray[np.float32] = np.where(known, mass * within, six).astype(np.float32)
    return decided


def four_emotions(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Emotify's nine scales summed into joy, tension, calm, sadness: (..., 9) → (..., 4)."""
    summed: NDArray[np.float32] = scales @ native_label_set("emotify").projection()[:, :4]
    return summed
