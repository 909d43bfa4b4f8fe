"""Figures of a tuned network: each source in its own labels and in the six, beside constants.

Conventions: a native answer is the set of labels with a probability of at least
``THRESHOLD`` (KOTE's own rule), or the strongest alone where none has it or
where labels exclude each other; a native reference is the set of labels with a
share of at least ``THRESHOLD``. ``accuracy`` in native labels is the share of
texts whose strongest label is among the reference. The constant answer is made
from the training texts of the same source.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    constant_prediction,
    macro_f1,
)
from data_prep.taxonomy import N_EMOTIONS, project
from lyrics_model.tuning_data import TuningData
from lyrics_model.tuning_specification import TuningSpecification, activation_of

THRESHOLD: Final = 0.3
ONE_LABEL: Final = frozenset({"aihub_dialogue_60", "aihub_single_7"})
"""Label sets of which a text has one label."""

Floats = NDArray[np.floating[Any]]


def six_probabilities(
    logits: Floats, specification: TuningSpecification, label_set: str
) -> NDArray[np.float32]:
    """One label set's answer (texts, 6), projected, from the logits (texts, outputs)."""
    own = np.asarray(logits[:, specification.columns(label_set)], dtype=np.float32)
    return project(label_set, activation_of(label_set)(own))


def validation_figures(
    logits: Floats,
    index: NDArray[np.int64],
    data: TuningData,
    specification: TuningSpecification,
) -> dict[str, float]:
    """Macro-F1 of the six for each source that can be scored.

    Parameters
    ----------
    logits
        (rows, outputs) of the texts ``index`` (rows,).
    """
    figures = {}
    for number, name in enumerate(data.names):
        scored = (data.sources[index] == number) & (data.six[index] >= 0)
        if not scored.any():
            continue
        six = six_probabilities(logits[scored], specification, data.label_sets[number])
        figures[name] = macro_f1(data.six[index][scored], six.argmax(axis=1), N_EMOTIONS)
    return figures


def split_figures(
    logits: Floats,
    index: NDArray[np.int64],
    data: TuningData,
    specification: TuningSpecification,
    *,
    seed: int,
) -> dict[str, Any]:
    """Figures of one split: source → ``rows``, ``native`` and ``six``, and their mean.

    Parameters
    ----------
    logits
        (rows, outputs) of the texts ``index`` (rows,).
    seed
        Of the bootstrap.
    """
    found: dict[str, Any] = {}
    for number, name in enumerate(data.names):
        own = data.sources[index] == number
        if not own.any():
            continue
        label_set = data.label_sets[number]
        columns = specification.columns(label_set)
        train = data.of_source(data.train, number)
        members = index[own]
        found[name] = {
            "rows": int(own.sum()),
            "label_set": label_set,
            "native": _native(
                np.asarray(logits[own][:, columns], dtype=np.float32),
                data.targets[members][:, columns],
                data.targets[train][:, columns],
                label_set,
            ),
        }
        scored = own & (data.six[index] >= 0)
        trained = data.six[train]
        trained = trained[trained >= 0]
        if scored.any() and len(trained):
            six = six_probabilities(logits[scored], specification, label_set)
            found[name]["six"] = _six(data.six[index][scored], six.argmax(axis=1), trained, seed)
    scores = [figures["six"]["macro_f1"] for figures in found.values() if "six" in figures]
    if scores:
        found["mean_six_macro_f1"] = float(np.mean(scores))
    return found


def label_f1(reference: NDArray[np.bool_], estimated: NDArray[np.bool_]) -> tuple[float, float]:
    """Macro- and micro-F1 of sets of labels (texts, labels).

    Labels that neither side has are left out of the mean over labels, as
    ``data_prep.metrics.macro_f1`` does.
    """
    hits = (reference & estimated).sum(axis=0)
    support = reference.sum(axis=0) + estimated.sum(axis=0)
    present = support > 0
    macro = float(np.mean(2.0 * hits[present] / support[present])) if present.any() else 0.0
    micro = float(2.0 * hits.sum() / max(int(support.sum()), 1))
    return macro, micro


def label_sets_from(values: Floats, *, one: bool = False) -> NDArray[np.bool_]:
    """Sets of labels (texts, labels): at least ``THRESHOLD``, and the strongest in any case.

    ``one`` keeps the strongest alone.
    """
    top = np.zeros(values.shape, dtype=np.bool_)
    top[np.arange(len(values)), values.argmax(axis=1)] = True
    return top if one else top | (values >= THRESHOLD)


def interval_of_mean(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean of a few values, as of folds (n,), n > 1."""
    from scipy.stats import t

    array = np.asarray(values, dtype=np.float64)
    half = t.ppf((1.0 + level) / 2.0, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return float(array.mean() - half), float(array.mean() + half)


def _native(logits: Floats, targets: Floats, trained: Floats, label_set: str) -> dict[str, Any]:
    one = label_set in ONE_LABEL
    probabilities = activation_of(label_set)(np.asarray(logits, dtype=np.float32))
    reference = label_sets_from(targets, one=one)
    if len(trained):
        constant = np.tile(label_sets_from(trained, one=one).mean(axis=0), (len(targets), 1))
    else:
        constant = np.full(targets.shape, 1.0 / targets.shape[1])
    return _native_scores(reference, probabilities, one) | {
        "constant": _native_scores(reference, constant, one)
    }


def _native_scores(
    reference: NDArray[np.bool_], probabilities: Floats, one: bool
) -> dict[str, float]:
    macro, micro = label_f1(reference, label_sets_from(probabilities, one=one))
    top = probabilities.argmax(axis=1)
    right = reference[np.arange(len(reference)), top]
    return {"macro_f1": macro, "micro_f1": micro, "accuracy": float(right.mean())}


def _six(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    trained: NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    constant = constant_prediction(trained, len(labels))

    def score(of: NDArray[np.int64], answer: NDArray[np.int64]) -> dict[str, float]:
        right = accuracy(of, answer)
        return {
            "macro_f1": macro_f1(of, answer, N_EMOTIONS),
            "micro_f1": right,  # one label each: the same as accuracy
            "accuracy": right,
            "balanced_accuracy": balanced_accuracy(of, answer),
        }

    interval = bootstrap_interval(
        lambda of, answer: macro_f1(of, answer, N_EMOTIONS), labels, predictions, seed=seed
    )
    return score(labels, predictions) | {
        "rows": len(labels),
        "macro_f1_interval": list(interval),
        "constant": score(labels, constant),
    }
