"""Which fold a recording is in."""

from __future__ import annotations

import hashlib

from audio_model.heads import DATASET_HEADS
from audio_model.recording import Recording
from data_prep.splits import N_FOLDS, fold_of, split_of


def clip_fold(clip: Recording) -> int | None:
    """Fold 0..4 of a clip; ``None`` for EMOPIA's validation split, which has none.

    The folds of our data sets are committed files; those of a user's own recordings
    follow from a hash of the group alone, so that they stay when recordings are added, and
    are the same for a store without labels and for a table of its songs.
    """
    if clip.dataset not in DATASET_HEADS:
        digest = hashlib.sha256(clip.group.encode()).digest()
        return int.from_bytes(digest[:8], "big") % N_FOLDS
    if clip.dataset == "emopia" and split_of("emopia", clip.group) != "train":
        return None
    return fold_of(clip.dataset, clip.group)
