"""A labelled table of recordings from end to end with a model that needs no network."""

from __future__ import annotations

import json

import pytest

from data_prep.errors import InputError
from data_prep.readers.labelled_table import open_recording_table
from data_prep.taxonomy import native_label_set
from fusion.evaluation.audio_tables import audio_label_set, evaluation_of_recordings
from fusion.evaluation.recording_answers import NOT_HEARD, hear_table
from fusion.evaluation.tables import write_evaluation
from tests.fusion.toy_listeners import ToyListener


def table_of(folder, rows: list[tuple[str, str]], label_set: str = "six", suffix: str = "csv"):
    """A table of files that say what is heard: (words, label)."""
    sounds = folder / "노래 songs"
    sounds.mkdir(exist_ok=True)
    lines = ["audio_path,emotion"]
    for number, (words, label) in enumerate(rows):
        name = f"곡 {number}.txt" if number % 2 else f"song {number}.txt"
        (sounds / name).write_text(words, encoding="utf-8")
        lines.append(f'{sounds.name}/{name},"{label}"')
    path = folder / f"in.{suffix}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_recording_table(path, audio_label_set(label_set), audio_column="audio_path")


def evaluated(table, listener=None):
    listener = listener or ToyListener()
    heard = hear_table(table, listener)
    return heard, evaluation_of_recordings(table, heard, listener.card, resamples=20)


def test_six_emotions(tmp_path) -> None:
    rows = [("joy", "기쁨"), ("sadness", "sadness"), ("calm", "joy"), ("anger", "anger|calm")]
    heard, found = evaluated(table_of(tmp_path, rows))
    assert (found.n, found.ties, found.unmapped) == (3, 1, 0)
    assert list(found.scored) == ["constant", "toy"]
    figures = found.scored["toy"].figures
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert found.scored["constant"].figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["confusion"][0] == [1, 0, 1, 0, 0, 0]
    assert figures["ece"] != figures["ece_calibrated"]
    assert "top1" not in figures  # no order is known beyond the first
    assert found.curve is None  # one window each
    assert len(heard.heard) == 4


def test_shares_of_six_are_orderings(tmp_path) -> None:
    rows = [("joy", '{""joy"": 0.6, ""calm"": 0.4}'), ("calm", '{""calm"": 0.9, ""joy"": 0.1}')]
    _, found = evaluated(table_of(tmp_path, rows))
    figures = found.scored["toy"].figures
    assert figures["top1"] == 1.0
    assert 0 <= figures["top2"] <= figures["less_strict1"] <= 1
    assert "cross_entropy_shares" in figures


