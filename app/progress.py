"""A line of progress on a terminal: how many, how fast, how long still."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

_REFRESH_S: Final = 0.2


class Progress:
    """Shows progress on a terminal, and nothing anywhere else.

    Parameters
    ----------
    total
        How many there are to do.
    unit
        What they are, in the plural.
    done
        How many were done before, in an earlier run.
    stream
        Where to; standard error if ``None``.
    """

    def __init__(
        self, total: int, unit: str, *, done: int = 0, stream: TextIO | None = None
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._shown = self._stream.isatty()
        self._total = total
        self._unit = unit
        self._before = done
        self._done = done
        self._failed = 0
        self._width = 0
        self._start = time.monotonic()
        self._last = 0.0

    def advance(self, count: int = 1, *, failed: bool = False) -> None:
        """Count one more, or several at once."""
        self._done += count
        self._failed += failed
        now = time.monotonic()
        if self._shown and (now - self._last >= _REFRESH_S or self._done == self._total):
            self._last = now
            self._write(self.line(now - self._start))

    def line(self, elapsed_s: float) -> str:
        """The line after so many seconds."""
        parts = [f"{self._done:,}/{self._total:,} {self._unit}"]
        rate = (self._done - self._before) / elapsed_s if elapsed_s > 0 else 0.0
        if rate > 0:
            parts.append(f"{rate:,.1f} {self._unit}/s")
            parts.append(f"{duration((self._total - self._done) / rate)} left")
        if self._failed:
            parts.append(f"{self._failed:,} failed")
        return " · ".join(parts)

    def close(self) -> None:
        """Wipe the line, so that what follows starts on a clean one."""
        if self._shown and self._width:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()

    def _write(self, line: str) -> None:
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)


@contextmanager
def counting(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Progress of a piece of work that tells how many more were done."""
    progress = Progress(total, unit)

    try:
        yield progress.advance
    finally:
        progress.close()


def duration(seconds: float) -> str:
    """``45 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
