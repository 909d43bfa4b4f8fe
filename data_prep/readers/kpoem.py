"""KPoEM: Korean modern poetry with the 44 emotions of KOTE.

File, below the data folder: ``text/kpoem/kpoem.jsonl``, one object per line with
``n`` (number), ``poet``, ``text``, ``emotion`` (label → share of five annotators)
and ``unit``. Two units lie over the same poems: ``line``, and ``text``, a poem or
part of one made of those lines; a split must never tell them apart. Splits: all
of 한용운 is the test split; of 김소월, 임화 and 이상, a tenth of the lines, in
contiguous blocks with the texts they belong to, is the validation split.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

import numpy as np

from data_prep.data_folder import SOURCES, require
from data_prep.errors import InputError
from data_prep.readers.row import PoemRow
from data_prep.splits import check_split, split_of
from data_prep.taxonomy import NativeLabelSet, native_label_set

LABEL_SET: Final = "kote"
CITATION: Final = (
    "KPoEM: A Human-Annotated Dataset for Emotion Classification of Korean Modern Poetry (2025), "
    "doi 10.5281/zenodo.15181396, arXiv 2509.03932"
)
LICENCE: Final = "MIT (annotations); the poems are in the public domain"
SOURCE_URL: Final = SOURCES["text/kpoem"]

Unit = Literal["line", "text"]


def _row(record: dict[str, Any], label_set: NativeLabelSet) -> PoemRow:
    shares = np.zeros(len(label_set.labels), dtype=np.float32)
    for label, share in record["emotion"].items():
        shares[label_set.index(label)] = share
    poet, unit = str(record["poet"]), str(record["unit"])
    return PoemRow(
        id=f"{unit}-{record['n']}",
        text=str(record["text"]),
        shares=shares,
        group=poet,
        language="ko",
        poet=poet,
        unit=unit,
    )


def read(split: str | None = None, *, unit: Unit | None = None) -> list[PoemRow]:
    """Rows of one split (train, validation, test), or all, in published order.

    Parameters
    ----------
    split
        ``None`` for all.
    unit
        Only lines or only texts; ``None`` for both.

    Raises
    ------
    MissingDataError
        If the file is not in the data folder.
    InputError
        If a record of it cannot be read.
    """
    check_split("kpoem", split)
    path = require("text/kpoem/kpoem.jsonl")
    label_set = native_label_set(LABEL_SET)
    rows: list[PoemRow] = []
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(_row(json.loads(line), label_set))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(f"{path}, line {number}: not a KPoEM record: {error}") from error
    return [
        row
        for row in rows
        if unit in (None, row.unit) and (split is None or split_of("kpoem", row.id) == split)
    ]
