"""A user's own labelled files: found below a path, and made into rows with an account.

What the readers of AI-Hub's sets share. Files that lie in a folder are read one by
one; one that cannot be read is named in the report, and stops nothing as long as
another can.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_prep.errors import InputError, MissingDataError
from data_prep.label_cleaning import LabelTally
from data_prep.readers.row import TextRow
from data_prep.taxonomy import native_label_set


def files_of(path: Path, suffixes: Sequence[str], source_url: str) -> list[Path]:
    """The file itself, or the files with one of the suffixes below the folder, in order.

    Hidden files and the lock files of open spreadsheets (``~$…``) are passed over.

    Raises
    ------
    MissingDataError
        If there is nothing there; the message says where the set can be had.
    InputError
        If a file has another suffix.
    """
    expected = " or ".join(suffixes)
    if path.is_file():
        if path.suffix.lower() not in suffixes:
            raise InputError(f"{path} has another format: expected {expected}")
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.is_file()
        and file.suffix.lower() in suffixes
        and not file.name.startswith(("~$", "."))
    )
    if not found:
        what = f"has no file {expected}" if path.is_dir() else "does not exist"
        raise MissingDataError(
            f"{path} {what}: give the file or folder that AI-Hub's download unpacks to "
            f"(it can be had, after registration, from {source_url})"
        )
    return found


def read_each(
    files: Sequence[Path], tally: LabelTally, read_file: Callable[[Path], None]
) -> list[str]:
    """Read files one by one; names of those that could be read.

    A file among several that does not have the format is remarked in the tally.

    Raises
    ------
    InputError
        If no file could be read: the first one's problem.
    """
    names: list[str] = []
    problems: list[InputError] = []
    for file in files:
        try:
            read_file(file)
        except InputError as error:
            problems.append(error)
            tally.remark(f"file not read, or not to its end: {error}")
        else:
            names.append(file.name)
    if not names:
        raise problems[0]
    return names


def has_words(text: str) -> bool:
    """Whether a text has a letter or a digit."""
    return any(character.isalnum() for character in text)


@dataclass
class RowMaker:
    """Rows of one label set: ids, label shares, and one group for equal texts."""

    tally: LabelTally
    rows: list[TextRow] = field(default_factory=list)
    _file_names: dict[Path, str] = field(default_factory=dict)
    _group_of_text: dict[str, str] = field(default_factory=dict)

    def add(
        self, path: Path, number: int, texts: Sequence[str], value: str, label: str, where: str
    ) -> None:
        """Add one row per text; all have the same label, and the same group.

        Parameters
        ----------
        path, number
            File, and the row's place in it: together the row's id.
        value, label
            As it stood, and the label it stands for.
        where
            Place as a report names it.
        """
        record_id = f"{self._file_name(path)}-{number:06d}"
        whole = " ".join(" ".join(texts).split())
        group = self._group_of_text.setdefault(whole, record_id)
        if group != record_id:
            self.tally.repeat(where)
        self.tally.use(value, label, where)
        labels = native_label_set(self.tally.label_set)
        for place, text in enumerate(texts, start=1):
            shares = np.zeros(len(labels.labels), dtype=np.float32)
            shares[labels.index(label)] = 1.0
            row_id = record_id if len(texts) == 1 else f"{record_id}-{place}"
            self.rows.append(TextRow(row_id, text.strip(), shares, group, language="ko"))

    def _file_name(self, path: Path) -> str:
        """The file's name without suffix, counted on where two files have the same."""
        if path not in self._file_names:
            stem = unicodedata.normalize("NFC", path.stem)
            same = sum(
                1 for other in self._file_names if unicodedata.normalize("NFC", other.stem) == stem
            )
            self._file_names[path] = stem if same == 0 else f"{stem}({same + 1})"
        return self._file_names[path]
