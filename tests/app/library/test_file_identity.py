"""Files that were moved, swapped, replaced or deleted, and the songs that they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.library.indexing import IndexReport, index_songs
from app.library.song_sources import song_sources
from data_prep.catalogue import Catalogue, Song
from fusion.catalogue_shelf import CatalogueShelf
from fusion.recommendation import Recommender
from fusion.settings import FusionSettings
from fusion.shelf import ListShelf


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    (folder / "deep").mkdir(parents=True)
    for place, word in (("one.mp3", "joy"), ("two.mp3", "calm"), ("deep/three.mp3", "sad")):
        (folder / place).write_bytes(b"SOUND " + word.encode())
    (folder / "deep/three.txt").write_text("슬픔의 노래", encoding="utf-8")
    return folder


@pytest.fixture
def catalogue(tmp_path: Path):
    with Catalogue.open(str(tmp_path / "songs.db"), create=True) as opened:
        yield opened


def numbered(catalogue: Catalogue) -> dict[str, tuple[int, str]]:
    """Name of the file that a song has → the song's number and id."""
    found = catalogue.numbered(catalogue.numbers())
    return {Path(song.path or "").name: (number, song.id) for number, song in found.items()}


def told(report: IndexReport) -> dict[str, int]:
    names = ("new", "changed", "moved", "unchanged", "missing")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


@pytest.fixture
def again(catalogue, music, analyser):
    """Indexes again; gives what was counted, and which recordings were read."""

    def run() -> tuple[dict[str, int], list[str]]:
        analyser.audio_predictor.asked.clear()
        report = index_songs(catalogue, song_sources(music), analyser)
        assert report.failures == []
        return told(report), analyser.audio_predictor.asked

    run()
    return run


def test_a_moved_file_keeps_its_song(catalogue, music, again):
    before = numbered(catalogue)
    (music / "deep/three.mp3").rename(music / "renamed.mp3")
    (music / "deep/three.txt").rename(music / "renamed.txt")
    assert again() == ({"moved": 1, "unchanged": 2}, [])
    after = numbered(catalogue)
    assert after["renamed.mp3"] == before["three.mp3"]
    assert {name: after[name] for name in ("one.mp3", "two.mp3")} == {
        name: before[name] for name in ("one.mp3", "two.mp3")
    }
    (song,) = catalogue.get([after["renamed.mp3"][1]])
    assert (song.title, song.path) == ("renamed", str(music / "renamed.mp3"))
    assert song.lyrics is not None
    assert again() == ({"unchanged": 3}, [])


def test_swapped_files_keep_their_songs(catalogue, music, again):
    before = numbered(catalogue)
    (music / "one.mp3").rename(music / "x")
    (music / "two.mp3").rename(music / "one.mp3")
    (music / "x").rename(music / "two.mp3")
    for name, time in (("one.mp3", 5), ("two.mp3", 6)):
        os.utime(music / name, (time, time))
    counted, read = again()
    assert read == []
    assert counted == {"moved": 2, "unchanged": 1}
    after = numbered(catalogue)
    assert (after["one.mp3"], after["two.mp3"]) == (before["two.mp3"], before["one.mp3"])
    assert again() == ({"unchanged": 3}, [])


def test_a_new_file_in_the_place_of_a_moved_one_is_another_song(catalogue, music, again):
    before = numbered(catalogue)
    (music / "one.mp3").rename(music / "elsewhere.mp3")
    (music / "one.mp3").write_bytes("SOUND 긴장".encode())
    assert again() == ({"new": 1, "moved": 1, "unchanged": 2}, ["one.mp3"])
    after = numbered(catalogue)
    assert after["elsewhere.mp3"] == before["one.mp3"]
    assert after["one.mp3"] not in before.values()
    assert again() == ({"unchanged": 4}, [])


def test_of_two_equal_files_the_one_that_stays_stays(catalogue, music, again):
    (music / "copy.mp3").write_bytes((music / "one.mp3").read_bytes())
    assert again() == ({"new": 1, "unchanged": 3}, ["copy.mp3"])
    before = numbered(catalogue)
    (music / "copy.mp3").rename(music / "deep/copy.mp3")
    assert again() == ({"moved": 1, "unchanged": 3}, [])
    assert numbered(catalogue) == before


def test_a_file_that_is_gone_is_marked_and_comes_back(catalogue, music, again):
    content = (music / "one.mp3").read_bytes()
    (music / "one.mp3").unlink()
    assert again() == ({"unchanged": 2, "missing": 1}, [])
    (gone,) = [song for song in catalogue.songs() if song.missing_since]
    assert gone.title == "one"
    shelf = CatalogueShelf(catalogue, FusionSettings.load())
    for searched in (shelf, ListShelf(catalogue.songs())):
        names = [r.song.title for r in Recommender(searched).recommend(gone.fused.distribution)]
        assert sorted(names) == ["three", "two"]
    assert again() == ({"unchanged": 2}, []), "it is marked once"
    (music / "one.mp3").write_bytes(content)
    assert again() == ({"changed": 1, "unchanged": 2}, [])
    assert not any(song.missing_since for song in catalogue.songs())


def test_a_moved_folder_is_the_same_songs(catalogue, music, again, analyser, tmp_path):
    before = numbered(catalogue)
    moved = tmp_path / "disk" / "music"
    moved.parent.mkdir()
    music.rename(moved)
    analyser.audio_predictor.asked.clear()
    report = index_songs(catalogue, song_sources(moved), analyser)
    assert told(report) == {"changed": 3}
    assert analyser.audio_predictor.asked == []
    assert numbered(catalogue) == before


def test_another_folder_of_the_same_name_marks_nothing(catalogue, music, again, analyser, tmp_path):
    other = tmp_path / "usb" / "music"
    other.mkdir(parents=True)
    (other / "four.mp3").write_bytes("SOUND 분노".encode())
    report = index_songs(catalogue, song_sources(other), analyser)
    assert told(report) == {"new": 1}
    assert catalogue.missing().tolist() == []


def test_one_file_alone_marks_nothing(catalogue, music, again, analyser):
    (music / "one.mp3").unlink()
    report = index_songs(catalogue, song_sources(music / "two.mp3"), analyser)
    assert told(report) == {"unchanged": 1}
    assert catalogue.missing().tolist() == []


def test_songs_of_an_older_catalogue_are_recognised_by_their_ids(catalogue, music, again):
    from data_prep.catalogue import SongFile

    ids = [song.id for song in catalogue.songs()]
    kept = catalogue.files(ids)
    catalogue.keep_files(
        SongFile(f.song_id, None, None, f.size, f.mtime_ns, f.content, f.lyrics, f.audio)
        for f in kept.values()
    )
    assert again() == ({"changed": 3}, [])
    assert catalogue.files(ids) == kept
    assert again() == ({"unchanged": 3}, [])


def test_a_song_without_a_place_is_never_missing(catalogue, music, again):
    catalogue.upsert([Song("table", path=str(music / "none.mp3"), source="music")])
    assert again() == ({"unchanged": 3}, [])
