"""Tab-separated files of labelled text, as KOTE, GoEmotions and NSMC are published.

No quoting and no header; a record ends with a line feed only, since comments
may hold other characters that Unicode counts as line breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError


def records(path: Path, min_fields: int) -> Iterator[tuple[int, list[str]]]:
    """Line number (from 1) and fields of each non-empty line.

    Raises
    ------
    InputError
        If a line has too few fields or the file is not UTF-8.
    """
    with path.open(encoding="utf-8", newline="\n") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                fields = line.rstrip("\r\n").split("\t")
                if fields == [""]:
                    continue
                if len(fields) < min_fields:
                    raise InputError(
                        f"{path}, line {number}: expected {min_fields} fields separated by tabs, "
                        f"got {len(fields)}"
                    )
                yield number, fields
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8: {error}") from error


def shares_from_ids(ids: str, n_labels: int, where: str) -> NDArray[np.float32]:
    """``"0,6,10"`` as an array (n_labels,) of 0 and 1.

    Raises
    ------
    InputError
        If an id is not a number in 0..n_labels-1; the message begins with ``where``.
    """
    shares = np.zeros(n_labels, dtype=np.float32)
    for part in ids.split(","):
        index = int(part) if part.strip().isdecimal() else -1
        if not 0 <= index < n_labels:
            raise InputError(f"{where}: expected label ids 0 to {n_labels - 1}, got {ids!r}")
        shares[index] = 1.0
    return shares
