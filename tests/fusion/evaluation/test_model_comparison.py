"""The model-selection table: figures, McNemar's test against the first, sizes, speeds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data_prep.metrics import mcnemar
from fusion.evaluation.lyrics import LyricTask
from fusion.evaluation.model_comparison import (
    compare_models,
    compare_on_tasks,
    table_of_task,
    write_comparison,
)
from fusion.evaluation.table_answers import ask_models
from fusion.evaluation.tables import evaluations_of_table
from tests.fusion.toy_models import Saying, table_of


class Wrong(Saying):
    """Says joy whatever it is asked."""

    def answer(self, texts):
        return super().answer(["joy"] * len(texts))


def compared(tmp_path, models):
    names = ("joy", "sadness", "anger")
    lines = [f"{names[i % 3]} {i},{names[i % 3]}" for i in range(60)]
    table = table_of(tmp_path / "a.csv", "text,emotion\n" + "\n".join(lines))
    asked = ask_models(table, models)
    (found,) = evaluations_of_table("a.csv", table, asked, models, {}, resamples=20)
    return compare_models(found, asked, models), found


def test_models_side_by_side(tmp_path) -> None:
    content, found = compared(tmp_path, [Saying(), Wrong("wrong"), None, Saying()])
    assert [model["name"] for model in content["models"]] == [
        "saying",
        "wrong",
        "constant",
        "saying (2)",
    ]
    first, wrong, constant, again = content["models"]
    assert first["mcnemar"] is None
    test = mcnemar(found.scored["saying"].right, found.scored["wrong"].right)
    assert (test.only_first, test.only_second) == (40, 0)
    assert wrong["mcnemar"]["p_value"] == test.p_value < 1e-4
    assert again["mcnemar"]["p_value"] == 1.0
    assert first["accuracy"] == 1.0
    assert wrong["accuracy"] == constant["accuracy"] == pytest.approx(1 / 3)
    assert first["sentences_per_second"] == pytest.approx(60 / 0.5)
    assert (first["size_mb"], constant["size_mb"]) == (1.5, None)
    assert constant["sentences_per_second"] is None

    results = write_comparison(tmp_path / "out", [content])
    written = (tmp_path / "out" / "comparison.json").read_text(encoding="utf-8")
    assert json.loads(written) == results
    text = (tmp_path / "out" / "comparison.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in rows}) == 1
    assert rows[0][-2].strip() == "p against saying"
    assert rows[3][-2].strip() == "< 0.0001"
    assert rows[5][-2].strip() == "1.0000 (exact)"
    assert rows[2][-3].strip() == "120"


def test_a_model_without_the_labels_is_left_out(tmp_path) -> None:
    kote_models = [None, Saying("with", native_labels=["기쁨"] * 44), Saying("without")]
    table = table_of(tmp_path / "b.csv", "text,emotion\n기쁨,기쁨\n슬픔,슬픔\n", "kote")
    asked = ask_models(table, kote_models)
    six, native = evaluations_of_table("b", table, asked, kote_models, {}, resamples=20)
    assert len(compare_models(six, asked, kote_models)["models"]) == 3
    names = [model["name"] for model in compare_models(native, asked, kote_models)["models"]]
    assert names == ["constant", "with"]


def test_the_committed_tests(tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")
    labels = np.array([0, 3, 4, 0])
    reference = np.eye(6, dtype=np.float32)[labels]
    reference[0] = [0.6, 0, 0.4, 0, 0, 0]
    texts = ["joy", "sadness", "joy!", "joy?"]
    task = LyricTask("시험, lines", texts, labels, reference, 5, "kpoem")
    assert [row.text for row in table_of_task(task).rows()] == task.texts
    done: list[int] = []
    results = compare_on_tasks(
        tmp_path, [task, task], [None, Saying()], {}, advance=done.append, resamples=20
    )
    assert done == [4, 4]
    first, _ = results["comparisons"]
    assert (first["name"], first["n"]) == ("시험, lines", 4)
    assert [model["accuracy"] for model in first["models"]] == [0.5, 0.75]
    assert (tmp_path / "comparison.md").is_file()
    assert (tmp_path / "reliability-lines.png").is_file()
