"""What an audio model says of a labelled table of recordings, in one pass.

Only labels and answers are kept, so that a table of any length can be evaluated.
A recording that cannot be heard is left out with its reason, and the rest is
done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import explain
from data_prep.readers.labelled_table import LabelledTable
from fusion.evaluation.listening import Heard, Listener
from fusion.evaluation.table_answers import AskedTable, LeftOutRows

NOT_HEARD: Final = "recording that cannot be heard"


@dataclass(frozen=True, eq=False)
class HeardTable:
    """What a model said of a table's recordings, and what its labels are.

    Attributes
    ----------
    asked
        Rows, labels and what was left out.
    heard
        Answers to the recordings that could be used, in order.
    """

    asked: AskedTable
    heard: list[Heard]


def hear_table(
    table: LabelledTable, listener: Listener, *, advance: Callable[[int], None] = lambda rows: None
) -> HeardTable:
    """Hear all recordings of a table.

    Parameters
    ----------
    advance
        Told of each row that was done.

    Raises
    ------
    InputError
        If no row is left.
    """
    left_out = LeftOutRows()
    mended: Counter[tuple[str, str]] = Counter()
    shares: list[NDArray[np.float32]] = []
    heard: list[Heard] = []
    asked = 0
    for row in table.rows():
        if row.shares is None:
            left_out.add(row.number, str(row.reason), str(row.problem))
        else:
            asked += 1
            try:
                heard.append(listener.hear_file(row.text, table.label_set.name))
            except Exception as error:
                left_out.add(row.number, NOT_HEARD, explain(error))
            else:
                mended.update(row.mended)
                shares.append(row.shares)
        advance(1)
    if not heard:
        raise left_out.nothing_left(table.name)
    return HeardTable(
        AskedTable(
            rows=table.length,
            asked=asked,
            shares=np.stack(shares),
            answers=[],
            left_out=left_out.reasons,
            problems=left_out.in_order(),
            mended=mended,
        ),
        heard,
    )
