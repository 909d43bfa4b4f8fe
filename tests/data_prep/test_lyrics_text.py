import re
import unicodedata

import pytest

from data_prep.lyrics_text import (
    MAX_SEGMENT_CHARACTERS,
    clean_lyrics,
    segment_lyrics,
    short_lines,
    without_marks,
)


@pytest.mark.parametrize(
    "mark",
    [
        "[Chorus]",
        "(후렴)",
        "Verse 1:",
        "[Verse 2: Someone & Someone Else]",
        "Pre-Chorus",
        "[Pre-Chorus]",
        "[Chorus x2]",
        "(Chorus) x 2",
        "Bridge",
        "1절",
        "<간주>",
        "(간주중)",
        "[Intro]",
        "[Outro - fade]",
        "Repeat Chorus",
        "* 후렴 반복",
        "[Guitar Solo]",
        "(x2)",
        "[Rap: 누구]",
        "[ti:제목]",
        "[offset:+100]",
    ],
)
def test_section_words_are_removed(mark: str) -> None:
    assert clean_lyrics(f"{mark}\nlove me now\n{mark}\nnever again") == "love me now\nnever again"


@pytest.mark.parametrize(
    "line",
    [
        "the bridge is burning",
        "Verse after verse I wrote to you",
        "(Drop it low)",
        "(hook, line and sinker)",
        "break my heart",
        "(ooh ooh)",
        "intro to my sorrow",
        "사랑을 반복해",
        "(사랑해)",
        "12:30 on the clock",
        "I said: stay",
    ],
)
def test_sung_lines_stay(line: str) -> None:
    assert clean_lyrics(line) == line


def test_section_word_before_words_leaves_the_words() -> None:
    assert clean_lyrics("Verse 1: I walk the line\n[후렴] 사랑해") == "I walk the line\n사랑해"


def test_lrc_time_stamps_are_removed() -> None:
    lrc = "[ar:가수]\n[00:12.34]첫 줄\n[00:15.00][01:15.00]둘째 <00:16.10>줄\n[00:20.00]\n"
    assert clean_lyrics(lrc) == "첫 줄\n둘째 줄"


def test_entities_markup_and_spaces() -> None:
    assert clean_lyrics("you &amp; me<br/>it&#39;s\u00a0  <i>late</i>") == "you & me\nit's late"


def test_decomposed_hangul_is_composed() -> None:
    assert clean_lyrics(unicodedata.normalize("NFD", "우울해")) == "우울해"


def test_control_and_invisible_characters_are_removed() -> None:
    dirty = "\ufeffsad\x00 so\u200bng\x07\r\nno\tmore\u2028end"
    assert clean_lyrics(dirty) == "sad song\nno more\nend"


def test_blank_lines_fold_to_one() -> None:
    assert clean_lyrics("a\n\n\n\nb\n \n\nc\n\n") == "a\n\nb\n\nc"


def test_cleaning_twice_changes_nothing() -> None:
    text = "[Chorus]\n[00:01.00] Verse 2: love &lt;3\n\n\n(후렴) 그대여\n"
    once = clean_lyrics(text)
    assert clean_lyrics(once) == once


@pytest.mark.parametrize(
    "mark",
    [
        "반복",
        "(반복)",
        "* 반복",
        "*~** 반복",
        "Repeat",
        "* Repeat x2",
        "Repeat chorus till end",
        "Repeat 1",
        "(2회 반복)",
        "후렴 반복 2번",
        "x3",
        "[민지]",
        "[민지 & 하니]",
        "【다함께】",
        "작사: 아무개",
        "작사/작곡 : 아무개",
        "Lyrics by: Someone",
        "Music & Lyrics: Someone",
    ],
)
def test_marks_on_lines_of_their_own_are_removed(mark: str) -> None:
    assert without_marks(f"{mark}\nlove me now\n{mark}\nnever again") == "love me now\nnever again"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("그대를 기다려 (x2)", "그대를 기다려"),
        ("그대를 기다려 ×3", "그대를 기다려"),
        ("stay with me x2", "stay with me"),
        ("stay with me (2x)", "stay with me"),
        ("stay with me *2", "stay with me"),
        ("stay with me (3 times)", "stay with me"),
        ("stay with me *repeat", "stay with me"),
        ("stay with me (반복)", "stay with me"),
        ("* 그대를 기다려", "그대를 기다려"),
        ("※그대를 기다려※", "그대를 기다려"),
        ("♪ 그대를 기다려 ♬", "그대를 기다려"),
        ("# 그대를 기다려", "그대를 기다려"),
        ("[하니] 그대를 기다려", "그대를 기다려"),
    ],
)
def test_marks_beside_words_are_removed(line: str, words: str) -> None:
    assert without_marks(line) == words


@pytest.mark.parametrize(
    "line",
    [
        "repeat after me",
        "반복되는 하루",
        "또 반복 또 반복",
        "your song is on repeat",
        "one by one, 2 by 2",
        "I counted to 10",
        "#오늘의 나",
        "(너를 기다려)",
        "X marks the spot",
        "lyrics I never wrote",
        "노래를 불러 줘",
        "2번 출구에서 기다려",
    ],
)
def test_words_that_look_like_marks_stay(line: str) -> None:
    assert without_marks(line) == line


def test_marks_leave_blank_lines_and_nothing_to_do_the_second_time() -> None:
    text = "* 첫 줄 x2\n\n반복\n\n둘째 줄 (x3)"
    once = without_marks(text)
    assert once == "첫 줄\n\n둘째 줄"
    assert without_marks(once) == once


def test_short_lines_lose_no_word() -> None:
    text = "하나\n\n" + "a long line without any end " * 20 + "\n둘"
    lines = short_lines(text)
    assert lines[0] == "하나"
    assert lines[-1] == "둘"
    assert max(map(len, lines)) <= MAX_SEGMENT_CHARACTERS
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)


def test_four_lines_make_a_segment() -> None:
    assert segment_lyrics("a\nb\n\nc\nd\ne") == ["a\nb\nc\nd", "e"]
    assert segment_lyrics(" \n\n") == []


LONG_TEXTS = [
    "one sentence of a few words. " * 40,
    "비가 오는 밤이면 그대가 생각나요 " * 60,
    "word " * 1000,
    "가" * 1000,
    'He said "go." She said "stay!" (why?) ' * 30,
    "\n".join(["a line that goes on and on for quite a while, almost without an end to it"] * 9),
]


@pytest.mark.parametrize("text", LONG_TEXTS)
def test_segments_are_short_and_lose_no_word(text: str) -> None:
    segments = segment_lyrics(text)
    assert max(map(len, segments)) <= MAX_SEGMENT_CHARACTERS
    assert re.sub(r"\s", "", "".join(segments)) == re.sub(r"\s", "", text)


@pytest.mark.parametrize("text", LONG_TEXTS[:3])
def test_long_text_is_cut_into_few_segments(text: str) -> None:
    assert len(segment_lyrics(text)) <= 1.5 * len(text) / MAX_SEGMENT_CHARACTERS


def test_a_sentence_is_not_cut_when_it_fits() -> None:
    text = "I was alone. " * 30
    assert all(segment.endswith("alone.") for segment in segment_lyrics(text))
