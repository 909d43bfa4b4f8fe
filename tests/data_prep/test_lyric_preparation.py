"""All lyrics here are made up."""

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest

from data_prep.data_folder import data_root
from data_prep.errors import InputError
from data_prep.lyric_lines import LineWeighting
from data_prep.lyric_preparation import (
    LYRIC_SENTIMENT,
    MAEUM,
    PRESETS,
    STATUS_MESSAGE,
    WYF,
    DroppedLyrics,
    LyricPreset,
    PreparedLyrics,
    WeightedSegments,
    prepare,
)
from data_prep.lyrics_text import MAX_SEGMENT_CHARACTERS

SONG = """[ar:아무개]
[00:01.00][Verse 1]
[00:02.00]창밖에 비가 내리네
[00:04.00]너 없는 밤이 또 오네
[00:06.00]우 우 우
[00:08.00]I keep the light on for you

(후렴) x2
* 돌아와 줘 나의 사람아
나는 아직 여기 있어 (x2)
라라라 랄라라
[Verse 2]
거리에 눈이 쌓이네
oh oh yeah

* 반복
돌아와 줘 나의 사람아
나는 아직 여기 있어
"""


def prepared(text: str, preset: LyricPreset = MAEUM, **more: object) -> PreparedLyrics:
    result = prepare(text, preset, **more)  # type: ignore[arg-type]
    assert isinstance(result, PreparedLyrics), result
    return result


def dropped(text: str, preset: LyricPreset = MAEUM, **more: object) -> DroppedLyrics:
    result = prepare(text, preset, **more)  # type: ignore[arg-type]
    assert isinstance(result, DroppedLyrics), result
    return result


# The project's own


def test_what_is_sung_is_kept_once_and_what_says_nothing_is_not() -> None:
    song = prepared(SONG)
    assert song.segments.segments == (
        "창밖에 비가 내리네\n너 없는 밤이 또 오네\nI keep the light on for you\n"
        "돌아와 줘 나의 사람아",
        "나는 아직 여기 있어\n거리에 눈이 쌓이네",
    )
    np.testing.assert_array_equal(song.segments.weights, [3 + 5 + 7 + 4, 4 + 3])
    assert (song.n_lines, song.n_without_words, song.n_repeated) == (11, 3, 2)


def test_repeats_count_by_weight() -> None:
    preset = dataclasses.replace(MAEUM, name="half", weighting=LineWeighting(repeats=0.5))
    song = prepared(SONG, preset).segments
    assert song.segments[1].endswith("돌아와 줘 나의 사람아\n나는 아직 여기 있어")
    np.testing.assert_array_equal(song.weights, [19, 4 + 3 + 2 + 2])


def test_syllables_can_be_given_weight() -> None:
    preset = dataclasses.replace(MAEUM, name="all", weighting=LineWeighting(1, 1))
    assert prepared("우 우 우\nla la", preset).segments.weights.tolist() == [5]


def test_the_mean_follows_the_weights() -> None:
    segments = prepared(SONG).segments
    distributions = np.array([[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]], dtype=np.float32)
    np.testing.assert_allclose(segments.mean(distributions), [19 / 26, 0, 0, 7 / 26, 0, 0])
    with pytest.raises(InputError, match="1 rows for 2 segments"):
        segments.mean(distributions[:1])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "no words"),
        ("♪ ~ …\n!!", "no words"),
        ("[Verse 1]\n[Chorus]\n(x2)", "no words"),
        ("가사 없음", "no words"),
        ("등록된 가사가 없습니다.", "no words"),
        ("Lyrics not available", "no words"),
        ("[Instrumental]", "instrumental"),
        ("Instrumental", "instrumental"),
        ("(간주중)", "instrumental"),
        ("이 곡은 연주곡입니다.", "instrumental"),
        ("This is an instrumental", "no drop"),
        ("This song is an instrumental.", "instrumental"),
        ("라라라 라라라\n우 우 우\n\noh oh yeah", "only syllables"),
        ("나", "too short"),
    ],
)
def test_why_nothing_is_left(text: str, kind: str) -> None:
    if kind == "no drop":
        assert prepared(text).n_lines == 1
    else:
        assert dropped(text).kind == kind
        assert dropped(text).reason


@pytest.mark.parametrize(
    "title",
    [
        "비 오는 밤 (Inst.)",
        "비 오는 밤 (inst)",
        "비 오는 밤 Inst.",
        "Rainy Night (Instrumental Ver.)",
        "Rainy Night - Instrumental",
        "비 오는 밤 (MR)",
        "비 오는 밤 [M.R.]",
        "비 오는 밤 (피아노 연주)",
        "Rainy Night (Karaoke Version)",
    ],
)
def test_a_version_without_singing_has_no_lyrics(title: str) -> None:
    verdict = dropped(SONG, title=title)
    assert verdict.kind == "instrumental"
    assert title in verdict.reason


@pytest.mark.parametrize(
    "title",
    ["Instinct", "Against Me", "Karaoke Nights", "Song (feat. Mr. Kim)", "연주하는 밤", "instant"],
)
def test_other_titles_drop_nothing(title: str) -> None:
    prepared(SONG, title=title)
    prepared("그대를 기다리는 이 밤이 길기도 하네 " * 4, WYF, title=title)


def test_lyrics_without_line_breaks() -> None:
    sentence = "I walked along the river until the morning came. "
    text = "".join(f"{n} times {sentence}" for n in range(1, 7)) + "la " * 80
    song = prepared(text)
    assert max(map(len, song.segments.segments)) <= MAX_SEGMENT_CHARACTERS
    assert " ".join(song.segments.segments).count("river") == 6
    assert not any("la la" in s for s in song.segments.segments if "river" not in s)


