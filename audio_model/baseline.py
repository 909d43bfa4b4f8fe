"""Baselines of the audio branch: a constant, and linear or kernel models on mel statistics.

Statistics: mean and standard deviation of each band, and standard deviation of
its change from frame to frame, over the whole clip, level removed. They are
fitted on the same folds as the network, and what they reach is the floor the
network is measured against. Needs scikit-learn (extra ``train``), imported when
a model is fitted.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError, MissingExtraError

Classifier = Literal["logistic regression", "SVC"]
Regressor = Literal["ridge", "SVR"]

CLASSIFIERS: Final[tuple[Classifier, ...]] = ("logistic regression", "SVC")
REGRESSORS: Final[tuple[Regressor, ...]] = ("ridge", "SVR")


def mel_statistics(log_mel: NDArray[np.floating]) -> NDArray[np.float32]:
    """Statistics (3 * n_mels,) of a clip.

    Parameters
    ----------
    log_mel
        Array (n_mels, n_frames) in dB.

    Raises
    ------
    InputError
        If there are fewer than two frames.
    """
    values = np.asarray(log_mel, dtype=np.float32)
    if values.ndim != 2 or values.shape[1] < 2:
        raise InputError(f"expected (n_mels, n_frames) with two frames or more, got {values.shape}")
    change = np.diff(values, axis=1)
    return np.concatenate([values.mean(axis=1), values.std(axis=1), change.std(axis=1)])


def _model(kind: Classifier | Regressor) -> Any:
    try:
        from sklearn.linear_model import LogisticRegression, RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC, SVR
    except ImportError as error:
        raise MissingExtraError("the linear baselines of the audio branch") from error
    models = {
        "logistic regression": lambda: LogisticRegression(C=0.1, max_iter=500),
        "SVC": lambda: SVC(C=1.0),
        "ridge": lambda: RidgeCV(np.logspace(1, 4, 8)),
        "SVR": lambda: SVR(C=0.1, epsilon=0.05),
    }
    return make_pipeline(StandardScaler(), models[kind]())


def classify(
    kind: Classifier,
    statistics: NDArray[np.float32],
    labels: NDArray[np.int64],
    unheard: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Labels of unheard clips by a model fitted on labelled ones.

    Parameters
    ----------
    statistics, labels
        Arrays (n, n_features) and (n,) to fit on.
    unheard
        Array (m, n_features).

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    found: NDArray[np.int64] = np.asarray(_model(kind).fit(statistics, labels).predict(unheard))
    return found


def regress(
    kind: Regressor,
    statistics: NDArray[np.float32],
    targets: NDArray[np.float32],
    unheard: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Targets (m, k) of unheard clips, one model per column of ``targets`` (n, k)."""
    columns = [
        _model(kind).fit(statistics, targets[:, k]).predict(unheard)
        for k in range(targets.shape[1])
    ]
    return np.stack(columns, axis=1).astype(np.float32)
