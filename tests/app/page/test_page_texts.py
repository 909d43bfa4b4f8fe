"""The page says everything in both languages."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import app.page
from app.page.lab_tab import METHODS
from app.page.map_tab import VIEWS
from app.page.texts import (
    ENGLISH,
    EXAMPLES,
    KOREAN,
    TEXTS,
    as_language,
    emotion_name,
    language_of,
    text,
    translated,
    with_particles,
)
from audio_model.decode import decode
from data_prep.errors import InputError
from data_prep.language import detect_language
from data_prep.taxonomy import EMOTIONS, EMOTIONS_KO

SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for path in sorted(Path(app.page.__file__).parent.glob("*.py"))
    if path.name not in ("texts.py", "korean.py", "english.py")
)


def places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_both_languages_have_the_same_keys_and_places() -> None:
    assert KOREAN.keys() == ENGLISH.keys()
    for key, korean in KOREAN.items():
        assert places(korean) == places(ENGLISH[key]), key
        assert korean.strip(), key
        assert ENGLISH[key].strip(), key


def test_korean_is_korean_and_english_is_not() -> None:
    for key, korean in KOREAN.items():
        if re.sub(r"\{\w+\}", "", korean).strip(" %"):
            assert re.search("[가-힣]", korean), key
        assert not re.search("[가-힣]", ENGLISH[key]), key


def test_every_sentence_is_used_and_every_one_used_exists() -> None:
    quoted = set(re.findall(r"""["'](\w+)["']""", SOURCES))
    made = {"tab_mood", "tab_song", "tab_map", "tab_lab"}
    made |= {f"{bar}_{branch}" for bar in ("bar", "missing") for branch in ("lyrics", "audio")}
    made |= {
        f"problem_{kind}_{part}" for kind in ("catalogue", "model") for part in ("title", "text")
    }
    made |= {f"judge_{said}" for said in ("good", "bad", "thanks", "undone", "failed")}
    made |= {f"export_{form}" for form in ("m3u8", "csv")}
    made |= {f"option_language_{value}" for value in ("any", "ko", "en")}
    made |= {f"option_parts_{value}" for value in ("any", "lyrics", "audio")}
    made |= {f"map_view_{view}" for view in VIEWS}
    made |= {f"lab_method_{method}" for method in METHODS}
    made |= {f"lab_{name}" for name in ("constant", "simple", "lyrics", "audio")}
    assert not KOREAN.keys() - quoted - made
    asked = set(re.findall(r"""text\(\s*\w+,\s*["'](\w+)["']""", SOURCES))
    assert len(asked) > 30
    assert asked <= KOREAN.keys()


def test_examples_are_in_both_languages_and_can_be_read() -> None:
    assert {detect_language(example).language for example in EXAMPLES} == {"ko", "en"}


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ko-KR,ko;q=0.9,en-US;q=0.8", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("fr-FR,en;q=0.5,ko;q=0.7", "ko"),
        ("fr,de;q=0.8", "ko"),
        ("en;q=0,ko;q=0.1", "ko"),
        ("*", "ko"),
        ("", "ko"),
        (None, "ko"),
        ("en;q=nonsense", "en"),
    ],
)
def test_language_follows_the_browser(header: str | None, language: str) -> None:
    assert language_of(header) == language


def test_unknown_language_is_korean() -> None:
    assert as_language("en") == "en"
    assert as_language("xx") == as_language(None) == "ko"


@pytest.mark.parametrize("language", ["ko", "en"])
def test_emotions_are_named_by_the_taxonomy(language: str) -> None:
    names = EMOTIONS_KO if language == "ko" else EMOTIONS
    assert [emotion_name(as_language(language), i) for i in range(6)] == list(names)


@pytest.mark.parametrize(
    ("draft", "sentence"),
    [
        (
            "평화로 시작해 기쁨를 지나 슬픔로 끝납니다.",
            "평화로 시작해 기쁨을 지나 슬픔으로 끝납니다.",
        ),
        ("중립이 이어집니다.", "중립이 이어집니다."),
        ("평화이 이어집니다.", "평화가 이어집니다."),
        ("분노을 가리킵니다.", "분노를 가리킵니다."),
    ],
)
def test_particles_fit_the_emotion(draft: str, sentence: str) -> None:
    assert with_particles(draft) == sentence


def test_places_are_filled() -> None:
    assert text("en", "score", percent=97) == "97% match"
    assert (
        text("ko", "timeline_two", start="기쁨", end="슬픔") == "기쁨으로 시작해 슬픔으로 끝납니다."
    )
    assert TEXTS["ko"]["mood_button"] == text("ko", "mood_button")


@pytest.mark.parametrize(
    "words",
    ["😀😀", "la la la la", "우우우 우우", "je suis très triste aujourd'hui", "今日は悲しい"],
)
def test_reasons_of_the_language_gate_are_said_in_korean(words: str) -> None:
    reason = detect_language(words).reason
    assert reason is not None
    korean = translated(f"the words say nothing: {reason}", "ko")
    assert "글에서 읽은 감정이 없습니다" in korean
    without_quotes = re.sub(r"'.*'", "", korean)
    assert not re.search("[a-z]{3}", without_quotes), korean


@pytest.mark.parametrize("content", [b"", b"not sound at all", b"ID3" + bytes(400)])
def test_reasons_of_the_decoder_are_said_in_korean(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "노래.mp3"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        decode(path)
    korean = translated(str(caught.value).replace(f"{tmp_path}/", ""), "ko")
    assert korean.startswith("노래.mp3")
    assert "expected" not in korean


def test_several_reasons_are_translated_one_by_one() -> None:
    both = "no emotion could be read: the words say nothing: no words; the sound says nothing: xyz"
    korean = translated(both, "ko")
    assert korean.count("감정이 없습니다") == 2
    assert korean.endswith("xyz")


def test_unknown_notes_and_english_stay() -> None:
    assert translated("something new", "ko") == "something new"
    assert translated("no words", "en") == "no words"
