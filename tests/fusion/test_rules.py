"""What every fusion rule keeps to, and each by hand."""

import json

import numpy as np
import pytest

from data_prep.errors import InputError
from fusion.rules import (
    METHODS,
    RULES,
    EmotionMean,
    Gate,
    Mean,
    Product,
    Stacking,
    rule_from_dict,
)

EYE = tuple(map(tuple, np.eye(6).tolist()))
ZEROS = ((0.0,) * 6,) * 6
SOME = [
    Mean(),
    Mean(0.3),
    EmotionMean((0.0, 0.2, 0.5, 0.7, 1.0, 0.4)),
    Product(),
    Product(0.4, 1.3),
    Stacking(EYE, tuple(map(tuple, (0.5 * np.eye(6) + 0.1).tolist())), (0.1, 0, 0, -0.1, 0, 0)),
    Gate(0.2, 1.5, 0.5),
]


def draw(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(6, 0.4), size=n).astype(np.float32)


def test_every_method_is_among_the_rules_tested():
    assert {rule.method for rule in SOME} == set(METHODS) == set(RULES)


@pytest.mark.parametrize("rule", SOME, ids=repr)
def test_answers_are_distributions(rule):
    answers = rule.combine(draw(200, 1), draw(200, 2))
    assert answers.dtype == np.float64
    np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-6)
    assert (answers >= 0).all()
    weights = rule.lyrics_weights(draw(200, 1), draw(200, 2))
    assert weights.shape == (200,)
    assert ((weights >= 0) & (weights <= 1)).all()


@pytest.mark.parametrize("rule", SOME, ids=repr)
def test_sure_answers_that_exclude_each_other_still_give_a_distribution(rule):
    words, sound = np.eye(6)[[0, 3, 4]], np.eye(6)[[3, 0, 0]]
    answers = rule.combine(words, sound)
    np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("rule", SOME, ids=repr)
def test_songs_do_not_depend_on_each_other(rule):
    words, sound = draw(30, 3), draw(30, 4)
    one_by_one = [rule.combine(words[i : i + 1], sound[i : i + 1])[0] for i in range(30)]
    np.testing.assert_allclose(rule.combine(words, sound), one_by_one, atol=1e-12)


@pytest.mark.parametrize("rule", SOME, ids=repr)
def test_rules_lie_in_a_file_as_json(rule):
    assert rule_from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_a_weight_for_each_emotion_by_hand():
    rule = EmotionMean((1.0, 0.0, 0.5, 0.5, 0.5, 0.5))
    words, sound = np.array([[0.5, 0.5, 0, 0, 0, 0]]), np.array([[0.0, 0.25, 0.75, 0, 0, 0]])
    # 0.5, 0.25 and 0.375 of 1.125
    np.testing.assert_allclose(rule.combine(words, sound)[0, :3], [4 / 9, 2 / 9, 3 / 9])
    assert rule.lyrics_weights(words, sound)[0] == pytest.approx(4 / 9 + 0.5 * 3 / 9)
    same = EmotionMean((0.3,) * 6)
    np.testing.assert_allclose(
        same.combine(draw(9, 5), draw(9, 6)), Mean(0.3).combine(draw(9, 5), draw(9, 6)), atol=1e-7
    )


def test_a_product_by_hand():
    words = np.array([[0.4, 0.2, 0.1, 0.1, 0.1, 0.1]])
    sound = np.array([[0.1, 0.4, 0.1, 0.2, 0.1, 0.1]])
    np.testing.assert_allclose(
        Product().combine(words, sound)[0], np.array([4, 8, 1, 2, 1, 1]) / 17
    )
    squared = words**2 / (words**2).sum()
    np.testing.assert_allclose(Product(2.0, 0.0).combine(words, sound), squared)
    assert Product.of_weight(0.2) == Product(0.25, 1.0)


def test_stacking_by_hand():
    words, sound = draw(20, 7), draw(20, 8)
    plain = Stacking(EYE, EYE)
    np.testing.assert_allclose(
        plain.combine(words, sound), Product().combine(words, sound), atol=1e-6
    )
    swap = np.eye(6)[[1, 0, 2, 3, 4, 5]]
    swapped = Stacking(tuple(map(tuple, swap.tolist())), ZEROS)
    np.testing.assert_allclose(
        swapped.combine(words, sound), words[:, [1, 0, 2, 3, 4, 5]], atol=1e-6
    )
    np.testing.assert_allclose(swapped.lyrics_weights(words, sound), 1.0)
    doubled = Stacking(EYE, ZEROS, (np.log(2.0), 0, 0, 0, 0, 0)).combine(words, sound)
    expected = words * [2, 1, 1, 1, 1, 1]
    expected = expected / expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(doubled, expected, atol=1e-6)


def test_the_gate_follows_who_is_sure():
    sure, unsure = np.eye(6)[:1], np.full((1, 6), 1 / 6)
    gate = Gate(0.0, 4.0, 4.0)
    assert gate.lyrics_weights(sure, unsure)[0] == pytest.approx(1 / (1 + np.exp(-4.0)))
    assert gate.lyrics_weights(unsure, sure)[0] == pytest.approx(1 / (1 + np.exp(4.0)))
    assert gate.lyrics_weights(sure, sure)[0] == pytest.approx(0.5)
    closed = Gate().combine(draw(9, 9), draw(9, 10))
    np.testing.assert_allclose(closed, Mean().combine(draw(9, 9), draw(9, 10)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Mean(1.2),
        lambda: Mean(float("nan")),
        lambda: EmotionMean((0.5,) * 5),
        lambda: EmotionMean((0.5,) * 5 + (-0.1,)),
        lambda: Product(0.0, 0.0),
        lambda: Product(-1.0, 1.0),
        lambda: Stacking(EYE[:5], EYE),
        lambda: Stacking(EYE, 3),
        lambda: Stacking(EYE, EYE, (float("nan"),) * 6),
        lambda: Gate(float("inf")),
        lambda: rule_from_dict({"method": "median"}),
        lambda: rule_from_dict({"method": "stacking"}),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make):
    with pytest.raises(InputError):
        make()
