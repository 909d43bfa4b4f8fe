"""Indexing the recordings of the data folders: on all cores beside one, and killed again and again.

``python -m benchmarks.indexing_speed --kills 10`` indexes them once in peace and once with a
SIGKILL at ten random moments, and compares the two catalogues row for row.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.reading_pool import usable_cores
from benchmarks.measurement import SEED, Measurement
from data_prep.data_folder import require

FOLDERS: Final = ("audio/emotify", "songs/jamendo", "songs/cc_songs")
LIMIT_MB: Final = 1024.0
LEAST_RATIO: Final = 1.8

_LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True)
class Run:
    """One indexing: its seconds, and the most memory of all its processes together in MB."""

    seconds: float
    memory_mb: float


def indexing_speed(*, repeats: int) -> Measurement:
    """All cores against one; the one core does everything, as it would on a smaller machine."""
    cores = sorted(os.sched_getaffinity(0))
    runs: dict[str, list[Run]] = {"one": [], "all": []}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats):
            for name, used in (("all", cores), ("one", cores[:1])):
                place = Path(folder) / f"{name}{repeat}.db"
                runs[name].append(index(place, used))
        count = len(rows(Path(folder) / "all0.db")["maeum_songs"])
        differing = differences(Path(folder) / "all0.db", Path(folder) / "one0.db")
        assert not differing, f"catalogues differ: {differing}"
    seconds = {name: statistics.median(run.seconds for run in of) for name, of in runs.items()}
    return Measurement(
        f"index {count} recordings on {len(cores)} cores",
        1000.0 * seconds["all"],
        "on one core",
        1000.0 * seconds["one"],
        least_ratio=LEAST_RATIO,
        memory_mb=max(run.memory_mb for run in runs["all"]),
        limit_mb=LIMIT_MB,
    )


def command(place: Path) -> list[str]:
    """``maeum index`` of the data folders into a catalogue."""
    folders = [str(require(folder)) for folder in FOLDERS]
    return [sys.executable, "-m", "app.cli", "index", *folders, "--catalogue", str(place)]


def index(place: Path, cores: list[int]) -> Run:
    """Index on some cores, to the end."""
    start = time.perf_counter()
    process = subprocess.Popen(command(place), stderr=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, set(cores))
    most = 0.0
    while process.poll() is None:
        most = max(most, memory_mb(process.pid))
        time.sleep(_LOOK_EVERY_S)
    assert process.stderr is not None
    assert process.returncode == 0, process.stderr.read()
    return Run(time.perf_counter() - start, most)


def memory_mb(pid: int) -> float:
    """Memory of a process and all below it in MB; what they share is counted once."""
    total = 0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # it has ended
    return total / 1024.0


def rows(place: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but what names one writing of it: revision and dates."""
    with closing(sqlite3.connect(place)) as connection:
        found = {}
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            where = "WHERE key <> 'revision'" if table == "maeum_meta" else ""
            found[str(table)] = sorted(
                connection.execute(f"SELECT * FROM {table} {where}").fetchall(), key=repr
            )
        return found


def differences(first: Path, second: Path) -> list[str]:
    """Tables in which two catalogues differ."""
    one, other = rows(first), rows(second)
    return [table for table in sorted(one | other) if one.get(table) != other.get(table)]


def killed(place: Path, times: int, whole_s: float) -> list[float]:
    """Index with SIGKILL at random moments, then to the end; gives the moments in seconds."""
    rng = random.Random(SEED)
    moments = [rng.uniform(0.0, 2.0 * whole_s / times) for _ in range(times)]
    for number, moment in enumerate(moments, start=1):
        process = subprocess.Popen(command(place), stderr=subprocess.DEVNULL)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        kept = len(rows(place).get("maeum_songs", [])) if place.is_file() else 0
        print(f"kill {number} after {moment:.1f} s: {kept} songs kept", flush=True)
    index(place, sorted(os.sched_getaffinity(0)))
    return moments


def main() -> None:
    """Kill and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole.db", Path(folder) / "broken.db"
        run = index(whole, sorted(os.sched_getaffinity(0)))
        print(f"undisturbed: {run.seconds:.0f} s on {usable_cores()} cores, {run.memory_mb:.0f} MB")
        killed(broken, options.kills, run.seconds)
        differing = differences(whole, broken)
        counts = {table: len(listed) for table, listed in rows(broken).items()}
    print(f"rows: {counts}; " + (f"DIFFERENT: {differing}" if differing else "equal, every row"))
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
