"""Texts with emotion labels in a table of anybody's making, row by row.

A table (CSV, TSV, JSON lines, Parquet) has a column of texts and one of labels.
A cell of labels holds

- one label, or several joined by ``,`` or ``|`` (a label that has a comma of its
  own is recognised);
- a list of labels, or an object ``{label: share}`` of non-negative shares, which
  a cell of text may hold as JSON;
- the number of a label, from 0, in the order of the label set.

Labels are those of one label set: a native one of the taxonomy, or ``six``, the
six emotions in English or Korean. Case, spaces and punctuation do not count;
native labels with a typing error are mended as the data set readers do it, and
the mending is reported. AI-Hub's two sets are read from the published files as
well, as their readers read them.

A row that cannot be used is given with the reason, in its place.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.label_cleaning import LabelReport, clean_label
from data_prep.readers import aihub_dialogue, aihub_single
from data_prep.readers.row import TextRow
from data_prep.readers.table_rows import StreamedTable, TableRow, open_table
from data_prep.taxonomy import EMOTIONS, EMOTIONS_KO, native_label_set, native_label_set_names

SIX: Final = "six"
MAX_TEXT_CHARACTERS: Final = 100_000

Reason = Literal[
    "malformed row",
    "no text",
    "text of one character",
    "text too long",
    "no label",
    "unknown label",
]

_SHORT_NAMES: Final = {
    "aihub-60": aihub_dialogue.LABEL_SET,
    "aihub-7": aihub_single.LABEL_SET,
}
_AIHUB: Final[dict[str, Callable[[Path], tuple[list[TextRow], LabelReport]]]] = {
    aihub_dialogue.LABEL_SET: aihub_dialogue.read,
    aihub_single.LABEL_SET: aihub_single.read,
}
_AIHUB_SUFFIXES: Final = (".xlsx", ".json", "")


@dataclass(frozen=True)
class LabelSet:
    """The labels that a table may use.

    Attributes
    ----------
    name
        ``"six"``, or the key of a native label set.
    labels
        In order.
    """

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class LabelledRow:
    """One row of a labelled table.

    Attributes
    ----------
    number
        From 1, the header not counted.
    text
        As it stands; ``""`` where there is none.
    shares
        (labels,) float32, non-negative; ``None`` where the row cannot be used.
    reason, problem
        Why not: in a word to count by, and in a sentence.
    mended
        Labels (as they stood, as they were read) that had a typing error.
    """

    number: int
    text: str
    shares: NDArray[np.float32] | None
    reason: Reason | None = None
    problem: str | None = None
    mended: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class LabelledTable:
    """A labelled table; make one with :func:`open_labelled_table`.

    Attributes
    ----------
    name, label_set
        Of the file, and what its labels are.
    length
        Number of rows.
    """

    name: str
    label_set: LabelSet
    length: int
    _rows: Callable[[], Iterator[LabelledRow]]

    def rows(self) -> Iterator[LabelledRow]:
        """One pass over the rows, in order."""
        return self._rows()


def label_set_of(name: str) -> LabelSet:
    """A label set by its key, or by the short name a command takes.

    Raises
    ------
    InputError
        If there is no such set.
    """
    if name == SIX:
        return LabelSet(SIX, EMOTIONS)
    key = _SHORT_NAMES.get(name, name.replace("-", "_"))
    if key not in native_label_set_names():
        known = [SIX, *(n for n in native_label_set_names() if n not in _AIHUB), *_SHORT_NAMES]
        raise InputError(f"unknown label set {name!r}: expected one of {', '.join(known)}")
    return LabelSet(key, native_label_set(key).labels)


def open_labelled_table(
    path: Path, label_set: LabelSet, *, text_column: str, label_column: str
) -> LabelledTable:
    """Open a labelled table.

    Parameters
    ----------
    path
        A table, or a published file or folder of the AI-Hub set that
        ``label_set`` names.
    label_set
        What the labels are.
    text_column, label_column
        Names of the columns; case and surrounding spaces do not count.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks a column.
    """
    if label_set.name in _AIHUB and path.suffix.lower() in _AIHUB_SUFFIXES:
        return _published(path, label_set)
    table = open_table(path)
    names = {column.strip().lower(): column for column in reversed(table.columns)}
    columns = []
    for option, wanted in (("--text-column", text_column), ("--label-column", label_column)):
        if wanted.strip().lower() not in names:
            found = ", ".join(table.columns) or "none"
            raise InputError(
                f"{path} has no column {wanted!r} (found: {found}): name the column with {option}"
            )
        columns.append(names[wanted.strip().lower()])
    reader = _LabelReader(label_set)
    text, label = columns
    return LabelledTable(
        path.name, label_set, table.length, lambda: _table_rows(table, reader, text, label)
    )


def _table_rows(
    table: StreamedTable, reader: _LabelReader, text: str, label: str
) -> Iterator[LabelledRow]:
    for row in table.rows():
        yield _labelled(row, reader, text, label)


def _labelled(row: TableRow, reader: _LabelReader, text: str, label: str) -> LabelledRow:
    value = row.values.get(text)
    words = "" if value is None else str(value)

    def left_out(reason: Reason, problem: str) -> LabelledRow:
        return LabelledRow(row.number, words, None, reason, problem)

    if row.problem is not None:
        return left_out("malformed row", row.problem)
    stripped = words.strip()
    if not stripped:
        return left_out("no text", f"nothing in the column {text!r}")
    if len(unicodedata.normalize("NFC", stripped)) == 1:
        return left_out("text of one character", f"the text is {stripped!r}: expected words")
    if len(words) > MAX_TEXT_CHARACTERS:
        problem = (
            f"the text has {len(words):,} characters, at most {MAX_TEXT_CHARACTERS:,} are read"
        )
        return left_out("text too long", problem)
    try:
        shares, mended = reader.read(row.values.get(label))
    except _NoLabelError:
        return left_out("no label", f"nothing in the column {label!r}")
    except InputError as error:
        return left_out("unknown label", str(error))
    return LabelledRow(row.number, words, shares, mended=mended)


def _published(path: Path, label_set: LabelSet) -> LabelledTable:
    """AI-Hub's own files; rows that its reader leaves out come last, without a text."""
    rows, report = _AIHUB[label_set.name](path)
    left: list[tuple[Reason, str, int]] = [
        *(
            ("unknown label" if value else "no label", f"no label: {value!r}", found.count)
            for value, found in report.left_out.items()
        ),
        *(("malformed row", problem, found.count) for problem, found in report.malformed.items()),
        ("no text", "the row has no words", report.empty_texts.count),
    ]
    mended = [
        pair for pair, found in report.mended.items() for _ in range(found.count)
    ]  # which row was mended is not kept

    def labelled() -> Iterator[LabelledRow]:
        number = 0
        for number, row in enumerate(rows, start=1):
            pair = (mended[number - 1],) if number <= len(mended) else ()
            yield LabelledRow(number, row.text, row.shares, mended=pair)
        for reason, problem, count in left:
            for _ in range(count):
                number += 1
                yield LabelledRow(number, "", None, reason, problem)

    return LabelledTable(path.name, label_set, report.n_read, labelled)


