"""Audio models without a network, for the tests of evaluation."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS, native_label_set
from fusion.evaluation.listening import Heard


class ToyListener:
    """Hears what a file says: one word per window, an emotion of the six or a native label.

    ``broken`` cannot be decoded, and ``bug`` is an error of the program. A waveform is
    joy if its peak is above a half and sadness below, with the peak as strength; one
    below 0.01 is silence.
    """

    n_members = 5
    model_hash = "0" * 16

    def __init__(self, heads: tuple[str, ...] = ("quadrants", "emotify"), n_members: int = 5):
        labels = {head: list(native_label_set(head).labels) for head in heads}
        self.card = SimpleNamespace(name="toy", labels=labels, temperature=2.0)
        self.n_members = n_members
        self.members: list[int | None] = []

    def hear_file(self, path, head=None, member=None) -> Heard:
        words = Path(path).read_text(encoding="utf-8").split()
        if "broken" in words:
            raise InputError(f"{path} cannot be decoded")
        if "bug" in words:
            raise RuntimeError("something broke")
        native = None
        if head in self.card.labels:
            labels = self.card.labels[head]
            native = np.stack([_leaning(word, labels) for word in words])
        return Heard(np.stack([self._six(word) for word in words]), native)

    def _six(self, word: str) -> np.ndarray:
        for name, labels in self.card.labels.items():
            if word in labels:
                return _leaning(word, labels) @ native_label_set(name).projection()
        return _leaning(word, EMOTIONS)

    def hear_waveform(self, samples, sample_rate, head=None, member=None) -> Heard:
        self.members.append(member)
        peak = float(np.abs(samples).max())
        if peak < 0.01:
            raise InputError("the recording is silent")
        joy = min(peak, 1.0)
        six = np.array([[joy, 0, 0, 1 - joy, 0, 0]], dtype=np.float32)
        return Heard(six, None)


def _leaning(word: str, labels) -> np.ndarray:
    values = np.full(len(labels), 0.3 / (len(labels) - 1), dtype=np.float32)
    values[list(labels).index(word)] = 0.7
    return values
