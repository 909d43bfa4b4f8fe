"""Baselines of the lyric branch: a constant, and TF-IDF with logistic regression.

The linear model learns the six emotions from the strongest projected emotion of
each training text; texts whose strongest emotions tie are dropped, as in the
tests. Balanced class weights, C = 10 and n-grams within words were the best of
twelve settings on a third of KOTE's training texts (macro-F1 0.402 there,
against 0.297 for plain weights and C = 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import MissingExtraError
from data_prep.labels import six_label
from data_prep.readers import goemotions, kote, kpoem
from data_prep.taxonomy import N_EMOTIONS
from lyrics_model.moods import read_moods
from lyrics_model.normalisation import normalise

Corpus = Literal["kote", "korean", "all"]
CORPORA: Final[dict[str, str]] = {
    "kote": "KOTE",
    "korean": "KOTE + KPoEM + GoEmotions (ko)",
    "all": "all training texts, both languages and moods",
}
Classifier = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts → (texts, 6) probabilities."""


def constant(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """(6,) shares of the training labels: the answer that ignores its input."""
    counts = np.bincount(labels, minlength=N_EMOTIONS).astype(np.float32)
    shares: NDArray[np.float32] = counts / counts.sum()
    return shares


def training_rows(corpus: Corpus) -> tuple[list[str], NDArray[np.int64]]:
    """Texts and six-emotion labels of the training and validation splits of a corpus."""
    texts: list[str] = []
    labels: list[int] = []
    for split in ("train", "validation"):
        sources = [("kote", kote.read(split))]
        if corpus != "kote":
            sources.append(("kote", list(kpoem.read(split))))
            sources.append(("goemotions", goemotions.read(split, language="ko")))
        if corpus == "all":
            sources.append(("goemotions", goemotions.read(split, language="en")))
        for label_set, rows in sources:
            for row in rows:
                label = six_label(row.shares, label_set)
                if label is not None:
                    texts.append(row.text)
                    labels.append(label)
    if corpus == "all":
        for mood in read_moods("train"):
            texts.append(mood.text)
            labels.append(mood.emotion)
    return texts, np.array(labels, dtype=np.int64)


def linear_classifier(texts: Sequence[str], labels: NDArray[np.integer]) -> Classifier:
    """Fit TF-IDF (characters, 1-4) + logistic regression.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
    except ImportError as error:
        raise MissingExtraError("the linear baseline") from error
    pipeline: Any = make_pipeline(
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(1, 4), min_df=3, sublinear_tf=True, dtype=np.float32
        ),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=100, tol=1e-3),
    )
    pipeline.fit([normalise(text) for text in texts], labels)
    classes = pipeline[-1].classes_

    def classify(new: Sequence[str]) -> NDArray[np.float32]:
        probabilities = np.zeros((len(new), N_EMOTIONS), dtype=np.float32)
        probabilities[:, classes] = pipeline.predict_proba([normalise(text) for text in new])
        return probabilities

    return classify
