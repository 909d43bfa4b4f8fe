"""What a hundred million songs would take, from costs that are measured here.

``python -m benchmarks.size_plan`` measures the unit costs of this machine (``--quick`` with fewer
songs), carries them forward to 100 million songs, and says how far such a forecast was off where
it can be checked: what the smaller sizes say of the largest one is compared with what was
measured there. The number of cores that answer comes from a simulation of the service, which is
itself compared with the service under a load of the same kind. ``--out DIR`` writes
``size_plan.json`` and ``size_plan.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.service.http import WORDS_AT_ONCE
from app.service.options import ServiceOptions
from benchmarks.measurement import SEED
from benchmarks.rescoring_speed import write_catalogue
from benchmarks.search_speed import songs
from benchmarks.service_load import ask, sentences, service
from data_prep.catalogue import Catalogue, Song, StageVector
from data_prep.data_folder import require
from fusion.analysis import SongAnalyser
from fusion.search import SimilarityIndex
from fusion.settings import FusionSettings

GOAL: Final = 100_000_000
INDEX_SIZES: Final = (1_000_000, 3_000_000, 10_000_000, 30_000_000)
CATALOGUE_SIZES: Final = (300_000, 1_000_000, 3_000_000)
QUICK_INDEX_SIZES: Final = (100_000, 300_000, 1_000_000)
QUICK_CATALOGUE_SIZES: Final = (50_000, 100_000, 200_000)
RATES: Final = (100, 1_000, 5_000)
"""Moods a second for which cores are counted."""
MOST_P95_MS: Final = 300.0
MOST_REFUSED: Final = 0.001
LOADED: Final = 0.6
"""Share of its time that the service is busy where the simulation is checked."""
INDEXED_IN_DAYS: Final = 7.0
FAILS_EVERY_H: Final = 100.0
"""Hours after which a reading machine fails, on average; and it is back after:"""
BACK_AFTER_H: Final = 0.5
CORES_OF_A_MACHINE: Final = 16
_UNUSED_S: Final = 10.0
_QUESTIONS_LOST: Final = 2  # of each reader on a machine that fails


@dataclass(frozen=True)
class Costs:
    """Of one size.

    Attributes
    ----------
    songs
        How many.
    seconds
        To make it.
    peak_mb
        Memory that it takes meanwhile.
    disk_mb
        Of the result.
    query_ms
        Median of a query, warm; NaN where it was not asked.
    """

    songs: int
    seconds: float
    peak_mb: float
    disk_mb: float
    query_ms: float = float("nan")


def index_costs(n_songs: int) -> Costs:
    """Of a search index; to be measured in a process of its own."""
    vectors = songs(n_songs, SEED)
    held = _peak_mb()
    begin = time.perf_counter()
    index = SimilarityIndex(vectors, "cosine")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "index"
        index.save(place)
        seconds = time.perf_counter() - begin
        peak = _peak_mb() - held + vectors.nbytes / 1e6
        del index
        size = sum(file.stat().st_size for file in place.iterdir()) / 1e6
        mapped = SimilarityIndex.load(place, verify=False)
        queries = songs(600, SEED + 1).astype(np.float64)
        for query in queries[:300]:
            mapped.query(query, 10)
        took = []
        for query in queries[300:]:
            begin = time.perf_counter()
            mapped.query(query, 10)
            took.append(1_000.0 * (time.perf_counter() - begin))
    return Costs(n_songs, seconds, peak, size, float(np.median(took)))


def shelf_costs(catalogue: Path) -> Costs:
    """Of all that is searched of a catalogue; to be measured in a process of its own."""
    from fusion.catalogue_shelf import CatalogueShelf
    from fusion.shelf_folder import index_place

    begin = time.perf_counter()
    with Catalogue.open(catalogue, read_only=True) as opened:
        shelf = CatalogueShelf(opened, FusionSettings.load())
        files = [file for file in index_place(opened.name).rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 1e6
    return Costs(len(shelf), time.perf_counter() - begin, _peak_mb(), size)


def apart(function: str, argument: object) -> Costs:
    """Have a function of this module measure in a process of its own."""
    code = (
        f"import json; from dataclasses import asdict; from pathlib import Path; "
        f"from benchmarks.size_plan import {function}; "
        f"print(json.dumps(asdict({function}({argument!r}))))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    return Costs(**json.loads(done.stdout))


def forecast(costs: Sequence[Costs], name: str, n_songs: int) -> float:
    """A cost of another size: a power of the number of songs, through the two largest sizes."""
    a, b = costs[-2:]
    low, high = getattr(a, name), getattr(b, name)
    power = math.log(high / low) / math.log(b.songs / a.songs)
    return float(high * (n_songs / b.songs) ** power)


def reading_costs() -> dict[str, float]:
    """Seconds of one core for a recording and for a song's words, and for keeping a song."""
    analyser = SongAnalyser(threads=1)
    recordings = sorted(require("songs").rglob("*.mp3"))[:12]
    texts = ["\n".join(part) for part in zip(*[iter(sentences())] * 12, strict=False)][:150]
    for text in texts[:5]:
        analyser.read_words(text)
    analyser.read_sound(recordings[0])
    begin = time.process_time()
    for path in recordings:
        analyser.read_sound(path)
    sound = (time.process_time() - begin) / len(recordings)
    begin = time.process_time()
    for text in texts:
        analyser.read_words(text)
    words = (time.process_time() - begin) / len(texts)
    vector = np.full(6, 1 / 6, dtype=np.float32)
    made = [
        Song(f"{i}", title="t", artist="a", lyrics=StageVector(vector, "words"))
        for i in range(20_000)
    ]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "songs.db"
        with Catalogue.open(place, create=True) as catalogue:
            begin = time.perf_counter()
            for start in range(0, len(made), 500):
                catalogue.upsert(made[start : start + 500])
            keeping = (time.perf_counter() - begin) / len(made)
    return {"recording_s": sound, "words_s": words, "keeping_s": keeping}


