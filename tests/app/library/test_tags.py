"""Tags of every format, written by mutagen and read back."""

from __future__ import annotations

from pathlib import Path

import mutagen
import numpy as np
import pytest
from mutagen.id3 import ID3, SYLT, TCON, TDRC, TIT2, TLAN, TPE1, TXXX, USLT

from app.library.tags import from_file_name, read_tags

soundfile = pytest.importorskip("soundfile")


def sound(path: Path, form: str | None = None) -> Path:
    soundfile.write(str(path), np.zeros(8000, dtype=np.float32), 16000, format=form)
    return path


def test_id3_with_lyrics(tmp_path):
    path = sound(tmp_path / "song.mp3", "MP3")
    tags = ID3()
    tags.add(TIT2(encoding=3, text="비가 와"))
    tags.add(TPE1(encoding=3, text=["하나", "둘"]))
    tags.add(TDRC(encoding=3, text="2017-05-01"))
    tags.add(TCON(encoding=3, text="(13)"))
    tags.add(TLAN(encoding=3, text="kor"))
    tags.add(USLT(encoding=3, lang="kor", desc="", text="비가 오는 밤이면\n네가 그리워"))
    tags.save(path)
    read = read_tags(path)
    assert (read.title, read.artist, read.year) == ("비가 와", "하나; 둘", 2017)
    assert (read.genre, read.language) == ("Pop", "ko")
    assert read.lyrics == "비가 오는 밤이면\n네가 그리워"


def test_cp949_under_the_label_latin_1(tmp_path):
    path = sound(tmp_path / "song.mp3", "MP3")
    tags = ID3()
    mislabelled = "사랑".encode("cp949").decode("latin-1")
    tags.add(TIT2(encoding=0, text=mislabelled))
    tags.add(TPE1(encoding=0, text="Beyoncé"))
    tags.save(path)
    read = read_tags(path)
    assert read.title == "사랑"
    assert read.artist == "Beyoncé"


def with_frames(path: Path, *frames) -> Path:
    sound(path, "MP3")
    tags = ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(path)
    return path


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([("둘째 줄", 2000), ("첫 줄", 1000)], "첫 줄\n둘째 줄"),
        ([("\n첫", 1000), (" 줄", 1500), ("\n둘째", 2000), (" 줄", 2500)], "첫 줄\n둘째 줄"),
    ],
)
def test_words_with_times_are_read_in_order(tmp_path, pieces, words):
    frame = SYLT(encoding=3, lang="kor", format=2, type=1, desc="", text=pieces)
    assert read_tags(with_frames(tmp_path / "song.mp3", frame)).lyrics == words


def test_chords_with_times_are_no_lyrics(tmp_path):
    chords = SYLT(encoding=3, lang="XXX", format=2, type=5, desc="", text=[("Am", 0), ("C", 9)])
    assert read_tags(with_frames(tmp_path / "song.mp3", chords)).lyrics is None
    words = TXXX(encoding=1, desc="UNSYNCEDLYRICS", text="가사")
    assert read_tags(with_frames(tmp_path / "song.mp3", chords, words)).lyrics == "가사"


def test_lyrics_in_two_languages_are_not_mixed(tmp_path):
    korean = USLT(encoding=1, lang="kor", desc="", text="비가 와")
    english = USLT(encoding=1, lang="eng", desc="", text="It rains")
    both = read_tags(with_frames(tmp_path / "song.mp3", korean, english)).lyrics
    assert both in ("비가 와", "It rains")


def test_lyrics_in_cp949_under_the_label_latin_1(tmp_path):
    words = "비가 오는 밤이면\n네가 그리워"
    as_latin = words.encode("cp949").decode("latin-1")
    mislabelled = USLT(encoding=0, lang="kor", desc="", text=as_latin)
    assert read_tags(with_frames(tmp_path / "song.mp3", mislabelled)).lyrics == words


@pytest.mark.parametrize("name", ["LYRICS", "UnsyncedLyrics", "SYNCEDLYRICS"])
@pytest.mark.parametrize(("suffix", "form"), [(".flac", "FLAC"), (".ogg", "OGG")])
def test_lyrics_in_vorbis_comments(tmp_path, suffix, form, name):
    path = sound(tmp_path / f"song{suffix}", form)
    file = mutagen.File(path)
    file[name] = "[00:01.00]첫 줄\n[00:02.00]둘째 줄"
    file.save()
    assert read_tags(path).lyrics == "[00:01.00]첫 줄\n[00:02.00]둘째 줄"


@pytest.mark.parametrize(("suffix", "form"), [(".flac", "FLAC"), (".ogg", "OGG")])
def test_vorbis_comments(tmp_path, suffix, form):
    path = sound(tmp_path / f"song{suffix}", form)
    file = mutagen.File(path)
    file["title"] = "Song"
    file["artist"] = "Singer"
    file["date"] = "1999"
    file["lyrics"] = "words\nof it"
    file["license"] = "http://creativecommons.org/licenses/by/4.0/"
    file.save()
    read = read_tags(path)
    assert (read.title, read.artist, read.year, read.lyrics) == (
        "Song", "Singer", 1999, "words\nof it",
    )  # fmt: skip
    assert read.licence is not None


def m4a(path: Path) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_mp4_free_fields_hold_lyrics_too(tmp_path):
    path = m4a(tmp_path / "song.m4a")
    file = mutagen.File(path)
    file["----:com.apple.iTunes:LYRICS"] = "가사".encode()
    file.save()
    assert read_tags(path).lyrics == "가사"


def test_mp4_atoms(tmp_path):
    path = m4a(tmp_path / "song.m4a")
    file = mutagen.File(path)
    file["\xa9nam"] = "제목"
    file["\xa9lyr"] = "가사"
    file["\xa9day"] = "2020"
    file.save()
    read = read_tags(path)
    assert (read.title, read.lyrics, read.year) == ("제목", "가사", 2020)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfb\x90\x00 nothing", b"ID3\x04\x00\x00\xff\xff\xff\xff"]
)
def test_damaged_files_have_no_tags(tmp_path, content):
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    assert read_tags(path).title is None
    assert read_tags(tmp_path / "absent.mp3").title is None


@pytest.mark.parametrize(
    ("name", "artist", "title"),
    [
        ("03 - 아이 - 밤편지.mp3", "아이", "밤편지"),
        ("Artist - Title - Live.flac", "Artist", "Title - Live"),
        ("그냥 제목.ogg", None, "그냥 제목"),
        ("07. Song.mp3", None, "Song"),
        ("1999.mp3", None, "1999"),
    ],
)
def test_names_of_files(name, artist, title):
    assert from_file_name(Path(name)) == (artist, title)
