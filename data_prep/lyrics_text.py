"""Lyrics as text: cleaned of what is not sung, and cut into segments.

Lyrics come from .lrc files, tags, web pages and tables. What is not sung (time
stamps, section words, markup) is removed; line breaks are kept, because four
lines make one segment, as in the published studies.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

from data_prep.timed_lyrics import in_sung_order

LINES_PER_SEGMENT: Final = 4
MAX_SEGMENT_CHARACTERS: Final = 200

_LINE_ENDS: Final = re.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_BREAK_TAG: Final = re.compile(r"<\s*(?:br|/?p|/?div)\s*/?\s*>", re.IGNORECASE)
_OTHER_TAG: Final = re.compile(r"</?(?:b|i|u|em|strong|span|font|a)(?:\s[^<>]{0,200})?>", re.I)

# .lrc: [01:23.45] before a line, <01:23.45> before a word, [ar:...] for a fact.
_TIME_STAMP: Final = re.compile(r"\[\d{1,3}:\d{1,2}(?:[.:]\d{1,3})?\]|<\d{1,3}:\d{2}[.:]\d{2,3}>")
_LRC_FACT: Final = re.compile(
    r"^\s*\[(?:ti|ar|al|au|by|la|re|ve|lr|tool|offset|length|id|kana):.*\]\s*$", re.IGNORECASE
)

# Section words. The first alternative is safe as a whole line; the second could
# be sung, so it counts only between brackets or before a colon.
_PLAIN_WORD: Final = (
    r"(?:pre|post)?[ -]?chorus|verse|refrain|hook|bridge|intro|outro|interlude|"
    r"instrumental(?:[ -](?:break|solo|bridge|interlude))?|guitar solo|ad[ -]?libs?|"
    r"후렴구?|간주(?:중)?|전주|후주|브릿지|브리지|벌스|코러스|인트로|아웃트로|\d절"
)
_MARKED_WORD: Final = (
    r"hook|rap|solo|break(?:down)?|build[ -]?up|drop|coda|end(?:ing)?|repeat|skit|spoken|"
    r"x ?\d+|훅|랩|반복|내레이션|나레이션|독백|대사|절정|합창|다같이"
)
_COUNT: Final = (
    r"(?:\s*[-#]?\s*(?:\d{1,2}|[ivx]{1,4}|[a-d]))?"  # Verse 2, Verse II, Part B
    r"(?:\s*[x×*]\s*\d{1,2}|\s*\(.{0,20}\))?"  # x2, (sung by both)
)
_OPEN: Final = r"[\[({<【〔]"
_CLOSE: Final = r"[\])}>】〕]"
_BARE_LINE: Final = re.compile(
    rf"^[\s*#♪♫~\-]*(?:repeat\s+)?(?:{_PLAIN_WORD}){_COUNT}\s*(?:반복)?[\s*:.~\-]*$", re.IGNORECASE
)
_BRACKETED: Final = re.compile(
    rf"^[\s*#♪♫]*{_OPEN}\s*(?:repeat\s+)?"
    rf"(?:(?:{_PLAIN_WORD}){_COUNT}(?:\s*[:\-–/&|].{{0,80}}?|\s+반복)?"
    rf"|(?:{_MARKED_WORD}|\d){_COUNT}(?:\s*:.{{0,80}}?)?)"
    rf"\s*{_CLOSE}(?:\s*[x×*]\s*\d{{1,2}}\s*$)?[:\s]*",
    re.IGNORECASE,
)
_BEFORE_COLON: Final = re.compile(
    rf"^[\s*#]*(?:{_PLAIN_WORD}|{_MARKED_WORD}){_COUNT}\s*[:：]\s*", re.IGNORECASE
)
_REPEAT_COUNT: Final = re.compile(r"^[\s(\[]*[x×*]\s?\d{1,2}[\s)\]]*$", re.IGNORECASE)

# Marks that clean_lyrics leaves. A line of repetition has all its words from these, and
# one of them says "again".
_AGAIN: Final = frozenset(("repeat", "repeats", "repeated", "반복"))
_REPEAT_WORDS: Final = """
repeat repeats repeated chorus verse hook bridge intro outro pre x time times till until fade
fades out to end the and all again 반복 후렴 후렴구 훅 코러스 벌스 브릿지 브리지 절 회 번 까지
부터 끝까지
"""
_REPEAT_LINE_WORDS: Final = frozenset(_REPEAT_WORDS.split())
_REPEAT_LINE_NUMBER: Final = re.compile(r"x?\d{1,2}(?:x|회|번|절|차례)?")
_HOW_OFTEN: Final = r"(?:[x×*]\s*\d{1,2}|\d{1,2}\s*(?:[x×]|times|번|회))"
_REPEAT_IN_BRACKETS: Final = re.compile(
    rf"\s*{_OPEN}\s*[*※#]?\s*(?:(?:repeat|반복)(?:\s*{_HOW_OFTEN})?|{_HOW_OFTEN}(?:\s*(?:repeat|반복))?)"
    rf"\s*{_CLOSE}",
    re.IGNORECASE,
)
_REPEAT_AT_END: Final = re.compile(
    r"(?:\s+(?:[x×*]\s?\d{1,2}|\d{1,2}[x×])|\s*[*※#]\s*(?:repeat|반복))[\s.]*$", re.IGNORECASE
)
_MARKERS: Final = " *※♪♫♬♩"
_SINGER: Final = re.compile(r"^\s*(?:\[[^\[\]]{1,20}\]|【[^【】]{1,20}】)\s*")
_CREDIT: Final = re.compile(
    r"^\s*(?:작사|작곡|편곡|작사[/,·&\s]+작곡|노래|가수|lyrics?|words|music|written|composed|arranged|"
    r"produced|performed|vocals?)(?:\s+(?:and|&)\s+\w+)?(?:\s+by)?\s*[:：].*$",
    re.IGNORECASE,
)

_SPACES: Final = re.compile(r"[^\S\n]+")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?…。！？~])\s+|(?<=[.!?…。！？~][\"'”’)\]])\s+")


def clean_lyrics(text: str) -> str:
    """Lyrics without what is not sung.

    HTML entities are resolved; lines with times (.lrc) are put in the order they are
    sung; control and invisible characters, .lrc time stamps and facts, and section
    words ([Chorus], (후렴), Verse 1:) are removed; Unicode is composed (NFC), so that
    decomposed Hangul reads like any other; spaces are folded. Line breaks stay, at
    most one blank line in a row.
    """
    text = in_sung_order(plain_lines(text))
    kept: list[str] = []
    for line in text.split("\n"):
        if _LRC_FACT.match(line):
            continue
        cleaned = _without_section_words(_TIME_STAMP.sub("", line))
        cleaned = _SPACES.sub(" ", cleaned).strip()
        if cleaned or not line.strip():
            kept.append(cleaned)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def plain_lines(text: str) -> str:
    """Lines that end in ``\\n``, without markup and invisible characters, composed (NFC)."""
    text = _OTHER_TAG.sub("", _BREAK_TAG.sub("\n", html.unescape(text)))
    text = _LINE_ENDS.sub("\n", unicodedata.normalize("NFC", text))
    return text.translate({ord(c): _stand_in(c) for c in set(text) if _is_invisible(c)})


def _is_invisible(character: str) -> bool:
    if character in "\n\u200d":  # the joiner holds emoji together
        return False
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co")


def _stand_in(character: str) -> str:
    return " " if character == "\t" else ""


def _without_section_words(line: str) -> str:
    if _BARE_LINE.match(line) or _REPEAT_COUNT.match(line):
        return ""
    line = _BRACKETED.sub("", line)
    return _BEFORE_COLON.sub("", line)


def without_marks(text: str) -> str:
    """Cleaned lyrics without marks of repetition, names of singers and credits.

    What says how often a part is sung is removed ("(x2)", "사랑해 ×3", "* 반복",
    "Repeat chorus till end", "(2회 반복)"), as are markers before or after a line
    ("*", "※", "♪"), who sings it ("[민지]") and lines of credits ("작사: …",
    "Written by: …"). Words that are sung stay ("repeat after me", "반복되는 하루").
    """
    kept: list[str] = []
    for line in text.split("\n"):
        if _CREDIT.match(line) or _is_repeat_line(line):
            continue
        cleaned = _REPEAT_AT_END.sub("", _REPEAT_IN_BRACKETS.sub("", _SINGER.sub("", line)))
        cleaned = cleaned.strip(_MARKERS).removeprefix("# ").strip(_MARKERS)
        if cleaned or not line.strip():
            kept.append(cleaned)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _is_repeat_line(line: str) -> bool:
    if _REPEAT_COUNT.match(line):
        return True
    said = re.findall(r"[^\W_]+", line.lower())
    return not _AGAIN.isdisjoint(said) and all(
        word in _REPEAT_LINE_WORDS or _REPEAT_LINE_NUMBER.fullmatch(word) for word in said
    )


def short_lines(text: str) -> list[str]:
    """Lines with words on them, none over 200 characters: longer ones are cut as segments are."""
    lines = [line for raw in text.split("\n") if (line := raw.strip())]
    return [piece for line in lines for piece in _fitting([line])]


def segment_lyrics(text: str) -> list[str]:
    """Cut lyrics into segments, in order.

    Parameters
    ----------
    text
        Cleaned lyrics. Blank lines do not count.

    Returns
    -------
    Four lines each, joined by line breaks. What would be longer than 200
    characters is halved between lines; a single line that long is cut between
    sentences, then between words. Nothing but white space is lost; a text
    without words on any line gives an empty list.
    """
    lines = [line for raw in text.split("\n") if (line := raw.strip())]
    segments: list[str] = []
    for start in range(0, len(lines), LINES_PER_SEGMENT):
        segments.extend(_fitting(lines[start : start + LINES_PER_SEGMENT]))
    return segments


def _fitting(lines: list[str]) -> list[str]:
    joined = "\n".join(lines)
    if len(joined) <= MAX_SEGMENT_CHARACTERS:
        return [joined]
    if len(lines) > 1:
        half = (len(lines) + 1) // 2
        return _fitting(lines[:half]) + _fitting(lines[half:])
    pieces: list[str] = []
    for sentence in _SENTENCE_END.split(joined):
        fits = len(sentence) <= MAX_SEGMENT_CHARACTERS
        pieces.extend([sentence] if fits else _by_words(sentence))
    return _packed(pieces)


def _by_words(sentence: str) -> list[str]:
    """A sentence in pieces of about equal length, none over the limit."""
    n_pieces = -(-len(sentence) // (MAX_SEGMENT_CHARACTERS - 20))
    width = min(MAX_SEGMENT_CHARACTERS, -(-len(sentence) // n_pieces) + 20)
    words = [
        word[start : start + width]
        for word in sentence.split()
        for start in range(0, len(word), width)
    ]
    return _packed(words, width)


def _packed(parts: list[str], limit: int = MAX_SEGMENT_CHARACTERS) -> list[str]:
    """Join neighbours by spaces as long as they stay within the limit."""
    packed: list[str] = []
    for part in parts:
        if packed and len(packed[-1]) + 1 + len(part) <= limit:
            packed[-1] += " " + part
        else:
            packed.append(part)
    return packed
