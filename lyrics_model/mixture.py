"""How much each native head counts in the served six: chosen on validation texts only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.labels import six_labels
from data_prep.metrics import macro_f1
from data_prep.readers import goemotions, kote, kpoem
from data_prep.readers.row import TextRow
from data_prep.taxonomy import N_EMOTIONS, native_label_set
from lyrics_model.moods import read_moods
from lyrics_model.predictor import LyricPredictor

STEPS: Final = 10
MOST_ROWS: Final = 2_000


@dataclass(frozen=True)
class ValidationTexts:
    """One source's validation texts and six-emotion labels (texts,)."""

    name: str
    texts: list[str]
    labels: NDArray[np.int64]


def validation_texts() -> list[ValidationTexts]:
    """Validation splits of every source, texts without a clear label left out."""
    found: list[ValidationTexts] = []
    sources: list[tuple[str, str, list[TextRow]]] = [
        ("kote", "kote", kote.read("validation")),
        ("kpoem", "kote", list(kpoem.read("validation"))),
        ("goemotions_en", "goemotions", goemotions.read("validation", language="en")),
        ("goemotions_ko", "goemotions", goemotions.read("validation", language="ko")),
    ]
    for name, label_set, rows in sources:
        rows = rows[:MOST_ROWS]
        labels = six_labels([row.shares for row in rows], label_set)
        kept = np.flatnonzero(labels >= 0)
        found.append(ValidationTexts(name, [rows[i].text for i in kept], labels[kept]))
    for language in ("ko", "en"):
        moods = [row for row in read_moods("dev") if row.language == language]
        labels = np.array([row.emotion for row in moods], dtype=np.int64)
        found.append(ValidationTexts(f"moods_{language}", [row.text for row in moods], labels))
    return found


def choose_head_weights(
    predictor: LyricPredictor, sources: list[ValidationTexts] | None = None
) -> tuple[dict[str, float], dict[str, float]]:
    """Search the weight simplex in tenths for the best mean macro-F1 over the sources.

    Returns
    -------
    weights
        Head name → weight, summing to one. Ties go to the larger weight of the
        shared head.
    figures
        Source name → macro-F1 under these weights.
    """
    sources = sources or validation_texts()
    heads = list(predictor.card.labels)
    answers: list[dict[str, NDArray[np.float32]]] = []
    for source in sources:
        native = predictor.native(source.texts)
        six = {}
        for head in heads:
            projected = (
                native[head]
                if head == "six"
                else native[head] @ native_label_set(head).projection()
            )
            six[head] = projected / projected.sum(axis=1, keepdims=True)
        answers.append(six)
    best: tuple[float, float] = (-1.0, 0.0)
    chosen: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for counts in product(range(STEPS + 1), repeat=len(heads)):
        if sum(counts) != STEPS:
            continue
        weights = {head: count / STEPS for head, count in zip(heads, counts, strict=True)}
        figures = {}
        for source, six in zip(sources, answers, strict=True):
            mixed = sum(weights[head] * six[head] for head in heads)
            predictions = np.asarray(mixed).argmax(axis=1)
            figures[source.name] = macro_f1(source.labels, predictions, N_EMOTIONS)
        rank = (float(np.mean(list(figures.values()))), weights.get("six", 0.0))
        if rank > best:
            best, chosen = rank, (weights, figures)
    return chosen