def indexed(work_s: float, machines: int, seed: int = SEED) -> float:
    """Days in which machines that fail now and then have read everything (simulated).

    Parameters
    ----------
    work_s
        Seconds of one core, altogether.
    machines
        Each with ``CORES_OF_A_MACHINE``.
    """
    rng = np.random.default_rng(seed)
    left, now, running = work_s, 0.0, machines
    # the next that happens: a machine fails, or is back
    events = [(float(t), "fails") for t in rng.exponential(FAILS_EVERY_H * 3600.0, machines)]
    heapq.heapify(events)
    while True:
        at, what = events[0]
        speed = running * CORES_OF_A_MACHINE
        if speed and left <= (at - now) * speed:
            return (now + left / speed) / 86_400.0
        left -= (at - now) * speed
        now = at
        heapq.heappop(events)
        if what == "fails":
            running -= 1
            left += _QUESTIONS_LOST * CORES_OF_A_MACHINE * work_s / GOAL
            heapq.heappush(events, (now + BACK_AFTER_H * 3600.0, "is back"))
        else:
            running += 1
            fails = now + float(rng.exponential(FAILS_EVERY_H * 3600.0))
            heapq.heappush(events, (fails, "fails"))


@dataclass(frozen=True)
class Answered:
    """Of a load: milliseconds within which 95 % were answered, and the share turned away."""

    p95_ms: float
    refused: float


def simulated(
    rate: float, cores: int, service_ms: NDArray[np.float64], seconds: float = 120.0
) -> Answered:
    """A service of one process for each core, whose visitors come at random.

    A process works on one question at a time; as many wait as may, further ones are turned away.

    Parameters
    ----------
    rate
        Visitors a second.
    service_ms
        What questions take, one after the other, (m,).
    """
    rng = np.random.default_rng(SEED)
    n = int(rate * seconds)
    arrivals = np.sort(rng.uniform(0.0, seconds, n))
    at_process = rng.integers(cores, size=n)
    work = rng.choice(service_ms, size=n) / 1_000.0
    most = WORDS_AT_ONCE + ServiceOptions().waiting
    free = [0.0] * cores
    ends: list[list[float]] = [[] for _ in range(cores)]
    took, refused = [], 0
    for arrival, process, needed in zip(arrivals.tolist(), at_process.tolist(), work, strict=True):
        waiting = ends[process]
        while waiting and waiting[0] <= arrival:
            heapq.heappop(waiting)
        if len(waiting) >= most:
            refused += 1
            continue
        end = max(arrival, free[process]) + float(needed)
        free[process] = end
        heapq.heappush(waiting, end)
        took.append(1_000.0 * (end - arrival))
    return Answered(float(np.percentile(took, 95)), refused / n)


def cores_for(rate: float, service_ms: NDArray[np.float64]) -> int:
    """The fewest cores with which a load is answered in time and almost nobody turned away."""
    cores = max(1, math.ceil(rate * float(service_ms.mean()) / 1_000.0))
    while True:
        seen = simulated(rate, cores, service_ms)
        if seen.p95_ms <= MOST_P95_MS and seen.refused <= MOST_REFUSED:
            return cores
        cores += 1


