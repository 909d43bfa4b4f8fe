"""All lines here are made up."""

import numpy as np
import pytest

from data_prep.data_folder import data_root
from data_prep.errors import InputError
from data_prep.lyric_lines import LineWeighting, real_words, repeats, weigh_lines, words
from data_prep.readers import kpoem

SYLLABLES_ONLY = """
우 우 우|우우우~|라라라|랄라라 랄랄라|나나나|나 나 나|나나 나나나|다 다 다 다|뚜루루
뚜루루뚜 뚜루루|샤랄라|샤라라라|룰루랄라|트랄랄라|울랄라|두비두밥|샤바두비두바|빰빠라밤
빠라바라밤|워우워|우워어 우워어|예이예|예 예 예|오예|오오오오|아아아|아 아 아|음음|흠|어허
헤이 헤이|후후후|따라라라라|에헤이|야야야|la la|la la la|La-la-la-la|lalala|shalala
Sha la la la la|na na na|nananana|Oh oh yeah|Oh, oh, oh|Ooh-ooh-ooh|oh yeah|YEAH!|yeeeeah|Uh huh
mmm|Hmm mmm|hey hey hey|whoa-oh-oh|woah|ah ah ah|Ayo|doo doo doo|do do do|da da da|ba ba ba ba
fa la la la|tra la la|oh la la|du di du|woo!|skrrt|brrr|yeah yeah 예 예|우우 la la|oh 나나나 oh
"""

REAL = """
나 나가고 싶어|나|나 나|나야 나|너와 나|나나|우리 우산|우리|우정|나라|나비야 날아라|라디오
다 줄게|다 다르게|다 와 있어|이리 와|와 줘|바다|바라만 봐|두 사람|두루두루|따라와|따라라
아예 몰랐어|아우를 부르네|오후|오늘도|오라|오이|에어컨|음악|예뻐|아이|아이야 울지 마|아파|어디
야호|와우|우와|하하하|호호|ㅋㅋㅋ|ㅠㅠ|엉엉|두근두근|쿵쿵|반짝반짝|아리랑 아리랑|아, 님은 어디에
우우 울었어|라라라 그대가 그리워|아 그래|오 나의 님|La vida|la la land|oh my love I miss you
Oh baby|hey you|Hey, come back|yeah, right|uh, what now|I do|do it|do do tell me|love ya|I
you and me|no|no no no|go go go|run run run|bye bye|ha ha ha|wow|yay|ugh|ouch|hello|banana|nana
dada|mama|papa|who|whose|hay|amen|hallelujah|la la la I miss you|na na na goodbye
oh oh oh, never again|24/7|365
"""


def lines_of(block: str) -> list[str]:
    return [line.strip() for line in block.replace("\n", "|").split("|") if line.strip()]


@pytest.mark.parametrize("line", lines_of(SYLLABLES_ONLY))
def test_syllables_weigh_nothing(line: str) -> None:
    assert words(line)
    assert real_words(line) == []


@pytest.mark.parametrize("line", lines_of(REAL))
def test_words_keep_their_weight(line: str) -> None:
    assert real_words(line)


@pytest.mark.parametrize(
    ("line", "real"),
    [
        ("라라라 그대가 그리워 우우", ["그대가", "그리워"]),
        ("나 나가고 싶어", ["나", "나가고", "싶어"]),
        ("나 나 나 나쁜 사람", ["나쁜", "사람"]),
        ("La vida es un sueño", ["la", "vida", "es", "un", "sueño"]),
        ("Oh oh oh, don’t go!", ["don’t", "go"]),
        ("do do do you want me", ["you", "want", "me"]),
        ("do you want me, do you", ["do", "you", "want", "me", "do", "you"]),
        ("...!", []),
        ("", []),
    ],
)
def test_only_the_syllables_of_a_line_are_left_out(line: str, real: list[str]) -> None:
    assert real_words(line) == real


def test_decomposed_hangul_is_read_alike() -> None:
    import unicodedata

    assert real_words(unicodedata.normalize("NFD", "우우 사랑")) == ["사랑"]


@pytest.mark.parametrize(
    "word", ["o" * 50_000 + "x", "ooh" * 20_000 + "x", "뚜" * 50_000 + "x", "아하" * 20_000 + "x"]
)
def test_a_very_long_word_takes_no_time(word: str) -> None:
    assert real_words(word) == [word]


