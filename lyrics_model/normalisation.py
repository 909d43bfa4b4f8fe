"""Folding of text before tokens and n-grams; training and serving share it to the letter."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_REPEAT: Final = re.compile(r"(.)\1{3,}", re.DOTALL)
_REPEATED_PAIR: Final = re.compile(r"(..)\1{3,}", re.DOTALL)
_ADDRESS: Final = re.compile(r"(?:https?://|www\.)\S+")
_SPACE: Final = re.compile(r"\s+")
_TYPOGRAPHIC: Final = str.maketrans("‘’“”…–—", "''\"\".--")


def normalise(text: str) -> str:
    """NFC, lower case, addresses removed, runs of four or more cut to three, spaces folded.

    "ㅋㅋㅋㅋㅋㅋ" and "ㅋㅋㅋ" become the same text, as do "sooooo" and "sooo".
    Compatibility jamo ("ㅠ") are kept: NFKC would turn them into other letters.
    """
    text = unicodedata.normalize("NFC", text).translate(_TYPOGRAPHIC).lower()
    text = _ADDRESS.sub(" ", text)
    text = _REPEAT.sub(r"\1\1\1", text)
    text = _REPEATED_PAIR.sub(r"\1\1\1", text)
    return _SPACE.sub(" ", text).strip()
