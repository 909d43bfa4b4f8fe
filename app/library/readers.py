"""Who reads a song's words and sound for indexing: this process, or a pool of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from app.reading_pool import Pending, outcome, read_each
from data_prep.errors import InputError
from data_prep.remote_file import SongPath

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fusion.analysis import AudioReading, LyricReading, SongAnalyser

TEXTS_AT_ONCE: Final = 64

_T = TypeVar("_T")


class SongReader(Protocol):
    """What indexing asks of who reads: :class:`app.reading_pool.ReadingPool` on this machine,
    :class:`app.ray_pool.RayPool` on several."""

    def words(self, texts: Sequence[str]) -> Pending[list[LyricReading | InputError]]:
        """Read texts: for each its reading, or what is wrong with it."""

    def sound(self, path: SongPath) -> Pending[AudioReading]:
        """Read a recording."""

    def log_mel(self, log_mel: NDArray[np.floating]) -> Pending[AudioReading]:
        """Read a recording of which only the log-mel (n_mels, n_frames) in dB is there."""


class SongPool(SongReader, Protocol):
    """A reader that reads several songs at once."""

    def run(self, function: Callable[..., _T], *arguments: Any) -> Pending[_T]:
        """Have a function of a module called, with an analyser and then these."""

    def on_file(self, function: Callable[..., _T], path: SongPath, *arguments: Any) -> Pending[_T]:
        """Have a function of a module called, with an analyser, a file where it is, and these."""

    @property
    def workers(self) -> int:
        """How many."""


class ReadHere:
    """Reads in this process, when the answer is asked for.

    Parameters
    ----------
    analyser
        Reads.
    """

    def __init__(self, analyser: SongAnalyser) -> None:
        self._analyser = analyser

    def words(self, texts: Sequence[str]) -> Pending[list[LyricReading | InputError]]:
        """Read texts: for each its reading, or what is wrong with it."""
        return _WhenAsked(lambda: read_each(self._analyser, texts))

    def sound(self, path: SongPath) -> Pending[AudioReading]:
        """Read a recording."""
        return _WhenAsked(lambda: self._analyser.read_sound(path))

    def log_mel(self, log_mel: NDArray[np.floating]) -> Pending[AudioReading]:
        """Read a recording of which only the log-mel (n_mels, n_frames) in dB is there."""
        return _WhenAsked(lambda: self._analyser.read_log_mel(log_mel))

    def run(self, function: Callable[..., _T], *arguments: Any) -> Pending[_T]:
        """Have a function called, with the analyser and then these."""
        return _WhenAsked(lambda: function(self._analyser, *arguments))


class _WhenAsked(Generic[_T]):
    """An answer that is made when it is asked for."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make

    def result(self, timeout: float | None = None) -> _T:
        """The answer itself."""
        return self._make()

    def done(self) -> bool:
        """It can be asked for at any time."""
        return True


class WordBatch:
    """Texts that are read together: a message to another process costs more than a text.

    Parameters
    ----------
    reader
        Reads them, when there are ``TEXTS_AT_ONCE`` or one of the answers is asked for.
    """

    def __init__(self, reader: SongReader) -> None:
        self._reader = reader
        self._texts: list[str] = []
        self._pending: Pending[list[LyricReading | InputError]] | None = None
        self._readings: list[LyricReading | InputError] | None = None

    @property
    def is_open(self) -> bool:
        """Whether texts can still be added."""
        return self._pending is None

    def add(self, text: str) -> int:
        """Add a text; gives its place."""
        self._texts.append(text)
        if len(self._texts) >= TEXTS_AT_ONCE:
            self.send()
        return len(self._texts) - 1

    def send(self) -> None:
        """Have them read; nothing can be added any more."""
        if self._pending is None:
            self._pending = self._reader.words(self._texts)

    def done(self) -> bool:
        """Whether the answers are there."""
        return self._pending is not None and self._pending.done()

    def reading(self, place: int) -> LyricReading:
        """The answer for one text.

        Raises
        ------
        InputError
            If the text cannot be read.
        """
        if self._readings is None:
            self._readings = self._read()
        found = self._readings[place]
        if isinstance(found, InputError):
            raise found
        return found

    def _read(self) -> list[LyricReading | InputError]:
        self.send()
        assert self._pending is not None, "it was sent"
        try:
            return outcome(self._pending)
        except InputError as error:  # one of them took too long, or crashed the process
            if len(self._texts) == 1:
                return [error]
        singly: list[LyricReading | InputError] = []
        for text in self._texts:
            try:
                singly += outcome(self._reader.words([text]))
            except InputError as error:
                singly.append(error)
        return singly
