"""Export: tables that hold what the catalogue holds, playlists that players read."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from pyarrow import parquet

from app.library.exporting import COLUMNS, export_songs
from data_prep.catalogue import Song, StageVector
from data_prep.errors import InputError

VECTOR = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1], dtype=np.float32)
SONGS = [
    Song(
        id="1",
        title='쉼표, "따옴표"',
        artist="가수",
        year=2017,
        path="/music/1.mp3",
        lyrics=StageVector(VECTOR, "words"),
        fused=StageVector(VECTOR, "settings"),
    ),
    Song(id="2", title="두\n줄", link="https://example.org/2", audio_note="silence"),
    Song(id="3", artist="Nobody"),
]


def read(path) -> list[dict]:
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_tables(tmp_path, form):
    out = tmp_path / f"songs.{form}"
    export_songs(SONGS, form, out)
    rows = read(out)
    assert list(rows[0]) == list(COLUMNS)
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert (rows[0]["title"], rows[0]["top"]) == ('쉼표, "따옴표"', "joy")
    assert str(rows[0]["year"]) == "2017"
    assert float(rows[0]["lyrics_joy"]) == pytest.approx(0.5)
    assert rows[0]["fused_made_by"] == "settings"
    assert rows[1]["title"] == "두\n줄"
    assert rows[2]["audio_joy"] in (None, "")


def test_the_format_is_what_was_asked_for(tmp_path):
    export_songs(SONGS, "jsonl", tmp_path / "songs.txt")
    assert json.loads((tmp_path / "songs.txt").read_text(encoding="utf-8").splitlines()[0])


def test_to_standard_output(capsys):
    export_songs(SONGS, "csv", None)
    assert capsys.readouterr().out.startswith("id,title,artist")
    export_songs(SONGS, "jsonl", None)
    assert len(capsys.readouterr().out.splitlines()) == 3
    with pytest.raises(InputError, match="--out"):
        export_songs(SONGS, "parquet", None)


def test_a_playlist_on_standard_output(capsys):
    export_songs(SONGS, "m3u8", None)
    assert capsys.readouterr().out.startswith("#EXTM3U\n#EXTINF:-1,가수")


def test_no_songs_are_a_header(tmp_path):
    export_songs([], "csv", tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text(encoding="utf-8").strip() == ",".join(COLUMNS)
    export_songs([], "parquet", tmp_path / "none.parquet")
    assert read(tmp_path / "none.parquet") == []
