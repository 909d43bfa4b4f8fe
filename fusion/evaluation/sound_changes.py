"""What happens to recordings on their way to a listener: gain, codec, sample rate, noise.

A changed recording is a waveform that a model hears like any other. Levels are
those of the file: full scale is ±1.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from audio_model.decode import SAMPLE_RATE, decode
from data_prep.errors import InputError

EXCERPT_S: Final = 240
"""Of a longer recording, so many seconds from its start are heard."""

BIT_RATE: Final = 64_000
NARROW_RATE: Final = 8_000

_MP3_RATES: Final = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@dataclass(frozen=True, eq=False)
class Sound:
    """A recording as it is.

    Attributes
    ----------
    path
        Its file.
    samples
        Array (n_samples,): its first :data:`EXCERPT_S` seconds, mono, 16 kHz.
    """

    path: Path
    samples: NDArray[np.float32]

    @classmethod
    def of(cls, path: Path) -> Sound:
        """Decode a file.

        Raises
        ------
        InputError
            If it is missing, or cannot be decoded.
        """
        return cls(path, decode(path).samples[: EXCERPT_S * SAMPLE_RATE])


Change = Callable[[Sound], tuple[NDArray[np.float32], int]]
"""Gives a waveform, (n_samples,) or (n_samples, n_channels), and its sample rate."""


def unchanged(sound: Sound) -> tuple[NDArray[np.float32], int]:
    """The recording as it is."""
    return sound.samples, SAMPLE_RATE


def quieter(sound: Sound) -> tuple[NDArray[np.float32], int]:
    """At -12 dB."""
    return sound.samples * _factor(-12.0), SAMPLE_RATE


def clipped(sound: Sound) -> tuple[NDArray[np.float32], int]:
    """At +24 dB, cut off at full scale."""
    return np.clip(sound.samples * _factor(24.0), -1.0, 1.0), SAMPLE_RATE


def narrow(sound: Sound) -> tuple[NDArray[np.float32], int]:
    """At 8 kHz; a model that wants another rate resamples it up again."""
    return soxr.resample(sound.samples, SAMPLE_RATE, NARROW_RATE), NARROW_RATE


def noisy(sound: Sound) -> tuple[NDArray[np.float32], int]:
    """With white noise 20 dB below the recording's power; the same noise each time."""
    samples = sound.samples
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    noise = np.random.default_rng(0).normal(0.0, np.sqrt(power) * _factor(-20.0), samples.size)
    return samples + noise.astype(np.float32), SAMPLE_RATE


def through_mp3(sound: Sound) -> tuple[NDArray[np.float32], int]:
    """Through mp3 at 64 kbit/s, with the channels and sample rate of the file itself.

    Raises
    ------
    InputError
        If FFmpeg cannot decode the file, or PyAV was built without an mp3 encoder.
    """
    with tempfile.TemporaryDirectory() as folder:
        mp3 = Path(folder) / "recording.mp3"
        encode_mp3(sound.path, mp3)
        # In one go: after each block, soundfile seeks, and libmpg123 then prints warnings.
        samples, rate = soundfile.read(mp3, dtype="float32")
        return samples[: EXCERPT_S * rate], int(rate)


def encode_mp3(path: Path, mp3: Path, bit_rate: int = BIT_RATE) -> None:
    """Write the first :data:`EXCERPT_S` seconds of a sound file as mp3.

    Channels beyond two are mixed down; a sample rate that mp3 does not have becomes
    the highest one below it.

    Raises
    ------
    InputError
        If FFmpeg cannot decode the file, or PyAV was built without an mp3 encoder.
    """
    import av

    try:
        with (
            av.open(str(path), metadata_errors="replace") as source,
            av.open(str(mp3), "w", format="mp3") as target,
        ):
            _transcode(av, source, target, bit_rate)
    except (av.FFmpegError, ValueError, UnicodeError, IndexError) as error:
        # UnknownCodecError is a ValueError
        raise InputError(f"{path} cannot be encoded as mp3: {error}") from error


def _transcode(av: Any, source: Any, target: Any, bit_rate: int) -> None:
    track = source.streams.audio[0]
    rate = max((r for r in _MP3_RATES if r <= track.rate), default=_MP3_RATES[0])
    layout = "mono" if track.codec_context.layout.nb_channels == 1 else "stereo"
    stream = target.add_stream("libmp3lame", rate=rate)
    stream.bit_rate = bit_rate
    stream.layout = layout
    converter = av.AudioResampler(format="fltp", layout=layout, rate=rate)
    n_samples = 0
    for frame in source.decode(track):
        for converted in converter.resample(frame):
            n_samples += converted.samples
            target.mux(stream.encode(converted))
        if n_samples >= EXCERPT_S * rate:
            break
    for converted in converter.resample(None):
        target.mux(stream.encode(converted))
    target.mux(stream.encode(None))


def _factor(db: float) -> np.float32:
    return np.float32(10.0 ** (db / 20.0))


CHANGES: Final[dict[str, Change]] = {
    "-12 dB": quieter,
    "mp3, 64 kbit/s": through_mp3,
    "8 kHz": narrow,
    "+24 dB, clipped": clipped,
    "noise at 20 dB": noisy,
}
"""Name of a change → what makes it."""
