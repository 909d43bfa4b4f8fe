"""Texts or recordings with emotion labels in a table of anybody's making, row by row.

A table (CSV, TSV, JSON lines, Parquet) has a column of texts, or of paths of
recordings relative to the table, and one of labels. A cell of labels holds

- one label, or several joined by ``,`` or ``|`` (a label that has a comma of its
  own is recognised);
- a list of labels, or an object ``{label: share}`` of non-negative shares, which
  a cell of text may hold as JSON;
- the number of a label, from 0, in the order of the label set.

A table of recordings may have one column of numbers for each label instead: soft
scales, such as the mean ratings of listeners.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.label_cleaning import LabelReport, clean_label
from data_prep.readers import aihub_dialogue, aihub_single, emotify
from data_prep.readers.row import TextRow
from data_prep.readers.table_rows import StreamedTable, TableRow, open_table
from data_prep.taxonomy import EMOTIONS, EMOTIONS_KO, native_label_set, native_label_set_names

SIX: Final = "six"
MAX_TEXT_CHARACTERS: Final = 100_000
DEFAULT_LABEL_COLUMN: Final = "emotion"

Reason = Literal[
    "malformed row",
    "no recording",
    "no song",
    "no text",
    "text of one character",
    "text too long",
    "no label",
    "unknown label",
]

_SHORT_NAMES: Final = {
    "aihub-60": aihub_dialogue.LABEL_SET,
    "aihub-7": aihub_single.LABEL_SET,
    "gems": emotify.LABEL_SET,
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
        As it stands; the path of a recording, resolved against the table's folder;
        ``""`` where there is none.
    shares
        (labels,) float32, non-negative; ``None`` where the row cannot be used.
    reason, problem
        Why not: in a word to count by, and in a sentence.
    mended
        Labels (as they stood, as they were read) that had a typing error.
    group
        What the row shares with others of its kind (an artist, a song), where a column
        of the table says so.
    audio
        In a table of songs: path of the recording, resolved against the table's folder;
        ``""`` where there is none.
    """

    number: int
    text: str
    shares: NDArray[np.float32] | None
    reason: Reason | None = None
    problem: str | None = None
    mended: tuple[tuple[str, str], ...] = ()
    group: str | None = None
    audio: str = ""


@dataclass(frozen=True, eq=False)
class LabelledTable:
    """A labelled table, made by one of the functions ``open_…_table`` below.

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
    text = _column(table, text_column, "--text-column")
    label = _column(table, label_column, "--label-column")
    reader = _LabelReader(label_set)

    def labelled() -> Iterator[LabelledRow]:
        for row in table.rows():
            words = _cell(row, text)
            yield _labelled(row, words, _unusable(words, text), partial(reader.of_column, label))

    return LabelledTable(path.name, label_set, table.length, labelled)


def open_recording_table(
    path: Path,
    label_set: LabelSet,
    *,
    audio_column: str,
    label_column: str | None = None,
    group_column: str | None = None,
    labels_needed: bool = True,
    as_paths: bool = True,
) -> LabelledTable:
    """Open a labelled table of recordings.

    Parameters
    ----------
    path
        A table.
    label_set
        What the labels are.
    audio_column
        Name of the column of paths; case and surrounding spaces do not count.
    label_column
        Name of the column of labels. If not given: ``emotion``, or one column of
        numbers named after each label of the set.
    group_column
        Name of the column of what must stay together in a split; none if not given.
    as_paths
        Whether recordings are named by paths; else by what they are called elsewhere.
    labels_needed
        If not, a table without any of these columns will do; the shares of its
        rows are all zero.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks a column.
    """
    table = open_table(path)
    audio = _column(table, audio_column, "--audio-column" if as_paths else "--id-column")
    group = None if group_column is None else _column(table, group_column, "--group-column")
    read = _label_columns(table, label_set, label_column, labels_needed)

    def labelled() -> Iterator[LabelledRow]:
        for row in table.rows():
            cell = _cell(row, audio).strip()
            place = _place(path, cell) if as_paths else cell
            wrong: tuple[Reason, str] | None = None
            if not cell:
                wrong = "no recording", f"nothing in the column {audio!r}"
            made = _labelled(row, place, wrong, read)
            yield made if group is None else replace(made, group=_cell(row, group).strip() or None)

    return LabelledTable(path.name, label_set, table.length, labelled)


def open_song_table(
    path: Path,
    label_set: LabelSet,
    *,
    text_column: str,
    audio_column: str,
    label_column: str,
    group_column: str | None = None,
) -> LabelledTable:
    """Open a labelled table of songs, each with words, a recording, or both.

    Parameters
    ----------
    path
        A table.
    label_set
        What the labels are.
    text_column, audio_column, label_column
        Names of the columns of words, of paths of recordings and of labels; case and
        surrounding spaces do not count. A cell of either of the first two may be empty.
    group_column
        Name of the column of what must stay together in a split; none if not given.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks a column.
    """
    table = open_table(path)
    text = _column(table, text_column, "--text-column")
    audio = _column(table, audio_column, "--audio-column")
    label = _column(table, label_column, "--label-column")
    group = None if group_column is None else _column(table, group_column, "--group-column")
    read = partial(_LabelReader(label_set).of_column, label)

    def labelled() -> Iterator[LabelledRow]:
        for row in table.rows():
            words, place = _cell(row, text), _place(path, _cell(row, audio).strip())
            wrong: tuple[Reason, str] | None = None
            if words.strip():
                wrong = _unusable(words, text)
            elif not place:
                wrong = "no song", f"nothing in the columns {text!r} and {audio!r}"
            made = replace(_labelled(row, words, wrong, read), audio=place)
            yield made if group is None else replace(made, group=_cell(row, group).strip() or None)

    return LabelledTable(path.name, label_set, table.length, labelled)


def _place(table: Path, cell: str) -> str:
    """A path of a table's cell, resolved against its folder; empty where the cell is."""
    return str(table.parent / Path(cell).expanduser()) if cell else ""


