"""Speed and memory of the search by emotion, beside four libraries, up to ten million songs.

The songs are the published vectors, drawn with replacement beyond their own number,
each number of each times ``exp(0.1·z)`` with z normal, and divided by the sum again;
without the data folder they are random distributions. The queries are songs made in
the same way by another seed. All libraries have the same float32 vectors and are
used as their users do: NumPy and torch multiply the unit vectors and take the top
ten, FAISS has an ``IndexFlatIP`` of the unit vectors, scikit-learn's
``cosine_similarity`` is sorted. All are called in turn in one process with the
threads they take by themselves. Before anything is timed, our rows must be those of
sorting all scores in float64, and every library's scores ours.

What starts anew is measured in processes of its own: building and saving, and loading
the saved index while another process uses it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.measurement import SEED, Measurement
from data_prep.data_folder import require
from data_prep.errors import MissingDataError
from fusion.search import EmotionIndex
from fusion.similarity import cosine

SIZES: Final = (42_839, 707_989, 10_000_000)
"""Songs of the published catalogue, of the Melon Playlist data set, and of a large service."""

K: Final = 10
BATCH: Final = 256
KEPT: Final = 0.1
LEAST_RATIOS: Final = {707_989: 5.0, 10_000_000: 20.0}
LEAST_BATCH_RATIOS: Final = {10_000_000: 100.0}
LEAST_MASKED_RATIO: Final = 5.0
BUILD_LIMIT_MS: Final = 15_000.0
LOAD_LIMIT_MS: Final = 3_000.0
LARGEST_PRIVATE_SHARE: Final = 0.1
LARGEST_DIFFERENCE: Final = 1e-6

_SLOW_S: Final = 0.3  # a call that takes longer is made five times at most
_CALLS_A_TURN: Final = 5  # in a row, since threads of one library disturb the next one's first call

Vectors = NDArray[np.float32]
Search = Callable[[Vectors], object]

_MEMORY: Final = """
import json, re, sys, time
from pathlib import Path

import numpy as np

from fusion.search import EmotionIndex

def kilobytes(file, names):
    text = Path("/proc/self", file).read_text() if Path("/proc/self", file).exists() else ""
    return sum(int(n) for name in names for n in re.findall(rf"^{name}:\\s*(\\d+) kB", text, re.M))

def private_mb():
    return kilobytes("smaps_rollup", ["Private_Clean", "Private_Dirty"]) / 1024
"""

_BUILD: Final = (
    _MEMORY
    + """
vectors = np.load(sys.argv[1])
start = time.perf_counter()
index = EmotionIndex(vectors)
built = time.perf_counter()
peak_mb = kilobytes("status", ["VmHWM"]) / 1024
index.save(Path(sys.argv[2]))
saved = time.perf_counter()
print(json.dumps({"build_s": built - start, "save_s": saved - built, "peak_mb": peak_mb}))
"""
)

# Asks, says what it needs, and stays until its input ends.
_LOAD: Final = (
    _MEMORY
    + """
queries = np.load(sys.argv[2])
before = private_mb()
start = time.perf_counter()
index = EmotionIndex.load(Path(sys.argv[1]))
index.query(queries[0], 10)
ready = time.perf_counter()
for query in queries:
    index.query(query, 10)
