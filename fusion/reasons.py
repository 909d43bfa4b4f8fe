"""Why a song is recommended, in one sentence of Korean or English."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.taxonomy import EMOTIONS, EMOTIONS_KO
from fusion.combination import Fused

Language = Literal["ko", "en"]

DIFFER_FROM: Final = 0.25
"""Disagreement in bits from which words and sound are said to differ."""

MATCH_FROM: Final = 0.25
"""Share of the cosine from which an emotion is named as matching."""

ADJECTIVES: Final = ("bright", "tense", "calm", "sad", "angry", "plain")
ADJECTIVES_KO: Final = ("밝은", "긴장된", "잔잔한", "슬픈", "성난", "담담한")


def matching_emotions(
    query: NDArray[np.floating[Any]], song: NDArray[np.floating[Any]]
) -> tuple[int, ...]:
    """The one or two emotions that make up most of the cosine of two vectors (6,)."""
    parts = np.asarray(query, dtype=np.float64) * np.asarray(song, dtype=np.float64)
    strongest, second = (int(i) for i in np.argsort(-parts, kind="stable")[:2])
    if parts[second] >= MATCH_FROM * parts.sum() and parts[second] > 0:
        return strongest, second
    return (strongest,)


def branches_differ(fused: Fused) -> bool:
    """Whether words and sound have different strongest emotions and clearly disagree."""
    if fused.lyrics is None or fused.audio is None or fused.disagreement is None:
        return False
    same_top = int(np.argmax(fused.lyrics)) == int(np.argmax(fused.audio))
    return not same_top and fused.disagreement >= DIFFER_FROM


def reason(
    query: NDArray[np.floating[Any]],
    fused: Fused,
    language: Language = "en",
    *,
    step: tuple[int, int, int] | None = None,
) -> str:
    """The sentence.

    Parameters
    ----------
    query
        The vector that was searched for (6,).
    fused
        The song's fused answer.
    language
        Language of the sentence.
    step
        On the way towards an emotion: (step, steps, index of the emotion).
    """
    matching = matching_emotions(query, fused.distribution)
    words = round(100 * fused.lyrics_share)
    return (_korean if language == "ko" else _english)(matching, fused, words, step)


def _english(
    matching: tuple[int, ...], fused: Fused, words: int, step: tuple[int, int, int] | None
) -> str:
    emotions = " and ".join(EMOTIONS[i] for i in matching)
    if fused.audio is None:
        shares = "only its words were read"
    elif fused.lyrics is None:
        shares = "only its sound was heard"
    else:
        shares = f"its words decide {words}%, its sound {100 - words}%"
    sentence = f"shares the {emotions}; {shares}"
    if branches_differ(fused):
        tops = _tops(fused)
        sentence += f": {ADJECTIVES[tops[0]]} words, {ADJECTIVES[tops[1]]} sound"
    if step is not None:
        sentence = f"step {step[0]} of {step[1]} towards {EMOTIONS[step[2]]}: {sentence}"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _korean(
    matching: tuple[int, ...], fused: Fused, words: int, step: tuple[int, int, int] | None
) -> str:
    emotions = "·".join(EMOTIONS_KO[i] for i in matching)
    particle = "이" if (ord(emotions[-1]) - 0xAC00) % 28 else "가"
    if fused.audio is None:
        shares = "가사만 읽은 노래입니다"
    elif fused.lyrics is None:
        shares = "소리만 들은 노래입니다"
    else:
        shares = f"가사가 {words}%, 소리가 {100 - words}%를 정했습니다"
    sentence = f"{emotions}{particle} 닮았고, {shares}"
    if branches_differ(fused):
        tops = _tops(fused)
        sentence += f" ({ADJECTIVES_KO[tops[0]]} 말, {ADJECTIVES_KO[tops[1]]} 소리)"
    if step is not None:
        sentence = f"{EMOTIONS_KO[step[2]]} 쪽으로 {step[1]}걸음 중 {step[0]}번째: {sentence}"
    return f"{sentence}."


def _tops(fused: Fused) -> tuple[int, int]:
    assert fused.lyrics is not None, "only asked of songs with both branches"
    assert fused.audio is not None, "only asked of songs with both branches"
    return int(np.argmax(fused.lyrics)), int(np.argmax(fused.audio))
