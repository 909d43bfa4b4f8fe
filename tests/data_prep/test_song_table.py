import json
from pathlib import Path

import pytest

from data_prep.data_folder import data_root
from data_prep.errors import InputError
from data_prep.readers.song_table import read_song_table

ROWS = [
    {"id": "1", "text": "첫째,\n줄", "audio_path": "a.mp3", "title": "봄", "year": "2003", "x": ""},
    {"id": "2", "text": "", "audio_path": "b.mp3", "title": "", "year": "", "x": "k"},
]  # fmt: skip


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        import csv

        with path.open("w", encoding="utf-8", newline="") as lines:
            delimiter = "," if path.suffix == ".csv" else "\t"
            writer = csv.DictWriter(lines, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    table = read_song_table(write(tmp_path / f"songs{suffix}", ROWS))
    assert table.columns == ("id", "text", "audio_path", "title", "year", "x")
    first, second = table.records
    assert (first.row, first.id, first.text) == (1, "1", "첫째,\n줄")
    assert (first.audio_path, first.lyrics_path) == (tmp_path / "a.mp3", None)
    assert (first.title, first.year, first.genre) == ("봄", 2003, None)
    assert [first.values["x"], second.values["x"]] == ["", "k"]
    assert (second.text, second.title, second.year, second.problem) == (None, None, None, None)


def test_names_in_other_spellings(tmp_path: Path) -> None:
    path = tmp_path / "songs.csv"
    path.write_text("ID, Lyrics ,URL,License,Lyrics_Path\n7,words,http://x,CC0,sub/7.txt\n")
    (record,) = read_song_table(path).records
    assert (record.id, record.text, record.link, record.licence) == (
        "7",
        "words",
        "http://x",
        "CC0",
    )
    assert record.lyrics_path == tmp_path / "sub" / "7.txt"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "songs.csv"
    path.write_bytes("id,text\n1,우울한 밤\n".encode(encoding))
    assert read_song_table(path).records[0].text == "우울한 밤"


def test_a_hundred_rows_with_five_bad_ones(tmp_path: Path) -> None:
    lines = [f"{i},words of song {i}" for i in range(100)]
    lines[3] = "3,words, without quotes"
    lines[10] = "10"
    lines[20] = ",no id"
    lines[30] = "29,same id"
    lines[40] = "40,  "
    path = tmp_path / "songs.csv"
    path.write_text("id,text\n" + "\n".join(lines) + "\n")
    records = read_song_table(path).records
    assert len(records) == 100
    assert [record.row for record in records] == list(range(1, 101))
    problems = {record.row: record.problem for record in records if record.problem}
    assert list(problems) == [4, 11, 21, 31, 41]
    assert "needs quotes" in problems[4]
    assert "fewer fields" in problems[11]
    assert "no id" in problems[21]
    assert problems[31] == "row 30 has the same id '29'"
    assert problems[41] == "the row has nothing in text"


def test_bad_json_lines_are_rows_with_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "songs.jsonl"
    path.write_text('{"id": 1, "text": "a"}\n{"id": 2,\n\n[3]\n{"id": 4.0, "text": "d"}\n')
    first, second, third, fourth = read_song_table(path).records
    assert (first.id, fourth.id) == ("1", "4")
    assert "not JSON" in (second.problem or "")
    assert third.problem == "the line is a list, not an object"


@pytest.mark.parametrize(
    ("value", "year"),
    [("1999", 1999), ("2015-03-01", 2015), ("20150301", 2015), ("00000000", None), ("?", None)],
)
def test_years(tmp_path: Path, value: str, year: int | None) -> None:
    path = tmp_path / "songs.csv"
    path.write_text(f"id,text,year\n1,a,{value}\n")
    assert read_song_table(path).records[0].year == year


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"name,text\n1,a\n", "no column 'id' .found: name, text."),
        ("a.csv", b"id,title\n1,a\n", "none of the columns text, lyrics, lyrics_path, audio_path"),
        ("a.csv", b"", "no column 'id' .found: none."),
        ("a.csv", b"\x00\x01\x02" * 100, "not text"),
        ("a.csv", b'id,text\n1,"never closed\n', "not a table separated by commas"),
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
        read_song_table(path)


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_song_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_song_table(tmp_path)


@pytest.mark.parametrize(("name", "n"), [("cc_songs", 13), ("jamendo", 23)])
def test_tables_of_the_data_folder(name: str, n: int) -> None:
    path = data_root() / "songs" / name / "index.csv"
    if not path.is_file():
        pytest.skip(f"songs/{name} is not in the data folder (MAEUM_DATA)")
    records = read_song_table(path).records
    assert len(records) == n
    for record in records:
        assert record.problem is None
        assert record.title
        assert record.artist
        for file in (record.lyrics_path, record.audio_path):
            assert file is None or file.is_file()
