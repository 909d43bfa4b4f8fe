"""Songs on another file system become the catalogue that they would become here."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from pyarrow import parquet
from typer.testing import CliRunner

from app.cli import app
from app.library.indexing import index_songs
from app.library.song_sources import song_sources
from app.reading_pool import ReadingPool
from data_prep.catalogue import Catalogue, Song
from data_prep.errors import InputError
from data_prep.remote_file import place_of_file
from fusion.analysis import SongAnalyser
from tests.s3_server import Store, s3_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    folder = tmp_path / "store" / "bucket" / "music"
    (folder / "앨범").mkdir(parents=True)
    (folder / "앨범" / "Kim - 비.mp3").write_bytes(b"SOUND sad")
    (folder / "앨범" / "Kim - 비.TXT").write_text("기쁨의 노래", encoding="utf-8")
    (folder / "two.mp3").write_bytes(b"SOUND calm")
    (folder / "broken.mp3").write_bytes(b"no sound")
    (folder / ".hidden.mp3").write_bytes(b"SOUND sad")
    (folder / "notes.pdf").write_bytes(b"none")
    with s3_store(tmp_path / "store") as running:
        yield running


@pytest.fixture
def catalogue(tmp_path):
    with Catalogue.open(str(tmp_path / "songs.db"), create=True) as opened:
        yield opened


def sources(store: Store, key: str, source: str | None = None):
    return song_sources(place_of_file(store.url(key)), source)


def content(song: Song) -> list[object]:
    stages = [s and (s.made_by, s.distribution.tolist()) for s in (song.lyrics, song.audio)]
    facts = [name for name in Song.__slots__ if name not in ("path", "lyrics", "audio", "fused")]
    return [*(getattr(song, name) for name in facts), *stages]


def read(store: Store) -> Counter[tuple[str, str]]:
    """What was fetched since this was asked last."""
    found = Counter({each: n for each, n in store.asked.items() if each[0] == "GET"})
    store.asked.clear()
    return found


def test_a_bucket_is_indexed_as_its_folder_would_be(store, catalogue, tmp_path, analyser):
    with Catalogue.open(tmp_path / "here.db", create=True) as here:
        own = index_songs(here, song_sources(store.folder / "bucket" / "music"), analyser)
        expected = [content(song) for song in here.songs()]
    report = index_songs(catalogue, sources(store, "bucket/music"), analyser)
    assert (report.new, len(report.failures)) == (own.new, len(own.failures)) == (2, 1)
    assert report.failures[0].error.startswith("s3://bucket/music/broken.mp3")
    assert [content(song) for song in catalogue.songs()] == expected
    paths = {song.path for song in catalogue.songs()}
    assert paths == {"s3://bucket/music/two.mp3", "s3://bucket/music/앨범/Kim - 비.mp3"}


def test_what_is_unchanged_is_not_read_again(store, catalogue, analyser):
    index_songs(catalogue, sources(store, "bucket/music"), analyser)
    read(store)
    folder = store.folder / "bucket" / "music"
    (folder / "broken.mp3").unlink()
    report = index_songs(catalogue, sources(store, "bucket/music"), analyser)
    assert (report.new, report.changed, report.unchanged) == (0, 0, 2)
    analyser.audio_predictor.asked.clear()
    (folder / "two.mp3").write_bytes(b"SOUND joy")
    os.utime(folder / "two.mp3", (2_000_000_000, 2_000_000_000))
    report = index_songs(catalogue, sources(store, "bucket/music"), analyser)
    assert (report.changed, report.unchanged) == (1, 1)
    assert len(analyser.audio_predictor.asked) == 1
    two = next(song for song in catalogue.songs() if song.title == "two")
    assert int(two.audio.distribution.argmax()) == 0


def test_what_is_gone_is_marked_and_nothing_else(store, catalogue, analyser):
    index_songs(catalogue, sources(store, "bucket/music", "mine"), analyser)
    # a part of it, and one recording: the others are still there
    index_songs(catalogue, sources(store, "bucket/music/앨범", "mine"), analyser)
    index_songs(catalogue, sources(store, "bucket/music/two.mp3", "mine"), analyser)
    assert not [song for song in catalogue.songs() if song.missing_since]
    (store.folder / "bucket" / "music" / "two.mp3").unlink()
    report = index_songs(catalogue, sources(store, "bucket/music", "mine"), analyser)
    assert report.missing == 1
    gone = {song.path for song in catalogue.songs() if song.missing_since}
    assert gone == {"s3://bucket/music/two.mp3"}


def test_a_folder_of_parquet_files_is_one_table(store, catalogue, tmp_path, analyser):
    folder = store.folder / "bucket" / "words"
    folder.mkdir()
    rows = [{"id": f"t{i}", "text": ("기쁨", "우울", "평화")[i % 3]} for i in range(9)]
    for part in range(3):
        table = pa.Table.from_pylist(rows[3 * part : 3 * part + 3])
        parquet.write_table(table, folder / f"part-{part}.parquet")
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / "_metadata.parquet").write_bytes(b"no table")
    report = index_songs(catalogue, sources(store, "bucket/words"), analyser)
    assert (report.new, len(report.failures)) == (9, 0)
    assert {song.source for song in catalogue.songs()} == {"words"}
    with Catalogue.open(tmp_path / "here.db", create=True) as here:
        index_songs(here, song_sources(folder), analyser)
        assert list(map(content, here.songs())) == list(map(content, catalogue.songs()))


def test_what_holds_no_songs_or_is_not_there_is_told(store):
    (store.folder / "bucket" / "empty").mkdir()
    (store.folder / "bucket" / "empty" / "notes.pdf").write_bytes(b"none")
    with pytest.raises(InputError, match="s3://bucket/empty holds no music"):
        sources(store, "bucket/empty")
    with pytest.raises(InputError, match="s3://bucket/none does not exist"):
        sources(store, "bucket/none")
    with pytest.raises(InputError, match=r"s3://bucket/music/notes\.pdf is neither"):
        sources(store, "bucket/music/notes.pdf")


def test_a_store_that_goes_away_meanwhile_costs_its_songs(store, catalogue, analyser):
    listed = sources(store, "bucket/music")
    (store.folder / "bucket" / "music" / "two.mp3").unlink()
    report = index_songs(catalogue, listed, analyser)
    assert report.new == 1
    assert any("s3://bucket/music/two.mp3 cannot be read" in f.error for f in report.failures)


def test_processes_read_there_themselves(store, tmp_path):
    folder = store.folder / "bucket" / "sounds"
    folder.mkdir()
    rng = np.random.default_rng(4)
    for i in range(3):
        t = np.arange(16_000 * (3 + i)) / 16_000
        wave = 0.2 * np.sin(2 * np.pi * (180 + 70 * i) * t) + 0.02 * rng.normal(size=t.size)
        soundfile.write(folder / f"{i}.wav", wave.astype(np.float32), 16_000)
    url, place = store.url("bucket/sounds"), tmp_path / "here.db"
    done = CliRunner().invoke(app, ["index", str(folder), "--catalogue", str(place)])
    assert done.exit_code == 0, done.output
    with (
        Catalogue.open(tmp_path / "there.db", create=True) as there,
        ReadingPool(2) as pool,
        Catalogue.open(place, read_only=True) as here,
    ):
        listed = song_sources(place_of_file(url))
        index_songs(there, listed, SongAnalyser(threads=1), pool=pool)
        assert list(map(content, here.songs())) == list(map(content, there.songs()))
    again = CliRunner().invoke(app, ["index", url, "--catalogue", str(tmp_path / "there.db")])
    assert again.exit_code == 0, again.output
    assert "3 unchanged" in again.output
    assert "secret" not in again.output
    assert store.query not in again.output


def test_a_table_there_is_analysed_as_one_here(store, tmp_path):
    folder = store.folder / "bucket" / "tables"
    folder.mkdir()
    rows = "id,text,lyrics_path\na,오늘 너무 우울해,\nb,,words/b.txt\nc,,words/none.txt\n"
    (folder / "songs.csv").write_text(rows, encoding="utf-8")
    (folder / "words").mkdir()
    (folder / "words" / "b.txt").write_text("기쁨의 노래를 부르자", encoding="utf-8")
    results = []
    for number, table in enumerate(
        (str(folder / "songs.csv"), store.url("bucket/tables/songs.csv"))
    ):
        out, errors = tmp_path / f"{number}.csv", tmp_path / f"{number}.jsonl"
        arguments = ["analyse", "--table", table, "--out", str(out), "--errors", str(errors)]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 1, done.output  # c
        assert store.query not in done.output
        results.append(out.read_text(encoding="utf-8").splitlines()[:-1])
    assert results[0] == results[1]
    told = errors.read_text(encoding="utf-8")
    assert "s3://bucket/tables/songs.csv, row 3" in told
    assert "s3://bucket/tables/words/none.txt" in told
    assert "maeum-copy-" not in told
