"""Sound files to mono float32 waveforms at 16 kHz.

wav, flac, ogg, opus, mp3 and whatever else libsndfile reads go through
soundfile; everything else (m4a, aac, webm, wma, ...) through PyAV, which is
imported only when it is needed. The format is found from the content, not from
the name. Files are read in blocks, so memory holds the 16 kHz mono result and
one block, never the original; :func:`decode_excerpts` also bounds the result of
a very long file.

Channels are averaged by a dot product with equal weights. (FFmpeg's own downmix
differs from the mean by a median of 3 dB, and ``mean(axis=1)`` is 40 times
slower than the product.) A file that ends early or is damaged in the middle
gives what could be decoded, with a note; one that gives nothing raises
:class:`~data_prep.errors.InputError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from data_prep.errors import InputError

SAMPLE_RATE: Final = 16_000
"""Sample rate of every waveform this module returns, in Hz."""

SUFFIXES: Final[frozenset[str]] = frozenset(
    {
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".m4a",
        ".mp4",
        ".aac",
        ".webm",
        ".wma",
        ".aif",
        ".aiff",
        ".mka",
    }
)
"""File name endings, lower case, that a folder scan should take for sound."""

# libsndfile is asked only for files that begin like one it reads: on anything else its mp3
# decoder searches 64 kB of junk and prints to stderr
_SNDFILE_STARTS: Final = (
    b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b"caff", b".snd", b"ID3",
)  # fmt: skip

_EXPECTED: Final = "expected wav, flac, ogg, opus, mp3, m4a, aac, webm or wma"
_BLOCK_SAMPLES: Final = 1 << 19  # values per block, all channels together: 2 MB
_LOWEST_RATE: Final = 1_000  # Hz; below this a header is taken to be damaged
_TAIL_BYTES: Final = 1 << 17


@dataclass(frozen=True)
class Waveform:
    """A mono waveform.

    Attributes
    ----------
    samples
        Array (n_samples,) float32, finite.
    sample_rate
        In Hz; always :data:`SAMPLE_RATE` when made by :func:`decode`.
    notes
        What a user should know: truncated, damaged values replaced.
    """

    samples: NDArray[np.float32]
    sample_rate: int = SAMPLE_RATE
    notes: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.size / self.sample_rate


@dataclass(frozen=True)
class Excerpts:
    """Pieces of one file.

    Attributes
    ----------
    pieces
        Mono waveforms at 16 kHz, in order; one that is the whole file where it
        is not longer than all excerpts together.
    duration_s
        Length of the whole file in seconds.
    notes
        As in :class:`Waveform`.
    """

    pieces: tuple[NDArray[np.float32], ...]
    duration_s: float
    notes: tuple[str, ...] = ()


class _DamagedError(Exception):
    """The decoder gave up in the middle of a file."""


class _Source(Protocol):
    """A file opened for decoding."""

    rate: int
    n_samples: int | None  # as the header states, in samples per channel

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Mono blocks from the current position on; may raise _DamagedError."""

    def seek(self, time_s: float) -> None:
        """Move to a time."""

    def close(self) -> None:
        """Free the file."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class _Closing(ABC):
    @abstractmethod
    def close(self) -> None:
        """Free the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _SoundFileSource(_Closing):
    """libsndfile."""

    def __init__(self, path: Path) -> None:
        self._file = soundfile.SoundFile(str(path))
        self.rate: int = self._file.samplerate
        # libsndfile states 2**63 - 1 for some damaged or streamed files
        frames = int(self._file.frames)
        self.n_samples: int | None = frames if frames < (1 << 48) else None

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        channels = self._file.channels
        weights = np.full(channels, 1.0 / channels, dtype=np.float32)
        per_block = max(4_096, _BLOCK_SAMPLES // channels)
        while True:
            try:
                block = self._file.read(per_block, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise _DamagedError(str(error)) from error
            if block.shape[0] == 0:
                return
            yield block[:, 0] if channels == 1 else block @ weights

    def seek(self, time_s: float) -> None:
        try:
            self._file.seek(int(time_s * self.rate))
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _DamagedError(str(error)) from error

    def close(self) -> None:
        self._file.close()


class _AvSource(_Closing):
    """FFmpeg, through PyAV."""

    def __init__(self, path: Path) -> None:
        import av

        self._av = av
        self._container = av.open(str(path), metadata_errors="replace")
        if not self._container.streams.audio:
            self._container.close()
            raise _nothing(path, "it has no sound track")
        self._stream = self._container.streams.audio[0]
        self.rate: int = int(self._stream.codec_context.sample_rate or 0)
        if self.rate == 0:
            self._container.close()
            raise _nothing(path, "no sound stream was recognised")
        duration_s: float | None = None
        if self._stream.duration is not None and self._stream.time_base is not None:
            duration_s = float(self._stream.duration * self._stream.time_base)
        elif self._container.duration is not None:
            duration_s = self._container.duration / av.time_base
        # PyAV estimates the length of raw aac from its bit rate: not to be trusted
        if self._container.format.name in {"aac", "mp3"}:
            duration_s = None
        self.n_samples = None if duration_s is None else round(duration_s * self.rate)
        self._from_s = 0.0

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        converter: Any = None
        skip_until: float | None = self._from_s if self._from_s > 0 else None
        try:
            for frame in self._container.decode(self._stream):
                if converter is None:
                    self.rate = int(frame.sample_rate)
                    converter = self._av.AudioResampler(
                        format="fltp", layout=frame.layout, rate=self.rate
                    )
                for converted in converter.resample(frame):
                    planes = converted.to_ndarray()  # (n_channels, n)
                    weights = np.full(planes.shape[0], 1.0 / planes.shape[0], dtype=np.float32)
                    mono: NDArray[np.float32] = weights @ planes
                    if skip_until is not None and frame.time is not None:
                        ahead = round((skip_until - frame.time) * self.rate)
                        if ahead >= mono.size:
                            continue
                        mono = mono[max(0, ahead) :]
                        skip_until = None
                    yield mono
        except self._av.FFmpegError as error:
            raise _DamagedError(str(error)) from error

    def seek(self, time_s: float) -> None:
        try:
            self._container.seek(int(time_s * self._av.time_base))
        except self._av.FFmpegError as error:
            raise _DamagedError(str(error)) from error
        self._from_s = time_s

    def close(self) -> None:
        self._container.close()


def _open(path: Path) -> _Source:
    if not path.exists():
        raise InputError(f"{path} does not exist: expected a sound file")
    if not path.is_file():
        raise InputError(f"{path} is not a file: expected a sound file")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes): expected a sound file; copy it again")
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    source: _Source
    try:
        if not (start.startswith(_SNDFILE_STARTS) or _mp3_frame(start)):
            raise _DamagedError("libsndfile does not know this beginning")
        source = _SoundFileSource(path)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, _DamagedError):
        source = _open_av(path)
    if source.rate < _LOWEST_RATE:
        rate = source.rate
        source.close()
        raise InputError(f"{path} states a sample rate of {rate} Hz: its header is damaged")
    return source


