"""RAVDESS song: two phrases sung by 18 actors with six emotions.

Files, below the data folder: ``audio/ravdess_song/index.csv`` (``file, actor,
emotion, intensity, statement, repetition``) and the sound files it names. Five
folds by actor for cross-validation; no fixed split.
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

LABEL_SET: Final = "ravdess_song"
CITATION: Final = (
    "Livingstone and Russo (2018): The Ryerson Audio-Visual Database of Emotional Speech and Song "
    "(RAVDESS), PLoS ONE 13(5), doi 10.1371/journal.pone.0196391"
)
LICENCE: Final = "CC BY-NC-SA 4.0"
SOURCE_URL: Final = SOURCES["audio/ravdess_song"]


def read(split: str | None = None) -> list[ClipRow]:
    """All phrases, in the order of the index; ``group`` is the actor (``"actor-07"``).

    Raises
    ------
    MissingDataError
        If the files are not in the data folder.
    InputError
        If a split is asked for (there are folds only), or the index cannot be read.
    """
    check_split("ravdess_song", split)
    index = require("audio/ravdess_song/index.csv")
    label_set = native_label_set(LABEL_SET)
    rows: list[ClipRow] = []
    for number, record in records(index, ("file", "actor", "emotion")):
        if not record["actor"].isdecimal():
            raise InputError(
                f"{index}, line {number}: {record['actor']!r} is not an actor's number"
            )
        shares = np.zeros(len(label_set.labels), dtype=np.float32)
        shares[label_set.index(record["emotion"])] = 1.0
        path = index.parent / record["file"]
        rows.append(ClipRow(path.stem, path, shares, group=f"actor-{int(record['actor']):02d}"))
    return rows
