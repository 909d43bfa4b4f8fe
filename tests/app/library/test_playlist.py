"""Playlists that players find the songs of, wherever both are moved together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.library.playlist import playlist_lines, write_playlist
from data_prep.catalogue import Song

SONGS = [
    Song(id="1", title='쉼표, "따옴표"', artist="가수", path="/music/1.mp3"),
    Song(id="2", title="두\n줄", link="https://example.org/2"),
    Song(id="3", artist="Nobody"),
    Song(id="4", path="/music/4.mp3", missing_since="2026-01-01"),
]


def places(playlist: Path) -> list[str]:
    """What a player takes for songs: every line that is not empty and does not begin with #."""
    lines = playlist.read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line.strip() and not line.startswith("#")]


def heard(playlist: Path) -> list[Path]:
    """The files that a player opens: relative to the folder of the playlist."""
    return [Path(os.path.normpath(playlist.parent / place)) for place in places(playlist)]


def of_file(path: Path) -> Song:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"SOUND")
    return Song(id=path.name, title=path.stem, path=str(path))


def test_files_then_links_and_nothing_that_is_gone(tmp_path, capsys):
    lines, without_file = playlist_lines(SONGS)
    assert lines == [
        "#EXTM3U",
        '#EXTINF:-1,가수 - 쉼표, "따옴표"',
        "/music/1.mp3",
        "#EXTINF:-1,두 줄",
        "https://example.org/2",
    ]
    assert without_file == 2
    write_playlist(SONGS, tmp_path / "저녁.m3u8")
    written = (tmp_path / "저녁.m3u8").read_bytes()
    assert written.decode("utf-8").splitlines() == [lines[0], "#PLAYLIST:저녁", *lines[1:]]
    assert written.startswith(b"#EXTM3U\n")
    said = capsys.readouterr().err
    assert "2 songs have no file here" in said
    assert "1 songs were left out: their files are gone" in said


@pytest.mark.parametrize(
    ("playlist", "place"),
    [
        ("list.m3u8", "Music/가수/노래.mp3"),
        ("Music/list.m3u8", "가수/노래.mp3"),
        ("lists/list.m3u8", "../Music/가수/노래.mp3"),
        ("Music/가수/list.m3u8", "노래.mp3"),
    ],
)
def test_paths_are_relative_to_the_playlist(tmp_path, playlist, place):
    song = of_file(tmp_path / "Music" / "가수" / "노래.mp3")
    out = tmp_path / playlist
    out.parent.mkdir(exist_ok=True)
    write_playlist([song], out)
    assert places(out) == [place]
    assert heard(out) == [Path(song.path)]
    write_playlist([song], out, absolute=True)
    assert places(out) == [song.path]


def test_what_has_no_folder_in_common_is_absolute(tmp_path):
    write_playlist([Song(id="1", path="/elsewhere/1.mp3")], tmp_path / "list.m3u8")
    assert places(tmp_path / "list.m3u8") == ["/elsewhere/1.mp3"]


@pytest.mark.parametrize(
    "name", ["#1 hit.mp3", " leading.mp3", "http: a song.mp3", "~home.mp3", "plain #.mp3"]
)
def test_names_that_players_would_misread(tmp_path, name):
    song = of_file(tmp_path / name)
    write_playlist([song], tmp_path / "list.m3u8")
    (place,) = places(tmp_path / "list.m3u8")
    assert place == (name if name == "plain #.mp3" else f"./{name}")
    assert heard(tmp_path / "list.m3u8") == [Path(song.path)]


def test_a_name_of_two_lines_is_no_place(tmp_path):
    lines, without_file = playlist_lines([Song(id="1", path="/music/a\nb.mp3")], folder=tmp_path)
    assert (lines, without_file) == (["#EXTM3U"], 1)


def test_links_on_the_way_lead_to_the_song(tmp_path):
    song = of_file(tmp_path / "disk" / "Music" / "1.mp3")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "Music").symlink_to(tmp_path / "disk" / "Music")
    by_link = Song(id="1", path=str(tmp_path / "home" / "Music" / "1.mp3"))
    # beside the songs, though reached by a link; and beside the link
    write_playlist([by_link], tmp_path / "home" / "Music" / "list.m3u8")
    assert places(tmp_path / "disk" / "Music" / "list.m3u8") == ["1.mp3"]
    write_playlist([by_link], tmp_path / "home" / "list.m3u8")
    assert places(tmp_path / "home" / "list.m3u8") == ["Music/1.mp3"]
    assert (tmp_path / "home" / "Music" / "1.mp3").samefile(song.path)
