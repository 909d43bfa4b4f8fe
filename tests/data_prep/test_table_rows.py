"""Tables row by row: formats, alphabets, malformed rows in their place, changes noticed."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from data_prep.errors import InputError
from data_prep.readers import table_rows
from data_prep.readers.table_rows import open_table


def test_a_table_is_known_before_its_rows_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\nx,1\ny,2\n")
    seen: list[int] = []
    table = open_table(path, lambda row: seen.append(row.number))
    assert (table.columns, table.length, seen) == (("text", "label"), 2, [1, 2])
    assert table.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [row.values for row in table.rows()] == [
        {"text": "x", "label": "1"},
        {"text": "y", "label": "2"},
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_alphabets(tmp_path: Path, encoding: str, suffix: str) -> None:
    content = {
        ".csv": "text,x\n우울한 밤,1\n",
        ".tsv": "text\tx\n우울한 밤\t1\n",
        ".jsonl": '{"text": "우울한 밤", "x": "1"}\r\n',
    }[suffix]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content.encode(encoding))
    table = open_table(path)
    (row,) = table.rows()
    assert (table.columns, row.values["text"], row.problem) == (("text", "x"), "우울한 밤", None)


def test_an_alphabet_is_told_by_the_whole_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.csv"
    monkeypatch.setattr(table_rows, "_BLOCK_BYTES", 64)
    # The first block is plain; what tells CP949 stands behind it, across a block's edge.
    plain = b"text\n" + b"x\n" * 29
    assert len(plain) == 63
    path.write_bytes(plain + "밤의 노래\n".encode("cp949"))
    table = open_table(path)
    assert table.encoding == "cp949"
    assert list(table.rows())[-1].values == {"text": "밤의 노래"}


def test_malformed_rows_keep_their_place(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("a\tb\n1\t2\n3\n4\t5\t6\n7\t8\n", encoding="utf-8")
    problems = [row.problem for row in open_table(path).rows()]
    assert problems[0] is None
    assert problems[3] is None
    assert "fewer fields" in (problems[1] or "")
    assert "more fields" in (problems[2] or "")
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n[2]\n{"b":\n{"c": 3}\n', encoding="utf-8")
    table = open_table(path)
    rows = list(table.rows())
    assert (table.columns, table.length) == (("a", "c"), 4)
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert rows[1].problem == "the line is a list, not an object"
    assert "not JSON" in (rows[2].problem or "")


def test_a_line_too_long_to_hold_is_a_row_with_a_problem(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(table_rows, "MAX_LINE_CHARACTERS", 20)
    path = tmp_path / "a.jsonl"
    lines = ['{"a": 1}', '{"a": "' + "x" * 50 + '"}', '{"a": "2345678901"}', '{"a": 4}']
    assert len(lines[2]) == 19  # with its line feed just as long as may be
    path.write_text("\n".join(lines), encoding="utf-8")
    rows = list(open_table(path).rows())
    assert [row.values.get("a") for row in rows] == [1, None, "2345678901", 4]
    assert [row.problem is None for row in rows] == [True, False, True, True]
    assert "longer than 20 characters" in (rows[1].problem or "")


def test_the_limit_of_fields_is_raised_for_a_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "가" * 200_000 + "\nb\n", encoding="utf-8")
    before = csv.field_size_limit(131_072)
    try:
        rows = open_table(path).rows()
        assert len(next(rows).values["text"]) == 200_000
        assert csv.field_size_limit() == 131_072
    finally:
        csv.field_size_limit(before)


def test_parquet_is_read_by_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {"n": list(range(1000)), "t": [[str(n)] for n in range(1000)]}
    parquet.write_table(pyarrow.table(columns), path, row_group_size=300)
    table = open_table(path)
    assert (table.columns, table.length) == (("n", "t"), 1000)
    assert [row.values for row in table.rows()] == [{"n": n, "t": [str(n)]} for n in range(1000)]


def test_a_table_that_changes_is_not_read_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    table = open_table(path)
    path.write_text("a\n1\n2\n", encoding="utf-8")
    with pytest.raises(InputError, match="changed while it was being read"):
        next(iter(table.rows()))
    path.unlink()
    with pytest.raises(InputError, match="changed"):
        next(iter(table.rows()))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"\x00\x01\x02" * 100, "not text"),
        ("a.csv", b'a,b\n1,"never closed\n', "not a table separated by commas"),
        ("a.tsv", b'a\tb\n1\t"x"y\n', "not a table separated by tabs"),
        ("a.parquet", b"id,text\n", "not a Parquet table"),
        ("a.xlsx", b"PK", "expected one of .csv, .tsv, .jsonl, .parquet"),
    ],
)
def test_tables_that_cannot_be_used(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_table(path)


def test_missing_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        open_table(tmp_path)
