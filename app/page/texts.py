"""Every sentence of the web page, in Korean and in English.

``text(language, key, ...)`` fills the named places of a sentence. Both
languages have the same keys and the same places; a test checks it. Emotions'
names come from the taxonomy, reasons and adjectives from fusion. ``translated``
gives Korean for the notes that models and fusion write in English.
"""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

from app.page.english import ENGLISH
from app.page.korean import KOREAN
from data_prep.taxonomy import EMOTIONS, EMOTIONS_KO

Language = Literal["ko", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

TEXTS: Final[dict[Language, dict[str, str]]] = {"ko": KOREAN, "en": ENGLISH}

EXAMPLES: Final[tuple[str, ...]] = (
    "오늘 너무 우울해",
    "드디어 합격했어!!",
    "내일 발표라 떨려서 잠이 안 와",
    "햇살 좋은 오후, 느긋하게 쉬는 중",
    "so happy I could dance",
    "so angry I could scream",
    "quiet evening, warm tea",
    "I miss her so much",
)
"""Moods to begin with, in both languages, all of them shown in both."""

_NAMES: Final[dict[Language, tuple[str, ...]]] = {"ko": EMOTIONS_KO, "en": EMOTIONS}


def text(language: Language, key: str, **places: object) -> str:
    """A sentence of the page, its places filled. Korean particles fit the word before them."""
    sentence = TEXTS[language][key]
    if not places:
        return sentence
    filled = sentence.format(**places)
    return with_particles(filled) if language == "ko" else filled


def emotion_name(language: Language, index: int) -> str:
    """Name of emotion 0..5."""
    return _NAMES[language][index]


def language_of(accept_language: str | None) -> Language:
    """The page's language for a browser's ``Accept-Language``: Korean or English, by preference.

    Korean, the project's first language, where neither is asked for.
    """
    weighted = []
    for position, part in enumerate((accept_language or "").split(",")):
        tag, _, parameters = part.strip().partition(";")
        weight = re.fullmatch(r"\s*q=([01](?:\.\d*)?)\s*", parameters)
        quality = float(weight[1]) if weight else 1.0
        primary = tag.strip().lower().split("-")[0]
        if primary in LANGUAGES and quality > 0:
            weighted.append((-quality, position, primary))
    return as_language(min(weighted)[2]) if weighted else "ko"


def as_language(value: object) -> Language:
    """A language given from outside; anything unknown is Korean."""
    return "en" if value == "en" else "ko"


_HANGUL_FIRST: Final = 0xAC00
# The word → (particle after a final consonant, particle after a vowel). "로" also follows ㄹ.
_PARTICLES: Final[dict[str, tuple[str, str]]] = {
    "을": ("을", "를"),
    "를": ("을", "를"),
    "이": ("이", "가"),
    "로": ("으로", "로"),
}
_AFTER_EMOTION = re.compile(
    rf"({'|'.join(EMOTIONS_KO)})({'|'.join(_PARTICLES)})(?=[ .,]|$)",
)


def with_particles(sentence: str) -> str:
    """Choose 을/를, 이/가 and 으로/로 after an emotion's Korean name.

    >>> with_particles("평화을 지나 슬픔로 끝")
    '평화를 지나 슬픔으로 끝'
    """

    def chosen(match: re.Match[str]) -> str:
        word, particle = match[1], match[2]
        closed = (ord(word[-1]) - _HANGUL_FIRST) % 28 != 0
        after_consonant, after_vowel = _PARTICLES[particle]
        return word + (after_consonant if closed else after_vowel)

    return _AFTER_EMOTION.sub(chosen, sentence)


_LANGUAGE_NAMES: Final[dict[str, str]] = {
    "Chinese": "중국어",
    "Dutch": "네덜란드어",
    "French": "프랑스어",
    "German": "독일어",
    "Indonesian": "인도네시아어",
    "Italian": "이탈리아어",
    "Japanese": "일본어",
    "Latin": "라틴어",
    "Portuguese": "포르투갈어",
    "Spanish": "스페인어",
    "Swedish": "스웨덴어",
    "Turkish": "튀르키예어",
    "Vietnamese": "베트남어",
}

# English as written by the models and by fusion → Korean; a place \1 is translated in turn.
_NOTES: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, flags=re.DOTALL), korean)
    for pattern, korean in (
        (r"no emotion could be read: (.+)", r"감정을 읽지 못했습니다. \1"),
        (r"the words say nothing: (.+)", r"글에서 읽은 감정이 없습니다: \1"),
        (r"the sound says nothing: (.+)", r"소리에서 들은 감정이 없습니다: \1"),
        (r"no words", "낱말이 없습니다"),
        (r"no words, only syllables such as (.+)", r"\1 같은 소리뿐 낱말이 없습니다"),
        (r"no words are left after cleaning", "다듬고 나니 남은 낱말이 없습니다"),
        (r"(.+): only Korean and English are read", r"\1, 한국어와 영어만 읽습니다"),
        (r"Japanese script \(kana\)", "일본어 글"),
        (r"Chinese characters \(Han script\)", "중국어 글"),
        (r"an unknown language in Latin script", "알 수 없는 언어의 글"),
        (r"(\w+) (?:words|script)", r"\1 글"),
        (
            r"the file is cut off or damaged: only its first (\S+) could be decoded",
            r"파일이 잘렸거나 손상되어 처음 \1만 들었습니다",
        ),
        (
            r"the file is cut off or damaged: a part of it could not be decoded",
            "파일이 잘렸거나 손상되어 일부는 듣지 못했습니다",
        ),
        (
            r"(\S+) long: (\d+) windows of (\S+) s spread over it were read",
            r"\1 길이라, 고르게 뽑은 \3초짜리 \2곳을 들었습니다",
        ),
        (r"the recording is silent", "소리가 없는 녹음입니다"),
        (
            r"the recording is too short: (\S+) s, at least (\S+) s",
            r"녹음이 \1초로 너무 짧습니다. \2초는 넘어야 합니다",
        ),
        (
            r"only (\S+) s of sound: the answer is uncertain",
            r"소리가 \1초뿐이라 답이 확실하지 않습니다",
        ),
        (
            r"(.+) holds no sound that can be decoded .+",
            r"\1에는 풀어 들을 수 있는 소리가 없습니다. 소리 파일이 맞는지, 온전한지 살펴봐 주세요",
        ),
        (
            r"(.+) is empty \(0 bytes\): .+",
            r"\1 파일이 비어 있습니다. 다시 복사해 주세요",
        ),
        (
            r"(.+) has a header but no samples: .+",
            r"\1에는 녹음된 소리가 없습니다",
        ),
        (
            r"(\d+) samples were not numbers and were read as silence",
            r"숫자가 아닌 표본 \1개는 소리 없음으로 들었습니다",
        ),
    )
)


def as_sentence(note: str) -> str:
    """A note with a capital, unless it begins with the name of a file, and a full stop."""
    closed = note if note.endswith((".", "…")) else f"{note}."
    return closed[:1].upper() + closed[1:] if closed.split()[0].isalpha() else closed


def translated(note: str, language: Language) -> str:
    """A note of the models or of fusion in the page's language; unknown ones stay English."""
    if language == "en":
        return note
    if note in _LANGUAGE_NAMES:
        return _LANGUAGE_NAMES[note]
    for pattern, korean in _NOTES:
        match = pattern.fullmatch(note)
        if match is not None:
            for place, inner in enumerate(match.groups(), start=1):
                korean = korean.replace(f"\\{place}", translated(inner, language))
            return korean
    if "; " in note:
        return ". ".join(translated(part, language) for part in note.split("; "))
    return note
