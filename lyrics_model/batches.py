"""Batches of texts of similar length under a token budget, drawn in seeded chunks.

Padding is what a CPU wastes most of its time on, so a batch holds texts of
about one length. Training is counted in *chunks* of batches: what chunk ``c``
holds depends only on the seed and ``c``, so a run that resumes at a chunk's
start sees what an uninterrupted run would have seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def length_batches(
    lengths: NDArray[np.integer], token_budget: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Cut all items into batches of similar length, in random order.

    Every item stands in exactly one batch, and a batch's padded size (items ×
    longest) stays within ``token_budget`` unless a single item exceeds it.
    """
    jitter = generator.uniform(0.9, 1.1, size=len(lengths))
    order = np.argsort(lengths * jitter, kind="stable")
    batches: list[NDArray[np.int64]] = []
    start = 0
    longest = 0
    for position, item in enumerate(order):
        longest_now = max(longest, int(lengths[item]))
        if position > start and longest_now * (position - start + 1) > token_budget:
            batches.append(order[start:position])
            start, longest_now = position, int(lengths[item])
        longest = longest_now
    if start < len(order):
        batches.append(order[start:])
    return [batches[i] for i in generator.permutation(len(batches))]


def chunk_of_batches(
    lengths: NDArray[np.integer], token_budget: int, *, seed: int, chunk: int, per_chunk: int
) -> list[NDArray[np.int64]]:
    """The batches of one chunk; passes over the data follow each other without a gap."""
    wanted = range(chunk * per_chunk, (chunk + 1) * per_chunk)
    chosen: list[NDArray[np.int64]] = []
    pass_number, offset = 0, 0
    while len(chosen) < per_chunk:
        batches = length_batches(lengths, token_budget, np.random.default_rng([seed, pass_number]))
        first = max(wanted.start - offset, 0)
        last = min(wanted.stop - offset, len(batches))
        chosen.extend(batches[first:last])
        offset += len(batches)
        pass_number += 1
    return chosen