_ReadLabels = Callable[[TableRow], tuple[NDArray[np.float32], tuple[tuple[str, str], ...]]]


def _label_columns(
    table: StreamedTable, label_set: LabelSet, label_column: str | None, needed: bool
) -> _ReadLabels:
    """How the labels of a table of recordings are read."""
    reader = _LabelReader(label_set)
    if label_column is None and DEFAULT_LABEL_COLUMN not in _names(table):
        columns = reader.columns(table.columns)
        if columns:
            missing = [label for i, label in enumerate(label_set.labels) if i not in columns]
            if missing:
                raise InputError(
                    f"{table.path} has columns for some labels of {label_set.name!r} but none for "
                    f"{', '.join(missing)}: expected one for each, or a column of labels named "
                    "with --label-column"
                )
            return partial(reader.of_columns, [columns[i] for i in range(len(columns))])
        if not needed:
            nothing = np.zeros(len(label_set.labels), dtype=np.float32)
            return lambda row: (nothing, ())
        raise InputError(
            f"{table.path} has no column {DEFAULT_LABEL_COLUMN!r} and none named after the labels "
            f"{', '.join(label_set.labels)} (found: {', '.join(table.columns) or 'none'}): name "
            "the column of labels with --label-column"
        )
    column = _column(table, label_column or DEFAULT_LABEL_COLUMN, "--label-column")
    return partial(reader.of_column, column)


def _names(table: StreamedTable) -> dict[str, str]:
    """Names without case and surrounding spaces → the table's own; the first of equals."""
    return {column.strip().lower(): column for column in reversed(table.columns)}


def _column(table: StreamedTable, wanted: str, option: str) -> str:
    """The table's own name of a column."""
    found = _names(table).get(wanted.strip().lower())
    if found is None:
        raise InputError(
            f"{table.path} has no column {wanted!r} (found: {', '.join(table.columns) or 'none'}): "
            f"name the column with {option}"
        )
    return found


def _cell(row: TableRow, column: str) -> str:
    value = row.values.get(column)
    return "" if value is None else str(value)


def _unusable(words: str, column: str) -> tuple[Reason, str] | None:
    """Why a cell of text cannot be used; ``None`` if it can."""
    stripped = words.strip()
    if not stripped:
        return "no text", f"nothing in the column {column!r}"
    if len(unicodedata.normalize("NFC", stripped)) == 1:
        return "text of one character", f"the text is {stripped!r}: expected words"
    if len(words) > MAX_TEXT_CHARACTERS:
        return "text too long", (
            f"the text has {len(words):,} characters, at most {MAX_TEXT_CHARACTERS:,} are read"
        )
    return None


def _labelled(
    row: TableRow, text: str, wrong: tuple[Reason, str] | None, read: _ReadLabels
) -> LabelledRow:
    if row.problem is not None:
        return LabelledRow(row.number, text, None, "malformed row", row.problem)
    if wrong is not None:
        return LabelledRow(row.number, text, None, *wrong)
    try:
        shares, mended = read(row)
    except _NoLabelError as error:
        return LabelledRow(row.number, text, None, "no label", str(error))
    except InputError as error:
        return LabelledRow(row.number, text, None, "unknown label", str(error))
    return LabelledRow(row.number, text, shares, mended=mended)


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

    def columns(self, names: Sequence[str]) -> dict[int, str]:
        """Index of a label → the column that is named after it; the first of equals."""
        found = {self._index.get(_folded(name)): name for name in reversed(names)}
        return {i: name for i, name in found.items() if i is not None}

    def of_column(
        self, column: str, row: TableRow
    ) -> tuple[NDArray[np.float32], tuple[tuple[str, str], ...]]:
        """Shares of a cell of labels, and what was mended in it.

        Raises
        ------
        _NoLabelError
            If it is empty.
        InputError
            If a label is not of the set, or a share is no share.
        """
        value = row.values.get(column)
        if isinstance(value, str) and value.strip().startswith(("{", "[")):
            with suppress(ValueError, RecursionError):  # not JSON: an odd label, reported as one
                value = json.loads(value)
        shares = np.zeros(len(self._set.labels), dtype=np.float32)
        mended: list[tuple[str, str]] = []
        for name, share in self._named(value):
            shares[self._find(name, mended)] += share
        if not shares.any():
            raise _NoLabelError(f"nothing in the column {column!r}")
        return shares, tuple(mended)

    def of_columns(
        self, columns: Sequence[str], row: TableRow
    ) -> tuple[NDArray[np.float32], tuple[tuple[str, str], ...]]:
        """Shares of cells of numbers, one column for each label in order; nothing is mended.

        Raises
        ------
        _NoLabelError
            If a cell is empty, or all are zero.
        InputError
            If one is not a number from 0.
        """
        shares = np.zeros(len(columns), dtype=np.float32)
        for i, column in enumerate(columns):
            value = row.values.get(column)
            if value is None or value != value or not str(value).strip():
                raise _NoLabelError(f"nothing in the column {column!r}")
            try:
                shares[i] = float(value)
            except (TypeError, ValueError):
                shares[i] = np.nan
            if not 0 <= shares[i] < float("inf"):
                raise InputError(f"the share of {column!r} is {value!r}: expected a number from 0")
        if not shares.any():
            raise _NoLabelError("the shares of all labels are zero")
        return shares, ()

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
