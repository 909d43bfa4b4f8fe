"""Everyday mood sentences of the project's own writing.

``data_prep/moods`` holds three lists: two for training (Korean and English) and
one for choosing between models. The test list lies with the tests and is read
by the evaluation only.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from data_prep.errors import InputError
from data_prep.taxonomy import emotion_index


@dataclass(frozen=True)
class MoodRow:
    """One sentence, its language and the index 0..5 of its emotion."""

    text: str
    language: str
    emotion: int


def parse_moods(lines: Iterable[str], source: str) -> list[MoodRow]:
    """Rows of a ``text<TAB>language<TAB>emotion`` table with a header.

    Raises
    ------
    InputError
        Naming the source and line of a row that does not fit.
    """
    rows = []
    for number, row in enumerate(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), 2):
        if None in row or None in row.values():
            raise InputError(f"{source}, line {number}: expected text, language and emotion")
        rows.append(MoodRow(row["text"], row["language"], emotion_index(row["emotion"])))
    return rows


def read_moods(split: Literal["train", "dev"]) -> list[MoodRow]:
    """The committed training or development list."""
    folder = files("data_prep") / "moods"
    names = ("train_ko.tsv", "train_en.tsv") if split == "train" else ("dev.tsv",)
    rows: list[MoodRow] = []
    for name in names:
        text = (folder / name).read_text(encoding="utf-8")
        rows.extend(parse_moods(text.splitlines(), name))
    return rows


def read_mood_file(path: Path) -> list[MoodRow]:
    """A list of the user's own; :class:`InputError` if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a mood list: {error}") from error
    return parse_moods(text.splitlines(), str(path))
