"""``make bench``: how fast maeum is, as ratios against reference libraries in the same run.

Absolute times depend on the machine and on what else it does; a ratio of two
things measured alternately in one run does so far less. Every comparison checks
first that both sides give the same answer. Cold times are whole processes, from
the start of Python to the last line of output.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.measurement import SEED, Measurement, alternate, write_song

PARTS: Final = (
    "search", "rescoring", "mel", "sound", "mel-reading", "text", "commands", "indexing",
)  # fmt: skip
MOOD: Final = "오늘 너무 우울해"
SONG_TEXTS: Final = 240


def mel(*, repeats: int) -> Measurement:
    """Log-mel of 30 seconds against librosa, in the same configuration."""
    import librosa

    from audio_model.log_mel import KAKAO, log_mel

    samples = np.random.default_rng(SEED).standard_normal(30 * KAKAO.sample_rate) * 0.1
    waveform = samples.astype(np.float32)

    def reference() -> NDArray[np.float32]:
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
        decibels: NDArray[np.float32] = librosa.power_to_db(power, ref=1.0, top_db=None)
        return decibels

    difference = float(np.abs(log_mel(waveform) - reference()).max())
    assert difference < 0.01, f"the spectrograms differ by {difference} dB"
    ours_ms, reference_ms = alternate(lambda: log_mel(waveform), reference, repeats)
    return Measurement("log-mel of 30 s", ours_ms, "librosa", reference_ms)


def text_speed(*, repeats: int) -> list[Measurement]:
    """Reading of texts: an int8 model folder against a pipeline of equal size, one thread each."""
    from benchmarks.twins import LARGEST_DIFFERENCE, Twins, one_thread, texts

    songs = texts(SONG_TEXTS)
    size = "the same encoder, one thread"
    pipeline = "transformers pipeline, float32"
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        twins = Twins(Path(folder))
        read = twins.predictor.distributions
        difference = twins.largest_difference(songs[:60])
        assert difference < LARGEST_DIFFERENCE, f"a probability differs by {difference:.3f}"
        many = max(repeats // 5, 3)
        batched_ms, published_ms = alternate(
            lambda: read(songs), lambda: twins.one_by_one(songs), many
        )
        sorted_ms, single_ms = alternate(
            lambda: read(songs), lambda: [read([song]) for song in songs], many
        )
        mood_ms, published_mood_ms = alternate(
            lambda: read([MOOD]), lambda: twins.published(MOOD), 10 * repeats
        )
        whole_ms, again_ms = alternate(
            lambda: twins.predictor.read(MOOD, as_mood=True),
            lambda: twins.published(MOOD),
            10 * repeats,
        )
    return [
        Measurement(
            f"{len(songs)} texts in batches, int8 ({size})",
            batched_ms,
            f"{pipeline}, one by one",
            published_ms,
            least_ratio=2.0,
            texts=len(songs),
        ),
        Measurement(
            f"{len(songs)} texts in batches, int8",
            sorted_ms,
            "the same int8 network, one by one",
            single_ms,
            texts=len(songs),
        ),
        Measurement(
            f"one mood sentence, int8 ({size})",
            mood_ms,
            pipeline,
            published_mood_ms,
            least_ratio=5.0,
        ),
        Measurement("the same, with its language and segments", whole_ms, pipeline, again_ms),
    ]


def process_ms(arguments: Sequence[str], *, repeats: int) -> float:
    """Median milliseconds of ``maeum`` as a process of its own.

    Raises
    ------
    RuntimeError
        If the command fails.
    """
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        times.append(1000.0 * (time.perf_counter() - start))
        if done.returncode:
            raise RuntimeError(f"maeum {' '.join(arguments)}: {done.stderr.strip()}")
    return statistics.median(times)


def cold_recommendation(*, repeats: int) -> Measurement:
    """A mood in, songs out, as a cold process."""
    from app.demo import DEMO_CATALOGUE

    arguments = ["recommend", MOOD, "--json", "--catalogue", str(DEMO_CATALOGUE)]
    return Measurement(
        "cold `maeum recommend`", process_ms(arguments, repeats=repeats), limit_ms=1000.0
    )


def song_analysis(*, repeats: int) -> Measurement:
    """A four-minute mp3 in, its emotions out, as a cold process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.mp3"
        write_song(path)
        took = process_ms(["analyse", "--audio", str(path), "--json"], repeats=repeats)
    return Measurement("cold `maeum analyse` of a 4-minute mp3", took, limit_ms=3000.0)


