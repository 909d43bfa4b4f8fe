"""What models say of a labelled table: every text asked of each of them, in one pass.

Rows are read from disk some hundred at a time, each block goes to every model in
turn, and only labels and answers are kept: a table of any length can be
evaluated, and models that are compared are timed on the same texts minute by
minute, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.readers.labelled_table import LabelledRow, LabelledTable
from fusion.evaluation.text_models import TextAnswers, TextModel

ROWS_PER_BLOCK: Final = 256
CHARACTERS_PER_BLOCK: Final = 1_000_000
NO_ANSWER: Final = "no words that every model can read"


@dataclass(frozen=True, eq=False)
class AskedTable:
    """What all models said of a table, and what its labels are.

    Attributes
    ----------
    rows, asked
        Rows of the table; texts that the models were asked.
    shares
        (used, labels) of the rows that could be used.
    answers
        Per model; ``None`` for the constant one.
    left_out
        Reason → rows.
    problems
        The rows left out: number, reason and problem.
    mended
        Labels with a typing error (as they stood, as they were read) → how often.
    """

    rows: int
    asked: int
    shares: NDArray[np.float32]
    answers: list[TextAnswers | None]
    left_out: Counter[str]
    problems: list[dict[str, Any]]
    mended: Counter[tuple[str, str]]


@dataclass(eq=False)
class LeftOutRows:
    """Rows of a table that cannot be used.

    Attributes
    ----------
    reasons
        Reason → rows.
    problems
        Number, reason and problem of each.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    problems: list[dict[str, Any]] = field(default_factory=list)

    def add(self, number: int, reason: str, problem: str) -> None:
        """Leave out one more."""
        self.reasons[reason] += 1
        self.problems.append({"row": number, "reason": reason, "problem": problem})

    def in_order(self) -> list[dict[str, Any]]:
        """The problems by row."""
        return sorted(self.problems, key=lambda problem: int(problem["row"]))

    def nothing_left(self, table: str) -> InputError:
        """What to raise when no row is left."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.most_common())
        message = f"{table} has no row that can be used: {reasons or 'it has no rows'}"
        if self.problems:
            first = self.problems[0]
            message += f"; for instance row {first['row']}: {first['problem']}"
        return InputError(message)


@dataclass(eq=False)
class _Collected:
    """Answers of one model, block by block."""

    six: list[NDArray[np.float32]] = field(default_factory=list)
    native: list[NDArray[np.float32]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, answers: TextAnswers) -> None:
        self.six.append(answers.six)
        if answers.native is not None:
            self.native.append(answers.native)
        self.seconds += answers.seconds

    def joined(self, kept: NDArray[np.bool_]) -> TextAnswers:
        native = np.concatenate(self.native)[kept] if self.native else None
        return TextAnswers(np.concatenate(self.six)[kept], native, self.seconds)


def ask_models(
    table: LabelledTable,
    models: Sequence[TextModel | None],
    *,
    advance: Callable[[int], None] = lambda rows: None,
    rows_per_block: int = ROWS_PER_BLOCK,
) -> AskedTable:
    """Ask all models every text of a table, some hundred at a time.

    Parameters
    ----------
    models
        ``None`` stands for the constant answer.
    advance
        Told how many rows were done, from time to time.
    rows_per_block
        A quantised network's answer depends a little on the texts it is asked
        with; figures are the same only for the same blocks.

    Raises
    ------
    InputError
        If no row is left.
    """
    left_out = LeftOutRows()
    mended: Counter[tuple[str, str]] = Counter()
    shares: list[NDArray[np.float32]] = []
    numbers: list[int] = []
    collected = [_Collected() for _ in models]
    warm = False
    for block, done in _blocks(table.rows(), rows_per_block):
        texts: list[str] = []
        for row in block:
            if row.shares is None:
                left_out.add(row.number, str(row.reason), str(row.problem))
                continue
            mended.update(row.mended)
            texts.append(row.text)
            shares.append(row.shares)
            numbers.append(row.number)
        for model, own in zip(models, collected, strict=True):
            if model is not None and texts:
                if not warm:
                    model.answer(texts[:8])  # the first run of a network is slower
                own.add(model.answer(texts))
        warm = warm or bool(texts)
        advance(done)
    kept = np.ones(len(shares), dtype=np.bool_)
    for own in collected:
        if own.six:
            kept &= np.isfinite(np.concatenate(own.six)).all(axis=1)
    for position in np.flatnonzero(~kept):
        left_out.add(numbers[position], NO_ANSWER, NO_ANSWER)
    if not kept.any():
        raise left_out.nothing_left(table.name)
    return AskedTable(
        rows=table.length,
        asked=len(shares),
        shares=np.stack(shares)[kept],
        answers=[own.joined(kept) if own.six else None for own in collected],
        left_out=left_out.reasons,
        problems=left_out.in_order(),
        mended=mended,
    )


def _blocks(
    rows: Iterable[LabelledRow], rows_per_block: int
) -> Iterator[tuple[list[LabelledRow], int]]:
    block: list[LabelledRow] = []
    characters = 0
    for row in rows:
        block.append(row)
        characters += len(row.text)
        if len(block) == rows_per_block or characters >= CHARACTERS_PER_BLOCK:
            yield block, len(block)
            block, characters = [], 0
    if block:
        yield block, len(block)
