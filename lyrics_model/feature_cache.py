"""What a frozen encoder says of each text, kept on disk and computed once.

One file holds the features of all texts of a source, in their order; it is
mapped, not read, and starts out sparse, so that a run on some of the texts
computes and stores only theirs. A second file says which are there and is
written after the first, so that an interrupted run loses at most the texts of
its last moments.

Heads that keep one vector per token are stored in 16 bits, the others in 32.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data_prep.errors import InputError
from lyrics_model.batches import length_batches
from lyrics_model.heads import TunedNetwork
from lyrics_model.text_encoding import padded

_TOKEN_BUDGET: Final = 4_096
_BATCHES_AT_ONCE: Final = 32
_REPORT_EVERY_S: Final = 20.0


def weights_digest(module: nn.Module) -> str:
    """16 hex digits over names and values of a network's weights."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode("utf-8"))
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


class FeatureCache:
    """Features of one source's texts under one encoder and head.

    Parameters
    ----------
    folder
        Where caches lie; each gets a folder of its own by its key.
    key
        What decides the features: encoder, head and text encoding.
    pieces
        Token ids of all texts of the source.
    vectors
        Vectors per text; ``None`` for one per token.
    hidden_size
        Length of a vector.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        pieces: Sequence[NDArray[np.int32]],
        *,
        vectors: int | None,
        hidden_size: int,
    ) -> None:
        digest = hashlib.sha256(f"{key} {vectors} {hidden_size}".encode())
        for row in pieces:
            digest.update(row.tobytes() + b"|")
        self.folder = folder / digest.hexdigest()[:16]
        self.pieces = pieces
        self.per_token = vectors is None
        counts = [len(row) if vectors is None else vectors for row in pieces]
        self._edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._shape = (int(self._edges[-1]), hidden_size)
        self._type = np.dtype(np.float16 if self.per_token else np.float32)
        self._values_path = self.folder / "values.npy"
        self._done_path = self.folder / "done.npy"
        self._values: NDArray[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the mapped file: another process maps it anew."""
        return self.__dict__ | {"_values": None}

    def missing(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some texts that have no features yet."""
        absent: NDArray[np.int64] = positions[~self._done()[positions]]
        return absent

    def fill(
        self,
        network: TunedNetwork,
        positions: NDArray[np.int64],
        pad_id: int,
        *,
        what: str,
        device: torch.device,
        say: Callable[[str], None],
    ) -> None:
        """Compute the features that are missing; goes on where it was interrupted.

        Raises
        ------
        InputError
            If the disk is too small, before anything is computed.
        """
        left = self.missing(positions)
        if not len(left):
            return
        self._make(len(left))
        done = self._done()
        values = np.load(self._values_path, mmap_mode="r+")
        lengths = np.array([len(self.pieces[i]) for i in left], dtype=np.int64)
        batches = length_batches(lengths, _TOKEN_BUDGET, np.random.default_rng(0))
        network = network.to(device).eval()
        started = reported = time.monotonic()
        count = 0
        for start in range(0, len(batches), _BATCHES_AT_ONCE):
            written = []
            for batch in batches[start : start + _BATCHES_AT_ONCE]:
                items = left[batch]
                ids, mask = padded([self.pieces[i] for i in items], pad_id)
                with torch.inference_mode():
                    gathered = network.gather(
                        torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
                    )
                rows = gathered.float().cpu().numpy()
                for i, row in zip(items, rows, strict=True):
                    first, last = self._edges[i], self._edges[i + 1]
                    values[first:last] = row[: last - first]
                written.append(items)
                count += len(items)
            values.flush()
            done[np.concatenate(written)] = True
            _write(self._done_path, done)
            now = time.monotonic()
            if now - reported > _REPORT_EVERY_S:
                reported = now
                seconds = round((now - started) / count * (len(left) - count))
                say(
                    f"{what}: features of {count:,} of {len(left):,} texts, "
                    f"{seconds // 60} min {seconds % 60:02d} s left"
                )

    def read(self, positions: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """Features (vectors, hidden) of some texts; every one must be there."""
        if self._values is None:
            self._values = np.load(self._values_path, mmap_mode="r")
        values = self._values
        return [
            np.asarray(values[self._edges[i] : self._edges[i + 1]], dtype=np.float32)
            for i in positions
        ]

    def _make(self, texts: int) -> None:
        if self._values_path.is_file() and self._done_path.is_file():
            return
        import shutil

        self.folder.mkdir(parents=True, exist_ok=True)
        share = texts / max(len(self.pieces), 1)
        needed = int(np.prod(self._shape, dtype=np.float64) * self._type.itemsize * share)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise InputError(
                f"the features of {texts:,} texts take {needed / 1e9:.1f} GB, but {self.folder} "
                f"has {free / 1e9:.1f} GB left: use another --work, --limit, or another --head"
            )
        values: NDArray[Any] = np.lib.format.open_memmap(
            self._values_path, mode="w+", dtype=self._type, shape=self._shape
        )
        del values
        _write(self._done_path, np.zeros(len(self.pieces), dtype=np.bool_))

    def _done(self) -> NDArray[np.bool_]:
        if not self._done_path.is_file():
            return np.zeros(len(self.pieces), dtype=np.bool_)
        done: NDArray[np.bool_] = np.load(self._done_path)
        return done


def _write(path: Path, array: NDArray[np.bool_]) -> None:
    temporary = path.with_suffix(".part.npy")
    np.save(temporary, array)
    temporary.replace(path)
