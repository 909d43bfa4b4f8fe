"""Evaluation of an audio model on a labelled table of recordings, beside the constant answer.

One test: the classes that the table's labels tell apart (``fusion.evaluation.emotion_classes``),
by the model's native head for these labels, where it has one, and by its served
six. A recording whose strongest two classes tie, or whose labels stand for none
of them, is left out of all figures but correlations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_model.heads import LABEL_SETS
from data_prep.errors import InputError
from data_prep.metrics import LEAST_FOR_R, pearson_r
from data_prep.model_folder import ModelCard
from data_prep.readers.labelled_table import SIX, LabelledTable, LabelSet, label_set_of
from fusion.calibration import calibrate
from fusion.evaluation.audio_scores import MainMeasure, axis_figures, correlation_figures
from fusion.evaluation.emotion_classes import EmotionClasses, class_shares
from fusion.evaluation.emotion_scores import RESAMPLES, Scored, score_classes
from fusion.evaluation.listening import recording_answers
from fusion.evaluation.recording_answers import HeardTable
from fusion.evaluation.tables import Evaluation
from fusion.evaluation.text_models import CONSTANT
from fusion.evaluation.window_curve import window_curve
from fusion.settings import BranchCalibration


def audio_label_set(name: str) -> LabelSet:
    """A label set that recordings may have, by its key or the short name a command takes.

    Raises
    ------
    InputError
        If there is no such set, or it is one of texts.
    """
    label_set = label_set_of(name)
    if label_set.name not in LABEL_SETS:
        raise InputError(
            f"label set {name!r} is one of texts: expected one of {', '.join(LABEL_SETS)} "
            "(gems: emotify)"
        )
    return label_set


def evaluation_of_recordings(
    table: LabelledTable,
    heard: HeardTable,
    card: ModelCard,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """The test that comes of a table.

    Raises
    ------
    InputError
        If no recording has one strongest class.
    """
    classes = EmotionClasses.of(table.label_set.name)
    shares = heard.asked.shares
    labels, ties = classes.strongest(shares)
    kept = labels >= 0
    if not kept.any():
        raise InputError(
            f"{table.name}: no recording has one strongest class of {', '.join(classes.names)} "
            f"({int(ties.sum()):,} tie, the others' labels stand for none of them)"
        )
    six = [each.six for each in heard.heard]
    # By window: what each class has; by recording: the same, and after the temperature.
    windows: dict[str, Sequence[NDArray[np.float32]]] = {}
    native = [each.native for each in heard.heard if each.native is not None]
    if native and table.label_set.name != SIX:
        windows[f"{card.name}, native head"] = [classes.of_native(each) for each in native]
    served = card.name if table.label_set.name == SIX else f"{card.name}, served six"
    windows[served] = [classes.of_six(each) for each in six]
    calibrated = classes.of_six(
        calibrate(recording_answers(six), BranchCalibration(temperature=card.temperature))
    )
    answers: dict[str, NDArray[np.float32] | None] = {CONSTANT: None}
    answers |= {name: recording_answers(each) for name, each in windows.items()}
    scored: dict[str, Scored] = {}
    for name, answer in answers.items():
        scored[name] = score_classes(
            classes.names,
            labels[kept],
            class_shares(classes.of_native(shares))[kept],
            None if answer is None else answer[kept],
            calibrated=calibrated[kept] if name == served else None,
            seed=seed,
            resamples=resamples,
        )
        figures = scored[name].figures
        given = np.eye(len(classes.names))[labels[kept]].mean(axis=0, keepdims=True)
        answered = np.repeat(given, int(kept.sum()), axis=0) if answer is None else answer[kept]
        figures |= axis_figures(classes, labels[kept], answered, seed=seed, resamples=resamples)
        if classes.are_scales and len(shares) >= LEAST_FOR_R:
            reference = classes.of_native(shares)
            if name == served:
                reference = class_shares(reference).astype(np.float32)
            answered = np.zeros_like(reference) if answer is None else answer
            figures |= correlation_figures(
                classes.names, reference, answered, seed=seed, resamples=resamples
            )
            if name not in (CONSTANT, served):
                figures["r_of_scales"] = _by_scale(classes, shares, recording_answers(native))
    curve = window_curve(
        {
            name: (measure, each)
            for name, each in windows.items()
            if (measure := MainMeasure.of(classes, shares, sums=name != served)) is not None
        },
        seed=seed,
        resamples=resamples,
    )
    return Evaluation(
        f"{table.name}, {table.label_set.name}",
        LabelSet("four emotions", classes.names) if classes.are_scales else classes.label_set,
        int(kept.sum()),
        int(ties.sum()),
        int((~kept & ~ties).sum()),
        scored,
        tuple(name for i, name in enumerate(classes.names) if not (labels == i).any()),
        curve,
    )


def _by_scale(
    classes: EmotionClasses, shares: NDArray[Any], native: NDArray[Any]
) -> dict[str, float]:
    return {
        scale: pearson_r(shares[:, k], native[:, k])
        for k, scale in enumerate(classes.label_set.labels)
    }
