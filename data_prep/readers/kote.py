"""KOTE: Korean online comments with 44 emotions, several per comment.

Files, below the data folder: ``text/kote/train.tsv`` and ``text/kote/test.tsv``,
``id \\t text \\t comma-separated label ids``, no header. Splits: ``test.tsv`` is the
test split, ``train.tsv`` is divided into train and validation by
``data_prep/splits/kote.json``.
"""

from __future__ import annotations

from typing import Final

from data_prep.data_folder import SOURCES, require
from data_prep.readers.row import TextRow
from data_prep.readers.tsv import records, shares_from_ids
from data_prep.splits import check_split, split_of
from data_prep.taxonomy import native_label_set

LABEL_SET: Final = "kote"
CITATION: Final = (
    "Jeon, Lee and Kim (2022): User Guide for KOTE: Korean Online Comments Emotions Dataset, "
    "arXiv 2205.05300"
)
LICENCE: Final = "MIT"
SOURCE_URL: Final = SOURCES["text/kote"]


def read_file(name: str) -> list[TextRow]:
    """All comments of ``train.tsv`` or ``test.tsv``, in file order."""
    path = require(f"text/kote/{name}")
    n_labels = len(native_label_set(LABEL_SET).labels)
    return [
        TextRow(
            id=comment_id,
            text=text,
            shares=shares_from_ids(ids, n_labels, f"{path}, line {number}"),
            group=comment_id,
            language="ko",
        )
        for number, (comment_id, text, ids, *_) in records(path, 3)
    ]


def read(split: str | None = None) -> list[TextRow]:
    """Comments of one split (train, validation, test), or all.

    Raises
    ------
    MissingDataError
        If the files are not in the data folder.
    """
    check_split(LABEL_SET, split)
    names = {"test": ("test.tsv",), None: ("train.tsv", "test.tsv")}.get(split, ("train.tsv",))
    rows = [row for name in names for row in read_file(name)]
    return [row for row in rows if split is None or split_of("kote", row.id) == split]
