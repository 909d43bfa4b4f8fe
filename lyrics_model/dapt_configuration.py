"""Settings of domain-adaptive pretraining: its stages, and how long and how fast each is run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from data_prep.errors import InputError

Order = Literal["given", "largest-first"]
Precision = Literal["auto", "bf16", "32"]
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Stage:
    """One domain: its name (letters, digits, ``-`` and ``_``) and its text, one per line."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"stage name {self.name!r}: expected Latin letters, digits, - and _, "
                "as in --stage lyrics=lyrics.txt"
            )

    @classmethod
    def parse(cls, text: str) -> Stage:
        """Read ``NAME=FILE``, as the command line gives it."""
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise InputError(f"--stage {text!r}: expected NAME=FILE, as in lyrics=lyrics.txt")
        return cls(name, Path(path).expanduser())


@dataclass(frozen=True)
class DaptConfiguration:
    """How a run goes.

    Attributes
    ----------
    steps, passes
        Length of each stage: optimiser steps, or passes over its text; exactly one.
        As published, 12,500 steps.
    order
        Stages as given, or the one with most pieces first.
    block
        Pieces per block, special tokens included; the encoder's limit if that is less.
    batch, accumulate
        Blocks per batch and batches per step; a step's result depends on their product
        only. As published, 512 blocks.
    masked_share, whole_words
        See :class:`lyrics_model.masked_text.Masking`.
    learning_rate, warmup_share, weight_decay
        Highest rate, share of the steps it is warmed up in, and decay of matrices.
    dropout
        The encoder's own settings if ``None``.
    precision
        ``"auto"``: bf16 autocast on CUDA, else 32 bit.
    held_out_share, held_out_blocks
        Share of texts kept for evaluation, and how many blocks of them are measured.
    steps_per_checkpoint
        What a kill loses at most.
    overlap_words
        Vocabulary size for the overlap between domains; 0 leaves it out.
    """

    steps: int | None = 12_500
    passes: float | None = None
    order: Order = "given"
    block: int = 512
    batch: int = 32
    accumulate: int = 16
    masked_share: float = 0.15
    whole_words: bool = False
    learning_rate: float = 1e-4
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    dropout: float | None = None
    precision: Precision = "auto"
    held_out_share: float = 0.01
    held_out_blocks: int = 256
    steps_per_checkpoint: int = 100
    overlap_words: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.passes is None):
            raise InputError("give either steps or passes per stage, not both and not neither")
        for name in ("batch", "accumulate", "held_out_blocks", "steps_per_checkpoint"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: expected at least 1")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps {self.steps}: expected at least 1")
        if self.passes is not None and not 0 < self.passes < math.inf:
            raise InputError(f"passes {self.passes}: expected more than 0")
        if self.block < 8:
            raise InputError(f"block {self.block}: expected at least 8 pieces")
        for name, lowest in (("masked_share", 0.0), ("held_out_share", -1.0)):
            if not lowest < getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} is not between 0 and 1")
        if self.held_out_share < 0 or not 0 <= self.warmup_share < 1:
            raise InputError("held_out_share and warmup_share lie between 0 and 1")
        if self.learning_rate <= 0 or self.weight_decay < 0:
            raise InputError("learning_rate is above 0, weight_decay not below")
        if self.order not in ("given", "largest-first"):
            raise InputError(f"order {self.order!r}: expected given or largest-first")
        if self.precision not in ("auto", "bf16", "32"):
            raise InputError(f"precision {self.precision!r}: expected auto, bf16 or 32")
        if self.overlap_words < 0 or self.seed < 0:
            raise InputError("overlap_words and seed are not below 0")