def test_no_line_of_a_poem_is_thrown_away() -> None:
    if not (data_root() / "text" / "kpoem").is_dir():
        pytest.skip("text/kpoem is not in the data folder (MAEUM_DATA)")
    rows = kpoem.read()
    assert len(rows) > 6000
    lost = [row.text for row in rows if words(row.text) and not real_words(row.text)]
    # Bare exclamations ("아아.") are all that may go.
    assert {letter for text in lost for word in words(text) for letter in word} <= set("아오야─")
    assert len(lost) <= 10
    assert all(row.unit == "line" for row in rows if row.text in lost)


# Repeats


def test_same_words_are_a_repeat_whatever_their_dress() -> None:
    lines = [
        "Wait for me tonight",
        "그대를 기다려요",
        "wait for me, tonight!!",
        "그대를  기다려요…",
        "oh oh wait for me tonight, yeah",
        "waaaait for me tonight",
        "그대를기다려요",
        "wait for you tonight",
    ]
    assert repeats(lines) == [None, None, 0, 1, 0, 0, 1, None]


def test_drawn_out_letters_are_one_letter() -> None:
    assert repeats(["so long", "sooooo long", "soooo looong"]) == [None, 0, 0]


def test_syllables_repeat_nothing() -> None:
    assert repeats(["la la la", "la la la", "우우", "우우"]) == [None] * 4


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("나는 오늘도 너를 기다려", "나는 오늘도 너를 기다리네"),
        ("나는 오늘도 너를 기다려", "그 나는 오늘도 너를 기다려요"),
        ("I can hear the water falling", "and I can hear the water falling"),
        ("all the lights are shining brightly", "all the lights are shining bright"),
    ],
)
def test_other_endings_are_a_near_repeat(first: str, second: str) -> None:
    assert repeats([first, second]) == [None, 0]
    assert repeats([first, second], near=False) == [None, None]
    assert repeats([first, second, second], near=False) == [None, None, 1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("나는 오늘도 너 때문에 행복해", "나는 오늘도 너 때문에 불행해"),
        ("나는 네가 정말 좋아해서 울어", "나는 네가 정말 좋아하지 않아 울어"),
        ("너는 내게 말을 했었지", "너는 내게 말을 못했었지"),
        ("I could stay with you tonight", "I couldn't stay with you tonight"),
        ("I love the way you lie", "I hate the way you lie"),
        ("너를 사랑해", "너를 사랑했어"),  # too short to be near
        ("바람이 분다 바람은 불고", "바람에 분홍 바람만 불어"),  # more than a third
        ("one two three four", "one two three four five"),
    ],
)
def test_other_words_are_no_repeat(first: str, second: str) -> None:
    assert repeats([first, second]) == [None, None]


# Weights


SONG = [
    "창밖에 비가 내리네",  # 3 words
    "라라라",
    "너를 기다리는 밤",  # 3
    "너를 기다리는 밤",
    "oh yeah, stay here",  # 2 and 2 vocables
]


def test_syllables_weigh_nothing_and_repeats_count_once() -> None:
    weighed = weigh_lines(SONG, LineWeighting())
    np.testing.assert_array_equal(weighed.weights, [3, 0, 3, 0, 2])
    assert weighed.weights.dtype == np.float32
    assert (weighed.n_without_words, weighed.n_repeated) == (1, 1)


def test_weights_of_syllables_and_repeats_are_the_callers() -> None:
    weighed = weigh_lines(SONG, LineWeighting(vocables=0.5, repeats=0.25))
    np.testing.assert_allclose(weighed.weights, [3, 0.5, 3, 0.75, 3])
    everything = weigh_lines(SONG, LineWeighting(vocables=1, repeats=1))
    np.testing.assert_array_equal(everything.weights, [len(words(line)) for line in SONG])


def test_no_lines_have_no_weights() -> None:
    assert weigh_lines([], LineWeighting()).weights.shape == (0,)


@pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan")])
def test_weights_out_of_range_are_refused(weight: float) -> None:
    with pytest.raises(InputError, match="repeats must be in"):
        LineWeighting(repeats=weight)
    with pytest.raises(InputError, match="vocables must be in"):
        LineWeighting(vocables=weight)
