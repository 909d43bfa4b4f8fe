"""Sentences beside their translations, and what a published encoder makes of the English ones.

The vectors are what our encoder is to answer in either language: a sentence that
was read in English teaches what the same sentence means in Korean (Reimers &
Gurevych 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError


@dataclass(frozen=True)
class Translations:
    """Pairs of sentences as piece ids, with one vector a pair.

    Attributes
    ----------
    english, korean
        Piece ids of each pair, special tokens included.
    vectors
        (pairs, hidden) of length one.
    """

    english: list[NDArray[np.int32]]
    korean: list[NDArray[np.int32]]
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not len(self.english) == len(self.korean) == len(self.vectors):
            raise InputError(
                f"{len(self.english)} English and {len(self.korean)} Korean sentences with "
                f"{len(self.vectors)} vectors: expected as many of each"
            )

    def __len__(self) -> int:
        return len(self.english)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(pairs,) pieces of a pair when both sentences are padded to the longer."""
        longest = [max(len(a), len(b)) for a, b in zip(self.english, self.korean, strict=True)]
        return 2 * np.array(longest, dtype=np.int64)

    def save(self, path: Path) -> None:
        """Write as ``.npz``; vectors in 16 bits."""
        content: dict[str, NDArray[np.generic]] = {"vectors": self.vectors.astype(np.float16)}
        for name, rows in (("english", self.english), ("korean", self.korean)):
            content[name] = _flat(rows)
            content[f"{name}_offsets"] = np.cumsum([0, *(len(row) for row in rows)])
        np.savez(path, **content)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Translations:
        """Read what :meth:`save` wrote."""
        with np.load(path) as content:
            english, korean = (
                [
                    row.astype(np.int32)
                    for row in np.split(content[name], content[f"{name}_offsets"][1:-1])
                ]
                for name in ("english", "korean")
            )
            return cls(english, korean, content["vectors"].astype(np.float32))


def _flat(rows: Sequence[NDArray[np.int32]]) -> NDArray[np.uint16]:
    joined: NDArray[np.uint16] = np.concatenate(rows).astype(np.uint16)
    return joined
