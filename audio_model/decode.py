"""Sound files to mono float32 waveforms at 16 kHz, or at any rate asked for.

wav, flac, ogg, opus, mp3 and whatever else libsndfile reads go through
soundfile; everything else (m4a, aac, webm, wma, ...) through PyAV, which is
imported only when it is needed. The format is found from the content, not from
the name. Files are read in blocks, so memory holds the mono result and one
block, never the original; :func:`decode_excerpts` also bounds the result of a
very long file, and :func:`decode_part` reads no more than a part of it. Blocks
are of a fixed size, so the same file gives the same bits every time.

Channels are averaged before resampling, all with the same weight. (FFmpeg's own
downmix differs from the mean by a median of 3 dB.) They are added one after the
other: ``mean(axis=1)`` takes 20 times as long, and a dot product starts threads
for nothing. 16-bit samples are read as such, since libsndfile takes longer to
make them floats than numpy does. A file that ends early or is damaged in the
middle gives what could be decoded, with a note; one that gives nothing raises
:class:`~data_prep.errors.InputError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from data_prep.errors import InputError

SAMPLE_RATE: Final = 16_000
"""Sample rate of a waveform where no other is asked for, in Hz."""

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
        ".dsf",
        ".dff",
    }
)
"""File name endings, lower case, that a folder scan should take for sound."""

# libsndfile is asked only for files that begin like one it reads: on anything else its mp3
# decoder searches 64 kB of junk and prints to stderr
_SNDFILE_STARTS: Final = (
    b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b"caff", b".snd", b"ID3",
)  # fmt: skip

_EXPECTED: Final = "expected wav, flac, ogg, opus, mp3, m4a, aac, webm or wma"
_BLOCK_SAMPLES: Final = 1 << 18  # values per block, all channels together: 1 MB
_LOWEST_RATE: Final = 1_000  # Hz; below this a header is taken to be damaged, and above
_HIGHEST_RATE: Final = 4_000_000  # this: one-bit recordings come at up to 2.8 MHz
_HEAD_BYTES: Final = 1 << 12
_TAIL_BYTES: Final = 1 << 17
_MANY_PACKETS: Final = 100
_LEAD_FRAMES: Final = 20  # decoded and dropped before a place in an mp3
_SHORT_S: Final = 0.5  # what may be missing at the end without a word
_PARTLY: Final = "the file is cut off or damaged: a part of it could not be decoded"


@dataclass(frozen=True)
class Waveform:
    """A mono waveform.

    Attributes
    ----------
    samples
        Array (n_samples,) float32, finite.
    sample_rate
        In Hz.
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
        Mono waveforms, in order; one that is the whole file where it is not longer
        than all excerpts together.
    duration_s
        Length of the whole file in seconds.
    notes, sample_rate
        As in :class:`Waveform`.
    """

    pieces: tuple[NDArray[np.float32], ...]
    duration_s: float
    notes: tuple[str, ...] = ()
    sample_rate: int = SAMPLE_RATE


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

    def check(self) -> None:
        """Raise InputError if what was decoded so far cannot have been meant as sound."""

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


class _StraightFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read on from where it stands.

    soundfile seeks after every read, to where the file stands anyway. An mp3
    decoder then begins anew: it lacks bytes of the frames before, and the first
    tenth of a second of every block is wrong at low bit rates.
    """

    def seekable(self) -> bool:
        """That soundfile should not seek of its own accord; :meth:`seek` works."""
        return False