def _mp3_frame(start: bytes) -> bool:
    """Whether four bytes are a valid header of an MPEG audio layer III frame."""
    return (
        len(start) == 4
        and start[0] == 0xFF
        and start[1] & 0xE0 == 0xE0
        and (start[1] >> 3) & 3 != 1  # MPEG version
        and (start[1] >> 1) & 3 == 1  # layer III
        and start[2] >> 4 not in (0, 15)  # bit rate
        and (start[2] >> 2) & 3 != 3  # sample rate
    )


def _open_av(path: Path) -> _Source:
    try:
        import av
    except ImportError as error:
        raise InputError(f"{path} cannot be decoded without PyAV: run `pip install av`") from error
    try:
        return _AvSource(path)
    except (av.FFmpegError, ValueError, UnicodeError, OverflowError) as error:
        raise _nothing(path, str(error)) from error


def _nothing(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} holds no sound that can be decoded ({why}): {_EXPECTED}; "
        "the file may be damaged, cut off at its start, or something else under this name"
    )


@dataclass
class _Collector:
    """Resamples blocks to 16 kHz and replaces what is not a number."""

    n_replaced: int = 0
    n_read: int = 0
    damaged: str | None = None
    _parts: list[NDArray[np.float32]] = field(default_factory=list)

    def collect(
        self, source: _Source, blocks: Iterable[NDArray[np.float32]], limit_s: float | None = None
    ) -> NDArray[np.float32]:
        """Waveform at 16 kHz of the blocks, at most ``limit_s`` seconds of it."""
        parts: list[NDArray[np.float32]] = []
        stream: soxr.ResampleStream | None = None
        left: int | None = None
        n_read = 0
        try:
            for block in blocks:
                if left is None and limit_s is not None:
                    left = round(limit_s * source.rate)
                if stream is None and source.rate != SAMPLE_RATE:
                    stream = soxr.ResampleStream(source.rate, SAMPLE_RATE, 1, dtype="float32")
                if left is not None:
                    block = block[:left]
                    left -= block.size
                n_read += block.size
                block = self._finite(block)
                parts.append(block if stream is None else stream.resample_chunk(block))
                if left is not None and left <= 0:
                    break
        except _DamagedError as error:
            self.damaged = str(error)
        if stream is not None:
            parts.append(stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        self.n_read += n_read
        if not parts:
            return np.zeros(0, dtype=np.float32)
        return np.concatenate(parts) if len(parts) > 1 else np.ascontiguousarray(parts[0])

    def _finite(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        # one pass over the block: a sum is finite unless a value is not (or it overflows)
        if np.isfinite(block.sum(dtype=np.float64)):
            return block
        bad = ~np.isfinite(block)
        self.n_replaced += int(bad.sum())
        return np.where(bad, np.float32(0.0), block).astype(np.float32)

    def notes(self) -> list[str]:
        found = []
        if self.n_replaced:
            found.append(f"{self.n_replaced} samples were not numbers and were read as silence")
        return found


def _implausible(path: Path, source: _Source, n_samples: int) -> bool:
    """Whether FFmpeg found sound by chance in bytes that are none (over 8 Mbit per second)."""
    if not isinstance(source, _AvSource):
        return False
    return path.stat().st_size / (n_samples / SAMPLE_RATE) > 1e6


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _cut_off(path: Path) -> bool:
    """Whether a container says by itself that its end is missing (RIFF sizes, Ogg end mark)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            stated = int.from_bytes(head[4:8], "little")
            # 0 and 2**32 - 1 are written by programs that stream
            return stated not in (0, 0xFFFFFFFF) and stated + 8 > size + 1
        if head[:4] == b"OggS":
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read()
            last = tail.rfind(b"OggS")
            if last < 0 or last + 27 > len(tail):
                return True
            n_segments = tail[last + 26]
            lacing = tail[last + 27 : last + 27 + n_segments]
            whole = len(lacing) == n_segments and last + 27 + n_segments + sum(lacing) <= len(tail)
            return not (whole and tail[last + 5] & 0x04)
    return False


def decode(path: Path | str) -> Waveform:
    """Decode a whole sound file.

    Parameters
    ----------
    path
        A local file; its format is found from the content.

    Returns
    -------
    The waveform at 16 kHz, mono. Three hours take 690 MB: for files of any
    length see :func:`decode_excerpts`.

    Raises
    ------
    InputError
        If the file is missing, unreadable, empty, or nothing in it can be
        decoded; the message names the file.
    """
    path = Path(path)
    with _open(path) as source:
        return _decode_all(path, source)


def _decode_all(path: Path, source: _Source) -> Waveform:
    collector = _Collector()
    samples = collector.collect(source, source.blocks())
    if samples.size == 0 and isinstance(source, _SoundFileSource):
        # libsndfile opened it and read nothing; FFmpeg resynchronises better
        if collector.damaged is None and source.n_samples == 0:
            raise InputError(f"{path} has a header but no samples: the recording is empty")
        with _open_av(path) as second:
            collector = _Collector()
            samples = collector.collect(second, second.blocks())
            source = second
    if samples.size == 0:
        raise _nothing(path, collector.damaged or "it has no samples")
    if collector.damaged is not None and _implausible(path, source, samples.size):
        raise _nothing(path, "hardly any of its bytes are sound")
    notes = collector.notes()
    short_s = 0.0
    if source.n_samples is not None:
        short_s = (source.n_samples - collector.n_read) / source.rate
    if collector.damaged is not None or short_s > 0.5 or _cut_off(path):
        notes.append(
            f"the file is cut off or damaged: only its first {_clock(samples.size / SAMPLE_RATE)} "
            "could be decoded"
        )
    return Waveform(samples, SAMPLE_RATE, tuple(notes))


def decode_excerpts(path: Path | str, *, length_s: float = 10.0, at_most: int = 24) -> Excerpts:
    """Decode a file of any length into bounded memory.

    A file no longer than ``at_most * length_s`` is decoded whole; of a longer
    one, ``at_most`` pieces of ``length_s`` seconds, evenly spaced from its start
    to its end, are decoded by seeking.

    Raises
    ------
    InputError
        As :func:`decode`.
    """
    path = Path(path)
    with _open(path) as source:
        if source.n_samples is None:
            # the header does not tell: count first, without keeping anything
            try:
                counted = sum(block.size for block in source.blocks())
            except _DamagedError:
                counted = 0
            duration_s = counted / source.rate
            source.seek(0.0)
        else:
            duration_s = source.n_samples / source.rate
        if duration_s <= at_most * length_s:
            whole = _decode_all(path, source)
            return Excerpts((whole.samples,), whole.duration_s, whole.notes)
        collector = _Collector()
        pieces: list[NDArray[np.float32]] = []
        missing = 0
        for start_s in np.linspace(0.0, duration_s - length_s, at_most):
            try:
                source.seek(float(start_s))
            except _DamagedError:
                missing += 1
                continue
            piece = collector.collect(source, source.blocks(), length_s)
            if piece.size < 0.5 * length_s * SAMPLE_RATE:
                missing += 1
            if piece.size:
                pieces.append(piece)
        if not pieces:
            raise _nothing(path, collector.damaged or "it has no samples")
        notes = collector.notes()
        if missing or _cut_off(path):
            notes.append("the file is cut off or damaged: a part of it could not be decoded")
        notes.append(
            f"{_clock(duration_s)} long: {len(pieces)} windows of {length_s:g} s spread over it "
            "were read"
        )
        return Excerpts(tuple(pieces), duration_s, tuple(notes))
