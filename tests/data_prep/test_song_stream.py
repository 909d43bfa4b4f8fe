"""Songs row by row are the songs of the whole table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from data_prep.errors import InputError
from data_prep.readers.song_stream import _repeats, open_song_stream
from data_prep.readers.song_table import read_song_table

ROWS = [
    {"id": "1", "text": "첫째,\n줄", "audio_path": "a.mp3", "year": "2003", "License": "CC0"},
    {"id": "2", "text": "", "audio_path": "b.mp3", "year": "", "License": ""},
    {"id": "1", "text": "again", "audio_path": "", "year": "0000", "License": "MIT"},
    {"id": "", "text": "no id", "audio_path": "", "year": "", "License": ""},
    {"id": "", "text": "nor here", "audio_path": "", "year": "", "License": ""},
    {"id": " 2 ", "text": "", "audio_path": "", "year": "20150301", "License": ""},
    {"id": "3", "text": "  ", "audio_path": "", "year": "", "License": ""},
]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    if path.suffix == ".jsonl":
        lines = [json.dumps(row) for row in rows]
        lines[3] = "{not JSON"
        path.write_text("\n".join(lines), encoding="utf-8")
    elif path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        separator = "," if path.suffix == ".csv" else "\t"
        cells = [list(rows[0])] + [[f'"{value}"' for value in row.values()] for row in rows]
        lines = [separator.join(line) for line in cells]
        lines[5] += separator + '"surplus"'
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_the_same_records_as_of_the_whole_table(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"songs{suffix}", ROWS)
    stream, table = open_song_stream(path), read_song_table(path)
    assert (stream.columns, stream.length) == (table.columns, len(table.records))
    assert tuple(stream.records()) == table.records
    assert sum(record.problem is not None for record in table.records) == 5
    for after in range(len(ROWS) + 1):
        assert tuple(stream.records(after=after)) == table.records[after:]


def test_numbers_as_ids(tmp_path: Path) -> None:
    path = tmp_path / "songs.jsonl"
    path.write_text('{"id": 1, "text": "a"}\n{"id": 1.0, "text": "b"}\n{"id": null}\n')
    records = list(open_song_stream(path).records())
    assert [record.id for record in records] == ["1", "1", ""]
    assert records[1].problem == "row 1 has the same id '1'"


def test_repeats_by_hand() -> None:
    hashes = np.array([7, 0, 5, 7, 0, 5, 7, 9], dtype=np.uint64)  # 0: no id
    rows, first = _repeats(hashes)
    assert rows.tolist() == [4, 6, 7]
    assert first.tolist() == [1, 3, 1]
    rows, first = _repeats(hashes[:0])
    assert (len(rows), len(first)) == (0, 0)


def test_a_table_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "songs.csv"
    path.write_text("id,text\n", encoding="utf-8")
    stream = open_song_stream(path)
    assert (stream.length, list(stream.records())) == (0, [])


@pytest.mark.parametrize("header", ["name,text", "id,title", ""])
def test_a_missing_column_is_named(tmp_path: Path, header: str) -> None:
    path = tmp_path / "songs.csv"
    path.write_text(f"{header}\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"has no column 'id'|none of the columns"):
        open_song_stream(path)
