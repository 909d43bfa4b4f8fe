"""NSMC: Korean film reviews with a rating, for pretraining and polarity.

File, below the data folder: ``text/nsmc/reviews.tsv.gz``, ``rating \\t text``,
gzip-compressed UTF-8, no header; ratings 1 (worst) to 10. The set has no emotion
labels and no split here: nothing is measured on it.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import Final

from data_prep.data_folder import SOURCES, require
from data_prep.errors import InputError

CITATION: Final = "Park (2016): Naver sentiment movie corpus v1.0"
LICENCE: Final = "CC0-1.0"
SOURCE_URL: Final = SOURCES["text/nsmc"]


def iter_reviews() -> Iterator[tuple[int, str]]:
    """Rating 1..10 and text of each review, in published order.

    Raises
    ------
    MissingDataError
        If the file is not in the data folder.
    InputError
        If it is damaged or a line is not a review.
    """
    path = require("text/nsmc/reviews.tsv.gz")
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                rating, tab, text = line.rstrip("\r\n").partition("\t")
                if not tab or not rating.isdecimal() or not 1 <= int(rating) <= 10:
                    raise InputError(
                        f"{path}, line {number}: expected a rating 1 to 10, a tab and a text"
                    )
                yield int(rating), text
        except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise InputError(f"{path} is damaged: {error}; download it again") from error