async def _one_after_the_other(port: int, n: int) -> NDArray[np.float64]:
    words = sentences()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    for i in range(n):
        body = json.dumps({"text": words[(17 * i) % len(words)], "count": 10}).encode()
        begin = time.perf_counter()
        status, _ = await ask(reader, writer, "/api/v1/recommend", "application/json", body)
        took.append(1_000.0 * (time.perf_counter() - begin))
        assert status == 200
    writer.close()
    return np.array(took)


async def _at_random(port: int, rate: float, seconds: float) -> Answered:
    """Visitors that come at random, whether or not those before were answered."""
    words, rng = sentences(), np.random.default_rng(SEED)
    idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
    took: list[float] = []
    statuses: list[int] = []

    async def visit(i: int) -> None:
        begin = time.perf_counter()
        # the service closes what is not used for some time
        while idle and begin - idle[-1][0] > _UNUSED_S:
            idle.pop()[2].close()
        if idle:
            _, reader, writer = idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({"text": words[(17 * i) % len(words)], "count": 10}).encode()
        status, _ = await ask(reader, writer, "/api/v1/recommend", "application/json", body)
        took.append(1_000.0 * (time.perf_counter() - begin))
        statuses.append(status)
        idle.append((time.perf_counter(), reader, writer))

    visits, begin = [], time.perf_counter()
    for i, at in enumerate(np.sort(rng.uniform(0.0, seconds, int(rate * seconds))).tolist()):
        await asyncio.sleep(max(0.0, begin + at - time.perf_counter()))
        visits.append(asyncio.create_task(visit(i)))
    await asyncio.gather(*visits)
    for _, _, writer in idle:
        writer.close()
    answered = [ms for ms, status in zip(took, statuses, strict=True) if status == 200]
    return Answered(float(np.percentile(answered, 95)), statuses.count(503) / len(statuses))


def measured(quick: bool) -> dict[str, Any]:
    """Everything, as it will be written."""
    index_sizes = QUICK_INDEX_SIZES if quick else INDEX_SIZES
    catalogue_sizes = QUICK_CATALOGUE_SIZES if quick else CATALOGUE_SIZES
    indexes = []
    for n in index_sizes:
        indexes.append(apart("index_costs", n))
        print(indexes[-1], flush=True)
    shelves, catalogue_mb = [], []
    with tempfile.TemporaryDirectory() as folder:
        for n in catalogue_sizes:
            place = Path(folder) / f"{n}.db"
            write_catalogue(place, n)
            catalogue_mb.append(place.stat().st_size / 1e6)
            shelves.append(apart("shelf_costs", str(place)))
            print(shelves[-1], flush=True)
        with service(place) as (port, _):
            asyncio.run(_one_after_the_other(port, 1_000))  # all is there that they need
            one = asyncio.run(_one_after_the_other(port, 1_000))
            rate = LOADED * 1_000.0 / float(one.mean())
            real = asyncio.run(_at_random(port, rate, 10.0 if quick else 60.0))
    reading = reading_costs()
    print(reading, flush=True)
    # what the larger index adds to an answer
    slower = forecast(indexes, "query_ms", GOAL) - forecast(indexes, "query_ms", shelves[-1].songs)
    there = one + max(slower, 0.0)
    work = {name: GOAL * reading[f"{name}_s"] for name in ("recording", "words")}
    machines = {
        name: next(
            m
            for m in range(1, 10_000)
            if m * CORES_OF_A_MACHINE * INDEXED_IN_DAYS * 86_400 >= seconds
            and indexed(seconds, m) <= INDEXED_IN_DAYS
        )
        for name, seconds in work.items()
    }
    return {
        "goal": GOAL,
        "indexes": [asdict(each) for each in indexes],
        "shelves": [asdict(each) for each in shelves],
        "catalogue_mb": catalogue_mb,
        "reading": reading,
        "service_ms": {"mean": float(one.mean()), "p95": float(np.percentile(one, 95))},
        "check": {
            "rate": rate,
            "measured": asdict(real),
            "simulated": asdict(simulated(rate, 1, one)),
            "index": {
                name: [forecast(indexes[:-1], name, index_sizes[-1]), getattr(indexes[-1], name)]
                for name in ("seconds", "peak_mb", "disk_mb", "query_ms")
            },
            "shelf": {
                name: [
                    forecast(shelves[:-1], name, catalogue_sizes[-1]),
                    getattr(shelves[-1], name),
                ]
                for name in ("seconds", "peak_mb", "disk_mb")
            },
        },
        "forecast": {
            "catalogue_gb": catalogue_mb[-1] / catalogue_sizes[-1] * GOAL / 1e3,
            "shelf_gb": forecast(shelves, "disk_mb", GOAL) / 1e3,
            "making_s": forecast(shelves, "seconds", GOAL),
            "making_gb": forecast(shelves, "peak_mb", GOAL) / 1e3,
            "query_ms": forecast(indexes, "query_ms", GOAL),
            "core_days": {name: seconds / 86_400 for name, seconds in work.items()},
            "keeping_days": GOAL * reading["keeping_s"] / 86_400,
            "machines": machines,
            "cores": {str(rate): cores_for(rate, there) for rate in RATES},
        },
    }


