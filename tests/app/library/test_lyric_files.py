"""Lyric files in the encodings they come in."""

import pytest

from app.library.lyric_files import MAX_BYTES, read_lyric_file
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
