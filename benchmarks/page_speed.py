"""The page in a browser: frames of the map with many songs, trials of the laboratory.

``python -m benchmarks.page_speed`` starts ``maeum serve`` over made-up catalogues and Debian's
Chromium, which draws without a graphics card, moves the map as a hand does, and says how long a
frame takes until it is painted.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from app.service.laboratory import Laboratory
from app.service.songs import KeptSongs
from benchmarks.measurement import SEED, Measurement
from benchmarks.rescoring_speed import N_SONGS, write_catalogue
from benchmarks.service_load import service
from data_prep.catalogue import Catalogue
from fusion.rescoring import catalogue_settings, rescore
from fusion.rules import Mean

POINTS: Final = (10_000, 20_000)
FRAMES: Final = 120
LIMIT_FRAME_MS: Final = 33.3
LIMIT_TRIAL_MS: Final = 300.0
SIZE: Final = (1440, 900)

# A pixel is read back, so that a frame counts when it is painted and not when it is asked for.
_MOVE: Final = """frames => {
  const map = document.querySelector('.maeum-map-box').emotionMap, times = [];
  for (let i = 0; i < frames; i += 1) {
    const start = performance.now();
    if (i % 3 === 2) map.zoom(i % 2 ? 1.3 : 1 / 1.3, map.width / 3, map.height / 3);
    map.x += i % 2 ? 9 : -7;
    map.y += i % 4 < 2 ? 5 : -5;
    map.draw();
    map.context.getImageData(0, 0, 1, 1);
    times.push(performance.now() - start);
  }
  return times;
}"""
_POINT: Final = """pointings => {
  const map = document.querySelector('.maeum-map-box').emotionMap, times = [];
  for (let i = 0; i < pointings; i += 1) {
    const x = map.width * (0.3 + 0.4 * ((i * 37) % 100) / 100);
    const y = map.height * (0.3 + 0.4 * ((i * 61) % 100) / 100);
    const start = performance.now();
    map.under(x, y, 10);
    times.push(performance.now() - start);
  }
  return times;
}"""


def map_speed(n_songs: int) -> list[Measurement]:
    """Time to the first map, of its frames, and of what lies under the pointer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "songs.db"
        _write(path, n_songs)
        with service(path) as (port, _), _page(f"http://127.0.0.1:{port}") as page:
            start = time.perf_counter()
            page.locator("button[role=tab]").nth(2).click()
            page.wait_for_selector('.maeum-map-box[data-filled="2"]', timeout=60_000)
            first_ms = 1000.0 * (time.perf_counter() - start)
            frames = page.evaluate(_MOVE, FRAMES)
            pointings = page.evaluate(_POINT, FRAMES)
    name = f"of the map, {n_songs:,} songs"
    return [
        Measurement(f"first drawing {name}", first_ms),
        Measurement(
            f"one frame {name}",
            statistics.median(frames),
            limit_ms=LIMIT_FRAME_MS,
            p95_ms=float(np.percentile(frames, 95)),
        ),
        Measurement(f"song under the pointer {name}", statistics.median(pointings)),
    ]


def trial_speed(n_songs: int, repeats: int = 15) -> Measurement:
    """A movement of the laboratory's slider, after the first one."""
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "songs.db"
        _write(path, n_songs)
        with Catalogue.open(path) as catalogue:
            laboratory = Laboratory(KeptSongs(catalogue))
            times = []
            for _ in range(repeats + 1):
                rule = Mean(float(rng.uniform(0.1, 0.9)))
                query = rng.dirichlet(np.ones(6))
                start = time.perf_counter()
                laboratory.trial(rule, query)
                times.append(1000.0 * (time.perf_counter() - start))
    return Measurement(
        f"a trial of the laboratory, {n_songs:,} songs",
        statistics.median(times[1:]),
        limit_ms=LIMIT_TRIAL_MS,
        p95_ms=float(np.percentile(times[1:], 95)),
    )


def _write(path: Path, n_songs: int) -> None:
    write_catalogue(path, n_songs)
    with Catalogue.open(path) as catalogue:
        rescore(catalogue, catalogue_settings(catalogue))


@contextmanager
def _page(address: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = started.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(address)
        page.wait_for_function("localStorage.getItem('maeum-listener') !== null", timeout=30_000)
        yield page
        started.close()


def main() -> None:
    """Measure, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, nargs="+", default=list(POINTS))
    parser.add_argument("--songs", type=int, default=N_SONGS, help="of the laboratory's trial")
    options = parser.parse_args()
    found = [each for n in options.points for each in map_speed(n)]
    found.append(trial_speed(options.songs))
    for each in found:
        rest = "" if each.p95_ms is None else f", p95 {each.p95_ms:.1f} ms"
        limit = "" if each.limit_ms is None else f" (promise {each.limit_ms:.0f} ms)"
        print(f"{each.what}: {each.ours_ms:.1f} ms{rest}{limit}", flush=True)


if __name__ == "__main__":
    main()