def report(measurements: Sequence[Measurement]) -> str:
    """A Markdown table."""
    lines = [
        "| what | maeum | reference | times faster | promised |",
        "|---|---:|---:|---:|---:|",
    ]
    for m in measurements:
        reference = ""
        if m.reference_ms is not None:
            took = f"{_time(m.reference_ms)}{_late(m.reference_p95_ms)}"
            reference = f"{m.reference} {took}{_rate(m.texts, m.reference_ms)}"
        ratio = "" if m.ratio is None else f"{m.ratio:.1f}"
        promised = []
        if m.limit_ms is not None:
            promised.append(f"at most {_time(m.limit_ms)}")
        if m.least_ratio is not None:
            promised.append(f"at least {m.least_ratio:g} times faster")
        if m.limit_mb is not None:
            promised.append(f"at most {m.limit_mb:.0f} MB")
        memory = "" if m.memory_mb is None else f", {m.memory_mb:.0f} MB"
        ours = f"{_time(m.ours_ms)}{_late(m.p95_ms)}{_rate(m.texts, m.ours_ms)}{memory}"
        lines.append(f"| {m.what} | {ours} | {reference} | {ratio} | {', '.join(promised)} |")
    return "\n".join(lines)


def _rate(texts: int | None, milliseconds: float) -> str:
    return "" if texts is None else f" ({1000 * texts / milliseconds:,.0f} a second)"


def _late(p95_ms: float | None) -> str:
    return "" if p95_ms is None else f" (95%: {_time(p95_ms)})"


def _time(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.2f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def machine() -> str:
    """Processor and cores, as far as the system tells."""
    name = "unknown processor"
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"


def measure(*, repeats: int, only: str | None = None) -> list[Measurement]:
    """All measurements, slow ones last, or those of one part."""
    from benchmarks.indexing_speed import indexing_speed
    from benchmarks.mel_reading import mel_reading
    from benchmarks.rescoring_speed import rescoring_speed
    from benchmarks.search_speed import search_speed
    from benchmarks.sound_speed import sound_speed

    parts: dict[str, Callable[[], list[Measurement]]] = {
        "search": lambda: search_speed(repeats=repeats),
        "rescoring": lambda: rescoring_speed(repeats=max(repeats // 3, 3)),
        "mel": lambda: [mel(repeats=repeats)],
        "sound": lambda: sound_speed(repeats=repeats),
        "mel-reading": lambda: [mel_reading(repeats=repeats)],
        "text": lambda: text_speed(repeats=repeats),
        "commands": lambda: [
            cold_recommendation(repeats=max(repeats // 3, 3)),
            song_analysis(repeats=max(repeats // 5, 3)),
        ],
        "indexing": lambda: [indexing_speed(repeats=1)],
    }
    assert tuple(parts) == PARTS, "the parts are those of --only"
    return [line for name, part in parts.items() if only in (None, name) for line in part()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description="Measure the speed of maeum.")
    parser.add_argument("--repeats", type=int, default=15, help="calls per measurement")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    parser.add_argument("--out", type=Path, help="folder for speed.md and speed.json")
    options = parser.parse_args(arguments)
    measurements = measure(repeats=options.repeats, only=options.only)
    text = f"Measured on {machine()}; medians of alternating calls.\n\n{report(measurements)}\n"
    print(text, end="")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "speed.md").write_text(text, encoding="utf-8")
        content: dict[str, Any] = {
            "machine": machine(),
            "measurements": [asdict(m) | {"ratio": m.ratio} for m in measurements],
        }
        (options.out / "speed.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
