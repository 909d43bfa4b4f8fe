"""Rows that the data set readers give.

``shares`` has one value in 0..1 per native label, in the order of the
taxonomy's label set: the share of annotators who chose the label. Sets
published as yes or no have 0 and 1. Shares need not sum to one: most sets let
an annotator choose several labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TextRow:
    """A labelled text.

    Attributes
    ----------
    id
        Unique within the data set; the key of ``data_prep.splits.split_of``.
    text
        As published; not cleaned.
    shares
        Array (n_native,) in 0..1.
    group
        What the row shares with others of its kind (a poet, or the row itself).
    language
        ``"ko"`` or ``"en"``.
    """

    id: str
    text: str
    shares: NDArray[np.float32]
    group: str
    language: str


@dataclass(frozen=True, eq=False)
class PoemRow(TextRow):
    """A labelled line or passage of a poem.

    Attributes
    ----------
    poet
        Name in Hangul; also the row's group.
    unit
        ``"line"``, or ``"text"``: a poem or part of one, made of the same lines.
    """

    poet: str
    unit: str


@dataclass(frozen=True, eq=False)
class ClipRow:
    """A labelled recording.

    Attributes
    ----------
    id
        Unique within the data set.
    path
        The sound file.
    shares
        Array (n_native,) in 0..1.
    group
        What must stay on one side of a split: the singer, recording or song;
        the key of ``data_prep.splits.fold_of``.
    """

    id: str
    path: Path
    shares: NDArray[np.float32]
    group: str
