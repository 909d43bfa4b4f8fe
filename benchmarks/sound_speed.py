"""Speed and memory of the sound branch: decoding to log-mel beside librosa, and whole analyses.

Both sides of a comparison get the same file and give the same thing: the log-mel
of the Kakao preset, here as a numpy array, there as the tensor that a network
trained with torch would be given. Memory is the peak of a process of its own.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.measurement import SEED, SONG_S, Measurement, alternate, write_song

if TYPE_CHECKING:
    import torch

CLIP_S: Final = 30
LONG_HOURS: Final = 3
LEAST_RATIOS: Final = {"mp3": 1.5, "wav": 2.0}
LARGEST_DIFFERENCE_DB: Final = 0.1
LIMIT_MS: Final = 1500.0
LIMIT_MB: Final = 400.0

_READ: Final = """
import re, resource, sys
from pathlib import Path
from audio_model.predictor import AudioPredictor
assert AudioPredictor.load().read_file(sys.argv[1]).distribution is not None
status = Path("/proc/self/status")
if status.exists():  # ru_maxrss counts what the parent held before the program was started
    peak = re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text())
    print(int(peak[1]) / 1024)
else:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
"""


def sound_speed(*, repeats: int) -> list[Measurement]:
    """All measurements of this file."""
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.mp3"
        write_song(song)
        return [
            *(decode_to_mel(song, kind, repeats=repeats) for kind in LEAST_RATIOS),
            warm_analysis(song, repeats=max(repeats // 3, 3)),
            memory(song, f"a {SONG_S // 60}-minute mp3"),
            memory(_long_recording(Path(folder) / "long.wav"), f"a recording of {LONG_HOURS} h"),
        ]


def decode_to_mel(song: Path, kind: str, *, repeats: int) -> Measurement:
    """Thirty seconds of stereo at 44.1 kHz, from the file to the log-mel at 16 kHz.

    One thread each: threads of BLAS go on spinning after the reference's product is
    done, and would take time from what is measured next.
    """
    import librosa
    import soundfile
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from audio_model.decode import decode
    from audio_model.log_mel import KAKAO, log_mel

    clip = song.with_name(f"clip.{kind}")
    samples, rate = soundfile.read(song, frames=CLIP_S * 44_100)
    soundfile.write(clip, samples, rate)

    def reference() -> torch.Tensor:
        waveform, _ = librosa.load(clip, sr=KAKAO.sample_rate)
        power = librosa.feature.melspectrogram(
            y=waveform,
            sr=KAKAO.sample_rate,
            n_fft=KAKAO.n_fft,
            hop_length=KAKAO.hop_length,
            n_mels=KAKAO.n_mels,
            fmin=KAKAO.f_min,
            fmax=KAKAO.f_max,
            pad_mode="constant",
        )
        return torch.from_numpy(librosa.power_to_db(power, ref=1.0, top_db=None))

    found, expected = log_mel(decode(clip).samples), reference().numpy()
    loud = expected > expected.max() - 60.0
    difference = float(np.abs(found - expected)[loud].max())
    assert difference < LARGEST_DIFFERENCE_DB, f"the log-mels differ by {difference:.3f} dB"
    with threadpool_limits(1):
        ours_ms, reference_ms = alternate(lambda: log_mel(decode(clip).samples), reference, repeats)
    return Measurement(
        f"{CLIP_S} s of {kind} to log-mel, one thread",
        ours_ms,
        "librosa.load, librosa mel, torch",
        reference_ms,
        least_ratio=LEAST_RATIOS[kind],
    )


def warm_analysis(song: Path, *, repeats: int) -> Measurement:
    """A whole analysis by a loaded embedded model: decoding, spectra, network."""
    from audio_model.predictor import AudioPredictor

    predictor = AudioPredictor.load()
    predictor.read_file(song)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        predictor.read_file(song)
        times.append(1000.0 * (time.perf_counter() - start))
    median = float(np.median(times))
    return Measurement(
        f"a {SONG_S // 60}-minute mp3 by the loaded sound model "
        f"({1000 * SONG_S / median:.0f} times as fast as it plays)",
        median,
        limit_ms=LIMIT_MS,
    )


def memory(recording: Path, what: str) -> Measurement:
    """Peak memory of a process that loads the embedded model and analyses one recording.

    Raises
    ------
    RuntimeError
        If the process fails.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(recording)], capture_output=True, text=True, check=False
    )
    took_ms = 1000.0 * (time.perf_counter() - start)
    if done.returncode or not re.fullmatch(r"[\d.]+\s*", done.stdout):
        raise RuntimeError(f"the analysis of {recording.name} failed: {done.stderr.strip()}")
    return Measurement(
        f"{what}, a process for itself",
        took_ms,
        memory_mb=float(done.stdout),
        limit_mb=LIMIT_MB,
    )


def _long_recording(path: Path) -> Path:
    """Hours of 16-bit mono at 44.1 kHz with some sound; the silence takes no space on the disk."""
    rate = 44_100
    n_bytes = LONG_HOURS * 3600 * rate * 2
    sound = np.random.default_rng(SEED).normal(0, 3000, 60 * rate).astype("<i2").tobytes()
    layout = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + n_bytes) + b"WAVEfmt " + layout)
        file.write(b"data" + struct.pack("<I", n_bytes))
        file.truncate(44 + n_bytes)
        for second in range(0, LONG_HOURS * 3600, 600):
            file.seek(44 + second * rate * 2)
            file.write(sound)
    return path
