"""The mood in the tags of every format: there, alone, and out again."""

from __future__ import annotations

from pathlib import Path

import mutagen
import numpy as np
import pytest
from mutagen.id3 import APIC, COMM, ID3, TIT2, TXXX, TYER
from mutagen.mp3 import MP3

from app.library.mood_tags import MoodFields, TaggedFile, our_field
from app.library.tags import read_tags
from data_prep.errors import InputError
from tests.app.library.sound_files import SUFFIXES, heard, sine

SAD = np.array([0.1, 0.05, 0.05, 0.7, 0.05, 0.05], dtype=np.float32)
OURS = MoodFields("슬픔", our_field(SAD, "슬픔"))

MOOD = {".m4a": "----:com.apple.iTunes:MOOD", ".wma": "WM/Mood"}
TITLE = {".m4a": "\xa9nam", ".wma": "Title"}


def titled(path: Path) -> Path:
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        file.tags.add(TIT2(encoding=3, text="제목"))
        file.tags.add(TXXX(encoding=3, desc="REPLAYGAIN", text="-3 dB"))
    else:
        file.tags[TITLE.get(path.suffix, "TITLE")] = ["제목"]
    file.save()
    return path


def test_the_field_holds_six_shares_and_the_word():
    assert our_field(SAD, "슬픔") == (
        "joy=0.1000 tension=0.0500 calm=0.0500 sadness=0.7000 anger=0.0500 neutral=0.0500 mood=슬픔"
    )
    assert OURS.is_our_mood
    assert not MoodFields("슬픔", our_field(SAD, None)).is_our_mood
    assert not MoodFields("sad evening", our_field(SAD, "sad")).is_our_mood
    assert not MoodFields(None, our_field(SAD, "sad")).is_our_mood


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_in_and_out_of_every_format(tmp_path, suffix):
    path = titled(sine(tmp_path / f"song{suffix}"))
    samples, others = heard(path), TaggedFile(path).others
    assert others
    assert TaggedFile(path).fields == MoodFields()
    TaggedFile(path).write(OURS)
    assert TaggedFile(path).fields == OURS
    assert TaggedFile(path).others == others
    assert read_tags(path).title == "제목"
    np.testing.assert_array_equal(heard(path), samples)
    file = mutagen.File(path)
    if not isinstance(file.tags, ID3):
        assert str(file.tags[MOOD.get(suffix, "mood")][0]) in ("슬픔", str("슬픔".encode()))
    TaggedFile(path).write(MoodFields())
    assert TaggedFile(path).fields == MoodFields()
    assert TaggedFile(path).others == others
    np.testing.assert_array_equal(heard(path), samples)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_any_tags(tmp_path, suffix):
    path = sine(tmp_path / f"song{suffix}")
    TaggedFile(path).write(OURS)
    assert TaggedFile(path).fields == OURS


def test_where_players_look(tmp_path):
    path = sine(tmp_path / "song.mp3")
    TaggedFile(path).write(OURS)
    tags = ID3(path)
    assert tags["TMOO"].text == ["슬픔"]
    assert tags["TXXX:MAEUM"].text == [OURS.ours]
    assert tags.version == (2, 4, 0)


def test_id3_of_the_third_version_stays_what_it_is(tmp_path):
    path = sine(tmp_path / "song.mp3")
    tags = ID3()
    tags.add(TIT2(encoding=1, text=["하나", "둘"]))
    tags.add(TYER(encoding=0, text="1999"))
    tags.add(APIC(encoding=0, mime="image/png", type=3, desc="", data=b"\x89PNG picture"))
    tags.add(COMM(encoding=1, lang="kor", desc="", text="말"))
    tags.save(path, v2_version=3, v23_sep=None)
    before = {frame.HashKey: repr(frame) for frame in ID3(path, translate=False).values()}
    TaggedFile(path).write(OURS)
    after = ID3(path, translate=False)
    assert after.version == (2, 3, 0)
    assert after["TMOO"].text == ["슬픔"]
    others = {key: repr(after[key]) for key in after if key not in ("TMOO", "TXXX:MAEUM")}
    assert others == before


def with_old_tag(path: Path) -> bytes:
    """ID3v1 at the end, as the oldest players write it."""
    old = b"TAG" + "옛날 제목".encode("cp949").ljust(30, b"\0") + b"\0" * 94 + b"\x0d"
    assert len(old) == 128
    with path.open("ab") as file:
        file.write(old)
    return old


def test_an_old_tag_stays_to_the_byte_and_its_facts_are_still_read(tmp_path):
    path = sine(tmp_path / "song.mp3")
    content = path.read_bytes()
    old = with_old_tag(path)
    assert read_tags(path).title == "옛날 제목"
    TaggedFile(path).write(OURS)
    assert path.read_bytes().endswith(content[-500:] + old)
    assert read_tags(path).title == "옛날 제목"
    TaggedFile(path).write(MoodFields())
    assert path.read_bytes().endswith(content[-500:] + old)
    assert read_tags(path).title == "옛날 제목"


def test_taking_out_of_a_file_that_had_no_tags_gives_the_file_back(tmp_path):
    path = sine(tmp_path / "song.mp3")
    assert MP3(path).tags is None
    content = path.read_bytes()
    TaggedFile(path).write(OURS)
    TaggedFile(path).write(MoodFields())
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x1aE\xdf\xa3 webm"])
def test_what_holds_no_tags_is_refused(tmp_path, content):
    path = tmp_path / "song.webm"
    path.write_bytes(content)
    with pytest.raises(InputError, match="holds no tags"):
        TaggedFile(path)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "song.flac"
    path.write_bytes(b"fLaC\x00\x00\x00\x02ab")
    with pytest.raises(InputError, match="cannot be read"):
        TaggedFile(path)
