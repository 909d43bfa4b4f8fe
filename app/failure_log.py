"""Failures of a long run, kept on disk: as many as there are, in bounded memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO, Any, overload

from app.failures import Failure


class FailureLog(Sequence[Failure]):
    """Failures in the order they were added, in a temporary file of its own.

    It reads like any sequence; the file goes with the object.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the object)
        self._length = 0

    def add(self, failure: Failure) -> None:
        """Append one."""
        self._file.seek(0, 2)
        self._file.write(json.dumps(failure.to_json()).encode("ascii") + b"\n")
        self._length += 1

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Failure]:
        position = 0
        for _ in range(self._length):
            self._file.seek(position)
            line = self._file.readline()
            position += len(line)
            yield Failure(**json.loads(line))

    @overload
    def __getitem__(self, index: int) -> Failure: ...

    @overload
    def __getitem__(self, index: slice) -> list[Failure]: ...

    def __getitem__(self, index: int | slice) -> Failure | list[Failure]:
        if isinstance(index, slice):
            start, stop, step = index.indices(self._length)
            if step > 0:
                return list(islice(self, start, stop, step))
            wanted: Any = range(start, stop, step)
            return [self[i] for i in wanted]
        position = index + self._length if index < 0 else index
        if not 0 <= position < self._length:
            raise IndexError(f"failure {index} of {self._length}")
        return next(islice(self, position, None))
