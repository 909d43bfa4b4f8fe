"""What a clip's label says about the six emotions, and which fold the clip is in.

A *group* is a set of emotions that a label does not tell apart (quadrant Q2 =
tension or anger); emotions in no group of a data set are left out of its loss
(EMOPIA says nothing about neutral).
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_model.heads import DATASET_HEADS
from audio_model.input_cache import Clip
from data_prep.splits import fold_of, split_of
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS, native_label_set, project

_TENSION: Final = EMOTIONS.index("tension")
_ANGER: Final = EMOTIONS.index("anger")


def clip_fold(clip: Clip) -> int | None:
    """Fold 0..4 of a clip; ``None`` for EMOPIA's validation split, which has none."""
    if clip.dataset == "emopia" and split_of("emopia", clip.group) != "train":
        return None
    return fold_of(clip.dataset, clip.group)


@cache
def group_matrix(dataset: str) -> NDArray[np.float32]:
    """Which emotions each group of a data set stands for: (6, 6) of 0 and 1, zero-padded.

    One row per native label where the native labels exclude each other; for
    Emotify, whose scales do not, one row per emotion a scale maps to. Its scale
    *tension* is described to listeners as "agitated, nervous, impatient,
    irritated", so here it does not decide between tension and anger; left out of
    the loss, anger would be whatever actors' shouting makes of loud music.
    """
    matrix = np.zeros((N_EMOTIONS, N_EMOTIONS), dtype=np.float32)
    targets = native_label_set(DATASET_HEADS[dataset]).targets
    if dataset == "emotify":
        targets = tuple(
            (_TENSION, _ANGER) if t == (_TENSION,) else t for t in sorted({t for t in targets if t})
        )
    for row, emotions in zip(matrix, targets, strict=False):
        row[list(emotions)] = 1.0
    return matrix


def group_shares(dataset: str, native: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shares (6,) of the groups of :func:`group_matrix` for one clip; they sum to one."""
    shares = np.zeros(N_EMOTIONS, dtype=np.float32)
    if dataset == "emotify":
        six = project("emotify", native)
        shares[:] = group_matrix(dataset) @ six
    else:
        shares[: native.size] = native / native.sum()
    return shares
