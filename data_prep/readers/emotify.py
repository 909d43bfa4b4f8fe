"""Emotify: released recordings of four genres, rated on nine scales of musical emotion (GEMS).

Files, below the data folder: ``audio/emotify/index.csv`` (``file, genre,
n_ratings`` and one column per scale: the mean of the raters' answers, 0 or 1) and
the sound files it names, with the recordings' own tags. Five folds by recording,
stratified by genre; no fixed split.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from data_prep.data_folder import SOURCES, require
from data_prep.errors import InputError
from data_prep.readers.csv_table import records
from data_prep.readers.row import ClipRow
from data_prep.splits import check_split
from data_prep.taxonomy import native_label_set

LABEL_SET: Final = "emotify"
CITATION: Final = (
    "Aljanaki, Wiering and Veltkamp (2016): Studying emotion induced by music through a "
    "crowdsourcing game, Information Processing and Management 52(1)"
)
LICENCE: Final = "Magnatune recordings, for research"
SOURCE_URL: Final = SOURCES["audio/emotify"]


def read(split: str | None = None) -> list[ClipRow]:
    """All recordings, in the order of the index; each is its own group.

    ``shares`` are the means of the ratings, in the order of the taxonomy; the
    genre is the id up to the hyphen (``"rock-017"``).

    Raises
    ------
    MissingDataError
        If the files are not in the data folder.
    InputError
        If a split is asked for (there are folds only), or the index cannot be read.
    """
    check_split("emotify", split)
    index = require("audio/emotify/index.csv")
    scales = native_label_set(LABEL_SET).labels
    rows: list[ClipRow] = []
    for number, record in records(index, ("file", *scales)):
        try:
            shares = np.array([float(record[scale]) for scale in scales], dtype=np.float32)
        except ValueError as error:
            raise InputError(
                f"{index}, line {number}: a rating is not a number: {error}"
            ) from error
        path = index.parent / record["file"]
        rows.append(ClipRow(path.stem, path, shares, group=path.stem))
    return rows
