"""Lyric files in the encodings they come in."""

import unicodedata

import pytest

from app.library.lyric_files import MAX_BYTES, LyricFiles, read_lyric_file
from data_prep.errors import InputError

WORDS = "사랑했지만\n그대를 사랑했지만\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_korean_in_every_usual_encoding(tmp_path, encoding):
    path = tmp_path / "song.txt"
    path.write_bytes(WORDS.encode(encoding))
    assert read_lyric_file(path) == WORDS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"ID3\x04\x00\x00\x00", "not text"),
        (b"\xff\xfe\x00", "not text"),
        (b"\x81\xff", "not text"),
    ],
)
def test_what_is_not_text_is_refused(tmp_path, content, said):
    path = tmp_path / "song.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as raised:
        read_lyric_file(path)
    assert "song.txt" in str(raised.value)


def test_missing_files_folders_and_large_files_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_lyric_file(tmp_path / "absent.txt")
    with pytest.raises(InputError, match="is a folder"):
        read_lyric_file(tmp_path)
    large = tmp_path / "large.txt"
    large.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(InputError, match="too large"):
        read_lyric_file(large)


def test_an_empty_file_is_an_empty_text(tmp_path):
    (tmp_path / "empty.txt").write_bytes(b"")
    assert read_lyric_file(tmp_path / "empty.txt") == ""


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("words", [WORDS, "가 나\r\n다", "love\nme"])
def test_utf_16_without_its_mark(tmp_path, encoding, words):
    path = tmp_path / "song.txt"
    path.write_bytes(words.encode(encoding))
    assert read_lyric_file(path) == words


def composed(name: str, form: str) -> str:
    return unicodedata.normalize(form, name)


@pytest.mark.parametrize("of_lyrics", ["NFC", "NFD"])
@pytest.mark.parametrize("of_song", ["NFC", "NFD"])
def test_lyrics_beside_a_recording_however_hangul_is_composed(tmp_path, of_lyrics, of_song):
    files = LyricFiles(tmp_path, [composed("밤편지.lrc", of_lyrics), "밤.txt", "밤편지2.lrc"])
    (found,) = files.beside(composed("밤편지.mp3", of_song))
    assert found == tmp_path / composed("밤편지.lrc", of_lyrics)


def test_case_does_not_matter_and_the_nearest_name_comes_first(tmp_path):
    names = ["SONG.TXT", "song.txt", "Song.LRC", "Song.txt.bak", "._song.txt", "Song.mp3"]
    found = [path.name for path in LyricFiles(tmp_path, names).beside("song.MP3")]
    assert found == ["Song.LRC", "song.txt", "SONG.TXT"]
