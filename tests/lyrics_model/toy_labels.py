"""Labelled toy texts: the words of a text tell its label, so a tiny network can learn it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.readers.row import TextRow
from data_prep.taxonomy import native_label_set
from lyrics_model.tuning_data import SourceRows
from lyrics_model.tuning_specification import LabelSource
from tests.lyrics_model.toy_encoders import TEXTS, ToySize, klue

SIZE = ToySize(layers=4, dropout=0.0)
LABELS = {
    "kote": ("기쁨", "슬픔", "화남/분노", "불안/걱정"),
    "goemotions": ("joy", "sadness", "anger", "fear"),
    "aihub_single_7": ("행복", "슬픔", "분노", "공포"),
    "aihub_dialogue_60": ("기쁨", "슬픔", "분노", "불안"),
}
"""Labels of joy, sadness, anger and tension in each set."""


def encoder(folder: Path) -> Path:
    """A tiny encoder in klue's layout with the four layers that every head needs."""
    return klue(folder, SIZE)


def toy_rows(source: LabelSource, train: int = 48, others: int = 16) -> SourceRows:
    """Texts of one source: the first half of each decides the label."""
    label_set = native_label_set(source.label_set)
    labels = [label_set.index(label) for label in LABELS[source.label_set]]
    generator = np.random.default_rng(0)
    rows: dict[str, list[TextRow]] = {}
    for split, count in (("train", train), ("validation", others), ("test", others)):
        rows[split] = []
        for i in range(count):
            shares = np.zeros(len(label_set.labels), dtype=np.float32)
            shares[labels[i % 4]] = 1.0
            text = f"{TEXTS[i % 4]} {TEXTS[4 + generator.integers(6)]}"
            name = f"{split}-{i}"
            rows[split].append(TextRow(name, text, shares, group=name, language="ko"))
    return SourceRows(source, rows, "MIT")


def read_toys(sources: Sequence[LabelSource]) -> list[SourceRows]:
    """In place of ``lyrics_model.tuning_data.read_sources``."""
    return [toy_rows(source) for source in sources]
