import subprocess
import sys

import pytest

from data_prep.data_folder import data_root
from data_prep.language import detect_language


@pytest.mark.parametrize(
    "text",
    [
        "오늘 너무 우울해",
        "ㅠㅠ 너무 힘들다",
        "ㅋㅋㅋ 개꿀",
        "ㅠㅠㅠ",
        "나 너무 sad해",
        "I love you baby, oh baby, never let me go 사랑해 그대여",
        "영변(寧邊)에 약산(藥山) 진달래꽃",
        "나야 나",
        "하하하",
        "와",
        "야호!",
        "오예~",
    ],
)
def test_korean(text: str) -> None:
    verdict = detect_language(text)
    assert (verdict.language, verdict.code, verdict.reason) == ("ko", "ko", None)


@pytest.mark.parametrize(
    "text",
    [
        "im so tired rn",
        "happy",
        "sad af",
        "ugh mondays",
        "Beyoncé party tonight",
        "café vibes",
        "hey",
        "Woohoo!!",
        "I am DONE with this!!! 😎😎",
        "feeling kinda lonely tonight, can't sleep ngl",
        "Las Vegas road trip",
        "I can remember the rain in december, the leaves of brown on the ground",
    ],
)
def test_english(text: str) -> None:
    verdict = detect_language(text)
    assert (verdict.language, verdict.code, verdict.reason) == ("en", "en", None)


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("je suis triste", "fr", "French"),
        ("estoy muy triste", "es", "Spanish"),
        ("ich bin traurig", "de", "German"),
        ("quiero bailar toda la noche contigo mi amor", "es", "Spanish"),
        ("今日はとても悲しい", "ja", "kana"),
        ("我今天很难过", "zh", "Han"),
        ("мне грустно сегодня", "und", "Cyrillic"),
        ("วันนี้เศร้ามาก", "und", "Thai"),
    ],
)
def test_other_languages_are_named(text: str, code: str, named: str) -> None:
    verdict = detect_language(text)
    assert verdict.language is None
    assert verdict.code == code
    assert verdict.reason is not None
    assert named in verdict.reason


@pytest.mark.parametrize("text", ["", "   ", "😭😭😭", "12345 !!", "♪ ~ ..."])
def test_no_words(text: str) -> None:
    verdict = detect_language(text)
    assert (verdict.language, verdict.code, verdict.reason) == (None, "zxx", "no words")


@pytest.mark.parametrize(
    "text",
    [
        "la la la la",
        "lalala",
        "우 우 우",
        "우우우우",
        "라라라 라라라 라라",
        "Yeah yeah, oh oh",
        "뚜루루뚜루 두비두밥",
    ],
)
def test_vocables_are_no_words(text: str) -> None:
    verdict = detect_language(text)
    assert verdict.language is None
    assert verdict.code == "zxx"
    assert verdict.reason is not None
    assert verdict.reason.startswith("no words, only syllables")


def test_words_among_vocables_are_words() -> None:
    assert detect_language("la la la la I miss you").language == "en"
    assert detect_language("라라라 그대가 그리워 라라라").language == "ko"


def test_whole_lyrics_of_other_languages() -> None:
    folder = data_root() / "songs" / "jamendo"
    if not folder.is_dir():
        pytest.skip("songs/jamendo is not in the data folder (MAEUM_DATA)")
    expected = {"confession-quesabe": "fr", "fantasma-los-rombos": "es", "guayeteo-jhoyking": "es"}
    for path in sorted(folder.glob("*.txt")):
        verdict = detect_language(path.read_text(encoding="utf-8"))
        assert verdict.code == expected.get(path.stem, "en"), path.stem


def test_plain_korean_and_english_load_no_library() -> None:
    code = (
        "import sys; from data_prep.language import detect_language as d\n"
        "d('오늘 너무 우울해'); d('sad af'); d('I miss you so much and I never know what to do')\n"
        "assert 'py3langid' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
