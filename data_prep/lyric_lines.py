"""What the lines of a song weigh: syllables without words, and lines sung again.

A song's distribution is a mean over what it says. "우 우 우", "la la la" and "oh oh
yeah" say nothing and weigh nothing; a chorus sung three times says once what it says,
or as much more as the caller decides.

A *vocable* is a word sung for its sound. Some are never anything else ("yeah",
"샤랄라"). Some are only that beside others of their kind ("la la", but not "la vida"),
and some are words of their own unless one syllable is said three times running ("나 나
나", but not "나 나가고 싶어"; "do do do", but not "I do"). A line with one other word
keeps its weight, so a mistake costs a line only where nothing but syllables like these
is sung in it. Laughter, sobs and cries ("하하하", "ㅠㅠ", "야호", "no no no") are
words here: they carry emotion.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError

NEAR_REPEAT_WORDS: Final = 4
"""A line with fewer words is a repeat only of the very same line."""

NEAR_REPEAT_DIFFERENCE: Final = 1 / 3
"""At most this share of the words may end differently in a near repeat."""

_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_HANGUL: Final = re.compile(r"[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")

# Sung for their sound whatever stands beside them. Loops are possessive (++), so that a
# long word of such syllables which is none after all costs no time.
_KOREAN_VOCABLE: Final = re.compile(
    r"(?!(?:아우|아예|예우|에어|우아)$)(?:예이|에이|헤이|워이|우후|오호|아하|어허|[아오우예에워어으음흠])++"
    r"|야+|호이호이|후우+|우후+"
    r"|([라랄루룰따뚜빠후])\1+|([나다바와두])\2{2,}"
    r"|(?:샤|트|울)?[라랄룰루릴]{2,}"
    r"|(?=..)(?:뚜루*|두루루+|두[비바밥]|샤[바비]|슈[비바밥]|빠라+밤?|바라밤|빠밤|빰|둠|따라라라+|다라라라+)++"
)
_LATIN_VOCABLE: Final = re.compile(
    r"(?:o+h+|o{2,}h*|a+h+|a{2,}h*|u+h+|e+h+|y+e+a+h*|y+a+h+|y+e+h+|w+h?o+a+h*|w+h?o{2,}h*|hey+)++"
    r"|u{2,}|e{3,}|h+m+|m{2,}(?:h+m+)?|mh+m+|h+u+h+|hoo+|ay+|aye+|ayo+|yo+"
    r"|(?:sha)?(?:la){2,}h*|(na|da|ba|do|doo)\1{2,}h*|(?:tra|fa)(?:la)+|doo+"
    r"|s+k+r+r+t*|b+r{2,}"
)
# Only beside others: in other languages, or alone, they mean something.
_NONSENSE_BITS: Final = "la na da ba pa fa ra du di sha tra dum"
_BESIDE_OTHERS: Final = frozenset(_NONSENSE_BITS.split())
# Words, unless one syllable makes three in a row: the syllable that a word is made of.
_ONLY_IN_A_ROW: Final = re.compile(r"(나|다|두|바|와|do|ya|na|da)\1?")
_IN_A_ROW: Final = 3

_ELONGATED: Final = re.compile(r"(.)\1{2,}")
_FILLER_WORDS: Final = "and but just so well now then cause cuz 그 또 자 막 참 좀"
_FILLERS: Final = frozenset(_FILLER_WORDS.split())
_LATIN_NEGATION: Final = re.compile(r".*n['’]t|cannot|aint")
_KOREAN_NEGATION: Final = re.compile(r".*(?:않|없|못|아니|말아|말고|지\s?마).*")


def words(line: str) -> list[str]:
    """Words of a line in lower case, without punctuation; a number counts as one."""
    return _WORD.findall(unicodedata.normalize("NFC", line).lower())


def real_words(line: str) -> list[str]:
    """Words of a line that are not vocables, in order."""
    said = words(line)
    kinds = [_kind(word) for word in said]
    in_a_row = _in_a_row(said)
    real: list[str] = []
    for place, (word, kind) in enumerate(zip(said, kinds, strict=True)):
        neighbours = kinds[max(place - 1, 0) : place] + kinds[place + 1 : place + 2]
        vocable = (
            kind == "vocable"
            or in_a_row[place]
            or (kind == "beside others" and any(other in _SUNG for other in neighbours))
        )
        if not vocable:
            real.append(word)
    return real


_Kind = Literal["vocable", "beside others", "word"]
_SUNG: Final[tuple[_Kind, ...]] = ("vocable", "beside others")


def _kind(word: str) -> _Kind:
    if _KOREAN_VOCABLE.fullmatch(word) or _LATIN_VOCABLE.fullmatch(word):
        return "vocable"
    return "beside others" if word in _BESIDE_OTHERS else "word"


def _in_a_row(said: Sequence[str]) -> list[bool]:
    """Whether each word is part of three or more of one syllable running."""
    flags = [False] * len(said)
    start = 0
    while start < len(said):
        match = _ONLY_IN_A_ROW.fullmatch(said[start])
        syllable = match.group(1) if match else None
        end = start + 1
        if syllable is not None:
            made_of_it = re.compile(f"(?:{syllable})+")
            while end < len(said) and made_of_it.fullmatch(said[end]):
                end += 1
            length = sum(map(len, said[start:end])) // len(syllable)
            flags[start:end] = [length >= _IN_A_ROW] * (end - start)
        start = end
    return flags


def repeats(lines: Sequence[str], *, near: bool = True) -> list[int | None]:
    """For each line the place of the line that it repeats, ``None`` if it is new.

    Two lines are the same if their words are, vocables, case, spaces, punctuation
    and drawn-out letters ("sooo") aside. A line of vocables repeats nothing.

    Parameters
    ----------
    lines
        Lines of one song.
    near
        Also count lines of at least four words that differ in endings only (Hangul
        words that agree in their first two syllables, Latin ones in their first four
        letters), in at most a third of the words; "and", "just", "그" and the like
        do not count, and a negation is never the same as none.
    """
    return _repeats([real_words(line) for line in lines], near)


def _repeats(said_by_line: Sequence[Sequence[str]], near: bool) -> list[int | None]:
    first: dict[str, int] = {}
    first_near: dict[tuple[str, ...], tuple[int, list[str]]] = {}
    found: list[int | None] = []
    for place, said in enumerate(said_by_line):
        plain = [_ELONGATED.sub(r"\1", word.replace("'", "").replace("’", "")) for word in said]
        same = "".join(plain)
        if not same:
            found.append(None)
            continue
        origin = first.get(same)
        if near:
            content = [word for word in said if word not in _FILLERS]
            stems = tuple(map(_stem, content))
            if len(stems) >= NEAR_REPEAT_WORDS:
                candidate, its_words = first_near.setdefault(stems, (place, content))
                different = sum(a != b for a, b in zip(content, its_words, strict=True))
                if (
                    origin is None
                    and candidate != place
                    and different <= NEAR_REPEAT_DIFFERENCE * len(content)
                ):
                    origin = candidate
        found.append(origin)
        first.setdefault(same, place if origin is None else origin)
    return found


def _stem(word: str) -> str:
    """What a word begins with, which its endings leave; marked if it is negated."""
    if _HANGUL.search(word):
        return word[:2] + ("¬" if _KOREAN_NEGATION.fullmatch(word) else "")
    return word[:4] + ("¬" if _LATIN_NEGATION.fullmatch(word) else "")


@dataclass(frozen=True)
class LineWeighting:
    """How much lines count beside one that is sung for the first time.

    Attributes
    ----------
    vocables
        Weight of a word sung for its sound, in 0..1.
    repeats
        Weight of a line sung before, in 0..1; 0 counts a chorus once, 1 as often
        as it is sung.
    near_repeats
        Whether a line that differs in endings only was sung before.
    """

    vocables: float = 0.0
    repeats: float = 0.0
    near_repeats: bool = True

    def __post_init__(self) -> None:
        for name, value in (("vocables", self.vocables), ("repeats", self.repeats)):
            if not 0 <= value <= 1:
                raise InputError(f"weight of {name} must be in 0..1, got {value}")


@dataclass(frozen=True, eq=False)
class WeighedLines:
    """What the lines of one song weigh.

    Attributes
    ----------
    weights
        Array (lines,) float32, non-negative: the number of words that are not
        vocables, plus that of vocables times their weight; times the weight of
        repeats where the line was sung before.
    n_without_words
        Lines of vocables only.
    n_repeated
        Lines sung before.
    """

    weights: NDArray[np.float32]
    n_without_words: int
    n_repeated: int


def weigh_lines(lines: Sequence[str], weighting: LineWeighting) -> WeighedLines:
    """Weigh the lines of one song, cleaned and in order."""
    said_by_line = [real_words(line) for line in lines]
    sung_before = _repeats(said_by_line, weighting.near_repeats)
    n_words = np.array([len(words(line)) for line in lines], dtype=np.float32)
    n_real = np.array([len(said) for said in said_by_line], dtype=np.float32)
    again = np.array([origin is not None for origin in sung_before], dtype=bool)
    weights = n_real + np.float32(weighting.vocables) * (n_words - n_real)
    weights[again] *= weighting.repeats
    return WeighedLines(weights, int(((n_real == 0) & (n_words > 0)).sum()), int(again.sum()))
