"""Tables: every format in and out, order, failures in place, resumption."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from app.tables import table as table_module
from app.tables.files import RESULT_COLUMNS
from app.tables.table import ROWS_PER_WINDOW, analyse_table, is_sentence
from data_prep.errors import InputError, ModelFolderError
from fusion.rules import Mean
from lyrics_model.predictor import LyricReading

FORMATS = ("csv", "tsv", "jsonl", "parquet")

ROWS = [
    {"id": "a", "text": "오늘 너무 우울해", "audio_path": None, "mark": "1"},
    {"id": "b", "text": None, "audio_path": "sounds/joy.wav", "mark": "2"},
    {"id": "c", "text": "슬픔", "audio_path": "sounds/joy.wav", "mark": "3"},
    {"id": "d", "text": "🙂🙂", "audio_path": None, "mark": "4"},
    {"id": "e", "text": 'joy, "quoted"\nand a line', "audio_path": None, "mark": "5"},
]


def write(path: Path, rows: list[dict]) -> Path:
    suffix = path.suffix
    if suffix == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text("".join(lines), encoding="utf-8")
    elif suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(
                file, list(rows[0]), delimiter="," if suffix == ".csv" else "\t"
            )
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path: Path) -> list[dict]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "joy.wav").write_bytes(b"SOUND joy")
    return tmp_path


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_every_format_in_and_out(folder, analyser, source, target):
    table = write(folder / f"in.{source}", ROWS)
    out = folder / f"out.{target}"
    report = analyse_table(table, out, analyser)
    rows = read(out)
    assert [row["id"] for row in rows] == ["a", "b", "c", "d", "e"]
    assert [str(row["mark"]) for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["top"] or None for row in rows[:2]] == ["sadness", "joy"]
    assert list(rows[0])[:4] == ["id", "text", "audio_path", "mark"]
    assert list(rows[0])[4:] == list(RESULT_COLUMNS)
    assert rows[4]["text"] == ROWS[4]["text"]
    for row in (rows[0], rows[1], rows[2], rows[4]):
        total = sum(float(row[f"fused_{name}"]) for name in ("joy", "tension", "calm", "sadness"))
        total += float(row["fused_anger"]) + float(row["fused_neutral"])
        assert total == pytest.approx(1.0, abs=1e-5)
        assert not row["error"]
    assert rows[0]["audio_joy"] in (None, "")
    assert "no words" in rows[3]["error"]
    assert rows[3]["fused_joy"] in (None, "")
    assert (report.rows, report.analysed, len(report.failures)) == (5, 4, 1)
    assert report.failures[0].id == "d"
    assert report.failures[0].where.endswith("row 4")
    assert not (folder / f"out.{target}.part").exists()


def test_five_bad_rows_of_a_hundred(folder, analyser):
    csv.field_size_limit(1_000_000)  # one of the texts is longer than csv reads by default
    rows = [{"id": f"s{i:03}", "text": "calm sea", "audio_path": None} for i in range(100)]
    rows[3]["text"] = None
    rows[20]["text"] = "1234 !!"
    rows[40]["text"] = "가" * 200_000
    rows[60] |= {"text": None, "audio_path": "sounds/absent.mp3"}
    (folder / "broken.mp3").write_bytes(bytes(range(256)))
    rows[99] |= {"text": None, "audio_path": "broken.mp3"}
    report = analyse_table(write(folder / "in.csv", rows), folder / "out.csv", analyser)
    assert report.analysed == 95
    assert [failure.id for failure in report.failures] == ["s003", "s020", "s040", "s060", "s099"]
    results = read(folder / "out.csv")
    assert len(results) == 100
    assert [i for i, row in enumerate(results) if row["error"]] == [3, 20, 40, 60, 99]


def test_lyrics_from_files_beside_the_table(folder, analyser):
    (folder / "words").mkdir()
    (folder / "words" / "a.txt").write_text("슬픔의 노래\n둘째 줄", encoding="cp949")
    rows = [{"id": "a", "lyrics_path": "words/a.txt"}, {"id": "b", "lyrics_path": "words/b.txt"}]
    report = analyse_table(write(folder / "in.csv", rows), folder / "out.jsonl", analyser)
    first, second = read(folder / "out.jsonl")
    assert first["top"] == "sadness"
    assert "b.txt does not exist" in second["error"]
    assert len(report.failures) == 1


def test_a_bug_in_one_row_is_reported_as_one(folder, analyser):
    rows = [{"id": "a", "text": "bug"}, {"id": "b", "text": "joy"}]
    report = analyse_table(write(folder / "in.csv", rows), folder / "out.csv", analyser)
    assert report.failures[0].error == "unexpected RuntimeError: something broke"
    assert report.analysed == 1


def test_an_interrupted_run_goes_on_where_it_was(folder, analyser, capsys):
    rows = [{"id": str(i), "text": f"joy {i}"} for i in range(50)]
    rows[30]["text"] = "break"
    table, out = write(folder / "in.csv", rows), folder / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        analyse_table(table, out, analyser)
    assert not out.exists()
    assert "run the same command again" in capsys.readouterr().err
    part = folder / "out.csv.part"
    with part.open("a", encoding="utf-8") as lines:
        lines.write('{"row": 31, "resu')  # a line that the interruption cut
    words = analyser.lyric_predictor
    words.asked.clear()
    words.read = lambda text, *, as_mood=False, _read=words.read: _read(
        text.replace("break", "joy 30"), as_mood=as_mood
    )
    report = analyse_table(table, out, analyser)
    assert words.asked == [f"joy {i}" for i in range(30, 50)]
    assert (report.rows, report.analysed, report.resumed) == (50, 50, 30)
    assert [row["id"] for row in read(out)] == [str(i) for i in range(50)]
    assert not part.exists()


@pytest.mark.parametrize("what", ["table", "model", "settings"])
def test_another_runs_rows_do_not_count(folder, analyser, what):
    from dataclasses import replace

    rows = [{"id": "0", "text": "joy"}, {"id": "1", "text": "break"}]
    table, out = write(folder / "in.csv", rows), folder / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        analyse_table(table, out, analyser)
    words = analyser.lyric_predictor
    if what == "table":
        write(table, [{"id": "0", "text": "sad"}, {"id": "1", "text": "calm"}])
    else:
        words.read = lambda text, *, as_mood=False, _read=words.read: _read(
            text.replace("break", "calm")
        )
    if what == "model":
        words.model_hash = "words-2"
    if what == "settings":
        analyser.settings = replace(analyser.settings, rule=Mean(0.9))
    words.asked.clear()
    assert analyse_table(table, out, analyser).resumed == 0
    assert len(words.asked) == 2


def test_a_model_that_cannot_be_loaded_stops_the_whole_run(folder, analyser):
    def refuse(text: str, *, as_mood: bool = False) -> None:
        raise ModelFolderError("the model is gone")

    analyser.lyric_predictor.read = refuse
    with pytest.raises(ModelFolderError):
        analyse_table(
            write(folder / "in.csv", [{"id": "a", "text": "joy"}]), folder / "out.csv", analyser
        )


@pytest.mark.parametrize(
    ("header", "named"),
    [("text,mark", "'id'"), ("id,mark", "text, lyrics, lyrics_path, audio_path"), ("", "'id'")],
)
def test_a_missing_column_is_named(folder, analyser, header, named):
    (folder / "in.csv").write_text(f"{header}\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match=named):
        analyse_table(folder / "in.csv", folder / "out.csv", analyser)
    assert not (folder / "out.csv").exists()


def test_impossible_outputs_are_refused_before_any_work(folder, analyser):
    table = write(folder / "in.csv", [{"id": "a", "text": "joy"}])
    for out, said in (
        (folder / "out.xlsx", "names no table format"),
        (folder / "no" / "out.csv", "no folder"),
        (table, "the table itself"),
    ):
        with pytest.raises(InputError, match=said):
            analyse_table(table, out, analyser)
    assert analyser.lyric_predictor.asked == []


def test_columns_that_have_a_results_name_are_kept_under_another(folder, analyser):
    rows = [{"id": "a", "text": "joy", "top": "5", "notes": "mine"}]
    report = analyse_table(write(folder / "in.csv", rows), folder / "out.csv", analyser)
    (row,) = read(folder / "out.csv")
    assert (row["input_top"], row["input_notes"], row["top"]) == ("5", "mine", "joy")
    assert report.renamed == {"top": "input_top", "notes": "input_notes"}


def test_parquet_keeps_the_types_of_its_columns(folder, analyser):
    source = pyarrow.table(
        {
            "id": pyarrow.array([1, 2], pyarrow.int32()),
            "text": ["joy", "sad"],
            "plays": pyarrow.array([None, None], pyarrow.int16()),
            "tags": pyarrow.array([["a"], []], pyarrow.list_(pyarrow.string())),
        }
    )
    parquet.write_table(source, folder / "in.parquet")
    analyse_table(folder / "in.parquet", folder / "out.parquet", analyser)
    result = parquet.read_table(folder / "out.parquet")
    assert result.schema.field("id").type == pyarrow.int32()
    assert result.schema.field("plays").type == pyarrow.int16()
    assert result.column("tags").to_pylist() == [["a"], []]
    assert result.schema.field("abstain").type == pyarrow.bool_()


def test_json_lines_that_are_none_keep_their_place(folder, analyser):
    (folder / "in.jsonl").write_text(
        '{"id": "a", "text": "joy"}\nnot json\n{"id": "c", "text": "\\ud800 sad"}\n',
        encoding="utf-8",
    )
    report = analyse_table(folder / "in.jsonl", folder / "out.jsonl", analyser)
    rows = read(folder / "out.jsonl")
    assert [row.get("id") for row in rows] == ["a", None, "c"]
    assert "not JSON" in rows[1]["error"]
    assert rows[2]["top"] == "sadness"
    assert report.analysed == 2


def test_sentences_and_songs():
    assert is_sentence(" 오늘 너무 우울해 ")
    assert not is_sentence("첫 줄\n둘째 줄")
    assert not is_sentence("[00:12.30]오늘 너무 우울해")
    assert not is_sentence("가" * 201)


class ReadsMany:
    """A predictor of many texts at once; keeps what it was asked in each call."""

    def __init__(self, words) -> None:
        self.model_hash = words.model_hash
        self.calls: list[list[str]] = []
        self.stop_at: int | None = None
        self._words = words

    def read(self, text, *, as_mood=False):
        raise AssertionError("texts are read together")

    def read_many(self, texts, *, as_mood=False):
        if self.stop_at is not None and sum(map(len, self.calls)) + len(texts) > self.stop_at:
            raise KeyboardInterrupt
        readings = [self._words.read(text, as_mood=as_mood) for text in texts]
        self.calls.append(list(texts))
        return readings


@pytest.fixture
def reads_many(analyser) -> ReadsMany:
    predictor = ReadsMany(analyser.lyric_predictor)
    analyser._lyric_predictor = predictor
    return predictor


def test_words_are_read_together_and_written_in_order(folder, analyser, reads_many):
    words = ["joy", "슬픔", "calm", "joy\nand\nlines", "🙂"]
    rows = [{"id": str(i), "text": words[i % 5]} for i in range(300)]
    rows[7]["text"] = "가" * 200_000  # refused, and with it the call it is in
    report = analyse_table(write(folder / "in.jsonl", rows), folder / "out.jsonl", analyser)
    results = read(folder / "out.jsonl")
    assert [row["id"] for row in results] == [str(i) for i in range(300)]
    expected = ["joy", "sadness", "calm", "joy", None]
    for i, row in enumerate(results):
        assert row["top"] == (None if i == 7 else expected[i % 5]), i
    assert "200,000 characters" in results[7]["error"]
    assert report.analysed == 300 - 60 - 1
    most = max(len(call) for call in reads_many.calls)
    assert most > ROWS_PER_WINDOW // 2
    assert most <= ROWS_PER_WINDOW
    assert sum(map(len, reads_many.calls)) == 299  # nothing twice


def test_read_together_or_alone_the_output_is_the_same(folder, analyser):
    table = write(folder / "in.csv", ROWS)
    analyse_table(table, folder / "alone.csv", analyser)
    analyser._lyric_predictor = ReadsMany(analyser.lyric_predictor)
    analyse_table(table, folder / "together.csv", analyser)
    assert (folder / "together.csv").read_bytes() == (folder / "alone.csv").read_bytes()


def test_long_texts_make_small_windows(folder, analyser, reads_many, monkeypatch):
    monkeypatch.setattr(table_module, "CHARACTERS_PER_WINDOW", 100)
    rows = [{"id": str(i), "text": "joy " * 10} for i in range(10)]
    analyse_table(write(folder / "in.csv", rows), folder / "out.csv", analyser)
    assert [len(call) for call in reads_many.calls] == [3, 3, 3, 1]


@pytest.mark.parametrize("target", FORMATS)
def test_a_killed_run_resumes_to_the_identical_file(folder, analyser, reads_many, target):
    rows = [{"id": str(i), "text": f"joy {i}" if i % 7 else "12", "mark": i} for i in range(1000)]
    table = write(folder / "in.jsonl", rows)
    whole, out = folder / f"whole.{target}", folder / f"out.{target}"
    analyse_table(table, whole, analyser)
    reads_many.calls.clear()
    reads_many.stop_at = 500
    with pytest.raises(KeyboardInterrupt):
        analyse_table(table, out, analyser)
    assert not out.exists()
    done = sum(map(len, reads_many.calls))
    assert done >= 500 - ROWS_PER_WINDOW
    reads_many.stop_at = None
    report = analyse_table(table, out, analyser)
    assert report.resumed == done
    asked = [text for call in reads_many.calls for text in call]
    assert asked == [row["text"] for row in rows]  # none twice, none left out
    assert out.read_bytes() == whole.read_bytes()
    assert len(report.failures) == 143
    assert sorted(p.name for p in folder.iterdir() if "out" in p.name) == [out.name]


def test_a_run_killed_within_a_window_reads_the_window_as_it_was(folder, analyser, monkeypatch):
    """A quantised network's answers depend on the batch; the output must not show it."""

    class OfTheBatch:
        model_hash = "of the batch"

        def read_many(self, texts, *, as_mood=False):
            joy = len("".join(texts)) % 997 / 1000
            rest = (1 - joy) / 5
            six = np.array([joy, rest, rest, rest, rest, rest], np.float32)
            return [LyricReading(six, "en", None)] * len(texts)

    analyser._lyric_predictor = OfTheBatch()
    rows = [{"id": str(i), "text": f"text {i}"} for i in range(ROWS_PER_WINDOW * 3)]
    table = write(folder / "in.csv", rows)
    analyse_table(table, folder / "whole.csv", analyser)
    combine, combined = analyser.combine, 0

    def interrupted(*arguments, **options):
        nonlocal combined
        combined += 1
        if combined in (ROWS_PER_WINDOW + 40, ROWS_PER_WINDOW + 90):
            raise KeyboardInterrupt
        return combine(*arguments, **options)

    monkeypatch.setattr(analyser, "combine", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            analyse_table(table, folder / "out.csv", analyser)
    report = analyse_table(table, folder / "out.csv", analyser)
    assert report.resumed == ROWS_PER_WINDOW + 88
    assert combined == len(rows) + 2  # each row once, but for those that were interrupted
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()


def test_a_run_killed_while_it_writes_the_output_does_no_row_again(
    folder, analyser, reads_many, monkeypatch
):
    table = write(folder / "in.csv", [{"id": str(i), "text": "joy"} for i in range(200)])
    write_analysed = table_module.write_analysed

    def killed(out, table, renamed, rows: Iterator) -> None:
        next(iter(rows))
        raise MemoryError

    monkeypatch.setattr(table_module, "write_analysed", killed)
    with pytest.raises(MemoryError):
        analyse_table(table, folder / "out.csv", analyser)
    monkeypatch.setattr(table_module, "write_analysed", write_analysed)
    reads_many.calls.clear()
    assert analyse_table(table, folder / "out.csv", analyser).resumed == 200
    assert reads_many.calls == []
    assert len(read(folder / "out.csv")) == 200


@pytest.mark.parametrize(
    "damage", [b"\0" * 64, b'{"row": 60, "window": 1, "result": {}}\n', b"\n\n"]
)
def test_what_follows_the_last_whole_row_is_cut_off(folder, analyser, reads_many, damage):
    rows = [{"id": str(i), "text": "joy"} for i in range(ROWS_PER_WINDOW * 2)]
    table = write(folder / "in.csv", rows)
    reads_many.stop_at = ROWS_PER_WINDOW
    with pytest.raises(KeyboardInterrupt):
        analyse_table(table, folder / "out.csv", analyser)
    with (folder / "out.csv.part").open("ab") as part:
        part.write(damage)
    reads_many.stop_at = None
    assert analyse_table(table, folder / "out.csv", analyser).resumed == ROWS_PER_WINDOW
    assert [row["id"] for row in read(folder / "out.csv")] == [row["id"] for row in rows]


def test_a_table_without_rows(folder, analyser):
    (folder / "in.csv").write_text("id,text\n", encoding="utf-8")
    for target in FORMATS:
        report = analyse_table(folder / "in.csv", folder / f"out.{target}", analyser)
        assert (report.rows, report.analysed, len(report.failures)) == (0, 0, 0)
        assert read(folder / f"out.{target}") == []


def test_json_values_of_several_kinds_become_text_in_parquet(folder, analyser):
    rows = [{"id": i, "text": "joy"} for i in range(3000)]
    for row in rows[2500:]:
        row |= {"kind": row["id"], "count": row["id"] / 2, "tags": ["a"], "big": 1}
    rows[0]["count"] = 1
    rows[1] |= {"kind": "one", "tags": []}
    rows[2] |= {"big": 2**70, "text": "\ud800 joy", "parts": {"a": "\udfff"}}
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "in.jsonl").write_text(lines, encoding="utf-8")
    analyse_table(folder / "in.jsonl", folder / "out.parquet", analyser)
    result = parquet.read_table(folder / "out.parquet")
    assert result.schema.field("kind").type == pyarrow.string()
    assert result.schema.field("count").type == pyarrow.float64()
    assert result.schema.field("tags").type == pyarrow.list_(pyarrow.string())
    assert result.column("kind")[2999].as_py() == "2999"
    assert result.column("big").to_pylist()[:3] == [None, None, str(2**70)]
    assert result.column("count").to_pylist()[:2] == [1.0, None]
    assert result.column("text")[2].as_py() == "? joy"
    assert result.column("parts")[2].as_py() == {"a": "?"}
