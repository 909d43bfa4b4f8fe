"""Everyday sentences read as moods: what catalogues are asked, in tests and for fitting.

Sentences that people wrote stand for what people feel like: those of test splits ask, those
of validation splits fit. Of their labels nothing is used but that they have a clear one.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from fusion.calibration import calibrate
from fusion.settings import FusionSettings
from lyrics_model.mixture import validation_texts
from lyrics_model.predictor import LyricPredictor

_SEED: Final = 0


def fitting_moods(predictor: LyricPredictor, settings: FusionSettings) -> NDArray[np.float32]:
    """Answers (n, 6) to validation sentences, calibrated as moods are, every emotion that leads
    any leading as many.

    Sentences of emotions that are seldom said come several times, so that the moods a
    catalogue is spread over are not those of one web site.
    """
    texts = [text for source in validation_texts() for text in source.texts]
    answers = calibrate(predictor.distributions(texts), settings.mood)
    leading = answers.argmax(axis=1)
    most = int(np.bincount(leading, minlength=answers.shape[1]).max())
    chosen = [
        np.resize(np.random.default_rng(_SEED).permutation(rows), most)
        for rows in (np.flatnonzero(leading == emotion) for emotion in range(answers.shape[1]))
        if len(rows)
    ]
    return np.asarray(answers[np.concatenate(chosen)])


def drawn(answers: NDArray[np.floating[Any]], n: int, *, seed: int) -> NDArray[Any]:
    """``n`` of the answers at random, none twice.

    Raises
    ------
    InputError
        If there are not so many.
    """
    if n > len(answers):
        raise InputError(f"{n:,} moods: there are {len(answers):,} sentences to draw from")
    rows: NDArray[Any] = answers[np.random.default_rng(seed).permutation(len(answers))[:n]]
    return rows