def test_segments_hold_the_lines_that_weigh_and_nothing_else() -> None:
    generator = np.random.default_rng(0)
    pool = [*SONG.splitlines(), "word " * 90, "가나다 " * 80, "우우우", "", "끝이야", "love me"]
    for _ in range(200):
        text = "\n".join(generator.choice(pool, size=generator.integers(1, 30)))
        song = prepare(text)
        if isinstance(song, DroppedLyrics):
            continue
        assert len(song.segments.segments) == len(song.segments.weights)
        assert all(len(s) <= MAX_SEGMENT_CHARACTERS for s in song.segments.segments)
        n_words = [len(re.findall(r"[^\W_]+", s)) for s in song.segments.segments]
        np.testing.assert_array_equal(song.segments.weights, n_words)


def test_poems_are_read_whole() -> None:
    if not (data_root() / "text" / "kpoem").is_dir():
        pytest.skip("text/kpoem is not in the data folder (MAEUM_DATA)")
    from data_prep.readers import kpoem

    poems = kpoem.read(unit="text")
    assert poems
    for poem in poems:
        assert isinstance(prepare(poem.text), PreparedLyrics), poem.text


# The published ones

SCENE = "민수: 어디 가?\n지우: 집에.\n민수: 같이 가자.\n" + "(문이 닫힌다)\n" * 3
LONG = "그대를 기다리는 이 밤이 길기도 하네\n" * 4


@pytest.mark.parametrize(
    ("text", "title", "kind"),
    [
        ("그대를 기다려", "", "too short"),
        (LONG, "비 오는 밤 (Inst.)", "instrumental"),
        (LONG, "비 오는 밤 inst", "instrumental"),
        (LONG, "명장면 대사", "drama dialogue"),
        (LONG, "Narration 2", "drama dialogue"),
        (
            "민수: 어디 가?\n지우: 집에.\n민수: 같이 가자.\n" + "(문이 닫힌다)\n" * 3,
            "",
            "drama dialogue",
        ),
        ("[Verse 1]\n" + LONG, "", "section words"),
        (LONG + "Chorus x2", "", "section words"),
        (LONG + "the bridge is burning", "", "section words"),
    ],
)
def test_wyf_drops(text: str, title: str, kind: str) -> None:
    assert dropped(text, WYF, title=title).kind == kind


def test_wyf_keeps_fifty_characters_and_no_fewer() -> None:
    assert dropped("가" * 49, WYF).kind == "too short"
    song = prepared("가" * 50, WYF)
    assert song.segments.segments == ("가" * 50,)
    assert WYF.max_tokens == 512


def test_wyf_reads_the_song_as_one_text_repeats_and_all() -> None:
    song = prepared("우 우 우\n" + LONG + "universe of introverts", WYF)
    assert song.segments.weights.tolist() == [1]
    assert song.segments.segments[0].count("그대를") == 4
    assert song.segments.segments[0].startswith("우 우 우\n")


def test_wyf_drops_exact_duplicates_within_one_run() -> None:
    seen: set[bytes] = set()
    prepared(LONG, WYF, seen=seen)
    assert dropped(LONG, WYF, seen=seen).kind == "duplicate"
    prepared(LONG + "그래도", WYF, seen=seen)
    prepared(LONG, WYF, seen=set())
    prepared(LONG, WYF)
    # A dropped song does not stand for a later one, and other presets keep duplicates.
    assert len(seen) == 2
    dropped(LONG, WYF, seen=seen, title="(inst)")
    prepared(LONG, MAEUM, seen=seen)
    assert len(seen) == 2


def test_status_message_takes_four_lines_as_a_sentence() -> None:
    song = prepared("하나\n둘\n\n셋\n넷\n다섯 " + "긴 " * 200, STATUS_MESSAGE, known_english=())
    assert song.segments.segments[0] == "하나\n둘\n셋\n넷"
    assert song.segments.weights.tolist() == [1, 1]


def test_status_message_drops_unseen_english() -> None:
    text = "사랑해 baby\nDon't go"
    verdict = dropped(text, STATUS_MESSAGE, known_english={"baby"})
    assert verdict.kind == "unseen English"
    assert "don't" in verdict.reason
    prepared(text, STATUS_MESSAGE, known_english={"baby", "don't", "go"})
    with pytest.raises(InputError, match="give known_english"):
        prepare(text, STATUS_MESSAGE)


def test_lyric_sentiment_cleans_special_characters() -> None:
    song = prepared("♥사랑해♥ (정말)\n★ 너를, 영원히~!", LYRIC_SENTIMENT)
    assert song.segments.segments == ("사랑해 정말\n너를, 영원히~!",)


# Presets and results


def test_presets_are_found_by_name() -> None:
    assert set(PRESETS) == {"maeum", "wyf", "status-message", "lyric-sentiment"}
    assert all(preset.name == name for name, preset in PRESETS.items())


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_characters": -1},
        {"lines_per_segment": 0},
        {"weighting": LineWeighting(), "lines_per_segment": None},
    ],
)
def test_presets_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="preset 'x'"):
        LyricPreset("x", cleaning="none", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [[], [1, 2], [0], [-1], [np.nan]])
def test_segments_need_weights_above_zero(weights: list[float]) -> None:
    with pytest.raises(InputError):
        WeightedSegments(("a",), np.array(weights, dtype=np.float32))
    with pytest.raises(InputError):
        WeightedSegments((), np.zeros(0, dtype=np.float32))


def test_preparation_needs_numpy_alone() -> None:
    code = (
        "import sys; from data_prep.lyric_preparation import prepare; prepare('창밖에 비가')\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'onnxruntime', 'openpyxl'}\n"
        "assert not heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
