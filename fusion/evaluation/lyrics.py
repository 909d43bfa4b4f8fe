"""Evaluation of the lyric branch on held-out texts, beside constant and linear baselines.

Tests, all on committed splits that no training text touches: KOTE's test
comments; the poems of 한용운, a poet held out, by line and by whole text;
GoEmotions' test comments in both languages; everyday mood sentences of our own
writing. Gold is the strongest projected emotion; texts whose strongest emotions
tie are left out, and counted. The published Top-k figures compare whole
orderings (``data_prep.metrics``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import MissingDataError, MissingExtraError
from data_prep.labels import six_labels
from data_prep.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    ece,
    less_strict_top1,
    less_strict_top2,
    macro_f1,
    nll,
    top_k_agreement,
)
from data_prep.readers import goemotions, kote, kpoem
from data_prep.readers.row import TextRow
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS, project
from fusion.evaluation.lyric_calibration import (
    calibration_markdown,
    calibration_row,
    own_temperatures,
    served_settings,
)
from fusion.evaluation.quantisation import int8_against_float32, quantisation_markdown
from fusion.evaluation.result_files import figure_cell, write_results
from lyrics_model.baseline import CORPORA, Classifier, constant, linear_classifier, training_rows
from lyrics_model.mixture import validation_texts
from lyrics_model.moods import read_mood_file
from lyrics_model.predictor import LyricPredictor

MOOD_TEST: Final = Path(__file__).resolve().parents[2] / "tests" / "data" / "moods_test.tsv"
COLUMNS: Final = (
    "macro_f1",
    "accuracy",
    "balanced_accuracy",
    "nll",
    "ece",
    "top1",
    "top2",
    "top3",
    "less_strict1",
    "less_strict2",
)


@dataclass(frozen=True)
class LyricTask:
    """One test: texts, gold labels 0..5, and the gold vectors (texts, 6).

    ``validation`` is the name of the validation texts of the same source
    (:func:`lyrics_model.mixture.validation_texts`).
    """

    name: str
    texts: list[str]
    labels: NDArray[np.int64]
    reference: NDArray[np.float32]
    ties: int
    validation: str


def _task(name: str, rows: Sequence[TextRow], label_set: str, validation: str) -> LyricTask:
    shares = np.stack([row.shares for row in rows])
    labels = six_labels(shares, label_set)
    kept = labels >= 0
    return LyricTask(
        name,
        [row.text for row, keep in zip(rows, kept, strict=True) if keep],
        labels[kept],
        project(label_set, shares[kept]),
        int((~kept).sum()),
        validation,
    )


def _goemotions_task(language: goemotions.Language) -> LyricTask:
    rows = goemotions.read("test", language=language)
    return _task(f"GoEmotions test, {language}", rows, "goemotions", f"goemotions_{language}")


def lyric_tasks(moods: Path = MOOD_TEST) -> list[LyricTask]:
    """All tests whose data is there.

    Raises
    ------
    MissingDataError
        If none is.
    """
    makers: list[Callable[[], LyricTask]] = [
        lambda: _task("KOTE test", kote.read("test"), "kote", "kote"),
        lambda: _task("KPoEM 한용운, lines", kpoem.read("test", unit="line"), "kote", "kpoem"),
        lambda: _task("KPoEM 한용운, texts", kpoem.read("test", unit="text"), "kote", "kpoem"),
    ]
    makers += [partial(_goemotions_task, language) for language in ("en", "ko")]
    tasks: list[LyricTask] = []
    missing: list[str] = []
    for make in makers:
        try:
            tasks.append(make())
        except MissingDataError as error:
            missing.append(str(error))
    if moods.is_file():
        for language, name in (("ko", "moods, ko"), ("en", "moods, en")):
            rows = [row for row in read_mood_file(moods) if row.language == language]
            labels = np.array([row.emotion for row in rows], dtype=np.int64)
            reference = np.eye(N_EMOTIONS, dtype=np.float32)[labels]
            texts = [row.text for row in rows]
            tasks.append(LyricTask(name, texts, labels, reference, 0, f"moods_{language}"))
    for message in missing:
        print(f"left out: {message}", file=sys.stderr)
    if not tasks:
        raise MissingDataError(f"no test data is there: {missing[0]}")
    return tasks


def score(task: LyricTask, estimated: NDArray[np.float32], *, seed: int = 0) -> dict[str, Any]:
    """Figures of one model on one test; ``macro_f1`` with its 95% bootstrap interval."""
    predictions = estimated.argmax(axis=1)

    def f1(labels: NDArray[Any], answers: NDArray[Any]) -> float:
        return macro_f1(labels, answers, N_EMOTIONS)

    figures: dict[str, Any] = {
        "macro_f1": f1(task.labels, predictions),
        "macro_f1_interval": bootstrap_interval(f1, task.labels, predictions, seed=seed),
        "accuracy": accuracy(task.labels, predictions),
        "balanced_accuracy": balanced_accuracy(task.labels, predictions),
        "nll": nll(estimated, task.labels),
        "ece": ece(estimated, task.labels),
        "top1": top_k_agreement(task.reference, estimated, 1),
    }
    if (np.count_nonzero(task.reference, axis=1) > 1).any():
        # An ordering of emotions exists only where annotators gave more than one.
        figures |= {
            "top2": top_k_agreement(task.reference, estimated, 2),
            "top3": top_k_agreement(task.reference, estimated, 3),
            "less_strict1": less_strict_top1(task.reference, estimated),
            "less_strict2": less_strict_top2(task.reference, estimated),
        }
    figures["recall"] = {
        name: float((predictions[task.labels == i] == i).mean())
        for i, name in enumerate(EMOTIONS)
        if (task.labels == i).any()
    }
    return figures


def parallel_agreement(predictor: LyricPredictor) -> dict[str, float] | None:
    """How often a GoEmotions test row and its Korean translation get the same top emotion.

    ``chance`` is the agreement of two independent answers with the same
    frequencies.
    """
    try:
        english = goemotions.read("test", language="en")
        korean = goemotions.read("test", language="ko")
    except MissingDataError:
        return None
    tops = [
        predictor.distributions([row.text for row in rows]).argmax(axis=1)
        for rows in (english, korean)
    ]
    shares = [np.bincount(top, minlength=N_EMOTIONS) / len(top) for top in tops]
    return {
        "agreement": float((tops[0] == tops[1]).mean()),
        "chance": float(shares[0] @ shares[1]),
        "rows": len(english),
    }


def _repeat(shares: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
    return np.tile(shares, (len(texts), 1))


def _classifiers() -> dict[str, Classifier]:
    classifiers: dict[str, Classifier] = {}
    for corpus, description in CORPORA.items():
        print(f"fitting the linear baseline on {description} …", file=sys.stderr, flush=True)
        texts, labels = training_rows(corpus)  # type: ignore[arg-type]
        classifiers[f"constant ({description})"] = partial(_repeat, constant(labels))
        classifiers[f"linear ({description})"] = linear_classifier(texts, labels)
    return classifiers


def _temperatures(predictor: LyricPredictor) -> dict[str, float]:
    try:
        return own_temperatures(predictor, validation_texts())
    except MissingDataError as error:
        print(f"calibration left out: {error}", file=sys.stderr)
        return {}


def evaluate_lyrics(
    out: Path,
    predictor: LyricPredictor,
    *,
    baselines: bool = True,
    moods: Path = MOOD_TEST,
    float32: LyricPredictor | None = None,
) -> dict[str, Any]:
    """Run every test and write ``lyrics.json`` and ``lyrics.md`` below ``out``.

    Parameters
    ----------
    baselines
        Fit the linear baselines (minutes; needs the extra ``train``). Without
        the extra they are left out with a message; the constant that always
        gives the test's own most frequent emotion is always there.
    float32
        The predictor's unquantised twin, to be compared with it
        (:mod:`fusion.evaluation.quantisation`).

    Returns
    -------
    The content of ``lyrics.json``.
    """
    tasks = lyric_tasks(moods)
    classifiers: dict[str, Classifier] = {}
    if baselines:
        try:
            classifiers = _classifiers()
        except MissingExtraError as error:
            print(f"left out: {error}", file=sys.stderr)
    results: dict[str, Any] = {"model": predictor.card.name, "model_hash": predictor.model_hash}
    results["tests"] = []
    quantised: list[dict[str, Any]] = []
    calibration: list[dict[str, Any]] = []
    settings = served_settings(predictor)
    temperatures = _temperatures(predictor)
    for task in tasks:
        most = np.bincount(task.labels, minlength=N_EMOTIONS).argmax()
        always = np.full((len(task.texts), N_EMOTIONS), 1e-6, dtype=np.float32)
        always[:, most] = 1.0
        always /= always.sum(axis=1, keepdims=True)
        models = {f"always {EMOTIONS[most]}": score(task, always)}
        for name, classify in classifiers.items():
            models[name] = score(task, classify(task.texts))
        answers = predictor.distributions(task.texts)
        models[predictor.card.name] = score(task, answers)
        branch = settings.mood if task.validation.startswith("moods") else settings.lyrics
        if task.validation in temperatures:
            served, own = branch.temperature, temperatures[task.validation]
            calibration.append(calibration_row(task.name, task.labels, answers, served, own))
        if float32 is not None:
            plain = float32.distributions(task.texts)
            quantised.append(int8_against_float32(task.name, task.labels, answers, plain))
        results["tests"].append(
            {"name": task.name, "n": len(task.texts), "ties_left_out": task.ties, "models": models}
        )
    results["parallel"] = parallel_agreement(predictor)
    results["calibration"] = calibration
    if quantised:
        results["quantisation"] = quantised
    write_results(out, "lyrics", results, lyrics_markdown(results))
    return results


def lyrics_markdown(results: dict[str, Any]) -> str:
    """The tables of ``lyrics.md``."""
    lines = ["# Lyric branch on held-out texts", "", "Command: `maeum evaluate lyrics`.", ""]
    for test in results["tests"]:
        lines += [
            f"## {test['name']} (n = {test['n']:,}, {test['ties_left_out']:,} ties left out)",
            "",
            "| model | macro-F1 (95%) | " + " | ".join(COLUMNS[1:]) + " |",
            "|---|---|" + "---|" * len(COLUMNS[1:]),
        ]
        for name, figures in test["models"].items():
            cells = " | ".join(figure_cell(figures, column) for column in COLUMNS)
            lines.append(f"| {name} | {cells} |")
        lines.append("")
    if results.get("calibration"):
        lines += calibration_markdown(results["calibration"])
    if results.get("quantisation"):
        lines += quantisation_markdown(results["quantisation"])
    parallel = results["parallel"]
    if parallel:
        lines.append(
            f"English and Korean versions of {parallel['rows']:,} GoEmotions test rows get the "
            f"same top emotion in {parallel['agreement']:.1%} of cases (chance "
            f"{parallel['chance']:.1%})."
        )
    return "\n".join(lines) + "\n"