class _NoLabelError(Exception):
    """The cell is empty."""


class _LabelReader:
    """Reads cells of labels of one set."""

    def __init__(self, label_set: LabelSet) -> None:
        self._set = label_set
        self._index = {_folded(label): i for i, label in enumerate(label_set.labels)}
        if label_set.name == SIX:
            self._index |= {_folded(label): i for i, label in enumerate(EMOTIONS_KO)}

    def read(self, value: Any) -> tuple[NDArray[np.float32], tuple[tuple[str, str], ...]]:
        """Shares of a cell, and what was mended in it.

        Raises
        ------
        _NoLabelError
            If it is empty.
        InputError
            If a label is not of the set, or a share is no share.
        """
        if isinstance(value, str) and value.strip().startswith(("{", "[")):
            with suppress(ValueError, RecursionError):  # not JSON: an odd label, reported as one
                value = json.loads(value)
        shares = np.zeros(len(self._set.labels), dtype=np.float32)
        mended: list[tuple[str, str]] = []
        for name, share in self._named(value):
            shares[self._find(name, mended)] += share
        if not shares.any():
            raise _NoLabelError
        return shares, tuple(mended)

    def _named(self, value: Any) -> Iterator[tuple[Any, float]]:
        if isinstance(value, Mapping):
            for name, share in value.items():
                if share is None:
                    continue
                good = isinstance(share, int | float) and not isinstance(share, bool)
                if not good or not 0 <= share < float("inf"):
                    raise InputError(
                        f"the share of {name!r} is {share!r}: expected a number from 0"
                    )
                yield name, float(share)
        elif isinstance(value, list | tuple):
            for part in value:
                yield part, 1.0
        elif isinstance(value, str):
            for part in self._parts(value):
                yield part, 1.0
        elif value is not None and value == value:  # NaN is an empty cell
            yield value, 1.0

    def _parts(self, text: str) -> Iterator[str]:
        """Labels of a cell; the longest run of parts that is a label counts as one."""
        for piece in text.split("|"):
            parts = piece.split(",")
            start = 0
            while start < len(parts):
                for end in range(len(parts), start, -1):
                    candidate = ",".join(parts[start:end]).strip()
                    if end == start + 1 or _folded(candidate) in self._index:
                        break
                if candidate:
                    yield candidate
                start = end

    def _find(self, name: Any, mended: list[tuple[str, str]]) -> int:
        """Index of a label given by name or number."""
        if isinstance(name, float) and name.is_integer():
            name = int(name)
        text = str(name).strip()
        found = self._index.get(_folded(text))
        if found is not None:
            return found
        if re.fullmatch(r"[0-9]{1,4}", text):
            if int(text) < len(self._set.labels):
                return int(text)
            raise InputError(
                f"there is no label number {text} in {self._set.name!r}: "
                f"expected 0 to {len(self._set.labels) - 1}"
            )
        if self._set.name != SIX and isinstance(name, str):
            label = clean_label(text, self._set.name).label
            if label is not None:
                mended.append((text, label))
                return self._set.labels.index(label)
        shown = ", ".join((*self._set.labels[:8], *(["…"] if len(self._set.labels) > 8 else [])))
        raise InputError(f"{text!r} is no label of {self._set.name!r}: expected {shown}")


def _folded(label: str) -> str:
    composed = unicodedata.normalize("NFC", label).casefold()
    return "".join(character for character in composed if character.isalnum())
