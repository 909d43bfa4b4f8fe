"""``maeum evaluate audio`` with a table and with --robustness: files, exit codes, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from app.cli import app

pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")

RATE = 16_000
SONGS = {"봄 노래.wav": ("Q1", 440.0), "slow song.wav": ("Q3", 220.0), "a.wav": ("Q2", 880.0)}


def evaluate(*words: object):
    return CliRunner().invoke(app, ["evaluate", "audio", *map(str, words)])


@pytest.fixture(autouse=True)
def _without_data(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("MAEUM_DATA", str(tmp_path / "nowhere"))
    monkeypatch.delenv("MAEUM_AUDIO_MODEL", raising=False)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three recordings of two seconds; the first is thirty seconds long."""
    lines = ["audio_path\temotion"]
    for number, (name, (label, frequency)) in enumerate(SONGS.items()):
        t = np.arange(RATE * (2 if number else 30)) / RATE
        sound = 0.3 * np.sin(2 * np.pi * frequency * t) * (1 + np.sin(2 * np.pi * 3 * t))
        soundfile.write(tmp_path / name, sound, RATE)
        lines.append(f"{name}\t{label}")
    path = tmp_path / "표 in.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refused(result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for each in said:
        assert each in result.stderr


def test_a_table_beside_the_constant(table, tmp_path) -> None:
    out = tmp_path / "out"
    result = evaluate("--table", table, "--label-set", "quadrants", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == (out / "table.md").read_text(encoding="utf-8")
    content = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert (content["rows"], content["used"], content["left_out"]) == (3, 3, {})
    (test,) = content["tests"]
    constant, native, six = test["models"].values()
    assert constant["accuracy"] == pytest.approx(1 / 3)
    for figures in (native, six):
        assert {"macro_f1", "arousal", "valence", "ece", "confusion"} <= set(figures)
    assert "ece_calibrated" in six
    assert test["windows"]["counts"] == [1, 2, "all"]
    assert sum(path.suffix == ".png" for path in out.iterdir()) == 4


def test_broken_recordings_are_told_and_the_rest_is_done(table, tmp_path) -> None:
    (tmp_path / "broken.mp3").write_bytes(b"no sound at all")
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    with table.open("a", encoding="utf-8") as lines:
        lines.write("broken.mp3\tQ1\nsilent.wav\tQ1\nnowhere.wav\tQ1\na.wav\tQ9\n")
    options = ("--label-set", "quadrants", "--out", tmp_path / "out", "--json")
    result = evaluate("--table", table, *options)
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert content["left_out"] == {"recording that cannot be heard": 3, "unknown label": 1}
    assert content["used"] == 3
    assert "4 of 7 rows left out" in result.stderr
    for said in ("broken.mp3 holds no sound", "the recording is silent", "'Q9' is no label"):
        assert said in result.stderr
    problems = (tmp_path / "out" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in problems] == [4, 5, 6, 7]


def test_robustness_of_a_table(table, tmp_path) -> None:
    (tmp_path / "broken.mp3").write_bytes(b"no sound at all")
    with table.open("a", encoding="utf-8") as lines:
        lines.write("broken.mp3\tQ1\n")
    out = tmp_path / "out"
    options = ("--label-set", "quadrants", "--robustness", "--out", out)
    result = evaluate("--table", table, *options)
    assert result.exit_code == 1
    assert result.stdout == (out / "audio_robustness.md").read_text(encoding="utf-8")
    content = json.loads((out / "audio_robustness.json").read_text(encoding="utf-8"))
    (test,) = content["tests"]
    assert (test["n"], test["of"], test["measure"]) == (3, 4, "accuracy")
    quiet = test["changes"]["-12 dB"]
    # The front end is relative to the level: gain alone changes nothing.
    assert (quiet["share"], quiet["change"]) == (1.0, 0.0)
    assert quiet["distance"] < 0.01
    assert set(test["changes"]) >= {"mp3, 64 kbit/s", "8 kHz"}
    assert "broken.mp3" in result.stderr
    fewer = evaluate("--table", table, *options, "--recordings", 2, "--json")
    assert json.loads(fewer.stdout)["tests"][0]["n"] <= 2


def test_refusals(table, tmp_path) -> None:
    out = ("--out", tmp_path / "out")
    refused(evaluate("--label-set", "quadrants", *out), "--label-set goes with --table")
    refused(evaluate("--audio-column", "file", *out), "--audio-column goes with --table")
    refused(evaluate("--recordings", 5, *out), "--recordings goes with --robustness")
    refused(evaluate("--table", table, "--write-card", *out), "--write-card goes with")
    refused(evaluate("--robustness", "--write-card", *out), "--write-card goes with")
    refused(evaluate("--table", tmp_path / "none.csv", *out), "none.csv does not exist")
    refused(evaluate("--table", table, "--label-column", "mood", *out), "no column 'mood'")
    refused(evaluate("--table", table, "--audio-column", "file", *out), "no column 'file'")
    refused(evaluate("--table", table, "--label-set", "kote", *out), "'kote' is one of texts")
    refused(evaluate("--table", table, "--label-set", "sevens", *out), "unknown label set")
    refused(evaluate("--table", table, *out), "no row that can be used", "'Q1' is no label")
    empty = tmp_path / "empty.csv"
    empty.write_text("audio_path,emotion\n", encoding="utf-8")
    refused(evaluate("--table", empty, *out), "it has no rows")
    refused(evaluate("--table", empty, "--robustness", *out), "it has no rows")
    refused(evaluate("--robustness", *out), "no test data is there")
    refused(evaluate("--table", table, "--model-audio", tmp_path, *out), "model.json")
    assert not (tmp_path / "out").exists()
