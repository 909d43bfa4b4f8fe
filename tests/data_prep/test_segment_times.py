"""Times of segments: each begins when its first line is sung."""

from __future__ import annotations

from data_prep.lyric_preparation import PreparedLyrics, prepare
from data_prep.segment_times import segment_times


def cut(lyrics: str) -> tuple[str, ...]:
    prepared = prepare(lyrics)
    assert isinstance(prepared, PreparedLyrics)
    return prepared.segments.segments


def test_segments_begin_with_their_first_lines():
    words = ["비가 오는 밤", "네가 그리워", "창밖의 별", "하나 둘 켜지고", "다시 부르는 노래", "끝"]
    lyrics = "[ti:밤]\r\n" + "\r\n".join(f"[00:{5 + 10 * i}.90]{w}" for i, w in enumerate(words))
    assert segment_times(lyrics, cut(lyrics)) == [5.9, 45.9]


def test_what_is_not_sung_and_what_is_left_out_moves_nothing():
    lyrics = (
        "[00:01]la la la\n[00:02][Chorus]\n[00:03]one word\n[00:04]two words\n[00:05]three words"
        "\n[00:06]four words\n[00:07]oh oh oh\n[00:09]five &amp; six  words"
    )
    assert cut(lyrics)[1] == "five & six words"
    assert segment_times(lyrics, cut(lyrics)) == [3.0, 9.0]


def test_a_line_that_is_sung_again_is_found_behind_the_one_before():
    lyrics = "\n".join(f"[0{i}:00]{line}" for i, line in enumerate("abcdaefg"))
    assert segment_times(lyrics, ["a\nb\nc\nd", "a\ne\nf\ng"]) == [0.0, 240.0]


def test_pieces_of_one_long_line_begin_with_it():
    long = " ".join(f"word{i}" for i in range(60))
    lyrics = f"[00:10]before\n[00:20]{long}\n[00:40]after all"
    times = segment_times(lyrics, cut(lyrics))
    assert times[0] == 10.0
    assert set(times[1:-1]) <= {20.0}
    assert times[-1] in (20.0, 40.0)
    assert len(times) > 2


def test_lyrics_without_times_and_other_words_have_none():
    assert segment_times("one\ntwo", ["one\ntwo"]) == [None]
    assert segment_times("", ["one"]) == [None]
    assert segment_times("[00:01]one\n[00:02]two", ["elsewhere", "two"]) == [None, 2.0]