class _SoundFileSource(_Closing):
    """libsndfile."""

    def __init__(self, path: Path) -> None:
        self._file = _StraightFile(str(path))
        self.rate: int = self._file.samplerate
        # libsndfile states 2**63 - 1 for some damaged or streamed files
        frames = int(self._file.frames)
        self.is_mpeg = self._file.format == "MP3"
        self.n_samples: int | None = frames if frames < (1 << 48) else None

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        per_block = max(4_096, _BLOCK_SAMPLES // self._file.channels)
        dtype, full_scale = "float32", 1.0
        if self._file.subtype == "PCM_16":
            dtype, full_scale = "int16", 32_768.0
        while True:
            try:
                block = self._file.read(per_block, dtype=dtype, always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise _DamagedError(str(error)) from error
            if block.shape[0] == 0:
                return
            yield _mean(block.astype(np.float32, copy=False).T, full_scale)

    def seek(self, time_s: float) -> None:
        place = int(time_s * self.rate)
        # a frame of an mp3 may rest on bytes of frames before it
        per_frame = 1_152 if self.rate >= 32_000 else 576
        lead = min(place, _LEAD_FRAMES * per_frame) if self.is_mpeg else 0
        try:
            self._file.seek(place - lead)
            if lead:
                self._file.read(lead, dtype="float32")
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _DamagedError(str(error)) from error

    def check(self) -> None:
        pass  # libsndfile finds no sound by chance

    def close(self) -> None:
        self._file.close()


class _AvSource(_Closing):
    """FFmpeg, through PyAV."""

    def __init__(self, path: Path) -> None:
        import av

        self._path, self._av = path, av
        self._n_decoded = self._n_damaged = 0
        self._container = av.open(str(path), metadata_errors="replace")
        if not self._container.streams.audio:
            self._container.close()
            raise _nothing(path, "it has no sound track")
        self._stream = self._container.streams.audio[0]
        context: Any = self._stream.codec_context
        if context is None:  # FFmpeg has no decoder for it
            self._container.close()
            raise _nothing(path, "it is in an unknown format")
        self.rate: int = int(context.sample_rate or 0)
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
        frames = self._frames()
        while True:
            gathered: list[NDArray[np.float32]] = []
            n_gathered, damage = 0, None
            try:
                for planes in frames:
                    gathered.append(planes)
                    n_gathered += planes.size
                    if n_gathered >= _BLOCK_SAMPLES:
                        break
            except (self._av.FFmpegError, ValueError) as error:
                damage = error
            if len({len(planes) for planes in gathered}) == 1:
                yield _mean(np.concatenate(gathered, axis=1))
            elif gathered:
                yield np.concatenate([_mean(planes) for planes in gathered])
            if damage is not None:
                raise _DamagedError(str(damage)) from damage
            if not gathered:
                return

    def _frames(self) -> Iterator[NDArray[np.float32]]:
        """Frames (n_channels, n) as they come: some thousand samples each."""
        converters: dict[tuple[str, str, int], Any] = {}
        first = True
        skip_until: float | None = self._from_s if self._from_s > 0 else None
        for frame in self._undamaged():
            if first:
                self.rate, first = int(frame.sample_rate), False
            planar = [frame]
            if frame.format.name != "fltp" or frame.sample_rate != self.rate:
                # format, channels and rate may change within a file
                kind = (frame.format.name, frame.layout.name, frame.sample_rate)
                if kind not in converters:
                    converters[kind] = self._av.AudioResampler("fltp", frame.layout, self.rate)
                planar = converters[kind].resample(frame)
            for one in planar:
                planes = one.to_ndarray()
                if skip_until is not None and frame.time is not None:
                    ahead = round((skip_until - frame.time) * self.rate)
                    if ahead >= planes.shape[1]:
                        continue
                    planes = planes[:, max(0, ahead) :]
                    skip_until = None
                yield planes

    def _undamaged(self) -> Iterator[Any]:
        """PyAV's frames of all packets that can be decoded; raises at the end if some cannot."""
        damage: Exception | None = None
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except self._av.FFmpegError as error:
                damage = error
                self._n_damaged += 1
                if self._n_damaged >= _MANY_PACKETS and self._by_chance:
                    break
            else:
                self._n_decoded += len(frames)
                yield from frames
        if damage is not None:
            raise damage

    @property
    def _by_chance(self) -> bool:
        """Whether FFmpeg cannot decode a third of what it found: a text, say, or a program."""
        return 2 * self._n_damaged > self._n_decoded

    def check(self) -> None:
        if self._by_chance:
            raise _nothing(self._path, "hardly any of its bytes are sound")

    def seek(self, time_s: float) -> None:
        try:
            self._container.seek(int(time_s * self._av.time_base))
        except self._av.FFmpegError as error:
            raise _DamagedError(str(error)) from error
        self._from_s = time_s

    def close(self) -> None:
        self._container.close()


def _mean(channels: NDArray[np.float32], full_scale: float = 1.0) -> NDArray[np.float32]:
    """Mean (n,) of the channels (n_channels, n), divided by what they count as 1."""
    mono: NDArray[np.float32] = channels[0]
    if len(channels) == 1 and full_scale == 1.0:
        return mono
    # infinities are found and replaced later
    with np.errstate(over="ignore", invalid="ignore"):
        if len(channels) > 1:
            mono = channels[0] + channels[1]
        for channel in channels[2:]:
            mono += channel
    mono *= np.float32(1.0 / (len(channels) * full_scale))
    return mono


def _open(path: Path) -> _Source:
    if not path.exists():
        raise InputError(f"{path} does not exist: expected a sound file")
    if not path.is_file():
        raise InputError(f"{path} is not a file: expected a sound file")
    try:
        n_bytes = path.stat().st_size
        if n_bytes == 0:
            raise InputError(f"{path} is empty (0 bytes): expected a sound file; copy it again")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    bits = _pcm_bits(head)
    if bits is not None and bits < 8:
        # both libraries would read its bytes as samples
        raise _nothing(path, f"its header states PCM of {bits} bits, expected 8 or more")
    source: _Source
    try:
        if not (head.startswith(_SNDFILE_STARTS) or _mp3_frame(head[:4])):
            raise _DamagedError("libsndfile does not know this beginning")
        source = _SoundFileSource(path)
        if source.n_samples == 0 and n_bytes > _HEAD_BYTES:
            source.close()
            raise _DamagedError("the header says that there are no samples, FFmpeg looks for them")
    except (soundfile.LibsndfileError, RuntimeError, TypeError, _DamagedError):
        source = _open_av(path)
    if not _LOWEST_RATE <= source.rate <= _HIGHEST_RATE:
        rate = source.rate
        source.close()
        raise InputError(f"{path} states a sample rate of {rate} Hz: its header is damaged")
    return source


def _pcm_bits(head: bytes) -> int | None:
    """Bits per sample by the beginning of a wav file of integers; ``None`` for anything else."""
    place = 12 if head[:4] == b"RIFF" and head[8:12] == b"WAVE" else len(head)
    while place + 24 <= len(head):
        if head[place : place + 4] == b"fmt ":
            is_pcm = int.from_bytes(head[place + 8 : place + 10], "little") == 1
            return int.from_bytes(head[place + 22 : place + 24], "little") if is_pcm else None
        n_bytes = int.from_bytes(head[place + 4 : place + 8], "little")
        place += 8 + n_bytes + n_bytes % 2
    return None


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


def _limited(source: _Source, limit_s: float) -> Iterator[NDArray[np.float32]]:
    """Blocks of a source, at most ``limit_s`` seconds of them."""
    left: int | None = None
    for block in source.blocks():
        if left is None:  # the rate is certain once something was decoded
            left = round(limit_s * source.rate)
        yield block[:left]
        left -= block.size
        if left <= 0:
            return


@dataclass
class _Collector:
    """Resamples blocks to a rate and replaces what is not a number."""

    sample_rate: int
    n_replaced: int = 0
    n_read: int = 0
    damaged: str | None = None

    def collect(self, source: _Source, limit_s: float | None = None) -> NDArray[np.float32]:
        """Waveform from where the source stands, at most ``limit_s`` seconds of it."""
        parts: list[NDArray[np.float32]] = []
        stream: soxr.ResampleStream | None = None
        try:
            for block in source.blocks() if limit_s is None else _limited(source, limit_s):
                if stream is None and source.rate != self.sample_rate:
                    stream = soxr.ResampleStream(source.rate, self.sample_rate, 1, dtype="float32")
                self.n_read += block.size
                block = self._finite(block)
                parts.append(block if stream is None else stream.resample_chunk(block))
        except _DamagedError as error:
            self.damaged = str(error)
        if stream is not None:
            parts.append(stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        if not parts:
            return np.zeros(0, dtype=np.float32)
        return np.concatenate(parts) if len(parts) > 1 else np.ascontiguousarray(parts[0])

    def collect_part(self, source: _Source, start_s: float, length_s: float) -> NDArray[np.float32]:
        """Waveform of a part; empty where the file is too damaged to find it."""
        try:
            source.seek(start_s)
        except _DamagedError as error:
            self.damaged = str(error)
            return np.zeros(0, dtype=np.float32)
        return self.collect(source, length_s)

    def _finite(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        finite = np.isfinite(block)
        if finite.all():
            return block
        bad = ~finite
        self.n_replaced += int(bad.sum())
        return np.where(bad, np.float32(0.0), block).astype(np.float32)

    def notes(self) -> list[str]:
        found = []
        if self.n_replaced:
            found.append(f"{self.n_replaced} samples were not numbers and were read as silence")
        return found


def _stated_s(source: _Source) -> float | None:
    """Length of a file in seconds as its header states it."""
    return None if source.n_samples is None else source.n_samples / source.rate


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


def decode(path: Path | str, *, sample_rate: int = SAMPLE_RATE) -> Waveform:
    """Decode a whole sound file.

    Parameters
    ----------
    path
        A local file; its format is found from the content.
    sample_rate
        Of the result, in Hz.

    Returns
    -------
    The waveform, mono. Three hours at 16 kHz take 690 MB: for files of any length
    see :func:`decode_excerpts`.

    Raises
    ------
    InputError
        If the file is missing, unreadable, empty, or nothing in it can be
        decoded; the message names the file.
    """
    path = Path(path)
    with _open(path) as source:
        return _decode_all(path, source, sample_rate)


def _decode_all(path: Path, source: _Source, sample_rate: int) -> Waveform:
    collector = _Collector(sample_rate)
    samples = collector.collect(source)
    if isinstance(source, _SoundFileSource) and (
        samples.size == 0 or (source.is_mpeg and _falls_short(source, collector))
    ):
        # FFmpeg finds its way back into a damaged file
        again = _Collector(sample_rate)
        with suppress(InputError), _open_av(path) as second:
            more = again.collect(second)
            second.check()
            if more.size > samples.size + (_SHORT_S * sample_rate if samples.size else 0):
                samples, collector, source = more, again, second
    source.check()
    if samples.size == 0:
        if collector.damaged is None and source.n_samples == 0:
            raise InputError(f"{path} has a header but no samples: the recording is empty")
        raise _nothing(path, collector.damaged or "it has no samples")
    duration_s = samples.size / sample_rate
    notes = collector.notes()
    if isinstance(source, _AvSource) and collector.damaged is not None:
        notes.append(_PARTLY)
    elif _falls_short(source, collector) or _cut_off(path):
        notes.append(
            f"the file is cut off or damaged: only its first {_clock(duration_s)} could be decoded"
        )
    return Waveform(samples, sample_rate, tuple(notes))


def _falls_short(source: _Source, collector: _Collector) -> bool:
    """Whether less was decoded than a file promises."""
    if collector.damaged is not None:
        return True
    promised = source.n_samples or 0
    return promised - collector.n_read > _SHORT_S * source.rate


def _counted_s(path: Path) -> float:
    """Length of a file in seconds, found by decoding it without keeping anything."""
    n_samples = 0
    with _open(path) as source:
        with suppress(_DamagedError):
            for block in source.blocks():
                n_samples += block.size
        return n_samples / source.rate


def decode_part(
    path: Path | str, *, start_s: float, length_s: float, sample_rate: int = SAMPLE_RATE
) -> Waveform:
    """Decode one part of a sound file, without reading what lies before or behind it.

    Parameters
    ----------
    path
        A local file; its format is found from the content.
    start_s, length_s
        Where the part begins and how long it is, in seconds. Of a recording that
        ends before it does, the last ``length_s`` seconds are taken, or all of a
        shorter one.
    sample_rate
        Of the result, in Hz.

    Raises
    ------
    InputError
        As :func:`decode`, or if start or length make no sense.
    """
    path = Path(path)
    if not (0.0 <= start_s < float("inf") and 0.0 < length_s < float("inf")):
        raise InputError(f"a part of {length_s} s from {start_s} s: expected 0 or more seconds")
    with _open(path) as source:
        stated_s, part = _stated_s(source), None
        if stated_s is not None:
            part = _part(path, source, stated_s, start_s, length_s, sample_rate)
        # a header may say nothing, or promise more than there is
        if part is None or part.duration_s < min(length_s, stated_s or 0.0) - _SHORT_S:
            part = _part(path, source, _counted_s(path), start_s, length_s, sample_rate)
    if part.samples.size == 0:
        raise _nothing(path, f"nothing could be read at {_clock(start_s)}")
    return part


def _part(
    path: Path,
    source: _Source,
    duration_s: float,
    start_s: float,
    length_s: float,
    sample_rate: int,
) -> Waveform:
    """A part of a file of a known length; shorter where the file is damaged."""
    if duration_s <= length_s:
        return decode(path, sample_rate=sample_rate)
    collector = _Collector(sample_rate)
    samples = collector.collect_part(source, min(start_s, duration_s - length_s), length_s)
    source.check()
    notes = collector.notes()
    if collector.damaged is not None or _cut_off(path):
        notes.append(_PARTLY)
    return Waveform(samples, sample_rate, tuple(notes))


def decode_excerpts(
    path: Path | str,
    *,
    length_s: float = 10.0,
    at_most: int = 24,
    sample_rate: int = SAMPLE_RATE,
) -> Excerpts:
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
        duration_s = _stated_s(source)
        if duration_s is None:
            duration_s = _counted_s(path)
        if duration_s <= at_most * length_s:
            whole = _decode_all(path, source, sample_rate)
            return Excerpts((whole.samples,), whole.duration_s, whole.notes, sample_rate)
        collector = _Collector(sample_rate)
        pieces: list[NDArray[np.float32]] = []
        missing = 0
        for start_s in np.linspace(0.0, duration_s - length_s, at_most):
            piece = collector.collect_part(source, float(start_s), length_s)
            if piece.size < 0.5 * length_s * sample_rate:
                missing += 1
            if piece.size:
                pieces.append(piece)
        source.check()
    if not pieces:
        raise _nothing(path, collector.damaged or "it has no samples")
    notes = collector.notes()
    if missing or _cut_off(path):
        notes.append(_PARTLY)
    notes.append(
        f"{_clock(duration_s)} long: {len(pieces)} windows of {length_s:g} s spread over it "
        "were read"
    )
    return Excerpts(tuple(pieces), duration_s, tuple(notes), sample_rate)
