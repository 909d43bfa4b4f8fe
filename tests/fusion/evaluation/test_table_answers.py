"""Every text is asked once of every model, block by block; what cannot be used is told."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.errors import InputError
from fusion.evaluation import table_answers
from fusion.evaluation.table_answers import NO_ANSWER, ask_models
from tests.fusion.toy_models import Saying, table_of


def test_blocks_give_what_one_call_would(tmp_path) -> None:
    names = ("joy", "sadness", "anger")
    lines = [f"the {names[i % 3]} of {i},{names[i % 3]}" for i in range(50)]
    table = table_of(tmp_path / "a.csv", "text,emotion\n" + "\n".join(lines))
    whole = ask_models(table, [Saying()])
    done: list[int] = []
    model = Saying()
    parts = ask_models(table, [None, model], advance=done.append, rows_per_block=7)
    assert (sum(done), parts.asked, parts.rows) == (50, 50, 50)
    assert [len(texts) for texts in model.asked] == [7, 7, 7, 7, 7, 7, 7, 7, 1]  # the first to warm
    assert parts.answers[0] is None
    assert whole.answers[0] is not None
    assert parts.answers[1] is not None
    assert np.array_equal(parts.answers[1].six, whole.answers[0].six)
    assert parts.answers[1].seconds == pytest.approx(0.5 * 8)  # without the first
    assert np.array_equal(parts.shares, whole.shares)


def test_long_texts_make_small_blocks(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(table_answers, "CHARACTERS_PER_BLOCK", 30)
    lines = [f"{'joy ' * 4},joy"] * 5
    model = Saying()
    ask_models(table_of(tmp_path / "a.csv", "text,emotion\n" + "\n".join(lines)), [model])
    assert [len(texts) for texts in model.asked[1:]] == [2, 2, 1]


def test_rows_left_out_are_counted_and_named(tmp_path) -> None:
    lines = ["joy!,joy", "x,joy", "some words,bliss", "silence,joy", "no label,", "alone"]
    table = table_of(tmp_path / "a.csv", "text,emotion\n" + "\n".join(lines))
    asked = ask_models(table, [None, Saying(), Saying("other")])
    assert asked.left_out == {
        "text of one character": 1,
        "unknown label": 1,
        NO_ANSWER: 1,
        "no label": 1,
        "malformed row": 1,
    }
    assert [problem["row"] for problem in asked.problems] == [2, 3, 4, 5, 6]
    assert (asked.rows, asked.asked, len(asked.shares)) == (6, 2, 1)
    for answers in asked.answers[1:]:
        assert answers is not None
        assert answers.six.shape == (1, 6)


def test_nothing_left_is_an_error_that_says_why(tmp_path) -> None:
    table = table_of(tmp_path / "a.csv", "text,emotion\nx,joy\nsome words,bliss\n")
    with pytest.raises(InputError, match=r"a.csv has no row.*1 text of one character.*row 1"):
        ask_models(table, [Saying()])
    table = table_of(tmp_path / "b.csv", "text,emotion\nsilence,joy\n")
    with pytest.raises(InputError, match=r"no words that every model can read"):
        ask_models(table, [Saying()])
    with pytest.raises(InputError, match="it has no rows"):
        ask_models(table_of(tmp_path / "c.csv", "text,emotion\n"), [Saying()])
