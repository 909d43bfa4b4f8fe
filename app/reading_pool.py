"""Reading words and sound in processes of their own.

Several songs are read at once, on as many cores; what takes too long is ended; and a
recording on which a decoder crashes costs its own answer and nothing else. Each process
loads a model once, when it is first needed, and ends with the process that started it,
even if that is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, TimeoutError
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

from app.child_process import end_with_parent
from data_prep.errors import InputError
from data_prep.remote_file import SongPath

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pebble import ProcessPool

    from fusion.analysis import AudioReading, LyricReading, SongAnalyser

TIMEOUT_S: Final = 600.0
"""Seconds after which reading one recording, or one list of texts, is given up."""


class TooSlowError(InputError):
    """Reading an input took too long and was given up."""


_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class Pending(Protocol[_T_co]):
    """An answer that is on its way; :func:`outcome` waits for it."""

    def result(self, timeout: float | None = None) -> _T_co:
        """The answer itself."""

    def done(self) -> bool:
        """Whether the answer is there, or will never be."""


class ReadingPool:
    """Processes that read words and sound. A context manager that ends them.

    Parameters
    ----------
    workers
        Processes, 1 or more; they are started when there is something to read.
    lyrics_folder, audio_folder
        Model folders; ``None`` is the embedded one.
    timeout_s
        Seconds for one recording or one list of texts, counted from when its reading begins.
    niceness
        How far the processes stand back for others, 0 to 19.
    """

    def __init__(
        self,
        workers: int,
        *,
        lyrics_folder: Path | None = None,
        audio_folder: Path | None = None,
        timeout_s: float = TIMEOUT_S,
        niceness: int = 0,
    ) -> None:
        self.workers = workers
        self.timeout_s = timeout_s
        self._start: list[Any] = [lyrics_folder, audio_folder, niceness]
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None

    def sound(self, path: SongPath) -> Pending[AudioReading]:
        """Read a recording."""
        return self._scheduled(_read_sound, path)

    def on_file(self, function: Callable[..., _T], path: SongPath, *arguments: Any) -> Pending[_T]:
        """Have a function of a module called, with a process's analyser, a file, and then these."""
        return self._scheduled(_run, function, (path, *arguments))

    def log_mel(self, log_mel: NDArray[np.floating]) -> Pending[AudioReading]:
        """Read a recording of which only the log-mel (n_mels, n_frames) in dB is there."""
        return self._scheduled(_read_log_mel, log_mel)

    def words(
        self, texts: Sequence[str], *, as_mood: bool = False
    ) -> Pending[list[LyricReading | InputError]]:
        """Read texts: for each its reading, or what is wrong with it."""
        return self._scheduled(_read_words, list(texts), as_mood)

    def run(self, function: Callable[..., _T], *arguments: Any) -> Pending[_T]:
        """Have a function of a module called, with a process's analyser and then these."""
        return self._scheduled(_run, function, arguments)

    def close(self) -> None:
        """End the processes, and whatever they are reading."""
        with self._lock:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _scheduled(self, read: Callable[..., _T], *arguments: Any) -> Pending[_T]:
        with self._lock:
            if self._pool is None or not self._pool.active:
                self._end()  # an idle process was killed, and the pool with it
                self._pool = self._started()
            pending: Pending[_T] = self._pool.schedule(read, args=arguments, timeout=self.timeout_s)
            return pending

    def _started(self) -> ProcessPool:
        from pebble import ProcessPool

        return ProcessPool(
            max_workers=self.workers,
            initializer=_begin,
            initargs=self._start,
            context=multiprocessing.get_context("spawn"),
        )

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = None


class PooledSound:
    """Reads sound in a pool: an :class:`fusion.analysis.AudioReader`.

    Parameters
    ----------
    pool
        Where it is read.
    model_hash
        Of the model folder that the pool reads with.
    """

    def __init__(self, pool: ReadingPool, model_hash: str) -> None:
        self._pool = pool
        self.model_hash = model_hash

    def read_file(self, path: Path) -> AudioReading:
        """Read one sound file.

        Raises
        ------
        InputError
            If it cannot be read, or not in time.
        """
        return outcome(self._pool.sound(path))


def outcome(pending: Pending[_T]) -> _T:
    """Wait for an answer.

    Raises
    ------
    InputError
        If the input cannot be read, took too long, or made its process crash.
    """
    from concurrent.futures.process import BrokenProcessPool

    from pebble import ProcessExpired

    try:
        return pending.result()
    except (ProcessExpired, BrokenProcessPool) as error:
        raise InputError("what reads it crashed on it: the file is damaged") from error
    except TimeoutError as error:
        raise TooSlowError("reading it took too long and was given up") from error
    except CancelledError as error:
        raise InputError("reading it was given up") from error


def read_each(
    analyser: SongAnalyser, texts: Sequence[str], *, as_mood: bool = False
) -> list[LyricReading | InputError]:
    """Read texts in this process: for each its reading, or what is wrong with it."""
    readings: list[LyricReading | InputError] = []
    for text in texts:
        try:
            readings.append(analyser.read_words(text, as_mood=as_mood))
        except InputError as error:
            readings.append(error)
    return readings


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# In the processes of a pool.

_analyser: SongAnalyser | None = None


def _begin(lyrics_folder: Path | None, audio_folder: Path | None, niceness: int) -> None:
    global _analyser
    # One thread for each process; read by numpy's libraries when they are imported.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from fusion.analysis import SongAnalyser

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that started us
    end_with_parent()
    if niceness:
        os.nice(niceness)
    _analyser = SongAnalyser(lyrics_folder=lyrics_folder, audio_folder=audio_folder, threads=1)


def _read_sound(path: SongPath) -> AudioReading:
    assert _analyser is not None, "the process has begun"
    return _analyser.read_sound(path)


def _read_log_mel(log_mel: NDArray[np.floating]) -> AudioReading:
    assert _analyser is not None, "the process has begun"
    return _analyser.read_log_mel(log_mel)


def _read_words(texts: list[str], as_mood: bool) -> list[LyricReading | InputError]:
    assert _analyser is not None, "the process has begun"
    return read_each(_analyser, texts, as_mood=as_mood)


def _run(function: Callable[..., _T], arguments: tuple[Any, ...]) -> _T:
    assert _analyser is not None, "the process has begun"
    return function(_analyser, *arguments)