print(json.dumps({"load_s": ready - start, "private_mb": private_mb() - before}), flush=True)
sys.stdin.read()
"""
)


def search_speed(*, repeats: int, sizes: Sequence[int] = SIZES) -> list[Measurement]:
    """All measurements of this file."""
    return [line for n_songs in sizes for line in _of_size(n_songs, repeats)]


def songs(n_songs: int, seed: int) -> Vectors:
    """Emotion distributions (n, 6) like the published ones; for their own number, those."""
    generator = np.random.default_rng(seed)
    try:
        published: Vectors = np.load(require("published_vectors/2015lyric_mel.npy"))
    except MissingDataError:
        return generator.dirichlet(np.full(6, 0.4), size=n_songs).astype(np.float32)
    if n_songs == len(published):
        return published
    drawn = published[generator.integers(len(published), size=n_songs)]
    drawn *= np.exp(np.float32(0.1) * generator.standard_normal(drawn.shape, dtype=np.float32))
    drawn /= drawn.sum(axis=1, keepdims=True)
    return drawn


@dataclass(frozen=True)
class Times:
    """Milliseconds of the calls of one search."""

    median: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """Median and 95th percentile of some calls."""
        milliseconds = [1000.0 * s for s in seconds]
        return cls(statistics.median(milliseconds), float(np.percentile(milliseconds, 95)))


def in_turn(
    searches: dict[str, Search], queries: Sequence[Vectors], rounds: int
) -> dict[str, Times]:
    """Times of searches that are called in turn, each a few times.

    One that turns out to be slow is called once in a turn, and left out after five.
    """
    asked = {name: cycle(queries) for name in searches}
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for name, search in searches.items():
        search(next(asked[name]))
    for number in range(rounds):
        for name, search in searches.items():
            for call in range(_CALLS_A_TURN):
                slow = bool(seconds[name]) and statistics.median(seconds[name]) > _SLOW_S
                if slow and (call > 0 or number >= 5):
                    break
                query = next(asked[name])
                start = time.perf_counter()
                search(query)
                seconds[name].append(time.perf_counter() - start)
    return {name: Times.of(values) for name, values in seconds.items()}


def _of_size(n_songs: int, repeats: int) -> Iterator[Measurement]:
    vectors = songs(n_songs, SEED)
    queries = songs(BATCH, SEED + 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _fresh_processes(folder, vectors, queries)
        index = EmotionIndex.load(folder / "index")
        yield from _warm(index, vectors, queries, repeats)


def _warm(
    index: EmotionIndex, vectors: Vectors, queries: Vectors, repeats: int
) -> Iterator[Measurement]:
    import faiss
    import torch
    from sklearn.metrics.pairwise import cosine_similarity

    n_songs = len(vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    unit_queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    flat = faiss.IndexFlatIP(6)
    flat.add(unit)
    tensor = torch.from_numpy(unit)
    mask = np.random.default_rng(SEED).random(n_songs) < KEPT
    kept = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")))

    def by_numpy(query: Vectors) -> NDArray[np.float32]:
        scores = unit @ query
        best = np.argpartition(scores, -K)[-K:]
        return np.sort(scores[best])[::-1]

    def by_torch(query: Vectors) -> NDArray[np.float32]:
        return torch.topk(tensor @ torch.from_numpy(query), K).values.numpy()

    def by_faiss(query: Vectors) -> NDArray[np.float32]:
        return np.asarray(flat.search(query[None], K)[0][0])

    def by_sklearn(query: Vectors) -> NDArray[np.float32]:
        scores = cosine_similarity(query[None], vectors)[0]
        return np.asarray(scores[np.argsort(-scores)[:K]])

    def masked_by_numpy(query: Vectors) -> NDArray[np.float32]:
        scores = unit[mask] @ query
        return np.sort(np.partition(scores, -K)[-K:])[::-1]

    def masked_by_faiss(query: Vectors) -> NDArray[np.float32]:
        return np.asarray(flat.search(query[None], K, params=kept)[0][0])

    libraries: dict[str, Search] = {
        "faiss IndexFlatIP": by_faiss,
        "torch matmul and topk": by_torch,
        "numpy matmul and argpartition": by_numpy,
        "sklearn cosine_similarity": by_sklearn,
    }
    masked: dict[str, Search] = {
        "faiss IndexFlatIP, selector": masked_by_faiss,
        "numpy matmul of the rows kept": masked_by_numpy,
    }
    for number in range(3):
        query = unit_queries[number]
        for found, allowed, others in (
            (index.query(queries[number], K), None, libraries),
            (index.query(queries[number], K, mask), mask, masked),
        ):
            _check(f"{n_songs} songs", found, vectors, queries[number], allowed)
            for name, search in others.items():
                difference = np.abs(np.asarray(search(query)) - found[1]).max()
                assert difference < LARGEST_DIFFERENCE, f"{name}: a score differs by {difference}"
    many = index.query_many(queries, K)
    np.testing.assert_allclose(flat.search(unit_queries, K)[0], many[1], atol=LARGEST_DIFFERENCE)

    one = list(unit_queries)
    ours = "ours"
    times = in_turn({ours: lambda q: index.query(q, K), **libraries}, one, 3 * repeats)
    for name in libraries:
        yield _compared(
            f"{K} nearest of {n_songs:,} songs",
            times[ours],
            name,
            times[name],
            LEAST_RATIOS.get(n_songs) if name.startswith("faiss") else None,
        )
    times = in_turn({ours: lambda q: index.query(q, K, mask), **masked}, one, 2 * repeats)
    for name in masked:
        yield _compared(
            f"the same of the {KEPT:.0%} that a mask keeps",
            times[ours],
            name,
            times[name],
            LEAST_MASKED_RATIO if n_songs > SIZES[0] else None,
        )
    times = in_turn(
        {
            ours: lambda q: index.query_many(q, K),
            "faiss IndexFlatIP": lambda q: flat.search(q, K),
        },
        [unit_queries],
        repeats,
    )
    yield _compared(
        f"{K} nearest of {n_songs:,} songs, {BATCH} queries at once",
        times[ours],
        "faiss IndexFlatIP",
        times["faiss IndexFlatIP"],
        LEAST_BATCH_RATIOS.get(n_songs),
    )


def _compared(
    what: str, ours: Times, name: str, reference: Times, least_ratio: float | None
) -> Measurement:
    return Measurement(
        what,
        ours.median,
        name,
        reference.median,
        least_ratio=least_ratio,
        p95_ms=ours.p95,
        reference_p95_ms=reference.p95,
    )


def _check(
    what: str,
    found: tuple[NDArray[np.intp], NDArray[np.float64]],
    vectors: Vectors,
    query: Vectors,
    mask: NDArray[np.bool_] | None,
) -> None:
    """Compare with all scores in float64, sorted by score and then by row."""
    scores = np.concatenate(
        [cosine(query, vectors[at : at + (1 << 20)]) for at in range(0, len(vectors), 1 << 20)]
    )
    if mask is not None:
        scores[~mask] = -np.inf
    # Whatever ties with the tenth is sorted as well.
    near = np.flatnonzero(scores >= np.partition(scores, -K)[-K])
    expected = near[np.lexsort((near, -scores[near]))][:K]
    assert np.array_equal(found[0], expected), f"{what}: other rows than by sorting all scores"
    assert np.array_equal(found[1], scores[expected]), f"{what}: other scores"


def _fresh_processes(folder: Path, vectors: Vectors, queries: Vectors) -> Iterator[Measurement]:
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "queries.npy", queries)
    built = _answer(_BUILD, folder / "vectors.npy", folder / "index")
    (folder / "vectors.npy").unlink()
    size_mb = sum(path.stat().st_size for path in (folder / "index").iterdir()) / 2**20
    yield Measurement(
        f"build an index of {len(vectors):,} songs ({size_mb:,.0f} MB)",
        1000 * built["build_s"],
        limit_ms=BUILD_LIMIT_MS,
        memory_mb=built["peak_mb"],
    )
    with _running(_LOAD, folder / "index", folder / "queries.npy"):
        loaded = _answer(_LOAD, folder / "index", folder / "queries.npy")
    yield Measurement(
        f"map the saved index of {len(vectors):,} songs and answer, in a further process "
        "(its private memory)",
        1000 * loaded["load_s"],
        limit_ms=LOAD_LIMIT_MS,
        memory_mb=loaded["private_mb"],
        limit_mb=LARGEST_PRIVATE_SHARE * size_mb if len(vectors) == SIZES[-1] else None,
    )


@contextmanager
def _running(code: str, *arguments: Path) -> Iterator[None]:
    """A process that has answered and stays until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.stdin.close()


def _answer(code: str, *arguments: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"a process of the benchmark failed: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
