"""What a clip's label says about the six emotions, and which fold the clip is in.

A *group* is a set of emotions that a label does not tell apart (quadrant Q2 =
tension or anger); emotions in no group of a data set are left out of its loss
(EMOPIA says nothing about neutral).
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_model.heads import DATASET_HEADS, SCALES, SIX
from audio_model.input_cache import Clip
from data_prep.splits import N_FOLDS, fold_of, split_of
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS, native_label_set, project

_TENSION: Final = EMOTIONS.index("tension")
_ANGER: Final = EMOTIONS.index("anger")


def clip_fold(clip: Clip) -> int | None:
    """Fold 0..4 of a clip; ``None`` for EMOPIA's validation split, which has none.

    The folds of our data sets are committed files; those of a user's own recordings
    follow from a hash of data set and group, so that they stay when recordings are added.
    """
    if clip.dataset not in DATASET_HEADS:
        digest = hashlib.sha256(f"{clip.dataset}\n{clip.group}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % N_FOLDS
    if clip.dataset == "emopia" and split_of("emopia", clip.group) != "train":
        return None
    return fold_of(clip.dataset, clip.group)


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
    """Shares (6,) of the groups of :func:`group_matrix` for one clip; they sum to one."""
    shares = np.zeros(N_EMOTIONS, dtype=np.float32)
    label_set = DATASET_HEADS.get(label_set, label_set)
    if label_set in SCALES:
        shares[:] = group_matrix(label_set) @ project(label_set, native)
    else:
        shares[: native.size] = native / native.sum()
    return shares
