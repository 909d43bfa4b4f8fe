"""Blocks of pieces with some of them masked: what a masked language model learns from.

Packing: the pieces of a file, each text ended by the separator, are cut into
blocks of one length, ``[CLS] … [SEP]``; a long text goes on in the next block and
short ones share one. Masking is dynamic (Liu et al. 2019): drawn anew each time a
block is seen; of the chosen pieces 80% become the mask, 10% a random piece and 10%
stay. With whole words, a word's pieces are chosen together.

Everything drawn depends on (seed, stage, step) alone, never on what was drawn
before: a resumed run sees what an uninterrupted one would have seen. It does not
depend either on how a step's blocks are divided into batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from data_prep.errors import InputError

_MASKED: Final = 0.8
_RANDOM: Final = 0.9
Purpose = Literal["order", "masks", "evaluation", "dropout"]
_PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)


def generator_for(purpose: Purpose, *where: int) -> np.random.Generator:
    """Random numbers for one purpose and place, such as (seed, stage, step)."""
    return np.random.default_rng([_PURPOSES.index(purpose), *where])


@dataclass(frozen=True)
class Blocks:
    """A stream of pieces cut into blocks.

    Attributes
    ----------
    pieces
        Flat ids, texts ended by ``end``.
    length
        Of a block, special tokens included.
    begin, end, padding
        Ids of ``[CLS]``, ``[SEP]`` and ``[PAD]``.
    """

    pieces: NDArray[Any]
    length: int
    begin: int
    end: int
    padding: int

    def __post_init__(self) -> None:
        if self.length < 3:
            raise InputError(f"a block of {self.length} pieces leaves no room for text")

    def __len__(self) -> int:
        return -(-len(self.pieces) // (self.length - 2))

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Blocks (rows, length) by number; the last of a file may end in padding."""
        inner = self.length - 2
        rows = np.full((len(numbers), self.length), self.padding, dtype=np.int64)
        rows[:, 0] = self.begin
        for row, number in zip(rows, numbers, strict=True):
            content = self.pieces[number * inner : (number + 1) * inner]
            row[1 : 1 + len(content)] = content
            if content[-1] != self.end:
                row[1 + len(content)] = self.end
        return rows


