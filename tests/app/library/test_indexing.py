"""Indexing: idempotent, stage by stage, nothing lost on interruption."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.library.indexing import index_songs
from app.library.song_sources import song_sources
from data_prep.catalogue import Catalogue
from data_prep.errors import ModelFolderError
from fusion.combination import fuse
from fusion.rescoring import catalogue_settings
from fusion.rules import Product


@pytest.fixture
def music(tmp_path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    for name, word in (("one", "joy"), ("two", "calm"), ("three", "sad")):
        (folder / f"{name}.mp3").write_bytes(b"SOUND " + word.encode())
    (folder / "three.txt").write_text("기쁨의 노래", encoding="utf-8")
    return folder


@pytest.fixture
def catalogue(tmp_path):
    with Catalogue.open(str(tmp_path / "songs.db"), create=True) as opened:
        yield opened


def counts(report) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, len(report.failures)


def asked(analyser) -> tuple[list[str], list[str]]:
    words, sounds = analyser.lyric_predictor.asked, analyser.audio_predictor.asked
    result = sorted(words), sorted(sounds)
    words.clear()
    sounds.clear()
    return result


def test_raw_answers_are_stored_apart_and_fused(catalogue, music, analyser):
    report = index_songs(catalogue, song_sources(music), analyser)
    assert counts(report) == (3, 0, 0, 0)
    by_title = {song.title: song for song in catalogue.songs()}
    both = by_title["three"]
    assert (both.lyrics.made_by, both.audio.made_by) == ("words-1", "sound-1")
    assert int(both.lyrics.distribution.argmax()) == 0
    assert int(both.audio.distribution.argmax()) == 3
    expected = fuse(both.lyrics.distribution, both.audio.distribution, analyser.settings)
    np.testing.assert_allclose(both.fused.distribution, expected.distribution, atol=1e-6)
    assert both.fused.made_by == analyser.settings.hash
    assert both.language == "ko"
    assert by_title["one"].lyrics is None
    assert by_title["one"].path == str(music / "one.mp3")
    assert by_title["one"].source == "music"


def test_a_second_run_asks_no_model(catalogue, music, analyser):
    index_songs(catalogue, song_sources(music), analyser)
    asked(analyser)
    assert counts(index_songs(catalogue, song_sources(music), analyser)) == (0, 0, 3, 0)
    assert asked(analyser) == ([], [])


def test_a_touched_file_is_recognised_by_its_content(catalogue, music, analyser):
    index_songs(catalogue, song_sources(music), analyser)
    asked(analyser)
    os.utime(music / "one.mp3", (1, 1))
    assert counts(index_songs(catalogue, song_sources(music), analyser)) == (0, 1, 2, 0)
    assert asked(analyser) == ([], [])
    assert counts(index_songs(catalogue, song_sources(music), analyser)) == (0, 0, 3, 0)


def test_only_the_stage_that_changed_is_read_again(catalogue, music, analyser):
    index_songs(catalogue, song_sources(music), analyser)
    asked(analyser)
    (music / "three.txt").write_text("평화의 노래", encoding="utf-8")
    assert counts(index_songs(catalogue, song_sources(music), analyser)) == (0, 1, 2, 0)
    assert asked(analyser) == (["평화의 노래"], [])
    (music / "three.mp3").write_bytes(b"SOUND joy  ")
    assert counts(index_songs(catalogue, song_sources(music), analyser)) == (0, 1, 2, 0)
    assert asked(analyser) == ([], ["three.mp3"])
    (music / "three.txt").unlink()
    index_songs(catalogue, song_sources(music), analyser)
    (three,) = [song for song in catalogue.songs() if song.title == "three"]
    assert three.lyrics is None
    assert asked(analyser) == ([], [])


def test_another_model_reads_its_own_stage_again(catalogue, music, analyser):
    index_songs(catalogue, song_sources(music), analyser)
    asked(analyser)
    analyser.lyric_predictor.model_hash = "words-2"
    assert counts(index_songs(catalogue, song_sources(music), analyser)) == (0, 1, 2, 0)
    assert asked(analyser) == (["기쁨의 노래"], [])
    analyser.audio_predictor.model_hash = "sound-2"
    assert counts(index_songs(catalogue, song_sources(music), analyser)) == (0, 3, 0, 0)
    assert asked(analyser) == ([], ["one.mp3", "three.mp3", "two.mp3"])


def test_other_settings_rescore_without_a_model(catalogue, music, analyser):
    index_songs(catalogue, song_sources(music), analyser)
    asked(analyser)
    analyser.settings = replace(analyser.settings, rule=Product.of_weight(0.9))
    report = index_songs(catalogue, song_sources(music), analyser)
    assert counts(report) == (0, 0, 3, 0)
    assert report.rescored == 3
    assert {song.fused.made_by for song in catalogue.songs()} == {analyser.settings.hash}
    assert catalogue_settings(catalogue) == analyser.settings
    assert asked(analyser) == ([], [])


def test_bad_files_are_reported_and_the_rest_is_done(catalogue, music, analyser):
    (music / "bad.mp3").write_bytes(bytes(range(200)))
    (music / "empty.ogg").write_bytes(b"")
    (music / "quiet.wav").write_bytes(b"SOUND silence")
    (music / "two.txt").write_bytes(b"\0\1\2")
    report = index_songs(catalogue, song_sources(music), analyser)
    assert counts(report) == (2, 0, 0, 4)
    errors = {Path(failure.where).name: failure.error for failure in report.failures}
    assert "cannot be decoded" in errors["bad.mp3"]
    assert "silence" in errors["quiet.wav"]
    assert "two.txt is not text" in errors["two.mp3"]
    assert catalogue.count() == 2


def test_an_interruption_keeps_what_was_done(catalogue, tmp_path, analyser, capsys):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(20 + 10):
        (folder / f"{i:02}.mp3").write_bytes(b"SOUND joy")
    (folder / f"{20 + 5:02}.txt").write_text("break", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        index_songs(catalogue, song_sources(folder), analyser)
    assert catalogue.count() == 20 + 5
    assert "run the same command again" in capsys.readouterr().err
    (folder / f"{20 + 5:02}.txt").write_text("joy", encoding="utf-8")
    asked(analyser)
    report = index_songs(catalogue, song_sources(folder), analyser)
    assert counts(report) == (5, 0, 20 + 5, 0)
    assert len(asked(analyser)[1]) == 5


def test_nothing_local_is_stored_if_not_wanted(catalogue, music, analyser):
    index_songs(catalogue, song_sources(music), analyser, keep_paths=False)
    assert {song.path for song in catalogue.songs()} == {None}
    assert str(music) not in "".join(catalogue.meta().values())
    for file in catalogue.files([song.id for song in catalogue.songs()]).values():
        assert (file.source, file.place, file.size, file.mtime_ns) == (None,) * 4
        assert file.content
    asked(analyser)
    report = index_songs(catalogue, song_sources(music), analyser, keep_paths=False)
    assert counts(report) == (0, 0, 3, 0)
    assert asked(analyser) == ([], [])


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["id,title,artist,lyrics", *rows]) + "\n", encoding="utf-8")
    return path


def test_new_facts_need_no_new_analysis(catalogue, tmp_path, analyser):
    path = table(tmp_path / "songs.csv", "1,Old,A,joy", "2,Same,B,calm")
    index_songs(catalogue, song_sources(path), analyser)
    asked(analyser)
    table(path, "1,New,A,joy", "2,Same,B,calm")
    assert counts(index_songs(catalogue, song_sources(path), analyser)) == (0, 1, 1, 0)
    assert asked(analyser) == ([], [])
    assert catalogue.get(["1"])[0].title == "New"


def test_one_id_is_one_song(catalogue, tmp_path, analyser):
    path = table(tmp_path / "songs.csv", "1,T,A,joy", "1,U,B,calm")
    report = index_songs(catalogue, song_sources(path), analyser)
    assert counts(report) == (1, 0, 0, 1)
    other = table(tmp_path / "others.csv", "1,V,C,sad")
    report = index_songs(catalogue, song_sources(other), analyser)
    assert "belongs to a song from 'songs'" in report.failures[0].error
    assert catalogue.get(["1"])[0].title == "T"


def test_words_that_cannot_be_read_are_not_read_again_and_again(catalogue, music, analyser):
    (music / "one.txt").write_text("123 456", encoding="utf-8")
    index_songs(catalogue, song_sources(music), analyser)
    (one,) = [song for song in catalogue.songs() if song.title == "one"]
    assert one.lyrics is None
    assert one.lyrics_note == "no words"
    asked(analyser)
    assert counts(index_songs(catalogue, song_sources(music), analyser)) == (0, 0, 3, 0)
    assert asked(analyser) == ([], [])


def test_a_model_that_is_gone_stops_the_run(catalogue, music, analyser):
    def refuse(path: Path) -> None:
        raise ModelFolderError("the model is gone")

    analyser.audio_predictor.read_file = refuse
    with pytest.raises(ModelFolderError):
        index_songs(catalogue, song_sources(music), analyser)
