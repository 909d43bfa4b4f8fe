"""``maeum study fusion-weights``: a table of one's own, the benchmark, exit codes, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

import app.commands.weight_study
from app.cli import app as command_line
from fusion.evaluation.paired_benchmark import Answered

pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")
pytest.importorskip("sklearn", reason="scikit-learn is in the extra train")

KOREAN = ("기쁨", "긴장", "평화", "슬픔", "분노")
HEARD = ("joy", "calm", "sad")


def study(*words: object):
    return CliRunner().invoke(command_line, ["study", "fusion-weights", *map(str, words)])


def refused(result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for each in said:
        assert each in result.stderr


@pytest.fixture(autouse=True)
def _without_models(monkeypatch, analyser, tmp_path) -> None:
    monkeypatch.setenv("MAEUM_DATA", str(tmp_path / "nowhere"))
    for variable in ("MAEUM_LYRICS_MODEL", "MAEUM_AUDIO_MODEL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(app.commands.weight_study, "SongAnalyser", lambda **_: analyser)


def write_table(folder: Path, lines: list[str]) -> Path:
    """A table of songs beside three recordings; the columns have names of their own."""
    for name in HEARD:
        (folder / f"{name}.wav").write_bytes(b"SOUND " + name.encode())
    path = folder / "노래.tsv"
    path.write_text("\n".join(["가사\tfile\t감정\t가수", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def lines() -> list[str]:
    """Ninety songs of eighteen artists with both branches, wrong now and then, and ten with one."""
    random = np.random.default_rng(0)
    made = []
    for number in range(90):
        label = number % 5
        words = KOREAN[label if random.random() < 0.7 else random.integers(5)]
        sound = HEARD[{0: 0, 2: 1, 3: 2}.get(label, random.integers(3))]
        made.append(f"{words} 노래 {number}\t{sound}.wav\t{KOREAN[label]}\ta{number // 5}")
    made += [f"{KOREAN[i]}의 노래\t\t{KOREAN[i]}\tb{i}" for i in range(5)]
    made += [f"\t{HEARD[i % 3]}.wav\t{('joy', 'calm', 'sadness')[i % 3]}\t" for i in range(5)]
    return made


COLUMNS = ("--text-column", "가사", "--audio-column", "file", "--label-column", "감정")


def test_a_table_of_words_sound_and_both(lines, tmp_path) -> None:
    out = tmp_path / "new" / "out"
    table = write_table(tmp_path, lines)
    result = study("--table", table, *COLUMNS, "--group-column", "가수", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == (out / "fusion_weights.md").read_text(encoding="utf-8")
    content = json.loads((out / "fusion_weights.json").read_text(encoding="utf-8"))
    assert content["command"] == "maeum study fusion-weights --table 노래.tsv"
    assert (content["rows_of_table"], content["songs"], content["with_both"]) == (100, 100, 90)
    assert (content["rows_left_out"], content["mended_labels"]) == ({}, [])
    assert content["per_emotion"] == [21, 19, 21, 20, 19, 0]
    assert content["left_out"] == {"stacking": "too few songs of neutral to learn it in every fold"}
    assert "100 of 100 rows (21 joy," in result.stdout
    assert "Songs of the same 가수 are in one fold." in result.stdout
    assert "**stacking** is left out" in result.stdout
    assert "draw 1 of 1: 100 songs" in result.stderr
    assert sum(path.suffix == ".png" for path in out.iterdir()) == 6
    assert not (out / "left_out.jsonl").exists()
    rows = content["rows"]
    assert rows[content["best"]]["macro_f1"] > rows["constant"]["macro_f1"] + 0.3
    figure = f"{rows['product']['macro_f1']:.3f}"
    assert f"| product | product of experts with learned exponents | {figure} (" in result.stdout


def test_rows_left_out_are_told_and_the_rest_is_studied(lines, tmp_path) -> None:
    lines += [
        "기쁨\tnowhere.wav\t기쁨\t",
        "123\t\t기쁨\t",
        "기쁨 노래\t\tbliss\t",
        "기쁨 노래\t\t기쁨|슬픔\t",
        "\t\t기쁨\t",
    ]
    out = tmp_path / "out"
    result = study("--table", write_table(tmp_path, lines), *COLUMNS, "--out", out)
    assert result.exit_code == 1, result.output
    assert "# Fusion weights" in result.stdout
    assert "100 of 105 rows" in result.stdout
    assert "Every row is a group of its own" in result.stdout
    content = json.loads((out / "fusion_weights.json").read_text(encoding="utf-8"))
    assert sum(content["rows_left_out"].values()) == 5
    assert content["rows_left_out"]["unknown label"] == content["rows_left_out"]["no song"] == 1
    assert "5 of 105 rows left out (" in result.stderr
    assert "nowhere.wav does not exist" in result.stderr
    problems = (out / "left_out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in problems] == [101, 102, 103, 104, 105]


def test_tables_that_say_nothing_about_weights(lines, tmp_path) -> None:
    out = ("--out", tmp_path / "out")

    def asked(rows: list[str], *more: object):
        return study("--table", write_table(tmp_path, rows), *COLUMNS, *more, *out)

    refused(asked(lines[:59]), "노래.tsv: 59 songs have both words and sound", "at least 60")
    more = [*lines[:59], "노래\t\tbliss\t"]
    refused(asked(more), "59 songs", "; rows left out: 1 unknown label")
    refused(asked(lines[90:95] * 20), "0 songs have both")
    refused(asked([line for line in lines if "\t기쁨\t" in line] * 5), "are joy")
    one = [f"{line.rpartition(chr(9))[0]}\ta" for line in lines]
    refused(asked(one, "--group-column", "가수"), "fill 1 of 5 folds", "more artists")
    two = [line if i % 2 else f"{line[:-1]}b" for i, line in enumerate(one)]
    refused(asked(two, "--group-column", "가수"), "fill 2 of 5 folds")
    refused(asked([]), "it has no rows")
    assert not (tmp_path / "out").exists()


def test_refusals(lines, tmp_path) -> None:
    table, out = write_table(tmp_path, lines), ("--out", tmp_path / "out")
    for option in ("text", "audio", "label", "group"):
        refused(study(f"--{option}-column", "x", *out), f"--{option}-column goes with --table")
    refused(study("--label-set", "six", *out), "--label-set goes with --table")
    refused(study("--table", table, "--draws", 2, *out), "--draws goes without --table")
    refused(study("--table", table, "--songs", 10, *out), "--songs goes without --table")
    refused(study("--songs", 7, *out), "7 songs of each emotion: expected a multiple of 5")
    refused(study("--songs", 4, *out), "--songs")
    refused(study("--table", table, *out), "no column 'text'", "--text-column")
    refused(study("--table", table, *COLUMNS[:2], *out), "no column 'audio_path'")
    refused(study("--table", table, *COLUMNS[:4], *out), "no column 'emotion'")
    refused(study("--table", table, *COLUMNS, "--group-column", "x", *out), "no column 'x'")
    refused(study("--table", table, *COLUMNS, "--label-set", "sevens", *out), "unknown label set")
    refused(study("--table", tmp_path / "none.csv", *out), "none.csv does not exist")
    refused(study("--work", tmp_path, *out), "kote")  # no data set is there
    assert not (tmp_path / "out").exists()


def made(n: int, seed: int) -> Answered:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 6
    logits = random.normal(0, 1, (n, 6)) + 2 * np.eye(6)[labels]
    answers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Answered(
        answers=answers.astype(np.float32),
        may_be=np.eye(6, dtype=bool)[labels],
        folds=np.arange(n) // 6 % 5,
        groups=np.array([f"g{i}" for i in range(n)]),
        sources=np.full(n, "toy"),
    )


def test_the_benchmark(monkeypatch, tmp_path) -> None:
    seen = SimpleNamespace(work=None)

    def answered(predictor, listener, work, *, progress, say):
        seen.work = (predictor, listener, work)
        return made(120, 1), made(90, 2)

    monkeypatch.setattr(app.commands.weight_study, "load_lyric_predictor", lambda folder: "words")
    monkeypatch.setattr(app.commands.weight_study.Listener, "load", lambda folder: "sound")
    monkeypatch.setattr(app.commands.weight_study, "answered", answered)
    out = tmp_path / "out"
    # the fewest there can be: halves of it lose a branch, and not every emotion is left
    result = study("--draws", 2, "--songs", 5, "--work", tmp_path, "--out", out)
    assert result.exit_code == 0, result.output
    assert seen.work == ("words", "sound", tmp_path)
    content = json.loads((out / "fusion_weights.json").read_text(encoding="utf-8"))
    assert content["command"] == "maeum study fusion-weights --draws 2 --songs 5"
    assert (content["draws"], content["songs"]) == (2, 30)
    assert content["across"] == []
    assert "2 draws (seeds 1 to 2) of 30 songs, 5 of each emotion" in result.stdout
    assert "words are from toy (30) and sound are from toy (30)" in result.stdout
    assert "as served" in content["rows"]
