"""Labels as people write them, and what cannot be used, with its reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from data_prep.errors import InputError
from data_prep.readers.labelled_table import (
    label_set_of,
    open_labelled_table,
    open_recording_table,
    open_song_table,
)
from data_prep.taxonomy import native_label_set


def rows_of(path: Path, label_set: str = "six", text: str = "text", label: str = "emotion"):
    table = open_labelled_table(path, label_set_of(label_set), text_column=text, label_column=label)
    rows = list(table.rows())
    assert table.length == len(rows)
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    return rows


def json_lines(tmp_path: Path, values: list) -> Path:
    path = tmp_path / "a.jsonl"
    lines = (json.dumps({"text": f"text {i}", "emotion": v}) for i, v in enumerate(values))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format(tmp_path: Path, suffix: str) -> None:
    content = [("아주 기쁘다", "기쁨"), ("so, calm", "Calm"), ("both", "joy|슬픔")]
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        columns = {"Words": [t for t, _ in content], "Mood ": [e for _, e in content]}
        parquet.write_table(pyarrow.table(columns), path)
    elif suffix == ".jsonl":
        lines = (json.dumps({"Words": t, "Mood ": e}) for t, e in content)
        path.write_text("\n".join(lines), encoding="utf-8")
    else:
        separator = "," if suffix == ".csv" else "\t"
        lines = [f"Words{separator}Mood "] + [f'"{t}"{separator}"{e}"' for t, e in content]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = rows_of(path, text="words", label="mood")
    assert [row.text for row in rows] == [text for text, _ in content]
    assert [np.flatnonzero(row.shares).tolist() for row in rows] == [[0], [2], [0, 3]]


@pytest.mark.parametrize(
    ("label_set", "value", "expected"),
    [
        ("six", "슬픔", {"sadness": 1}),
        ("six", " ANGER ", {"anger": 1}),
        ("six", "joy, sadness", {"joy": 1, "sadness": 1}),
        ("six", ["joy", "긴장"], {"joy": 1, "tension": 1}),
        ("six", {"joy": 0.25, "calm": 0.75, "anger": 0}, {"joy": 0.25, "calm": 0.75}),
        ("six", '{"기쁨": 2}', {"joy": 2}),
        ("six", 3, {"sadness": 1}),
        ("six", "5", {"neutral": 1}),
        ("kote", "0,6", {"불평/불만": 1, "화남/분노": 1}),
        ("kote", "부담/안 내킴|기쁨", {"부담/안_내킴": 1, "기쁨": 1}),
        ("goemotions", "joy,Relief", {"joy": 1, "relief": 1}),
        ("aihub-60", "가난한, 불우한", {"가난한, 불우한": 1}),
        ("aihub-60", "우울한, 가난한, 불우한,슬픔", {"우울한": 1, "가난한, 불우한": 1, "슬픔": 1}),
        ("aihub-7", "행복", {"행복": 1}),
    ],
)
def test_ways_to_write_labels(tmp_path: Path, label_set: str, value, expected: dict) -> None:
    (row,) = rows_of(json_lines(tmp_path, [value]), label_set)
    labels = label_set_of(label_set).labels
    assert row.shares is not None
    assert {labels[i]: row.shares[i] for i in np.flatnonzero(row.shares)} == expected
    assert row.mended == ()


def test_typing_errors_of_native_labels_are_mended_and_told(tmp_path: Path) -> None:
    (row,) = rows_of(json_lines(tmp_path, ["ㅈ립"]), "aihub-7")
    assert row.shares is not None
    assert row.shares[native_label_set("aihub_single_7").index("중립")] == 1
    assert row.mended == (("ㅈ립", "중립"),)


@pytest.mark.parametrize(
    ("value", "reason", "said"),
    [
        ("bliss", "unknown label", "'bliss' is no label of 'six': expected joy, tension"),
        ("joy, bliss", "unknown label", "bliss"),
        (6, "unknown label", "expected 0 to 5"),
        (1.5, "unknown label", "1.5"),
        (True, "unknown label", "True"),
        ({"joy": -1}, "unknown label", "share of 'joy' is -1"),
        ({"joy": "much"}, "unknown label", "much"),
        ({"joy": 0}, "no label", "emotion"),
        ("", "no label", "emotion"),
        (" , |", "no label", "emotion"),
        (None, "no label", "emotion"),
        ([], "no label", "emotion"),
        ("[bliss", "unknown label", "[bliss"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, value, reason: str, said: str) -> None:
    good, bad = rows_of(json_lines(tmp_path, ["joy", value]))
    assert good.shares is not None
    assert bad.shares is None
    assert bad.reason == reason
    assert said in (bad.problem or "")


def test_rows_that_cannot_be_used_keep_their_place(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    long = "가" * 100_001
    path.write_text(
        f"text,emotion\nfine,joy\n,joy\n 아 ,joy\nok,joy,more\nok\n{long},joy\n\uac00\u11a8,joy\n",
        encoding="utf-8",
    )
    rows = rows_of(path)
    assert [row.reason for row in rows] == [
        None,
        "no text",
        "text of one character",
        "malformed row",
        "malformed row",
        "text too long",
        "text of one character",  # one syllable, written as two
    ]
    assert Counter(row.shares is None for row in rows)[True] == 6


def test_a_missing_column_and_an_unknown_set_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,b\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"no column 'emotion' .found: text, label.*--label-column"
    ):
        rows_of(path)
    with pytest.raises(InputError, match=r"no column 'words'.*--text-column"):
        rows_of(path, text="words")
    with pytest.raises(InputError, match=r"unknown label set 'sevens'.*six, kote.*aihub-60"):
        label_set_of("sevens")


def test_published_files_are_read_as_their_reader_reads_them(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is in the extra train")
    book = openpyxl.Workbook()
    for cells in (
        ("Sentence", "Emotion"),
        ("언니 동생으로 부르는게 맞는 일인가요", "공포"),
        ("그냥 그래요", "ㅈ립"),
        ("모르겠어요", "xyz"),
        ("", "행복"),
    ):
        book.active.append(cells)
    book.save(tmp_path / "single.xlsx")
    rows = rows_of(tmp_path / "single.xlsx", "aihub-7")
    assert [row.reason for row in rows] == [None, None, "unknown label", "no text"]
    assert sum(len(row.mended) for row in rows) == 1


def recordings_of(path: Path, label_set: str = "six", **options):
    table = open_recording_table(
        path, label_set_of(label_set), audio_column="audio_path", **options
    )
    return list(table.rows())


def test_paths_of_recordings_are_relative_to_the_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "Audio_Path ,emotion\n노래/봄 봄.mp3,기쁨\n/abs/x.wav,joy|calm\n ,joy\nx.wav,\n",
        encoding="utf-8",
    )
    rows = recordings_of(path)
    assert rows[0].text == str(tmp_path / "노래" / "봄 봄.mp3")
    assert rows[1].text == "/abs/x.wav"
    assert [row.reason for row in rows] == [None, None, "no recording", "no label"]
    assert rows[2].problem == "nothing in the column 'Audio_Path '"


def test_one_column_of_numbers_for_each_label(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    lines = ["audio_path\tq4\tQ1\tQ2\t Q3 ", "a\t0.25\t.5\t0\t0.25", "b\t1\t2\t3\t"]
    lines += ["c\t1\t2\t3\t-1", "d\t1\t2\t3\tmuch", "e\t0\t0\t0\t0"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = recordings_of(path, "quadrants")
    assert rows[0].shares is not None
    assert rows[0].shares.tolist() == [0.5, 0.0, 0.25, 0.25]
    assert [row.reason for row in rows[1:]] == [
        "no label",
        "unknown label",
        "unknown label",
        "no label",
    ]
    assert rows[2].problem == "the share of ' Q3 ' is '-1': expected a number from 0"


def test_korean_columns_of_the_six(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    values = dict(zip(("기쁨", "tension", "평화", "슬픔", "분노", "중립"), range(6), strict=True))
    path.write_text(json.dumps({"audio_path": "a.wav", **values}), encoding="utf-8")
    (row,) = recordings_of(path)
    assert row.shares is not None
    assert row.shares.tolist() == [0, 1, 2, 3, 4, 5]


def test_columns_of_labels_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("audio_path,Q1,Q2\na,1,0\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"columns for some labels .* none for Q3, Q4"):
        recordings_of(path, "quadrants")
    with pytest.raises(InputError, match=r"no column 'emotion' and none named .*--label-column"):
        recordings_of(path, "six")
    with pytest.raises(InputError, match=r"no column 'mood'.*--label-column"):
        recordings_of(path, "quadrants", label_column="mood")
    with pytest.raises(InputError, match=r"no column 'file'.*--audio-column"):
        open_recording_table(path, label_set_of("quadrants"), audio_column="file")
    (row,) = recordings_of(path, "six", labels_needed=False)
    assert row.shares is not None
    assert not row.shares.any()


def songs_of(path: Path, label_set: str = "six", **columns: str):
    names = {"text_column": "text", "audio_column": "audio_path", "label_column": "emotion"}
    return list(open_song_table(path, label_set_of(label_set), **(names | columns)).rows())


def test_songs_with_words_or_a_recording_or_both(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [
        "Text,audio_path ,emotion,가수",
        "봄이 오네,노래/봄.mp3,기쁨,아이유",
        "봄이 오네,,joy, ",
        " ,/abs/x.wav,슬픔,아이유",
        ",,joy,",
        "아,x.wav,joy,",
        "봄이 오네,x.wav,bliss,b",
        "봄이 오네,x.wav,,b",
        "봄이 오네,x.wav",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = songs_of(path, group_column=" 가수")
    assert [row.number for row in rows] == list(range(1, 9))
    assert [row.audio for row in rows[:3]] == [
        str(tmp_path / "노래" / "봄.mp3"),
        "",
        "/abs/x.wav",
    ]
    assert [row.text.strip() for row in rows[:3]] == ["봄이 오네", "봄이 오네", ""]
    assert [row.group for row in rows[:3]] == ["아이유", None, "아이유"]
    assert [np.flatnonzero(row.shares).tolist() for row in rows[:3]] == [[0], [0], [3]]
    assert [row.reason for row in rows[3:]] == [
        "no song",
        "text of one character",
        "unknown label",
        "no label",
        "malformed row",
    ]
    assert rows[3].problem == "nothing in the columns 'Text' and 'audio_path '"
    assert all(row.group is None for row in songs_of(path))


def test_songs_as_json_with_native_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        {"text": None, "audio_path": "a.wav", "emotion": {"Q1": 0.25, "Q4": 0.75}},
        {"text": "", "audio_path": None, "emotion": "Q1"},
        {"text": "line one\nline two", "emotion": "q2"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    heard, nothing, words = songs_of(path, "quadrants")
    assert heard.shares.tolist() == [0.25, 0, 0, 0.75]
    assert (nothing.shares, nothing.reason) == (None, "no song")
    assert (words.text, words.audio) == ("line one\nline two", "")


def test_columns_of_songs_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,audio_path,emotion\na b,,joy\n", encoding="utf-8")
    for option in ("text", "audio", "label", "group"):
        with pytest.raises(InputError, match=f"no column 'mood' .*--{option}-column"):
            songs_of(path, **{f"{option}_column": "mood"})
