"""``maeum evaluate lyrics`` with a table and with --compare: files, exit codes, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from lyrics_model.predictor import EMBEDDED

pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")

GOOD = [
    ("오늘 너무 우울해서 눈물이 난다", "슬픔"),
    ("정말 행복하고 기쁜 하루였다", "기쁨"),
    ("화가 나서 미치겠다", "anger"),
    ("내일 면접이라 떨리고 불안해", "tension"),
]


def evaluate(*words: object):
    return CliRunner().invoke(app, ["evaluate", "lyrics", *map(str, words)])


@pytest.fixture(autouse=True)
def _without_data(monkeypatch, tmp_path) -> None:
    """The label similarity of the data folder takes seconds to compute."""
    monkeypatch.setenv("MAEUM_DATA", str(tmp_path / "nowhere"))
    monkeypatch.delenv("MAEUM_LYRICS_MODEL", raising=False)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.tsv"
    lines = [f"{text}\t{label}" for text, label in GOOD]
    path.write_text("text\temotion\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def refused(result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for each in said:
        assert each in result.stderr


def test_a_table_beside_the_constant(table, tmp_path) -> None:
    out = tmp_path / "new" / "out"
    result = evaluate("--table", table, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == (out / "table.md").read_text(encoding="utf-8")
    assert "| constant |" in result.stdout
    content = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert (content["rows"], content["used"], content["left_out"]) == (4, 4, {})
    (test,) = content["tests"]
    assert len(test["models"]) == 2
    assert test["models"]["constant"]["accuracy"] == 0.25
    assert sum(path.suffix == ".png" for path in out.iterdir()) == 2
    assert "no similarity-weighted score of six" in result.stderr


def test_rows_left_out_are_told_and_the_rest_is_done(table, tmp_path) -> None:
    with table.open("a", encoding="utf-8") as lines:
        lines.write("아\t기쁨\n무엇일까\tbliss\nalone\n")
    result = evaluate("--table", table, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert content["left_out"] == {
        "text of one character": 1,
        "unknown label": 1,
        "malformed row": 1,
    }
    assert "3 of 7 rows left out" in result.stderr
    assert "row 6: 'bliss' is no label of 'six'" in result.stderr
    problems = (tmp_path / "out" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in problems] == [5, 6, 7]


def test_native_labels_similarity_and_training_table(tmp_path) -> None:
    rows = [
        ("정말 기쁘고 행복하다", "기쁨|행복"),
        ("눈물이 난다", "슬픔"),
        ("신난다 하하", "즐거움/신남,기쁨"),
    ]
    path = tmp_path / "kote.csv"
    path.write_text("comment,labels\n" + "".join(f'{t},"{e}"\n' for t, e in rows), encoding="utf-8")
    columns = ("--table", path, "--text-column", "comment", "--label-column", "labels")
    first, second = tmp_path / "1", tmp_path / "2"
    result = evaluate(*columns, "--label-set", "kote", "--training-table", path, "--out", first)
    assert result.exit_code == 0, result.output
    content = json.loads((first / "table.json").read_text(encoding="utf-8"))
    assert [test["label_set"] for test in content["tests"]] == ["six", "kote"]
    assert {name: s["source"] for name, s in content["similarity"].items()} == {
        "kote": "kote.csv",
        "six": "kote.csv, projected onto the six",
    }
    for test in content["tests"]:
        for figures in test["models"].values():
            assert 0 <= figures["similarity"] <= 1
    saved = first / "similarity-kote.json"
    result = evaluate(*columns, "--label-set", "kote", "--similarity", saved, "--out", second)
    again = json.loads((second / "table.json").read_text(encoding="utf-8"))
    scores = [
        [figures["similarity"] for figures in each["tests"][1]["models"].values()]
        for each in (content, again)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_models_side_by_side_on_a_table(table, tmp_path) -> None:
    result = evaluate("--table", table, "--compare", "embedded", "constant", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert result.stdout == (tmp_path / "comparison.md").read_text(encoding="utf-8")
    content = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    (comparison,) = content["comparisons"]
    embedded, constant = comparison["models"]
    assert embedded["size_mb"] > 1
    assert embedded["sentences_per_second"] > 0
    assert 0 <= constant["mcnemar"]["p_value"] <= 1
    assert (tmp_path / "table.json").is_file()


def test_models_side_by_side_on_the_committed_tests(tmp_path) -> None:
    result = evaluate("--compare", "constant", "embedded", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    # Without the data folder, the project's own mood sentences are what is left.
    assert [c["name"] for c in content["comparisons"]] == ["moods, ko", "moods, en"]
    for comparison in content["comparisons"]:
        constant, embedded = comparison["models"]
        assert embedded["accuracy"] > constant["accuracy"]


def test_refusals(table, tmp_path) -> None:
    out = ("--out", tmp_path / "out")
    refused(evaluate("A", "B", *out), "give --compare")
    refused(evaluate("--compare", "constant", *out), "two models or more")
    refused(evaluate("--compare", "constant", "nothing", *out), "'nothing' is no model")
    refused(evaluate("--label-set", "kote", *out), "--label-set goes with --table")
    refused(evaluate("--as-songs", *out), "--as-songs goes with --table")
    refused(evaluate("--table", table, "--write-card", *out), "--write-card")
    refused(evaluate("--table", tmp_path / "none.csv", *out), "none.csv does not exist")
    refused(evaluate("--table", table, "--label-column", "mood", *out), "no column 'mood'")
    refused(evaluate("--table", table, "--label-set", "sevens", *out), "unknown label set")
    refused(evaluate("--table", table, "--similarity", table, *out), "no label similarity")
    bad = tmp_path / "bad.csv"
    bad.write_text("text,emotion\nx,joy\n", encoding="utf-8")
    refused(evaluate("--table", bad, *out), "no row that can be used", "text of one character")
    assert not (tmp_path / "out").exists()
    refused(evaluate("--table", table, "--out", table), "is a file")
    refused(evaluate("--table", table, "--out", table / "deep"), "is a file")


def test_float32_goes_with_the_committed_tests(table, tmp_path) -> None:
    asked = ("--out", tmp_path / "out", "--float32", tmp_path)
    refused(evaluate(*asked, "--table", table), "--float32", "--table")
    refused(evaluate(*asked), "model.json")
    refused(evaluate("--out", tmp_path / "out", "--float32", EMBEDDED), "the same network")
