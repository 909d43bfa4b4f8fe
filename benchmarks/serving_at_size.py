"""Serving ten million songs: start, memory of each further process, and a swap under load.

``python -m benchmarks.serving_at_size`` writes a catalogue of made-up songs (``--songs``), or
takes one that is there (``--catalogue``, a path or a URL), and measures ``maeum serve`` over it:

- what is searched of it: seconds to make it, the memory that takes, bytes on disk;
- start: seconds from the command until an answer, beside the same with the demo catalogue;
- memory: what each of three processes holds by itself after a load, which one more would add;
- swap: clients ask without an end while ``maeum rescore`` gives all songs other vectors. Every
  answer must be that of before or that of afterwards, and none may fail or be turned away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.measurement import SEED
from benchmarks.rescoring_speed import write_catalogue
from benchmarks.run import machine
from benchmarks.service_load import ask, sentences, service
from data_prep.catalogue import Catalogue
from data_prep.taxonomy import EMOTIONS
from fusion.catalogue_shelf import CatalogueShelf
from fusion.recommendation import Recommender, Wishes
from fusion.rescoring import catalogue_settings
from fusion.rules import Mean, Product
from fusion.settings import FusionSettings
from fusion.shelf_folder import index_place

N_SONGS: Final = 10_000_000
MOST_START_S: Final = 3.0
MOST_SHARE: Final = 0.1
CLIENTS: Final = 12
PAUSE_S: Final = 0.25
LOAD_S: Final = 20.0
BEFORE_S: Final = 10.0
SWAP_LIMIT_S: Final = 1_200.0

_MAKE: Final = """
import resource, sys, time
from data_prep.catalogue import Catalogue
from fusion.catalogue_shelf import CatalogueShelf
from fusion.rescoring import catalogue_settings
start = time.perf_counter()
with Catalogue.open(sys.argv[1], read_only=True) as catalogue:
    CatalogueShelf(catalogue, catalogue_settings(catalogue))
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@dataclass
class Swap:
    """What clients saw of a swap.

    Attributes
    ----------
    answers
        Of each answer: when it was asked for, milliseconds, which query, and what came.
    refused
        Status → how many.
    """

    answers: list[tuple[float, float, int, str]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def queries(n: int = 24) -> list[dict[str, float]]:
    """Moods as emotions, the same each time."""
    rng = np.random.default_rng(SEED)
    drawn = rng.dirichlet(np.full(6, 0.5), size=n)
    return [dict(zip(EMOTIONS, map(float, one), strict=True)) for one in drawn]


def made(catalogue: str) -> str:
    """Make what is searched, in a process of its own, and tell what it takes."""
    with Catalogue.open(catalogue, read_only=True) as opened:
        place, count = index_place(opened.name), opened.count()
    shutil.rmtree(place, ignore_errors=True)
    command = [sys.executable, "-c", _MAKE, catalogue]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    return (
        f"{count:,} songs: what is searched is made in {float(told[0]):.1f} s with at most "
        f"{float(told[1]):,.0f} MB, and has {on_disk(catalogue):,.0f} MB"
    )


def on_disk(catalogue: str) -> float:
    """MB of what is searched of a catalogue."""
    with Catalogue.open(catalogue, read_only=True) as opened:
        place = index_place(opened.name)
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / 1e6


def started(catalogue: str, repeats: int) -> str:
    """Seconds until an answer, interleaved with the demo catalogue."""
    seconds: dict[str | None, list[float]] = {catalogue: [], None: []}
    for _ in range(repeats):
        for place, each in seconds.items():
            begin = time.perf_counter()
            with service(place):
                each.append(time.perf_counter() - begin)
    own, demo = (statistics.median(each) for each in seconds.values())
    return (
        f"start until an answer: {own:.2f} s (demo catalogue {demo:.2f} s: the index takes "
        f"{own - demo:+.2f} s; bar {MOST_START_S:g} s)"
    )


def memory(catalogue: str, seconds: float, processes: int = 3) -> str:
    """What each process that answers holds by itself: what one more would add."""
    with service(catalogue, processes) as (port, pid):
        asyncio.run(_moods(port, seconds))
        own = [mb_of(one, "Private_Dirty") for one in children_of(pid)]
        shared = sum(mb_of(one, "Pss") for one in (pid, *children_of(pid)))
    assert len(own) == processes, "a process is gone, or one is there that does not answer"
    listed = ", ".join(f"{one:.0f}" for one in sorted(own))
    return (
        f"memory after {seconds:g} s of load, {CLIENTS} clients without pause: {shared:,.0f} MB "
        f"for {processes} processes, the index among them; each holds {listed} MB of its own, "
        f"{max(own) / on_disk(catalogue):.1%} of what is searched at most (bar {MOST_SHARE:.0%})"
    )


def children_of(pid: int) -> list[int]:
    """Processes that a process started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(one) for one in listed.split()]


def mb_of(pid: int, field_name: str) -> float:
    """MB of a process: ``Pss`` counts its part of what it shares, ``Private_Dirty`` none of it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").split("\n"):
        if line.startswith(f"{field_name}:"):
            return int(line.split()[1]) / 1e3
    raise AssertionError(f"the system does not tell {field_name}")


def swapped(catalogue: str, processes: int = 2) -> str:
    """Rescore while clients ask; fails if an answer is neither of before nor of afterwards."""
    before = expected(catalogue)
    other = FusionSettings(rule=Product.of_weight(0.7))
    with Catalogue.open(catalogue, read_only=True) as opened:
        if catalogue_settings(opened).hash == other.hash:
            other = FusionSettings(rule=Mean(0.6))
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "fusion.json"
        settings.write_text(json.dumps(other.to_dict()), encoding="utf-8")
        with service(catalogue, processes) as (port, _):
            seen, times = asyncio.run(_swap(port, catalogue, settings, other.hash))
    after = expected(catalogue)
    assert not seen.refused, seen.refused
    old = new = 0
    for _, _, query, answer in seen.answers:
        assert answer in (before[query], after[query]), f"query {query}: a mixture"
        old, new = old + (answer == before[query]), new + (answer == after[query])
    assert old > 0, "nothing was asked before"
    assert new > 0, "nothing was swapped"
    phases = []
    for name, begin, end in (
        ("before", 0.0, times["rescoring"]),
        ("while rescored", times["rescoring"], times["rescored"]),
        ("while made", times["rescored"], times["last"]),
        ("afterwards", times["last"], times["end"]),
    ):
        ms = [took for at, took, _, _ in seen.answers if begin <= at < end]
        phases.append(
            f"{name} ({end - begin:.0f} s) {len(ms)} answers, p50 {np.percentile(ms, 50):.0f} ms, "
            f"p95 {np.percentile(ms, 95):.0f} ms, longest {max(ms):.0f} ms"
        )
    return (
        f"swap under load ({processes} processes, {CLIENTS} clients): {len(seen.answers):,} "
        f"answers, none failed or turned away, each that of before ({old:,}) or of afterwards "
        f"({new:,}); {'; '.join(phases)}"
    )


def expected(catalogue: str) -> list[str]:
    """What is to be answered to each query with the catalogue as it is."""
    with Catalogue.open(catalogue, read_only=True) as opened:
        recommender = Recommender(CatalogueShelf(opened, catalogue_settings(opened)))
        found = []
        for query in queries():
            vector = np.array(list(query.values()), np.float64)
            vector = (vector / vector.sum()).astype(np.float32)
            listed = recommender.recommend(vector, Wishes(10))
            found.append(_told([each.to_json() for each in listed]))
    return found


def _told(results: list[dict[str, Any]]) -> str:
    return json.dumps([(one["id"], one["score"], one["fused"]) for one in results])


async def _swap(
    port: int, catalogue: str, settings: Path, fusion: str
) -> tuple[Swap, dict[str, float]]:
    seen, times, begin = Swap(), {}, time.perf_counter()
    ends = asyncio.Event()
    clients = [asyncio.create_task(_asking(port, i, seen, begin, ends)) for i in range(CLIENTS)]
    await asyncio.sleep(BEFORE_S)
    times["rescoring"] = time.perf_counter() - begin
    rescoring = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "rescore", "--fusion", str(settings)),
        *("--catalogue", catalogue),
        stdout=subprocess.DEVNULL,
    )
    assert await rescoring.wait() == 0, "it cannot be rescored"
    times["rescored"] = time.perf_counter() - begin
    print(f"rescored after {times['rescored']:.0f} s", flush=True)
    alike = 0
    while alike < 20:  # each time whichever process takes the connection
        alike = alike + 1 if await asyncio.to_thread(_fusion, port) == fusion else 0
        await asyncio.sleep(0.1 if alike else 1.0)
        assert time.perf_counter() - begin < SWAP_LIMIT_S, "it is never swapped"
        if alike == 1:
            times["last"] = time.perf_counter() - begin
    await asyncio.sleep(BEFORE_S)
    ends.set()
    times["end"] = time.perf_counter() - begin
    await asyncio.gather(*clients)
    return seen, times


