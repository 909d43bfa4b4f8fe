"""What a lyric model loses by its int8 network: the same texts, asked of int8 and of float32.

Both are asked a test's texts in one go. Dynamic quantisation makes an answer
depend a little on the texts beside it, and batches are formed alike for both, so
that the difference is that of the networks alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.metrics import macro_f1
from data_prep.taxonomy import N_EMOTIONS
from lyrics_model.predictor import LyricPredictor

LARGEST_POINTS: Final = 0.5
"""Promised difference of macro-F1, in points of a hundred."""
LEAST_AGREEMENT: Final = 0.98
"""Promised share of texts with the same top emotion."""


def load_float32(folder: Path, int8: LyricPredictor) -> LyricPredictor:
    """The unquantised twin of a lyric model.

    Raises
    ------
    InputError
        If the folder is that of another model, or of the int8 one itself.
    ModelFolderError
        If it cannot be loaded.
    """
    float32 = LyricPredictor.load(folder)
    for what, own, other in (
        ("labels", int8.card.labels, float32.card.labels),
        ("weights of the heads", int8.card.head_weights, float32.card.head_weights),
        ("features", int8.card.features, float32.card.features),
    ):
        if own != other:
            raise InputError(
                f"{folder} is not the float32 network of {int8.folder}: their {what} differ; "
                "write both at once with `maeum export-model lyrics --out DIR --float32 DIR2`"
            )
    if float32.model_hash == int8.model_hash:
        raise InputError(f"{folder} holds the same network as {int8.folder}: expected float32")
    return float32


def int8_against_float32(
    name: str,
    labels: NDArray[np.int64],
    int8: NDArray[np.float32],
    float32: NDArray[np.float32],
) -> dict[str, Any]:
    """Figures of one test.

    Parameters
    ----------
    name
        Of the test.
    labels
        (texts,) gold emotions 0..5.
    int8, float32
        (texts, 6) answers of the two networks.

    Returns
    -------
    ``name``, ``n``, ``int8`` and ``float32`` (macro-F1), ``points`` (the first less
    the second, times a hundred), ``same_top`` (share of texts) and
    ``largest_difference`` of a probability.
    """
    tops = int8.argmax(axis=1), float32.argmax(axis=1)
    own, plain = (macro_f1(labels, top, N_EMOTIONS) for top in tops)
    return {
        "name": name,
        "n": len(labels),
        "int8": own,
        "float32": plain,
        "points": 100.0 * (own - plain),
        "same_top": float((tops[0] == tops[1]).mean()),
        "largest_difference": float(np.abs(int8 - float32).max()),
    }


def quantisation_markdown(tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of the section "int8 against float32"."""
    lines = [
        "## int8 against float32",
        "",
        f"Promised: macro-F1 within {LARGEST_POINTS:g} points, and the same top emotion for at "
        f"least {LEAST_AGREEMENT:.0%} of the texts.",
        "",
        "| test | n | macro-F1, int8 | macro-F1, float32 | points | same top | as promised |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for test in tests:
        kept = abs(test["points"]) <= LARGEST_POINTS and test["same_top"] >= LEAST_AGREEMENT
        lines.append(
            f"| {test['name']} | {test['n']:,} | {test['int8']:.4f} | {test['float32']:.4f} "
            f"| {test['points']:+.2f} | {test['same_top']:.2%} | {'yes' if kept else 'no'} |"
        )
    return [*lines, ""]
