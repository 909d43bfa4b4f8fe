"""The listener's guide: every command of it, in its order, on a small folder of music."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import app.cli
from app.library.mood_tags import TaggedFile
from data_prep.catalogue import Catalogue
from tests.app.conftest import Reading, leaning
from tests.app.library.sound_files import sine

ROOT = Path(__file__).resolve().parents[3]


def commands(guide: str) -> list[list[str]]:
    text = (ROOT / guide).read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [words[1:] for line in lines if (words := shlex.split(line, comments=True))]


def run(*words: object):
    return CliRunner().invoke(app.cli.app, [str(word) for word in words])


@pytest.fixture
def music(with_stand_ins, own_home, tmp_path, monkeypatch) -> Path:
    """A home with a folder of music, which the stand-in hears by its files' names."""
    emotions = {"sad": 3, "joy": 0, "calm": 2}

    def read_file(path: Path) -> Reading:
        return Reading(leaning(emotions.get(path.stem, 5)))

    monkeypatch.setattr(with_stand_ins.audio_predictor, "read_file", read_file)
    monkeypatch.chdir(tmp_path)
    folder = own_home / "Music"
    folder.mkdir()
    for name in ("sad.mp3", "joy.flac", "calm.ogg"):
        sine(folder / name)
    (folder / "sad.lrc").write_text("[00:01.00]슬픔의 노래", encoding="utf-8")
    return folder


def test_every_command_of_the_guide_runs(music, tmp_path):
    listed = commands("docs/own-music.md")
    assert {words[0] for words in listed} == {"index", "recommend", "serve", "export", "tag"}
    moods = []
    for words in listed:
        if words == ["serve"]:
            continue
        here = ("--workers", 0) if words[0] == "index" else ()  # by the stand-ins
        result = run(*(word.replace("~/Music", str(music)) for word in words), *here)
        assert result.exit_code == 0, (words, result.output)
        if words[0] == "tag":
            moods.append(TaggedFile(music / "sad.mp3").fields.mood)
    assert moods == [None, "슬픔", "sadness", None]
    assert {path.name for path in music.glob("*.m3u8")} == {"happy.m3u8", "korean.m3u8"}
    assert "\nsad.mp3\n" in (music / "korean.m3u8").read_text(encoding="utf-8")
    assert str(music) in (tmp_path / "all.m3u8").read_text(encoding="utf-8")
    with Catalogue.open(str(tmp_path / "shared.db"), read_only=True) as shared:
        assert {song.path for song in shared.songs()} == {None}


def test_hygiene_is_told_and_kept_out(music, tmp_path):
    where = ("--catalogue", tmp_path / "songs.db")
    for name in ("Singer - Song", "Singer - Song (Live)"):
        (music / f"{name}.flac").write_bytes((music / "joy.flac").read_bytes())
    result = run("index", music, *where, "--hygiene", "--workers", 0)
    assert "hygiene: left out 1 duplicate; 4 songs stay" in result.stderr
    with Catalogue.open(str(tmp_path / "songs.db"), read_only=True) as songs:
        assert {song.title for song in songs.songs()} == {"sad", "joy", "calm", "Song"}


def test_absolute_is_for_playlists(music, tmp_path):
    assert run("index", music, "--workers", 0).exit_code == 0
    out = tmp_path / "list.m3u8"
    for options, place in (((), "home/Music/sad.mp3"), (("--absolute",), str(music / "sad.mp3"))):
        result = run("recommend", "슬픔", "-k", 1, "--m3u", out, *options)
        assert result.exit_code == 0, result.output
        assert out.read_text(encoding="utf-8").splitlines()[-1] == place
    assert run("export", "--format", "csv", "--absolute").exit_code == 2