@dataclass(frozen=True)
class Masking:
    """How pieces are chosen and what takes their place.

    Attributes
    ----------
    share
        Of pieces (or words) that are chosen, 0 to 1.
    whole_words
        Whether a word's pieces are chosen together.
    mask
        Id of the mask.
    special
        (vocabulary,) whether an id is a special token, which is never chosen.
    continues
        (vocabulary,) whether an id goes on with the word before it.
    """

    share: float
    whole_words: bool
    mask: int
    special: NDArray[np.bool_]
    continues: NDArray[np.bool_]

    def apply(
        self, rows: NDArray[np.int64], generator: np.random.Generator, *, always_mask: bool = False
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Masked copy of the rows, and the positions to predict (both (rows, length)).

        At least one position is chosen if there is any text. ``always_mask`` puts the
        mask in every chosen place, for evaluation.
        """
        open_to = ~self.special[rows]
        if self.whole_words:
            drawn = self._by_word(rows, open_to, generator)
        else:
            drawn = generator.random(rows.shape)
        drawn = np.where(open_to, drawn, np.inf)
        lowest = drawn.min()
        chosen = drawn < self.share
        if not chosen.any() and lowest < np.inf:
            chosen = drawn == lowest
        action = generator.random(rows.shape)
        plain = np.flatnonzero(~self.special)
        random_ids = plain[generator.integers(0, len(plain), size=rows.shape)]
        masked = rows.copy()
        if always_mask:
            masked[chosen] = self.mask
            return masked, chosen
        masked[chosen & (action < _MASKED)] = self.mask
        swapped = chosen & (action >= _RANDOM)
        masked[swapped] = random_ids[swapped]
        return masked, chosen

    def _by_word(
        self, rows: NDArray[np.int64], open_to: NDArray[np.bool_], generator: np.random.Generator
    ) -> NDArray[np.float64]:
        """A random number for each word, at each of its pieces."""
        after_text = np.zeros_like(open_to)
        after_text[:, 1:] = open_to[:, :-1]
        # A block may begin in the middle of a word: what is there counts as one.
        starts = ~(self.continues[rows] & open_to & after_text)
        words = np.cumsum(starts.ravel()) - 1
        drawn: NDArray[np.float64] = generator.random(int(words[-1]) + 1)[words]
        return drawn.reshape(rows.shape)


def masking_for(tokenizer: Any, *, share: float, whole_words: bool) -> Masking:
    """Masking with a transformers tokenizer's vocabulary.

    A piece goes on with a word if it starts with ``##`` (WordPiece), or if it lacks
    the mark of a beginning, where the vocabulary has one (``▁``, ``Ġ``).

    Raises
    ------
    InputError
        If whole words are asked for, but the vocabulary does not tell where they begin.
    """
    size = len(tokenizer)
    pieces = [str(piece) for piece in tokenizer.convert_ids_to_tokens(range(size))]
    special = np.zeros(size, dtype=np.bool_)
    special[sorted({number for number in tokenizer.all_special_ids if number < size})] = True
    hashes = np.array([piece.startswith("##") and len(piece) > 2 for piece in pieces])
    marked = np.array([piece.startswith(("▁", "Ġ")) for piece in pieces])
    if hashes.any():
        continues = hashes
    elif marked.any():
        continues = ~marked
    elif whole_words:
        raise InputError(
            "whole words cannot be masked: this vocabulary does not tell where a word begins "
            "(neither ##, ▁ nor Ġ)"
        )
    else:
        continues = np.zeros(size, dtype=np.bool_)
    return Masking(
        share=share,
        whole_words=whole_words,
        mask=int(tokenizer.mask_token_id),
        special=special,
        continues=continues & ~special,
    )


class TrainingSteps(Dataset[dict[str, Any]]):
    """Batches of steps ``first .. first + count - 1`` of one stage; one item is one batch.

    An item holds ``input_ids`` and ``attention_mask`` (batch, longest), ``positions``
    (chosen,) into the flattened batch, ``labels`` (chosen,), ``weight`` by which the
    sum of the losses is multiplied to give the batch's part of the step's mean, and
    ``number`` of the batch within the stage.
    """

    def __init__(
        self,
        blocks: Blocks,
        masking: Masking,
        *,
        batch: int,
        accumulate: int,
        seed: int,
        stage: int,
        first: int,
        count: int,
    ) -> None:
        self.blocks = blocks
        self.masking = masking
        self.batch = batch
        self.accumulate = accumulate
        self.seed = seed
        self.stage = stage
        self.first = first
        self.count = count
        # One step's rows serve all its batches; one pass's order serves many steps.
        self._step = lru_cache(maxsize=1)(self._draw_step)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def __len__(self) -> int:
        return self.count * self.accumulate

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        step, part = divmod(index, self.accumulate)
        step += self.first
        rows, masked, chosen = self._step(step)
        own = slice(part * self.batch, (part + 1) * self.batch)
        item = _batch(rows[own], masked[own], chosen[own], self.blocks.padding)
        item["weight"] = 1.0 / max(int(chosen.sum()), 1)
        item["number"] = step * self.accumulate + part
        return item

    def numbers(self, step: int) -> NDArray[np.int64]:
        """Which blocks a step holds; every pass holds each block once, in its own order."""
        per_step = self.batch * self.accumulate
        places = np.arange(step * per_step, (step + 1) * per_step)
        passes, within = np.divmod(places, len(self.blocks))
        return np.concatenate(
            [self._order(int(number))[within[passes == number]] for number in np.unique(passes)]
        )

    def _draw_order(self, number: int) -> NDArray[np.int64]:
        generator = generator_for("order", self.seed, self.stage, number)
        return generator.permutation(len(self.blocks))

    def _draw_step(
        self, step: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        rows = _trimmed(self.blocks.rows(self.numbers(step)), self.blocks.padding)
        generator = generator_for("masks", self.seed, self.stage, step)
        return rows, *self.masking.apply(rows, generator)


class EvaluationBatches(Dataset[dict[str, Any]]):
    """Held-out blocks with masks that are always the same: single pieces, all masked.

    At most ``most`` blocks, evenly spread over the file.
    """

    def __init__(
        self, blocks: Blocks, masking: Masking, *, batch: int, seed: int, domain: int, most: int
    ) -> None:
        self.blocks = blocks
        self.masking = Masking(
            share=masking.share,
            whole_words=False,
            mask=masking.mask,
            special=masking.special,
            continues=masking.continues,
        )
        self.batch = batch
        self.seed = seed
        self.domain = domain
        taken = min(len(blocks), most)
        self.numbers = np.arange(taken) * len(blocks) // max(taken, 1)

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.batch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        numbers = self.numbers[index * self.batch : (index + 1) * self.batch]
        rows = self.blocks.rows(numbers)
        parts = list(self._masked(rows, numbers))
        masked = np.stack([part[0] for part in parts])
        chosen = np.stack([part[1] for part in parts])
        return _batch(rows, masked, chosen, self.blocks.padding)

    def _masked(
        self, rows: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        for row, number in zip(rows, numbers, strict=True):
            generator = generator_for("evaluation", self.seed, self.domain, int(number))
            masked, chosen = self.masking.apply(row[None], generator, always_mask=True)
            yield masked[0], chosen[0]


def _trimmed(rows: NDArray[np.int64], padding: int) -> NDArray[np.int64]:
    """Without columns that hold padding only."""
    longest = int(np.flatnonzero((rows != padding).any(axis=0))[-1]) + 1
    return rows[:, :longest]


def _batch(
    rows: NDArray[np.int64],
    masked: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    padding: int,
) -> dict[str, Any]:
    positions = np.flatnonzero(chosen)
    content: dict[str, Tensor] = {
        "input_ids": torch.from_numpy(masked),
        "attention_mask": torch.from_numpy((rows != padding).astype(np.int64)),
        "positions": torch.from_numpy(positions),
        "labels": torch.from_numpy(rows.ravel()[positions]),
    }
    return dict(content)