def told(found: dict[str, Any]) -> str:
    """As Markdown."""
    check, goal = found["check"], found["forecast"]
    lines = [
        f"# What {found['goal']:,} songs would take",
        "",
        "`python -m benchmarks.size_plan`. Measured:",
        "",
        "| songs | what | seconds to make | peak memory (MB) | on disk (MB) | query (ms) |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for kind, name in (("indexes", "search index"), ("shelves", "all that is searched")):
        for one in found[kind]:
            query = "" if math.isnan(one["query_ms"]) else f"{one['query_ms']:.2f}"
            lines.append(
                f"| {one['songs']:,} | {name} | {one['seconds']:.1f} | {one['peak_mb']:,.0f} | "
                f"{one['disk_mb']:,.0f} | {query} |"
            )
    reading = found["reading"]
    lines += [
        "",
        f"A recording takes {reading['recording_s']:.2f} s of one core, a song's words "
        f"{1e3 * reading['words_s']:.1f} ms, keeping a song {1e6 * reading['keeping_s']:.0f} µs; a "
        f"mood takes the service {found['service_ms']['mean']:.1f} ms "
        f"(p95 {found['service_ms']['p95']:.1f}).",
        "",
        "How far off such forecasts are, at the largest size that was measured (forecast from the "
        "smaller ones / measured):",
        "",
        "| what | forecast | measured |",
        "|---|---:|---:|",
    ]
    for kind in ("index", "shelf"):
        for name, (said, was) in check[kind].items():
            lines.append(f"| {kind}, {name.replace('_', ' ')} | {said:,.2f} | {was:,.2f} |")
    lines += [
        f"| p95 of one process with {check['rate']:.0f} moods a second at random (ms) | "
        f"{check['simulated']['p95_ms']:.0f} (simulated) | {check['measured']['p95_ms']:.0f} |",
        f"| turned away there | {check['simulated']['refused']:.2%} | "
        f"{check['measured']['refused']:.2%} |",
        "",
        f"## {found['goal']:,} songs",
        "",
        "| what | forecast |",
        "|---|---:|",
        f"| catalogue (SQLite) | {goal['catalogue_gb']:.0f} GB |",
        f"| all that is searched, on disk and in the page cache of each machine | "
        f"{goal['shelf_gb']:.1f} GB |",
        f"| to make it | {goal['making_s'] / 60:.0f} minutes, {goal['making_gb']:.0f} GB memory |",
        f"| a query, warm | {goal['query_ms']:.1f} ms |",
        f"| to read all recordings | {goal['core_days']['recording']:,.0f} core days: "
        f"{goal['machines']['recording']} machines of {CORES_OF_A_MACHINE} cores for "
        f"{INDEXED_IN_DAYS:g} days (simulated, each failing every {FAILS_EVERY_H:g} h) |",
        f"| to read all words | {goal['core_days']['words']:,.1f} core days: "
        f"{goal['machines']['words']} such machines |",
        f"| to keep them, by one writer | {24 * goal['keeping_days']:.1f} hours |",
    ]
    lines += [
        f"| {int(rate):,} moods a second, p95 {MOST_P95_MS:g} ms (simulated) | {cores} cores |"
        for rate, cores in goal["cores"].items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer songs, to see that it works")
    parser.add_argument("--out", type=Path, help="folder for size_plan.json and size_plan.md")
    options = parser.parse_args()
    found = measured(options.quick)
    print(told(found))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        content = json.dumps(found, indent=1) + "\n"
        (options.out / "size_plan.json").write_text(content, encoding="utf-8")
        (options.out / "size_plan.md").write_text(told(found), encoding="utf-8")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
