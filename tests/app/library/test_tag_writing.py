"""Moods into files: only ours, only whole, and without the songs being read again."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import mutagen
import numpy as np
import pytest
from mutagen.id3 import ID3, TMOO
from typer.testing import CliRunner

from app.cli import app
from app.library import file_copy
from app.library.indexing import index_songs
from app.library.mood_tags import TaggedFile
from app.library.song_sources import song_sources
from app.library.tag_writing import TagWishes, tag_songs
from data_prep.catalogue import Catalogue
from data_prep.errors import InputError
from tests.app.conftest import Reading, leaning
from tests.app.library.sound_files import sine

WRITE = TagWishes(write=True)
EMOTION = {"joyful": 0, "sad": 3}


@pytest.fixture
def music(tmp_path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    sine(folder / "joyful.mp3")
    sine(folder / "sad.flac")
    (folder / "sad.txt").write_text("슬픔의 노래", encoding="utf-8")
    return folder


@pytest.fixture
def hearing(analyser, monkeypatch) -> list[str]:
    """What was asked of the sound model, which goes by the names of files."""
    asked: list[str] = []

    def read_file(path: Path) -> Reading:
        asked.append(path.name)
        return Reading(leaning(EMOTION.get(path.stem, 2)))

    monkeypatch.setattr(analyser.audio_predictor, "read_file", read_file)
    return asked


@pytest.fixture
def catalogue(tmp_path, music, analyser, hearing):
    with Catalogue.open(str(tmp_path / "songs.db"), create=True) as opened:
        index_songs(opened, song_sources(music), analyser)
        hearing.clear()
        analyser.lyric_predictor.asked.clear()
        yield opened


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def moods(folder: Path) -> dict[str, str | None]:
    files = (path for path in folder.iterdir() if path.suffix != ".txt")
    return {path.name: TaggedFile(path).fields.mood for path in files}


def test_without_being_asked_nothing_is_written(catalogue, music):
    before = contents(music)
    report = tag_songs(catalogue, [], TagWishes())
    assert (report.n_changed, report.failures) == (2, [])
    assert [change.after.mood for change in report.changes] == ["joy", "슬픔"]
    assert contents(music) == before


def test_what_is_said_beforehand_is_what_is_written(catalogue, music):
    said = tag_songs(catalogue, [], TagWishes()).to_json()["songs"]
    assert tag_songs(catalogue, [], WRITE).to_json()["songs"] == said
    assert moods(music) == {"joyful.mp3": "joy", "sad.flac": "슬픔"}
    shares = mutagen.File(music / "sad.flac")["maeum"][0].split()[:6]
    songs = {song.title: song for song in catalogue.songs()}
    written = np.array([float(share.partition("=")[2]) for share in shares])
    np.testing.assert_allclose(written, songs["sad"].fused.distribution, atol=6e-5)
    again = tag_songs(catalogue, [], WRITE)
    assert (again.n_changed, len(again.changes)) == (0, 2)


def test_songs_whose_tags_were_written_are_not_read_again(catalogue, music, analyser, hearing):
    before = {song.id: song.audio.distribution.tobytes() for song in catalogue.songs()}
    tag_songs(catalogue, [], WRITE)
    report = index_songs(catalogue, song_sources(music), analyser)
    assert (report.unchanged, report.new, report.changed, report.moved) == (2, 0, 0, 0)
    assert hearing == analyser.lyric_predictor.asked == []
    # nor after they were touched, or moved: the catalogue knows the new bytes
    os.utime(music / "joyful.mp3", (1, 1))
    (music / "sad.flac").rename(music / "sadder.flac")
    report = index_songs(catalogue, song_sources(music), analyser)
    assert (report.moved, report.new, report.missing) == (1, 0, 0)
    assert hearing == []
    assert {song.id: song.audio.distribution.tobytes() for song in catalogue.songs()} == before


def test_removing_gives_the_files_back(catalogue, music, analyser, hearing):
    before = contents(music)
    tag_songs(catalogue, [], WRITE)
    assert contents(music) != before
    report = tag_songs(catalogue, [music], TagWishes(write=True, remove=True))
    assert report.n_changed == 2
    assert contents(music)["joyful.mp3"] == before["joyful.mp3"]
    assert moods(music) == {"joyful.mp3": None, "sad.flac": None}
    assert index_songs(catalogue, song_sources(music), analyser).unchanged == 2
    assert hearing == []


def write_mood(path: Path, text: str) -> None:
    tags = ID3()
    tags.add(TMOO(encoding=3, text=[text]))
    tags.save(path)


def test_a_mood_that_a_person_wrote_stays(tmp_path, analyser, hearing):
    path = sine(tmp_path / "sad.mp3")
    write_mood(path, "for rainy days")
    with Catalogue.open(str(tmp_path / "own.db"), create=True) as catalogue:
        index_songs(catalogue, song_sources(path), analyser)
        report = tag_songs(catalogue, [], WRITE)
        assert (report.n_changed, report.n_kept) == (1, 1)
        fields = TaggedFile(path).fields
        assert fields.mood == "for rainy days"
        assert "sadness=" in fields.ours
        # what is not ours is not taken out either
        tag_songs(catalogue, [], TagWishes(write=True, remove=True))
        assert TaggedFile(path).fields.mood == "for rainy days"
        assert TaggedFile(path).fields.ours is None
        tag_songs(catalogue, [], TagWishes(write=True, overwrite=True))
        assert TaggedFile(path).fields.mood == "sadness"
        # now it is ours, and may be said in another language
        tag_songs(catalogue, [], TagWishes(write=True, language="ko"))
        assert TaggedFile(path).fields.mood == "슬픔"


def test_a_song_that_changed_since_is_not_given_another_songs_mood(catalogue, music):
    sine(music / "joyful.mp3", duration_s=0.7)
    before = contents(music)
    report = tag_songs(catalogue, [], WRITE)
    (failure,) = report.failures
    assert "changed since it was indexed" in failure.error
    assert contents(music)["joyful.mp3"] == before["joyful.mp3"]
    assert report.n_changed == 1


def test_files_that_were_not_indexed_are_told(catalogue, music):
    sine(music / "new.ogg")
    report = tag_songs(catalogue, [music], WRITE)
    assert [(Path(f.where).name, f.id) for f in report.failures] == [("new.ogg", None)]
    assert "maeum index" in report.failures[0].error
    assert report.n_changed == 2
    with pytest.raises(InputError, match="does not exist"):
        tag_songs(catalogue, [music / "absent"], WRITE)


def test_permissions_stay(catalogue, music):
    (music / "sad.flac").chmod(0o640)
    tag_songs(catalogue, [], WRITE)
    assert (music / "sad.flac").stat().st_mode & 0o777 == 0o640
    assert sorted(contents(music)) == ["joyful.mp3", "sad.flac", "sad.txt"]


def test_extended_attributes_stay(catalogue, music):
    try:
        os.setxattr(music / "sad.flac", "user.note", b"mine")
    except (AttributeError, OSError) as error:
        pytest.skip(f"no extended attributes here: {error}")
    tag_songs(catalogue, [], WRITE)
    assert os.getxattr(music / "sad.flac", "user.note") == b"mine"


def test_read_only_files_and_files_with_two_names_are_left_alone(catalogue, music, tmp_path):
    (music / "joyful.mp3").chmod(0o444)
    os.link(music / "sad.flac", tmp_path / "other name.flac")
    before = contents(music)
    for wishes in (TagWishes(), WRITE):
        report = tag_songs(catalogue, [], wishes)
        assert ["read-only" in f.error or "hard links" in f.error for f in report.failures] == [
            True,
            True,
        ]
        assert contents(music) == before


def test_a_link_stays_a_link(music, tmp_path, analyser, hearing):
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "sad.flac"
    link.symlink_to(music / "sad.flac")
    with Catalogue.open(str(tmp_path / "own.db"), create=True) as catalogue:
        for path in (link, music):  # one file, found in two ways: two songs
            index_songs(catalogue, song_sources(path, path.parent.name), analyser)
        hearing.clear()
        report = tag_songs(catalogue, [], WRITE)
        assert (report.n_changed, report.failures) == (2, [])
        assert link.is_symlink()
        assert TaggedFile(music / "sad.flac").fields.mood == "슬픔"
        for path in (link, music):
            index_songs(catalogue, song_sources(path, path.parent.name), analyser)
        assert hearing == []


@pytest.mark.parametrize("step", ["copyfile", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_full_disk_or_a_stop_leaves_the_file_whole(
    catalogue, music, analyser, hearing, monkeypatch, step, error
):
    before = contents(music)

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        if step == "copyfile":
            patch.setattr(file_copy.shutil, "copyfile", fail)
        elif step == "fsync":
            patch.setattr(file_copy.os, "fsync", fail)
        else:
            patch.setattr(Path, "replace", fail)
        if isinstance(error, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                tag_songs(catalogue, [], WRITE)
        else:
            failures = tag_songs(catalogue, [], WRITE).failures
            assert ["No space left" in failure.error for failure in failures] == [True, True]
    assert contents(music) == before
    assert index_songs(catalogue, song_sources(music), analyser).unchanged == 2
    assert hearing == []


def test_a_file_that_changes_meanwhile_is_left_alone(catalogue, music, monkeypatch):
    path = music / "sad.flac"
    write = TaggedFile.write

    def meanwhile(self, fields):
        os.utime(path, (1, 1))
        write(self, fields)

    monkeypatch.setattr(TaggedFile, "write", meanwhile)
    report = tag_songs(catalogue, [path], WRITE)
    assert "changed by another program" in report.failures[0].error
    assert TaggedFile(path).fields.mood is None


def run(*arguments: object):
    return CliRunner().invoke(app, ["tag", *map(str, arguments)])


def test_the_command(catalogue, music, tmp_path):
    where = ("--catalogue", tmp_path / "songs.db")
    result = run(*where)
    assert result.exit_code == 0
    assert f"{music / 'sad.flac'}: - → 슬픔" in result.stdout
    assert "2 files to be written" in result.stderr
    assert "add --write" in result.stderr
    (music / "joyful.mp3").write_bytes(b"no sound")
    result = run(music, *where, "--write", "--json", "--errors", tmp_path / "errors.jsonl")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert (said["changed"], said["failed"], said["written"]) == (1, 1, True)
    assert said["errors"][0]["where"] == str(music / "joyful.mp3")
    (line,) = (tmp_path / "errors.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == said["errors"][0]
    assert run(*where, "--remove", "--overwrite").exit_code == 2
    assert run(*where, "--language", "fr").exit_code == 2
