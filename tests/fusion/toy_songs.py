"""Songs whose words and sound know what they are made to know, for the study of weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS
from fusion.evaluation.labelled_songs import LabelledSongs
from fusion.evaluation.paired_benchmark import Answered

ALL = (2.0,) * 6
FIRST_HALF = (3.0, 3.0, 3.0, 0.2, 0.2, 0.2)
SECOND_HALF = (0.2, 0.2, 0.2, 3.0, 3.0, 3.0)


def heard(labels: np.ndarray, strength, random: np.random.Generator) -> np.ndarray:
    """Answers (n, 6) that know each emotion as well as its strength says, beside unit noise."""
    logits = random.normal(0, 1, (len(labels), 6))
    logits[np.arange(len(labels)), labels] += np.asarray(strength)[labels]
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def made_songs(n: int, words=ALL, sound=ALL, *, seed: int = 0, **parts) -> LabelledSongs:
    """``n`` songs, all emotions and folds alike, each its own group, two sources on each side."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 6
    own = {
        "words": heard(labels, words, random),
        "sound": heard(labels, sound, random),
        "labels": labels,
        "folds": np.arange(n) // 6 % 5,
        "word_groups": np.arange(n),
        "sound_groups": np.arange(n),
        "word_sources": np.array(["page", "poem"])[random.integers(2, size=n)],
        "sound_sources": np.array(["choir", "piano"])[random.integers(2, size=n)],
    }
    return LabelledSongs("made up", **(own | parts))


def made_answers(n: int, strength=ALL, *, seed: int = 0, undecided: bool = False) -> Answered:
    """Lines or clips of every emotion in every fold; of those ``undecided``, tension and anger
    cannot be told apart."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 6
    may_be = np.eye(6, dtype=bool)[labels]
    if undecided:
        may_be[:, [1, 4]] = (may_be[:, 1] | may_be[:, 4])[:, None]
    return Answered(
        answers=heard(labels, strength, random),
        may_be=may_be,
        folds=np.arange(n) // 6 % 5,
        groups=np.array([f"g{i // 2}" for i in range(n)]),
        sources=np.array(["one", "two"])[random.integers(2, size=n)],
    )


class ToyAnalyser:
    """Reads the emotion that a text or file names; ``silence`` says nothing, ``broken`` fails."""

    def read_words(self, text: str) -> SimpleNamespace:
        return self._reading(text, "no words")

    def read_sound(self, path: Path) -> SimpleNamespace:
        if not path.is_file():
            raise InputError(f"{path} does not exist")
        return self._reading(path.read_text(encoding="utf-8"), "the recording is silent")

    def _reading(self, text: str, reason: str) -> SimpleNamespace:
        if "broken" in text:
            raise InputError(f"{text} cannot be read")
        if "silence" in text:
            return SimpleNamespace(distribution=None, reason=reason)
        six = np.full(6, 0.1, dtype=np.float32)
        six[next(i for i, name in enumerate(EMOTIONS) if name in text)] = 0.5
        return SimpleNamespace(distribution=six, reason=None)
