"""Small sound files of every format whose tags can be written."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile

RATE = 16_000

SUFFIXES = (".mp3", ".flac", ".ogg", ".opus", ".wav", ".aiff", ".m4a", ".wma")

_SNDFILE = {
    ".mp3": ("MP3", None),
    ".flac": ("FLAC", None),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".wav": ("WAV", None),
    ".aiff": ("AIFF", None),
}
_FFMPEG = {".m4a": ("mp4", "aac"), ".wma": ("asf", "wmav2")}


def sine(path: Path, duration_s: float = 0.5) -> Path:
    """A tone in the format that the ending names, without tags of ours."""
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(RATE * duration_s)) / RATE)
    if path.suffix in _SNDFILE:
        form, subtype = _SNDFILE[path.suffix]
        soundfile.write(str(path), samples.astype(np.float32), RATE, subtype, format=form)
        return path
    container, codec = _FFMPEG[path.suffix]
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE)
        stream.layout = "mono"
        stream.bit_rate = 48_000
        for start in range(0, len(samples) - 1024, 1024):
            part = samples[None, start : start + 1024].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(part, "fltp", "mono")
            frame.sample_rate = RATE
            frame.pts = start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def heard(path: Path) -> np.ndarray:
    """Its samples, decoded."""
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
