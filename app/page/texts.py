"""Every sentence of the web page, in Korean and in English.

``text(language, key, ...)`` fills the named places of a sentence. Both
languages have the same keys and the same places; a test checks it. Emotions'
names come from the taxonomy, reasons and adjectives from fusion. ``translated``
gives Korean for the notes that models and fusion write in English.
"""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

from data_prep.taxonomy import EMOTIONS, EMOTIONS_KO

Language = Literal["ko", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

KOREAN: Final[dict[str, str]] = {
    # Frame of the page
    "page_title": "마음 · 기분에 맞는 노래",
    "tagline": "노래의 말과 소리를 함께 읽어, 지금 마음에 맞는 노래를 찾습니다.",
    "language": "언어",
    "tab_mood": "기분으로 찾기",
    "tab_song": "노래로 찾기",
    "tab_map": "감정 지도",
    "footer_privacy": (
        "쓴 글과 올린 노래는 이 페이지를 연 컴퓨터 밖으로 나가지 않고, "
        "올린 파일은 한 시간 안에 지워집니다."
    ),
    "footer_catalogue": "카탈로그 {count}곡",
    "footer_licence": "코드는 Apache-2.0, 소리 모델은 비상업 자료로 학습",
    "footer_api": "API 안내",
    # Find by mood
    "mood_heading": "지금 기분이 어때요?",
    "mood_label": "지금 기분",
    "mood_placeholder": "예: 오늘 너무 우울해. 비 오는 밤에 혼자 걷고 싶어.",
    "mood_button": "노래 찾기",
    "options": "자세히 고르기",
    "option_count": "노래 수",
    "option_year_from": "몇 년부터",
    "option_year_to": "몇 년까지",
    "option_year_hint": "예: {year}",
    "option_genre": "장르",
    "option_genre_any": "모든 장르",
    "option_toward": "이런 기분 쪽으로",
    "option_toward_none": "지금 기분 그대로",
    "option_toward_info": "고르면 지금 기분에서 그 감정까지 한 곡씩 옮겨 갑니다.",
    "mood_empty_title": "기분을 한 줄 써 보세요",
    "mood_empty_text": (
        "기쁨, 긴장, 평화, 슬픔, 분노, 중립. "
        "쓴 글에서 여섯 감정을 읽고, 같은 마음의 노래를 찾습니다."
    ),
    "mood_busy": "마음을 읽고 노래를 고르는 중입니다…",
    "query_heading": "이렇게 읽었어요",
    "query_abstain": "한 가지로 또렷하지는 않은 기분이에요.",
    "results_heading": "이 마음에 맞는 노래",
    "results_none_title": "조건에 맞는 노래가 없어요",
    "results_none_text": "연도나 장르를 넓혀 다시 찾아보세요.",
    # Find by song
    "song_heading": "어떤 노래인가요?",
    "song_intro": (
        "노래 파일을 올리거나 들려주세요. 가사를 붙여 넣으면 말과 소리를 견주어 읽습니다."
    ),
    "song_audio": "노래 파일 또는 마이크",
    "song_lyrics": "가사 (없어도 됩니다)",
    "song_lyrics_placeholder": "가사를 줄바꿈 그대로 붙여 넣어 주세요.",
    "song_button": "감정 읽기",
    "song_limit": "mp3, m4a, wav, flac, ogg 등, {size} MB까지",
    "song_empty_title": "노래의 마음을 읽어 드려요",
    "song_empty_text": (
        "가사와 소리가 저마다 말하는 감정, 둘을 합친 감정, "
        "노래가 흐르는 동안의 변화를 보여 드립니다."
    ),
    "song_busy": "소리를 풀고 처음부터 끝까지 듣는 중입니다…",
    "song_busy_lyrics": "가사를 읽는 중입니다…",
    "song_result_heading": "이 노래의 마음",
    "song_top": "{emotion} {percent}%",
    "song_abstain": "어느 감정도 또렷하지 않아, 짐작만 해 봅니다.",
    "timeline_heading": "시간에 따라",
    "timeline_summary": "{start}로 시작해 {middle}를 지나 {end}로 끝납니다.",
    "timeline_two": "{start}로 시작해 {end}로 끝납니다.",
    "timeline_steady": "처음부터 끝까지 {emotion}이 이어집니다.",
    "timeline_label": "시간에 따른 여섯 감정의 비율, 0:00부터 {end}까지",
    "segments_heading": "가사를 따라",
    "segments_more": "{count}개 더 보기",
    "similar_heading": "마음이 닮은 노래",
    # Bars
    "bar_fused": "함께",
    "bar_lyrics": "가사",
    "bar_audio": "소리",
    "bar_query": "내 기분",
    "missing_lyrics": "읽은 가사 없음",
    "missing_audio": "들은 소리 없음",
    "legend": "감정 색",
    # Cards
    "score": "닮음 {percent}%",
    "listen": "듣기",
    "listen_to": "{title} 들으러 가기 (새 창)",
    "untitled": "제목 없음",
    "unknown_artist": "알 수 없는 음악가",
    # Words and sound
    "agree": "말과 소리가 모두 {emotion}을 가리킵니다.",
    "agree_loosely": "말과 소리가 조금 다르지만, 둘 다 {emotion} 쪽입니다.",
    "disagree": "{lyrics} 말, {audio} 소리. 말과 소리가 서로 다른 마음을 들려줍니다.",
    "disagree_slightly": "{lyrics} 말, {audio} 소리. 말과 소리가 조금 다릅니다.",
    # Map
    "map_heading": "카탈로그의 노래들이 어디에 있을까요?",
    "map_intro": "점 하나가 노래 하나입니다. 어떤 감정이 셀수록 그 꼭짓점에 가까이 놓입니다.",
    "map_label": "여섯 감정 사이에 놓인 노래 {count}곡",
    "map_empty": "카탈로그에 아직 노래가 없습니다.",
    "map_shown": "{shown}곡을 그렸습니다. 전체는 {count}곡입니다.",
    # Problems
    "problem_empty_title": "아직 비어 있어요",
    "problem_empty_text": "기분을 한 줄만 써 주세요. 짧아도 괜찮아요.",
    "problem_song_empty_text": "노래 파일을 올리거나 가사를 붙여 넣어 주세요.",
    "problem_long_title": "글이 너무 길어요",
    "problem_long_text": "{limit}자까지 읽을 수 있어요. 지금은 {length}자입니다.",
    "problem_unread_title": "감정을 읽지 못했어요",
    "problem_unread_text": "한국어나 영어 낱말로 된 글, 소리가 들리는 노래를 읽을 수 있어요.",
    "problem_catalogue_title": "카탈로그를 열지 못했어요",
    "problem_catalogue_text": "명령줄에서 `maeum index`로 카탈로그를 다시 만들 수 있어요.",
    "problem_model_title": "모델을 불러오지 못했어요",
    "problem_model_text": "모델 폴더가 이 판과 맞는지 살펴봐 주세요.",
    "problem_option_title": "고른 조건을 살펴봐 주세요",
    "problem_year_text": "‘{year}’에서 연도를 읽지 못했어요. 숫자 네 자리로 써 주세요.",
    "problem_years_text": "시작 연도 {year_from}이 끝 연도 {year_to}보다 늦어요.",
    "problem_unexpected_title": "뜻하지 않은 문제가 생겼어요",
    "problem_unexpected_text": "페이지를 연 곳의 기록에 자세한 내용을 남겼어요. 다시 해 보세요.",
    "problem_detail": "자세히",
}

ENGLISH: Final[dict[str, str]] = {
    # Frame of the page
    "page_title": "maeum · songs for a mood",
    "tagline": "Reads what a song says and how it sounds, and finds songs for the way you feel.",
    "language": "Language",
    "tab_mood": "Find by mood",
    "tab_song": "Find by song",
    "tab_map": "Map",
    "footer_privacy": (
        "What you write and upload never leaves the computer that runs this page; "
        "uploads are deleted within the hour."
    ),
    "footer_catalogue": "{count} songs in the catalogue",
    "footer_licence": "Code under Apache-2.0; sound model trained on non-commercial data",
    "footer_api": "API",
    # Find by mood
    "mood_heading": "How are you feeling?",
    "mood_label": "Your mood",
    "mood_placeholder": "e.g. I can't stop thinking about her. I just want to walk in the rain.",
    "mood_button": "Find songs",
    "options": "More options",
    "option_count": "Number of songs",
    "option_year_from": "From year",
    "option_year_to": "To year",
    "option_year_hint": "e.g. {year}",
    "option_genre": "Genre",
    "option_genre_any": "Any genre",
    "option_toward": "Move me toward",
    "option_toward_none": "Stay with my mood",
    "option_toward_info": "If chosen, the songs lead from your mood to it, one by one.",
    "mood_empty_title": "Write a line about how you feel",
    "mood_empty_text": (
        "Joy, tension, calm, sadness, anger, neutral: six emotions are read from your words, "
        "and songs that feel the same are found."
    ),
    "mood_busy": "Reading your mood and choosing songs…",
    "query_heading": "What we read",
    "query_abstain": "No single emotion stands out.",
    "results_heading": "Songs that feel like this",
    "results_none_title": "No song fits these options",
    "results_none_text": "Try a wider range of years, or any genre.",
    # Find by song
    "song_heading": "Which song?",
    "song_intro": (
        "Upload a recording or let us listen. Paste its lyrics too, and words and sound are "
        "compared."
    ),
    "song_audio": "Recording or microphone",
    "song_lyrics": "Lyrics (optional)",
    "song_lyrics_placeholder": "Paste the lyrics with their line breaks.",
    "song_button": "Read its emotions",
    "song_limit": "mp3, m4a, wav, flac, ogg and more, up to {size} MB",
    "song_empty_title": "Let us listen to a song",
    "song_empty_text": (
        "You will see what its words say, how it sounds, both together, and how it changes "
        "as it goes on."
    ),
    "song_busy": "Decoding the recording and listening from start to end…",
    "song_busy_lyrics": "Reading the lyrics…",
    "song_result_heading": "How this song feels",
    "song_top": "{emotion} {percent}%",
    "song_abstain": "No emotion stands out, so take this as a guess.",
    "timeline_heading": "Over time",
    "timeline_summary": "Begins in {start}, passes through {middle}, and ends in {end}.",
    "timeline_two": "Begins in {start} and ends in {end}.",
    "timeline_steady": "Stays in {emotion} from start to end.",
    "timeline_label": "Shares of the six emotions over time, from 0:00 to {end}",
    "segments_heading": "Along the lyrics",
    "segments_more": "{count} more",
    "similar_heading": "Songs that feel alike",
    # Bars
    "bar_fused": "Both",
    "bar_lyrics": "Words",
    "bar_audio": "Sound",
    "bar_query": "You",
    "missing_lyrics": "no words read",
    "missing_audio": "no sound heard",
    "legend": "Colours of the emotions",
    # Cards
    "score": "{percent}% match",
    "listen": "Listen",
    "listen_to": "Listen to {title} (opens a new window)",
    "untitled": "Untitled",
    "unknown_artist": "Unknown artist",
    # Words and sound
    "agree": "Words and sound both say {emotion}.",
    "agree_loosely": "Words and sound differ a little, but both lean to {emotion}.",
    "disagree": "{lyrics} words, {audio} sound: the two tell different stories.",
    "disagree_slightly": "{lyrics} words, {audio} sound: a slight difference.",
    # Map
    "map_heading": "Where do the songs lie?",
    "map_intro": "Each dot is a song. The stronger an emotion, the closer it lies to that corner.",
    "map_label": "{count} songs placed between six emotions",
    "map_empty": "There are no songs in the catalogue yet.",
    "map_shown": "{shown} of {count} songs are drawn.",
    # Problems
    "problem_empty_title": "Nothing here yet",
    "problem_empty_text": "Write one line about how you feel; a short one will do.",
    "problem_song_empty_text": "Upload a recording or paste lyrics first.",
    "problem_long_title": "That is too long",
    "problem_long_text": "Up to {limit} characters can be read; this has {length}.",
    "problem_unread_title": "No emotion could be read",
    "problem_unread_text": "Words in Korean or English can be read, and recordings with sound.",
    "problem_catalogue_title": "The catalogue could not be opened",
    "problem_catalogue_text": "`maeum index` on the command line makes a new one.",
    "problem_model_title": "The model could not be loaded",
    "problem_model_text": "Check that the model folder fits this version.",
    "problem_option_title": "Please check the options",
    "problem_year_text": "“{year}” is not a year; write four digits.",
    "problem_years_text": "The first year, {year_from}, is later than the last, {year_to}.",
    "problem_unexpected_title": "Something unexpected happened",
    "problem_unexpected_text": "The details are in the log of the page. Please try again.",
    "problem_detail": "Details",
}

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
