"""Lyrics with times: what is sung, in the order it is sung."""

from __future__ import annotations

from itertools import permutations

import pytest

from data_prep.lyrics_text import clean_lyrics
from data_prep.timed_lyrics import has_times, in_sung_order, timed_lines

COMPRESSED = """[ti:노래]
[ar:가수]
[offset:+500]
[t_time:(03:20)]

[01:10.00][00:20.50]후렴 한 줄
[00:10.00]첫 줄
[00:30.000]둘째 줄
[1:05]셋째 줄"""


def test_a_chorus_that_is_written_first_is_read_where_it_is_sung_first():
    assert in_sung_order(COMPRESSED) == "첫 줄\n후렴 한 줄\n둘째 줄\n셋째 줄"


def test_any_order_of_writing_is_one_order_of_singing():
    lines = ["[00:01.00]one", "[00:02.5]two", "[00:02.75]three", "[10:00]four"]
    assert {in_sung_order("\n".join(order)) for order in permutations(lines)} == {
        "one\ntwo\nthree\nfour"
    }


def test_lines_of_one_time_stay_as_they_are_written():
    assert in_sung_order("[00:05]가\n[00:05]나\n[00:01]다") == "다\n가\n나"


def test_a_line_without_a_time_stays_behind_its_own():
    assert in_sung_order("[00:09]b\nand b\n[00:01]a\n\nand a") == "a\nand a\nb\nand b"


@pytest.mark.parametrize(
    "line",
    [
        "[00:01.00]너를 <00:01.50>사랑해 <00:02.00>",
        "[00:01.00]<00:01.00>너를 <00:01.50>사랑해",
        "[00:01.00]너를 [00:01.50]사랑해",
        "[00:01.00] [00:09.00] 너를 사랑해",
    ],
)
def test_times_of_words_are_no_words(line):
    assert clean_lyrics(f"[re:editor]\r\n[00:00.10]\r\n{line}\r\n") == "너를 사랑해"


@pytest.mark.parametrize(
    ("offset", "times"),
    [
        ("[offset:+500]", [0.5, 9.5]),
        ("[Offset: -1500 ]", [2.5, 11.5]),
        ("[offset:3000]", [0.0, 7.0]),
    ],
)
def test_an_offset_moves_all_lines(offset, times):
    found = timed_lines(f"{offset}\n[00:10.00]b\n[00:01.00]a")
    assert [line for _, line in found] == ["a", "b"]
    assert [time for time, _ in found] == pytest.approx(times)


def test_a_text_with_times_is_told():
    assert has_times("[00:12.30]사랑해")
    assert not has_times("사랑해 [00:12.30]")
    assert not has_times("[ti:제목]\n사랑해")


@pytest.mark.parametrize(
    "text", ["그냥 가사\n두 줄", "[Verse 1: who]\nwords\nmore\nand [00:01] more", "", "[ti:x]"]
)
def test_other_lyrics_are_left_alone(text):
    assert in_sung_order(text) == text
