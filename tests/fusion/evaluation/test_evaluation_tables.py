"""A labelled table from end to end with models that need no network: tests, files, Markdown."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.readers.labelled_table import label_set_of
from fusion.evaluation.label_similarity import LabelSimilarity
from fusion.evaluation.table_answers import ask_models
from fusion.evaluation.tables import evaluations_of_table, write_evaluation
from tests.fusion.toy_models import Saying, table_of

pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")

SIX = label_set_of("six")
SIMILARITY = {"six": LabelSimilarity("six", SIX.labels, np.eye(6), "co-occurrence", "made up", 9)}


def evaluated(tmp_path, content: str, label_set: str = "six", models=None):
    table = table_of(tmp_path / "in.csv", content, label_set)
    models = models or [None, Saying()]
    asked = ask_models(table, models)
    found = evaluations_of_table("in.csv", table, asked, models, SIMILARITY, resamples=20)
    return table, asked, found


def test_six_emotions_of_a_table(tmp_path) -> None:
    lines = ["joy here,joy", "joy there,기쁨", "sadness,joy", "anger,anger|calm", "calm,calm"]
    table, asked, (found,) = evaluated(tmp_path, "text,emotion\n" + "\n".join(lines))
    assert (found.n, found.ties, found.unmapped) == (4, 1, 0)
    assert found.empty_classes == ("tension", "sadness", "anger", "neutral")
    figures = found.scored["saying"].figures
    assert figures["accuracy"] == 0.75
    assert found.scored["constant"].figures["accuracy"] == 0.75
    assert figures["similarity"] == pytest.approx((3 * 0.75 + 0.05) / 4)
    assert figures["ece_calibrated"] != figures["ece"]
    assert figures["temperature"] == 2.0

    out = tmp_path / "out"
    results = write_evaluation(out, table, asked, [found], SIMILARITY)
    assert json.loads((out / "table.json").read_text(encoding="utf-8")) == results
    assert {path.name for path in out.iterdir()} == {
        "table.json",
        "table.md",
        "left_out.jsonl",
        "similarity-six.json",
        "similarity-six.png",
        "reliability-in-csv-six-emotions.png",
        "confusion-in-csv-six-emotions-saying.png",
    }
    assert (out / "left_out.jsonl").read_text(encoding="utf-8") == ""
    loaded = LabelSimilarity.load(out / "similarity-six.json", SIX)
    assert loaded.matrix.tolist() == np.eye(6).tolist()
    text = (out / "table.md").read_text(encoding="utf-8")
    assert "(n = 4, 1 ties left out)" in text
    assert "| constant | " in text
    assert "No row has tension, sadness, anger, neutral." in text
    assert "| joy | 3 | " in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for header, line in zip(rows[:2], rows[2:4], strict=True):
        assert header.count("|") == line.count("|")


def test_native_labels_where_a_model_has_them(tmp_path) -> None:
    kote = label_set_of("kote")
    lines = ["기쁨 행복,기쁨|행복", "슬픔,슬픔", "슬픔 기쁨,슬픔", "깨달음,깨달음", "기쁨 but,행복"]
    models = [None, Saying(), Saying("native", native_labels=kote.labels)]
    _, _, found = evaluated(tmp_path, "text,emotion\n" + "\n".join(lines), "kote", models)
    six, native = found
    assert list(six.scored) == ["constant", "saying", "native"]
    assert list(native.scored) == ["constant", "native"]  # the other has no such head
    assert native.n == 5
    figures = native.scored["native"].figures
    assert figures["accuracy"] == pytest.approx(4 / 5)
    assert figures["per_class"]["슬픔"]["f1"] == 1.0
    assert figures["per_class"]["기쁨"]["precision"] == pytest.approx(1 / 3)
    assert len(native.empty_classes) == 44 - 4
    assert "similarity" not in figures  # none was given for these labels


def test_labels_that_decide_nothing(tmp_path) -> None:
    with pytest.raises(InputError, match="2 tie"):
        evaluated(tmp_path, "text,emotion\nboth,joy|calm\nas well,Anger|슬픔\n")


def test_soft_labels_have_orderings(tmp_path) -> None:
    rows = [{"joy": 0.7, "calm": 0.3}, {"sadness": 0.6, "tension": 0.3, "anger": 0.1}]
    lines = "".join(
        json.dumps({"text": f"{next(iter(row))} {i}", "emotion": row}) + "\n"
        for i, row in enumerate(rows)
    )
    path = tmp_path / "in.jsonl"
    table = table_of(path, lines)
    asked = ask_models(table, [Saying()])
    (found,) = evaluations_of_table("x", table, asked, [Saying()], {}, resamples=20)
    figures = found.scored["saying"].figures
    assert (figures["accuracy"], figures["top1"]) == (1.0, 1.0)
    assert 0 <= figures["top2"] <= figures["less_strict1"] <= 1
    assert "cross_entropy_shares" in figures
