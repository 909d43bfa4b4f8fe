"""Models without a network, for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_prep.readers.labelled_table import SIX, LabelledTable, label_set_of, open_labelled_table
from data_prep.taxonomy import EMOTIONS
from fusion.evaluation.text_models import TextAnswers


class Saying:
    """Says the emotion whose name the text holds, with a strength; neutral otherwise."""

    def __init__(
        self, name: str = "saying", strength: float = 0.75, native_labels: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.size_mb: float | None = 1.5
        self.temperature: float | None = 2.0
        self.asked: list[list[str]] = []
        self._strength = strength
        self._native = list(native_labels)

    def answer(self, texts: Sequence[str]) -> TextAnswers:
        self.asked.append(list(texts))
        six = np.full((len(texts), 6), (1 - self._strength) / 5, dtype=np.float32)
        for row, text in zip(six, texts, strict=True):
            if "silence" in text:
                row[:] = np.nan
                continue
            row[next((i for i, name in enumerate(EMOTIONS) if name in text), 5)] = self._strength
        native = None
        if self._native:
            native = np.full((len(texts), len(self._native)), 0.1, dtype=np.float32)
            for row, text in zip(native, texts, strict=True):
                for i, label in enumerate(self._native):
                    if label in text:
                        row[i] = 0.9
        return TextAnswers(six, native, 0.5)


def table_of(path, content: str, label_set: str = SIX) -> LabelledTable:
    path.write_text(content, encoding="utf-8")
    return open_labelled_table(
        path, label_set_of(label_set), text_column="text", label_column="emotion"
    )
