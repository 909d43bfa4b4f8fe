"""GoEmotions: Reddit comments with 28 emotions, in English and in machine-translated Korean.

Files, below the data folder: ``text/goemotions_en/{train,dev,test}.tsv`` and
``text/goemotions_ko/{train,dev,test}.tsv``, ``text \\t comma-separated label ids``
(and in English a comment id), no header. Both languages hold the same comments
in the same order, so a row's id joins them. Splits are the official ones; *dev*
is called validation.
"""

from __future__ import annotations

from typing import Final, Literal

from data_prep.data_folder import SOURCES, require
from data_prep.readers.row import TextRow
from data_prep.readers.tsv import records, shares_from_ids
from data_prep.splits import check_split
from data_prep.taxonomy import native_label_set

LABEL_SET: Final = "goemotions"
CITATION: Final = (
    "Demszky et al. (2020): GoEmotions: A Dataset of Fine-Grained Emotions, ACL, arXiv 2005.00547; "
    "Korean translation: monologg, GoEmotions-Korean"
)
LICENCE: Final = "Apache-2.0"
SOURCE_URL: Final = SOURCES["text/goemotions_en"]
SOURCE_URL_KO: Final = SOURCES["text/goemotions_ko"]

Language = Literal["en", "ko"]

_FILES: Final = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}


def read(split: str | None = None, *, language: Language = "en") -> list[TextRow]:
    """Comments of one split (train, validation, test), or all, in published order.

    Parameters
    ----------
    split
        ``None`` for all.
    language
        Of the text: ``"en"`` as written, ``"ko"`` as translated. The ids
        (``"train-00012"``) are the same in both.

    Raises
    ------
    MissingDataError
        If the files are not in the data folder.
    """
    check_split("goemotions", split)
    n_labels = len(native_label_set(LABEL_SET).labels)
    rows: list[TextRow] = []
    for name in _FILES if split is None else (split,):
        path = require(f"text/goemotions_{language}/{_FILES[name]}")
        for number, (text, ids, *_) in records(path, 2):
            shares = shares_from_ids(ids, n_labels, f"{path}, line {number}")
            row_id = f"{name}-{number:05d}"
            rows.append(TextRow(row_id, text, shares, group=row_id, language=language))
    return rows