def test_quadrants_by_native_head_and_by_six(tmp_path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")
    rows = [
        ("Q1 Q1 Q1", "Q1"),
        ("Q2", "Q2"),
        ("anger", "Q2"),  # not among the native labels of the toy, so `hear_file` says so
        ("Q3 Q4 Q3", "Q3"),
        ("Q1", "Q4"),
    ]
    table = table_of(tmp_path, rows, "quadrants")
    heard, found = evaluated(table)
    assert heard.asked.left_out == {NOT_HEARD: 1}
    assert list(found.scored) == ["constant", "toy, native head", "toy, served six"]
    for name in ("toy, native head", "toy, served six"):
        figures = found.scored[name].figures
        assert figures["accuracy"] == 3 / 4
        assert figures["arousal"] == 3 / 4  # Q1 for Q4
        assert figures["valence"] == 1.0
    constant = found.scored["constant"].figures
    assert (constant["accuracy"], constant["arousal"], constant["valence"]) == (0.25, 0.5, 0.5)
    assert found.curve is not None
    assert found.curve.counts == (1, 2, None)
    # The middle window of the third says Q4, so one window is worse.
    assert found.curve.values["toy, native head"] == pytest.approx((0.5, 0.75, 0.75))

    out = tmp_path / "out"
    results = write_evaluation(out, table, heard.asked, [found], {}, branch="audio")
    assert json.loads((out / "table.json").read_text(encoding="utf-8")) == results
    assert {path.name for path in out.iterdir()} == {
        "table.json",
        "table.md",
        "left_out.jsonl",
        "reliability-in-csv-quadrants.png",
        "windows-in-csv-quadrants.png",
        "confusion-in-csv-quadrants-toy-native-head.png",
        "confusion-in-csv-quadrants-toy-served-six.png",
    }
    text = (out / "table.md").read_text(encoding="utf-8")
    assert text.startswith(
        "# Audio model on in.csv\n\nCommand: `maeum evaluate audio`. All members"
    )
    assert "arousal accuracy | valence accuracy" in text
    assert "| all | " in text
    problem = json.loads((out / "left_out.jsonl").read_text(encoding="utf-8"))
    assert (problem["row"], problem["reason"]) == (3, NOT_HEARD)


def test_a_union_is_right_with_either_emotion(tmp_path) -> None:
    rows = [("anger", "Q2"), ("tension", "Q2"), ("joy", "Q1"), ("neutral", "Q3")]
    _, found = evaluated(table_of(tmp_path, rows, "quadrants"), ToyListener(heads=()))
    assert list(found.scored) == ["constant", "toy, served six"]  # no native head
    figures = found.scored["toy, served six"].figures
    assert figures["confusion"][1] == [0, 2, 0, 0]
    assert figures["per_class"]["Q1"]["recall"] == 1.0


def test_scales_of_one_column_each(tmp_path) -> None:
    scales = native_label_set("emotify").labels
    lines = []
    said = [("joyful_activation", "amazement"), ("sadness", "tension"), ("calmness",), ("power",)]
    for number, words in enumerate(said):
        (tmp_path / f"{number}.txt").write_text(" ".join(words), encoding="utf-8")
        ratings = {scale: 0.9 if scale in words else 0.05 * k for k, scale in enumerate(scales)}
        lines.append(json.dumps({"audio_path": f"{number}.txt", **ratings}))
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    table = open_recording_table(path, audio_label_set("gems"), audio_column="audio_path")
    _, found = evaluated(table)
    native = found.scored["toy, native head"].figures
    assert list(native["r_of_scales"]) == list(scales)
    assert native["r_of_scales"]["calmness"] > 0.9
    assert native["mean_r"] > 0.5
    assert found.scored["constant"].figures["mean_r"] == 0.0
    assert found.label_set.labels == ("joy", "tension", "calm", "sadness")
    figures = found.scored["toy, served six"].figures
    assert {"top1", "top2", "top3", "less_strict1"} <= set(figures)
    assert "less_strict2" not in figures  # two of three are always shared among four
    assert found.curve is not None
    assert found.curve.measure == "mean_r"


def test_what_cannot_be_heard_does_not_stop_the_rest(tmp_path) -> None:
    rows = [("joy", "joy"), ("broken", "joy"), ("bug", "joy"), ("calm", "bliss"), ("calm", "")]
    table = table_of(tmp_path, rows)
    with (tmp_path / "in.csv").open("a", encoding="utf-8") as lines:
        lines.write("nowhere.mp3,joy\n ,joy\nalone\n")
    table = open_recording_table(
        tmp_path / "in.csv", audio_label_set("six"), audio_column="Audio_Path "
    )
    done: list[int] = []
    heard = hear_table(table, ToyListener(), advance=done.append)
    assert sum(done) == table.length == 8
    assert len(heard.heard) == 1
    assert heard.asked.left_out == {
        NOT_HEARD: 3,
        "unknown label": 1,
        "no label": 1,
        "no recording": 1,
        "malformed row": 1,
    }
    problems = {p["row"]: p["problem"] for p in heard.asked.problems}
    assert list(problems) == [2, 3, 4, 5, 6, 7, 8]
    assert "곡 1.txt cannot be decoded" in problems[2]
    assert problems[3] == "unexpected RuntimeError: something broke"


def test_tables_with_nothing_to_say(tmp_path) -> None:
    with pytest.raises(InputError, match=r"in\.csv has no row that can be used: it has no rows"):
        hear_table(table_of(tmp_path, []), ToyListener())
    with pytest.raises(InputError, match="1 recording that cannot be heard; for instance row 1"):
        hear_table(table_of(tmp_path, [("broken", "joy")]), ToyListener())
    with pytest.raises(InputError, match=r"no recording has one strongest class .*1 tie"):
        evaluated(table_of(tmp_path, [("joy", "joy|calm")]))


def test_label_sets_of_texts_are_refused() -> None:
    assert audio_label_set("gems").name == "emotify"
    with pytest.raises(InputError, match="'kote' is one of texts: expected one of six, ravdess"):
        audio_label_set("kote")
    with pytest.raises(InputError, match="unknown label set"):
        audio_label_set("sevens")