def _fusion(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as answer:
        return str(json.loads(answer.read())["fusion"])


async def _asking(port: int, number: int, seen: Swap, begin: float, ends: asyncio.Event) -> None:
    asked = queries()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    at = number
    while not ends.is_set():
        body = json.dumps({"emotions": asked[at % len(asked)], "count": 10}).encode()
        start = time.perf_counter()
        status, content = await ask(reader, writer, "/api/v1/recommend", "application/json", body)
        took = 1000.0 * (time.perf_counter() - start)
        if status == 200:
            answer = _told(json.loads(content)["results"])
            seen.answers.append((start - begin, took, at % len(asked), answer))
        else:
            seen.refused[f"{status} {content[:200]!r}"] += 1
        at += CLIENTS + 1
        with suppress(TimeoutError):
            await asyncio.wait_for(ends.wait(), PAUSE_S)
    writer.close()


async def _moods(port: int, seconds: float) -> None:
    words = sentences()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        end, at = time.perf_counter() + seconds, number
        while time.perf_counter() < end:
            asked: dict[str, Any] = {"text": words[at % len(words)], "count": (5, 10, 20)[at % 3]}
            asked |= {"has_lyrics": True} if at % 3 == 0 else {}
            asked |= {"listener": f"load-client-{at % 1000:06}"} if at % 4 == 0 else {}
            body = json.dumps(asked).encode()
            status, content = await ask(
                reader, writer, "/api/v1/recommend", "application/json", body
            )
            assert status == 200, content
            at += 101
        writer.close()

    await asyncio.gather(*(client(i) for i in range(CLIENTS)))


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=N_SONGS)
    parser.add_argument("--catalogue", help="path or URL of one that is there; it is rescored")
    parser.add_argument("--write", help="where to write one, as the URL of an empty database")
    parser.add_argument("--seconds", type=float, default=LOAD_S, help="of load for the memory")
    parser.add_argument("--out", type=Path, help="folder for serving_at_size.md")
    parser.add_argument("--only", choices=("make", "start", "memory", "swap"), help="one of them")
    parser.add_argument("--repeats", type=int, default=5, help="starts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        catalogue = options.catalogue
        if catalogue is None:
            catalogue = options.write or str(Path(folder) / "songs.db")
            begin = time.perf_counter()
            write_catalogue(catalogue, options.songs)
            print(f"{options.songs:,} songs written in {time.perf_counter() - begin:.0f} s")
        lines = []
        measures: dict[str, Callable[[], str]] = {
            "make": lambda: made(catalogue),
            "start": lambda: started(catalogue, options.repeats),
            "memory": lambda: memory(catalogue, options.seconds),
            "swap": lambda: swapped(catalogue),
        }
        for name, measure in measures.items():
            if options.only not in (None, name):
                continue
            lines.append(measure())
            print(lines[-1], flush=True)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        head = "# Serving many songs\n\n`python -m benchmarks.serving_at_size`, on "
        listed = "".join(f"- {line}.\n" for line in lines)
        content = f"{head}{machine()}.\n\n{listed}"
        (options.out / "serving_at_size.md").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
