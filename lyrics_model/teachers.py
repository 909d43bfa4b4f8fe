"""Soft labels of several trained models: what an ensemble makes of every text, on every head.

A student that learns the mean answer of its teachers beside the labels learns how
sure one can be, and what each head would say of texts that its annotators never saw
(Hinton, Vinyals, Dean 2015). Reviews without labels become examples this way
(self-training; Xie et al. 2020).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.model_folder import folder_hash
from data_prep.readers import nsmc
from lyrics_model.normalisation import normalise
from lyrics_model.predictor import LyricPredictor

_AT_ONCE: Final = 4_096
_SHORTEST: Final = 12  # characters of a review that says something
_LONGEST: Final = 120

Targets = dict[str, NDArray[np.float32]]
"""Head → (texts, labels) probabilities."""


def load_teachers(folders: Sequence[Path], heads: Sequence[str]) -> list[LyricPredictor]:
    """Model folders that answer on all ``heads``.

    Raises
    ------
    InputError
        If one lacks a head.
    """
    teachers = [LyricPredictor.load(folder) for folder in folders]
    for folder, teacher in zip(folders, teachers, strict=True):
        missing = [head for head in heads if head not in teacher.card.labels]
        if missing:
            raise InputError(f"the teacher {folder} has no head {', '.join(missing)}")
    return teachers


def mean_answers(
    teachers: Sequence[LyricPredictor],
    texts: Sequence[str],
    *,
    say: Callable[[str], None] = print,
) -> Targets:
    """Mean probabilities of all teachers on every head, for normalised texts."""
    began = time.monotonic()
    parts: list[Targets] = []
    for first in range(0, len(texts), _AT_ONCE):
        some = texts[first : first + _AT_ONCE]
        answers = [teacher.native(some) for teacher in teachers]
        parts.append(
            {
                head: np.mean([answer[head] for answer in answers], axis=0, dtype=np.float32)
                for head in answers[0]
            }
        )
        done = min(first + _AT_ONCE, len(texts))
        left = round((time.monotonic() - began) / done * (len(texts) - done))
        say(f"teachers: {done:,} of {len(texts):,} texts, {left // 60} min {left % 60:02d} s left")
    return {head: np.concatenate([part[head] for part in parts]) for head in parts[0]}


def kept_answers(
    path: Path,
    folders: Sequence[Path],
    heads: Sequence[str],
    texts: Sequence[str],
    *,
    say: Callable[[str], None] = print,
) -> Targets:
    """:func:`mean_answers` of some model folders, kept in ``path`` for a later start."""
    key = hashlib.sha256("\0".join([*map(folder_hash, folders), *texts]).encode()).hexdigest()
    if path.is_file():
        with np.load(path) as content:
            if str(content["key"]) == key:
                return {head: content[head] for head in heads}
    once = list(dict.fromkeys(texts))
    answers = mean_answers(load_teachers(folders, heads), once, say=say)
    place = {text: n for n, text in enumerate(once)}
    rows = [place[text] for text in texts]
    found = {head: answers[head][rows] for head in heads}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, key=key, **found)  # type: ignore[arg-type]
    return found


def reviews(count: int, seed: int) -> list[str]:
    """So many reviews of moderate length, normalised, drawn by the seed."""
    texts = {normalise(text) for _, text in nsmc.iter_reviews()}
    usable = sorted(text for text in texts if _SHORTEST <= len(text) <= _LONGEST)
    chosen = np.random.default_rng(seed).permutation(len(usable))[:count]
    return [usable[i] for i in sorted(chosen)]
