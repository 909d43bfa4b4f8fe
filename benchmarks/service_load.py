"""Load: fifty clients that ask for moods without a pause, while five upload songs.

A client that is told "busy" comes back after the time that it was told.

``python -m benchmarks.service_load`` starts ``maeum serve`` as a process of its own, asks it over
kept connections, and says what the clients saw: percentiles, refusals, failures, and the memory
of the service at the start, in the middle and at the end. The clients run on the same cores as
the service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from app.service.limits import RETRY_AFTER_S
from benchmarks.indexing_speed import memory_mb
from benchmarks.measurement import SEED, Measurement
from benchmarks.rescoring_speed import write_catalogue
from data_prep.data_folder import require
from lyrics_model.moods import read_moods

MOOD_CLIENTS: Final = 50
SONG_CLIENTS: Final = 5
SECONDS: Final = 60.0
LIMIT_DEMO_MS: Final = 300.0
LIMIT_LARGE_MS: Final = 500.0

_BOUNDARY: Final = "maeum-load"
_WARM_UP_S: Final = 3.0


def sentences() -> list[str]:
    """Everyday moods in both languages, each also with another one behind it."""
    listed = [row.text for row in read_moods("train")]
    return listed + [f"{one} {other}" for one, other in zip(listed, listed[7:], strict=False)]


@dataclass
class Seen:
    """What the clients saw."""

    mood_ms: list[float] = field(default_factory=list)
    song_ms: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def percentile(self, part: float) -> float:
        """Milliseconds within which that part of the mood queries was answered."""
        return float(np.percentile(self.mood_ms, 100.0 * part))


def load(catalogue: Path | None, seconds: float = SECONDS) -> Seen:
    """Start a service over a catalogue (the demo if ``None``), and load it."""
    with service(catalogue) as (port, pid):
        return asyncio.run(_clients(port, seconds, pid))


@contextmanager
def service(catalogue: Path | str | None = None, processes: int = 1) -> Iterator[tuple[int, int]]:
    """``maeum serve``, of so many processes: its port and its number, when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
    command += ["--processes", str(processes)]
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as home:
        environment["XDG_DATA_HOME"] = home
        environment.pop("MAEUM_CATALOGUE", None)
        if catalogue is not None:
            command += ["--catalogue", str(catalogue)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        try:
            _wait(port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def service_load(seconds: float = SECONDS) -> list[Measurement]:
    """p95 of mood queries with the demo catalogue and with one of the published size."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.db"
        write_catalogue(large)
        for name, place, limit in (
            ("the demo catalogue", None, LIMIT_DEMO_MS),
            ("707,989 songs", large, LIMIT_LARGE_MS),
        ):
            seen = load(place, seconds)
            print(told(name, seen, seconds), flush=True)
            assert not seen.failures, seen.failures[:3]
            found.append(
                Measurement(
                    f"p95 of mood queries, {MOOD_CLIENTS} clients and {SONG_CLIENTS} uploading "
                    f"songs, {name}",
                    seen.percentile(0.95),
                    limit_ms=limit,
                    memory_mb=max(seen.memory_mb),
                )
            )
    return found


def told(name: str, seen: Seen, seconds: float) -> str:
    """One line about a run."""
    shares = ", ".join(f"p{100 * p:.0f} {seen.percentile(p):.0f} ms" for p in (0.5, 0.95, 0.99))
    songs = statistics.median(seen.song_ms) / 1000.0 if seen.song_ms else float("nan")
    memory = " → ".join(f"{each:.0f}" for each in seen.memory_mb)
    return (
        f"{name}: {len(seen.mood_ms):,} moods ({len(seen.mood_ms) / seconds:.0f}/s), {shares}, "
        f"longest {max(seen.mood_ms):.0f} ms; {len(seen.song_ms)} songs, median {songs:.1f} s; "
        f"answers {dict(seen.answers)}; failures {len(seen.failures)}; memory {memory} MB"
    )


async def _clients(port: int, seconds: float, pid: int) -> Seen:
    seen = Seen()
    moods = sentences()
    songs = sorted(require("songs").rglob("*.mp3"))
    begin = time.perf_counter() + _WARM_UP_S
    end = begin + seconds
    tasks = [
        _moods(port, moods, random.Random(SEED + i), seen, begin, end) for i in range(MOOD_CLIENTS)
    ]
    tasks += [_songs(port, songs[i % len(songs)], seen, begin, end) for i in range(SONG_CLIENTS)]
    await asyncio.gather(*tasks, _memory(pid, seen, begin, seconds))
    return seen


async def _moods(
    port: int, moods: list[str], rng: random.Random, seen: Seen, begin: float, end: float
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        asked: dict[str, object] = {"text": rng.choice(moods), "count": rng.choice((5, 10, 20))}
        if rng.random() < 0.3:
            asked["toward"] = rng.choice(("joy", "calm"))
        if rng.random() < 0.3:
            asked["has_lyrics"] = True
        if rng.random() < 0.3:
            asked["listener"] = f"load-client-{rng.randrange(1000):06}"
        body = json.dumps(asked).encode()
        start = time.perf_counter()
        status, content = await ask(reader, writer, "/api/v1/recommend", "application/json", body)
        took = 1000.0 * (time.perf_counter() - start)
        _note(seen, "mood", status, content)
        if start >= begin and status == 200:
            seen.mood_ms.append(took)
        if status == 503:
            await asyncio.sleep(RETRY_AFTER_S)
    writer.close()


async def _songs(port: int, song: Path, seen: Seen, begin: float, end: float) -> None:
    content = song.read_bytes()
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="audio"; filename="song.mp3"\r\n'
        "Content-Type: audio/mpeg\r\n\r\n"
    ).encode()
    body = head + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        start = time.perf_counter()
        status, answer = await ask(reader, writer, "/api/v1/analyse", kind, body)
        _note(seen, "song", status, answer)
        if start >= begin and status == 200:
            seen.song_ms.append(1000.0 * (time.perf_counter() - start))
        if status == 503:
            await asyncio.sleep(RETRY_AFTER_S)
    writer.close()


async def _memory(pid: int, seen: Seen, begin: float, seconds: float) -> None:
    for part in (0.0, 0.5, 1.0):
        await asyncio.sleep(max(0.0, begin + part * seconds - time.perf_counter()))
        seen.memory_mb.append(memory_mb(pid))


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, kind: str, body: bytes
) -> tuple[int, bytes]:
    """Post something over a kept connection: the status, and what was answered."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    lines = answer.decode("latin-1").split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
    content = await reader.readexactly(int(headers["content-length"]))
    return int(lines[0].split()[1]), content


def _note(seen: Seen, kind: str, status: int, content: bytes) -> None:
    seen.answers[f"{kind} {status}"] += 1
    is_busy = status == 503 and b'"busy"' in content
    if status != 200 and not is_busy:
        seen.failures.append(f"{kind} {status}: {content[:200]!r}")


def _wait(port: int) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as answer:
                answer.read()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the service does not answer")


def main() -> None:
    """Load a service and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--catalogue", type=Path, help="only with this catalogue")
    parser.add_argument("--demo", action="store_true", help="only with the demo catalogue")
    options = parser.parse_args()
    if options.demo or options.catalogue:
        seen = load(options.catalogue, options.seconds)
        print(told(str(options.catalogue or "the demo catalogue"), seen, options.seconds))
        sys.exit(1 if seen.failures else 0)
    service_load(options.seconds)


if __name__ == "__main__":
    main()
