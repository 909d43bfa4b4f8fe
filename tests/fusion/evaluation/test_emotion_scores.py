"""Figures of one model's answers: by hand, and in agreement with the functions they come from."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep import metrics
from data_prep.readers.labelled_table import LabelSet, label_set_of
from fusion.evaluation.emotion_scores import score_native, score_six, strongest_of_six
from fusion.evaluation.label_similarity import LabelSimilarity

SIX = label_set_of("six")


def similarity(label_set: LabelSet, matrix: np.ndarray) -> LabelSimilarity:
    return LabelSimilarity(label_set.name, label_set.labels, matrix, "co-occurrence", "x", 1)


def test_the_strongest_of_six() -> None:
    shares = np.array([[2, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0.2, 0, 0]])
    reference, labels, ties = strongest_of_six(SIX, shares)
    assert reference[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0, 0, 0])
    assert labels.tolist() == [0, -1, 3]
    assert ties.tolist() == [False, True, False]


def test_native_labels_are_summed_into_six() -> None:
    quadrants = label_set_of("quadrants")  # Q2 is tension or anger
    labels = quadrants.labels
    shares = np.zeros((2, len(labels)))
    shares[0, labels.index("Q1")] = 1
    shares[1, labels.index("Q2")] = 1
    reference, strongest, ties = strongest_of_six(quadrants, shares)
    assert strongest[0] == 0
    assert (strongest[1], ties[1]) == (-1, True)
    assert reference[1].sum() == pytest.approx(1)
    emotify = label_set_of("emotify")
    unmapped = [i for i, row in enumerate(_projection("emotify")) if not row.any()]
    if unmapped:
        shares = np.eye(len(emotify.labels))[unmapped[:1]]
        reference, strongest, ties = strongest_of_six(emotify, shares)
        assert (strongest[0], ties[0], reference.any()) == (-1, False, False)


def _projection(name: str) -> np.ndarray:
    from data_prep.taxonomy import native_label_set

    return native_label_set(name).projection()


def test_six_by_hand() -> None:
    labels = np.array([0, 0, 3, 3])
    reference = np.eye(6)[labels]
    answer = np.full((4, 6), 0.05)
    answer[[0, 1, 2, 3], [0, 3, 3, 3]] = 0.75  # the second is wrong
    matrix = np.eye(6)
    matrix[0, 3] = matrix[3, 0] = 0.5
    scored = score_six(labels, reference, answer, similarity=similarity(SIX, matrix), resamples=50)
    figures = scored.figures
    assert figures["accuracy"] == figures["micro_f1"] == 0.75
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert figures["balanced_accuracy"] == pytest.approx(0.75)
    assert figures["cross_entropy"] == pytest.approx(-(3 * np.log(0.75) + np.log(0.05)) / 4)
    assert figures["ece"] == pytest.approx(0.0)
    # Right: .75 + .5 * .05, wrong: .05 + .5 * .75.
    assert figures["similarity"] == pytest.approx((3 * 0.775 + 0.425) / 4)
    assert figures["confusion"][0] == [1, 0, 0, 1, 0, 0]
    assert scored.counts is not None
    assert scored.counts.sum() == 4
    assert scored.right.tolist() == [True, False, True, True]
    assert figures["per_class"]["sadness"] == {
        "f1": pytest.approx(0.8),
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "support": 2,
    }
    assert "top2" not in figures  # one label a row gives no order beyond the first
    assert "ece_calibrated" not in figures
    for name in ("macro_f1", "accuracy", "cross_entropy", "ece", "similarity"):
        low, high = figures[f"{name}_interval"]
        assert low <= figures[name] <= high


def test_distributions_have_the_published_figures() -> None:
    generator = np.random.default_rng(0)
    reference, answer = generator.dirichlet(np.ones(6), (2, 80))
    labels = reference.argmax(axis=1)
    figures = score_six(labels, reference, answer, resamples=20).figures
    for k in (1, 2, 3):
        assert figures[f"top{k}"] == metrics.top_k_agreement(reference, answer, k)
    assert figures["less_strict1"] == metrics.less_strict_top1(reference, answer)
    assert figures["less_strict2"] == metrics.less_strict_top2(reference, answer)
    shares = metrics.cross_entropy(reference, answer)
    assert figures["cross_entropy_shares"] == pytest.approx(shares)
    assert figures["cross_entropy"] == pytest.approx(metrics.nll(answer, labels))
    assert figures["ece"] == pytest.approx(metrics.ece(answer, labels))


def test_the_constant_answer_is_the_best_of_its_kind() -> None:
    generator = np.random.default_rng(1)
    reference = generator.dirichlet([3, 1, 1, 2, 1, 1], 200)
    labels = reference.argmax(axis=1)
    figures = score_six(labels, reference, None, resamples=20).figures
    shares = np.bincount(labels, minlength=6) / 200
    assert figures["accuracy"] == shares.max()
    assert figures["balanced_accuracy"] == pytest.approx(1 / 6)
    assert figures["cross_entropy"] == pytest.approx(-(shares * np.log(shares)).sum())
    assert figures["ece"] == pytest.approx(0)
    mean = metrics.constant_distribution(reference, 200)
    assert figures["top2"] == metrics.top_k_agreement(reference, mean, 2)


def test_temperature_changes_calibration_only() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 6, 300)
    answer = 0.3 * np.eye(6)[labels] + 0.7 * generator.dirichlet(np.ones(6), 300)
    sharp = answer**4 / (answer**4).sum(axis=1, keepdims=True)
    figures = score_six(labels, np.eye(6)[labels], sharp, temperature=4.0, resamples=20).figures
    plain = score_six(labels, np.eye(6)[labels], answer, resamples=20).figures
    assert figures["ece_calibrated"] == pytest.approx(plain["ece"], abs=1e-5)
    assert figures["accuracy"] == plain["accuracy"]
    assert figures["temperature"] == 4.0


def test_intervals_are_those_of_resampled_rows() -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 4, 120)  # the last two emotions never occur
    answer = 0.4 * np.eye(6)[labels] + 0.6 * generator.dirichlet(np.ones(6), 120)
    figures = score_six(labels, np.eye(6)[labels], answer, seed=7, resamples=200).figures
    predictions = answer.argmax(axis=1)
    for name, statistic, arrays in (
        ("macro_f1", lambda a, b: metrics.macro_f1(a, b, 6), (labels, predictions)),
        ("accuracy", metrics.accuracy, (labels, predictions)),
        ("balanced_accuracy", metrics.balanced_accuracy, (labels, predictions)),
        ("cross_entropy", metrics.nll, (answer, labels)),
        ("ece", metrics.ece, (answer, labels)),
    ):
        expected = metrics.bootstrap_interval(statistic, *arrays, seed=7, n=200)
        assert figures[f"{name}_interval"] == pytest.approx(expected), name


ABC = LabelSet("abc", ("a", "b", "c"))


def test_several_native_labels_by_hand() -> None:
    shares = np.array([[1.0, 1, 0], [0, 0, 1], [1, 0.2, 0]])  # a fifth is no label
    answer = np.array([[0.9, 0.4, 0.1], [0.2, 0.1, 0.25], [0.1, 0.8, 0.2]])
    scored = score_native(ABC, shares, answer, threshold=0.3, resamples=20)
    # Answers: {a, b}; none reaches 0.3, so the strongest, {c}; {b}.
    assert scored.right.tolist() == [True, True, False]
    figures = scored.figures
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    of_a = {"f1": pytest.approx(2 / 3), "precision": 1.0, "recall": 0.5, "support": 2}
    assert figures["per_class"]["a"] == of_a
    assert figures["per_class"]["b"]["precision"] == 0.5
    assert figures["per_class"]["c"]["f1"] == 1.0
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert scored.counts is None
    assert "confusion" not in figures
    reference = shares / shares.sum(axis=1, keepdims=True)
    scaled = answer / answer.sum(axis=1, keepdims=True)
    assert figures["cross_entropy"] == pytest.approx(metrics.cross_entropy(reference, scaled))
    # Sure by 0.9, 0.25 and 0.8; right, right, wrong.
    assert figures["ece"] == pytest.approx((0.1 + 0.75 + 0.8) / 3)


def test_one_native_label_a_row_is_a_choice() -> None:
    shares = np.eye(3)[[0, 1, 2, 2]]
    answer = np.array([[0.6, 0.4, 0.0], [0.45, 0.45, 0.1], [0.1, 0.1, 0.8], [0.1, 0.5, 0.4]])
    matrix = np.array([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])
    scored = score_native(ABC, shares, answer, similarity=similarity(ABC, matrix), resamples=20)
    assert scored.right.tolist() == [True, False, True, False]
    assert scored.figures["micro_f1"] == scored.figures["accuracy"] == 0.5
    assert scored.figures["confusion"] == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    assert scored.figures["similarity"] == pytest.approx((0.8 + 0.675 + 0.8 + 0.4) / 4)
    constant = score_native(ABC, shares, None, resamples=20)
    assert constant.figures["accuracy"] == 0.5
    assert constant.figures["balanced_accuracy"] == pytest.approx(1 / 3)
    assert constant.figures["ece"] == pytest.approx(0)
