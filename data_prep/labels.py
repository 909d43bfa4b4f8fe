"""The one emotion of six that a row with many native labels is scored against.

Native shares are summed into the six (``taxonomy.project``) and the largest sum
is the label. A row whose two largest sums are equal, or whose labels map to
none of the six, has no label: figures on six emotions leave it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.taxonomy import project

NO_LABEL: Final = -1
_SAME: Final = 1e-5  # sums of shares that differ by less are a tie


def six_labels(
    shares: NDArray[np.floating] | Sequence[NDArray[np.floating]], label_set: str
) -> NDArray[np.int64]:
    """Labels of many rows.

    Parameters
    ----------
    shares
        Array (n, n_native), non-negative.
    label_set
        Key of the native label set.

    Returns
    -------
    Array (n,) of 0..5, or -1 (``NO_LABEL``) where there is a tie or no mapped label.
    """
    six = project(label_set, np.asarray(shares, dtype=np.float32))
    second, first = np.sort(six, axis=-1)[..., -2:].T
    labels = np.where(first - second > _SAME, six.argmax(axis=-1), NO_LABEL)
    return labels.astype(np.int64)


def six_label(shares: NDArray[np.floating], label_set: str) -> int | None:
    """Label 0..5 of one row (n_native,); ``None`` for a tie or no mapped label."""
    label = int(six_labels(np.asarray(shares)[None], label_set)[0])
    return None if label == NO_LABEL else label
