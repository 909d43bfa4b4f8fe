"""Models of words to be measured side by side: constant, linear, and model folders.

A name stands for a model: ``constant`` (the answer that ignores its input),
``linear`` (TF-IDF and logistic regression), ``embedded`` (the model that the
project ships), or the path of a model folder.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.model_folder import CARD_NAME, NETWORK_NAME, TOKENIZER_NAME
from data_prep.readers.labelled_table import LabelledTable
from data_prep.taxonomy import N_EMOTIONS
from fusion.evaluation.emotion_scores import strongest_of_six
from fusion.evaluation.lyric_calibration import served_settings
from lyrics_model.baseline import Classifier, linear_classifier, training_rows
from lyrics_model.predictor import EMBEDDED, LyricPredictor

CONSTANT: Final = "constant"
LINEAR: Final = "linear"
EMBEDDED_NAME: Final = "embedded"

_TUNED_NAME: Final = "network.safetensors"


@dataclass(frozen=True, eq=False)
class TextAnswers:
    """What a model says of some texts.

    Attributes
    ----------
    six
        (texts, 6) float32; NaN in the row of a text it has no answer to.
    native
        (texts, labels) float32 probabilities of the label set asked for, or
        ``None`` if the model has none.
    seconds
        What the six took.
    """

    six: NDArray[np.float32]
    native: NDArray[np.float32] | None
    seconds: float


class TextModel(Protocol):
    """A model that is asked texts.

    Attributes
    ----------
    name
        In tables.
    size_mb
        Millions of bytes on disk; ``None`` where it has no file.
    temperature
        Divides the log probabilities for the calibrated figures; ``None`` for a
        model that has none.
    """

    name: str
    size_mb: float | None
    temperature: float | None

    def answer(self, texts: Sequence[str]) -> TextAnswers:
        """Answers to some texts."""


class PredictorModel:
    """A model folder.

    Parameters
    ----------
    predictor
        The loaded folder.
    name
        In tables; the card's name if ``None``.
    label_set
        Native label set whose probabilities are asked for as well; ``None`` for
        none.
    as_songs
        Read each text as a song's words: cleaned, in segments.
    """

    def __init__(
        self,
        predictor: LyricPredictor,
        name: str | None = None,
        *,
        label_set: str | None = None,
        as_songs: bool = False,
    ) -> None:
        self.name: str = name or predictor.card.name
        self.size_mb: float | None = folder_size_mb(predictor.folder)
        self.temperature: float | None = served_settings(predictor).lyrics.temperature
        self._predictor = predictor
        self._label_set = label_set if label_set in predictor.card.labels else None
        self._as_songs = as_songs

    def answer(self, texts: Sequence[str]) -> TextAnswers:
        """Answers to some texts; a song without words it can read has none."""
        start = time.perf_counter()
        six = self._songs(texts) if self._as_songs else self._predictor.distributions(texts)
        seconds = time.perf_counter() - start
        native = None
        if self._label_set is not None and not self._as_songs:
            native = self._predictor.native(texts)[self._label_set]
        return TextAnswers(six, native, seconds)

    def _songs(self, texts: Sequence[str]) -> NDArray[np.float32]:
        six = np.full((len(texts), N_EMOTIONS), np.nan, dtype=np.float32)
        for row, reading in zip(six, self._predictor.read_many(texts), strict=True):
            if reading.distribution is not None:
                row[:] = reading.distribution
        return six


class ClassifierModel:
    """A function of texts, such as the linear baseline."""

    def __init__(self, name: str, classify: Classifier) -> None:
        self.name: str = name
        self.size_mb: float | None = None
        self.temperature: float | None = None
        self._classify = classify

    def answer(self, texts: Sequence[str]) -> TextAnswers:
        """Answers to some texts."""
        start = time.perf_counter()
        six = self._classify(texts)
        return TextAnswers(six, None, time.perf_counter() - start)


def load_model(
    name: str,
    *,
    fit_linear: Callable[[], Classifier],
    label_set: str | None = None,
    as_songs: bool = False,
) -> TextModel | None:
    """The model that a name stands for; ``None`` for ``constant``, which is no model.

    Parameters
    ----------
    name
        As the module says.
    fit_linear
        Fits the linear baseline, when it is asked for.
    label_set, as_songs
        As :class:`PredictorModel`.

    Raises
    ------
    InputError
        If a name is no folder, or a folder of another kind.
    ModelFolderError
        If a model folder cannot be loaded.
    """
    if name == CONSTANT:
        return None
    if name == LINEAR:
        return ClassifierModel(LINEAR, fit_linear())
    folder = EMBEDDED if name == EMBEDDED_NAME else Path(name)
    if not folder.is_dir():
        raise InputError(
            f"{name!r} is no model: expected {CONSTANT}, {LINEAR}, {EMBEDDED_NAME} or the "
            "path of a model folder"
        )
    if (folder / _TUNED_NAME).is_file() and not (folder / CARD_NAME).is_file():
        raise InputError(
            f"{name} is a tuned network that was not exported yet: write its model folder with "
            "`maeum export-model lyrics` and give that"
        )
    predictor = LyricPredictor.load(folder)
    return PredictorModel(predictor, name, label_set=label_set, as_songs=as_songs)


def fit_linear(training: LabelledTable | None = None) -> Classifier:
    """The linear baseline, of a labelled table or of all training texts in the data folder.

    Raises
    ------
    InputError
        If the table's rows have fewer than two emotions.
    MissingDataError
        If no table is given and the data folder is not there.
    MissingExtraError
        If scikit-learn is not installed.
    """
    if training is None:
        return linear_classifier(*training_rows("all"))
    rows = [row for row in training.rows() if row.shares is not None]
    shares = [row.shares for row in rows if row.shares is not None]
    stacked = np.stack(shares) if shares else np.zeros((0, len(training.label_set.labels)))
    _, labels, _ = strongest_of_six(training.label_set, stacked)
    kept = np.flatnonzero(labels >= 0)
    if len(np.unique(labels[kept])) < 2:
        raise InputError(
            f"{training.name} has rows of fewer than two of the six emotions: "
            "a linear model cannot be fitted on it"
        )
    return linear_classifier([rows[i].text for i in kept], labels[kept])


def folder_size_mb(folder: Path) -> float:
    """Millions of bytes of what a model folder serves from: network and tokenizer."""
    names = (NETWORK_NAME, TOKENIZER_NAME)
    return sum((folder / n).stat().st_size for n in names if (folder / n).is_file()) / 1e6


def distinct_names(models: Sequence[TextModel | None]) -> list[str]:
    """A name for each model; the second of two alike is counted."""
    names: list[str] = []
    for model in models:
        name = CONSTANT if model is None else re.sub(r"[|\n\r]+", " ", model.name)
        same = sum(re.sub(r" \(\d+\)$", "", other) == name for other in names)
        names.append(name if same == 0 else f"{name} ({same + 1})")
    return names
