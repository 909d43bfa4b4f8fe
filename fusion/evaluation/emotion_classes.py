"""The classes that a label set of recordings tells apart, and answers as shares of them.

A model's served six can be compared with native labels only as far as these
decide between emotions: quadrant Q2 is tension or anger, and so is Emotify's
scale *tension* (``audio_model.heads`` says why). Labels that exclude each other
are classes themselves; Emotify's nine scales are summed into the four emotions
they map to; labels in the six are the six.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from audio_model.heads import SCALES, four_emotions, group_matrix
from data_prep.readers.labelled_table import SIX, LabelSet, label_set_of
from data_prep.taxonomy import EMOTIONS
from fusion.evaluation.emotion_scores import TIE

FOUR: Final = ("joy", "tension", "calm", "sadness")
QUADRANTS: Final = "quadrants"
QUADRANT_AXES: Final[dict[str, tuple[str, ...]]] = {
    "arousal": ("Q1", "Q2"),
    "valence": ("Q1", "Q4"),
}
"""Axes of the emotion plane (Russell 1980) → the quadrants on their high side."""


@dataclass(frozen=True, eq=False)
class EmotionClasses:
    """The classes of a label set; make them with :meth:`of`.

    Attributes
    ----------
    label_set
        The native set, or the six.
    names
        Of the classes.
    """

    label_set: LabelSet
    names: tuple[str, ...]
    _groups: NDArray[np.float32]  # (classes, 6)

    @classmethod
    def of(cls, label_set: str) -> Self:
        """The classes of a label set, by its key.

        Raises
        ------
        InputError
            If there is no such set.
        """
        found = label_set_of(label_set)
        if found.name == SIX:
            return cls(found, EMOTIONS, np.eye(len(EMOTIONS), dtype=np.float32))
        names = FOUR if found.name in SCALES else found.labels
        return cls(found, names, group_matrix(found.name)[: len(names)])

    @property
    def are_scales(self) -> bool:
        """Whether the native labels are scales, of which a recording has all."""
        return self.label_set.name in SCALES

    def of_native(self, native: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Native labels or answers (..., n_labels) as what each class has, (..., n_classes)."""
        values = np.asarray(native, dtype=np.float32)
        return four_emotions(values) if self.are_scales else values

    def of_six(self, six: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Distributions over the six (..., 6) as what each class has, (..., n_classes).

        Less than one in all where the labels say nothing about an emotion (EMOPIA:
        neutral).
        """
        masses: NDArray[np.float32] = np.asarray(six, dtype=np.float32) @ self._groups.T
        return masses

    def strongest(
        self, native: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The strongest class of labels (n, n_labels).

        Returns
        -------
        classes
            (n,); -1 where the labels stand for no class, or two of them tie.
        ties
            (n,) whether the strongest two tie.
        """
        shares = class_shares(self.of_native(native))
        second, first = np.sort(shares, axis=1)[:, -2:].T
        known = first > 0
        ties = known & (first - second <= TIE)
        return np.where(known & ~ties, shares.argmax(axis=1), -1), ties

    def axes(self) -> dict[str, NDArray[np.bool_]]:
        """Arousal and valence of quadrants: the classes (n_classes,) on the high side."""
        if self.label_set.name != QUADRANTS:
            return {}
        return {
            axis: np.array([name in high for name in self.names])
            for axis, high in QUADRANT_AXES.items()
        }


def class_shares(masses: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """What each class has, scaled to sum to one (..., n_classes); zeros where all are."""
    values = np.asarray(masses, dtype=np.float64)
    total = values.sum(axis=-1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(
        values, total, out=np.zeros_like(values), where=total > 0
    )
    return shares
