"""Indexing on two Ray nodes, each in a network namespace and on a core of its own.

``python -m benchmarks.cluster`` (root, Linux, the extra ``cluster``) makes two namespaces that
see each other and nothing else, starts a node in each, and indexes recordings and lyric rows:

- on one machine with both engines: what Ray costs;
- on both nodes, with all processes of the second killed in the middle: the catalogue must be that
  of the local engine, row for row;
- on one node and on both, beside each other: how much faster two are.
"""

from __future__ import annotations

import argparse
import csv
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.indexing_speed import FOLDERS, differences, rows
from benchmarks.twins import texts
from data_prep.data_folder import require

ROWS: Final = 100_000
SPACES: Final = ("maeum-a", "maeum-b")
ADDRESSES: Final = ("10.77.0.1", "10.77.0.2")
PORT: Final = 6_390
LEAST_SPEED_UP: Final = 1.7
MOST_OVERHEAD: Final = 0.15

_START_S: Final = 60.0


@contextmanager
def two_spaces() -> Iterator[None]:
    """Two network namespaces with a wire between them."""
    _ip("link add maeum0 type veth peer name maeum1", check=False)
    try:
        for space, wire, address in zip(SPACES, ("maeum0", "maeum1"), ADDRESSES, strict=True):
            _ip(f"netns add {space}")
            _ip(f"link set {wire} netns {space}")
            _ip(f"-n {space} addr add {address}/24 dev {wire}")
            _ip(f"-n {space} link set {wire} up")
            _ip(f"-n {space} link set lo up")
        yield
    finally:
        for space in SPACES:
            _ip(f"netns del {space}", check=False)


@contextmanager
def node(number: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Ray node with one core in a namespace; the first is the head."""
    where = (
        ["--head", f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={folder}"]
        if number == 0
        else [f"--address={ADDRESSES[0]}:{PORT}"]
    )
    command = [
        *_inside(number, [number]), _script("ray"), "start", *where, "--block", "--num-cpus=1",
        f"--node-ip-address={ADDRESSES[number]}", "--disable-usage-stats",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait(process)
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a node at once: it, and everything that it started."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    below: dict[int, list[int]] = {}
    for line in listed.stdout.splitlines()[1:]:
        pid, parent = map(int, line.split())
        below.setdefault(parent, []).append(pid)
    ending = [process.pid]
    for pid in ending:
        ending += below.get(pid, [])
    for pid in ending:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def index(paths: list[Path], place: Path, cores: list[int], *options: str) -> subprocess.Popen[str]:
    """``maeum index`` in the first namespace, begun."""
    command = [
        *_inside(0, cores), sys.executable, "-m", "app.cli", "index", *map(str, paths),
        "--catalogue", str(place), *options,
    ]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def timed(paths: list[Path], place: Path, cores: list[int], *options: str) -> float:
    """Seconds that it takes to the end."""
    start = time.perf_counter()
    process = index(paths, place, cores, *options)
    _, said = process.communicate()
    assert process.returncode == 0, said
    return time.perf_counter() - start


def write_rows(path: Path, count: int) -> None:
    """A table of made-up lyrics, from a few words to a song."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "lyrics"])
        for number, text in enumerate(texts(count)):
            writer.writerow([f"row-{number}", f"제목 {number}", text])


def run(count: int, scaling_count: int, recordings: bool, folder: Path) -> bool:
    """All of it; whether everything is as it must be."""
    songs = [require(each) for each in FOLDERS] if recordings else []

    def paths_of(rows_wanted: int) -> list[Path]:
        table = folder / f"lyrics-{rows_wanted}.csv"
        write_rows(table, rows_wanted)
        return [table, *songs]

    paths, scaling = paths_of(count), paths_of(scaling_count)
    cluster = ("--engine", "ray", "--address", f"{ADDRESSES[0]}:{PORT}")
    good = True
    # a cluster of our own, with a token of its own for its nodes and for who asks it
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with two_spaces():
        local_s = timed(paths, folder / "local.db", [0, 1])
        expected = {name: len(found) for name, found in rows(folder / "local.db").items()}
        print(f"local engine, two cores: {local_s:.0f} s, {expected}", flush=True)
        here_s = timed(paths, folder / "here.db", [0, 1], "--engine", "ray")
        overhead = here_s / local_s - 1.0
        print(f"Ray on one machine, two cores: {here_s:.0f} s, {overhead:+.1%} "
              f"(at most {MOST_OVERHEAD:.0%})", flush=True)  # fmt: skip
        good &= _same(folder, "here")
        with node(0, folder / "ray3"), node(1, folder / "ray3") as second:
            process = index(paths, folder / "killed.db", [0, 1], *cluster)
            time.sleep(local_s / 2)
            still = process.poll() is None
            kill(second)
            _, said = process.communicate()
            assert process.returncode == 0, said
        print(f"second node killed after {local_s / 2:.0f} s, in the middle: {still}", flush=True)
        good &= _same(folder, "killed") and still
        if scaling_count != count:
            timed(scaling, folder / "small.db", [0, 1])
        alike = "local" if scaling_count == count else "small"
        with node(0, folder / "ray1"):
            one_s = timed(scaling, folder / "one.db", [0], *cluster)
        print(f"one node, {scaling_count:,} lyric rows: {one_s:.0f} s", flush=True)
        good &= _same(folder, "one", alike)
        with node(0, folder / "ray2"), node(1, folder / "ray2"):
            two_s = timed(scaling, folder / "two.db", [0, 1], *cluster)
        print(f"two nodes: {two_s:.0f} s, {one_s / two_s:.2f} times as fast "
              f"(at least {LEAST_SPEED_UP})", flush=True)  # fmt: skip
        good &= _same(folder, "two", alike)
    return good


def _same(folder: Path, name: str, alike: str = "local") -> bool:
    differing = differences(folder / f"{alike}.db", folder / f"{name}.db")
    print(
        f"  catalogue of {name}: {f'differs in {differing}' if differing else 'equal, every row'}",
        flush=True,
    )
    return not differing


def _inside(number: int, cores: list[int]) -> list[str]:
    return ["ip", "netns", "exec", SPACES[number], "taskset", "-c", ",".join(map(str, cores))]


def _script(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found is not None, f"there is no {name}"
    return found


def _ip(arguments: str, *, check: bool = True) -> None:
    subprocess.run(["ip", *arguments.split()], check=check, capture_output=not check)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Until the head answers, and whoever came after it has had time to join."""
    probe = [*_inside(0, [0]), sys.executable, "-c",
             f"import socket; socket.create_connection(('{ADDRESSES[0]}', {PORT}), 1)"]  # fmt: skip
    end = time.monotonic() + _START_S
    while subprocess.run(probe, capture_output=True, check=False).returncode:
        assert process.poll() is None, "the node ended at once"
        assert time.monotonic() < end, "the node does not begin"
        time.sleep(0.5)
    time.sleep(5.0)


def main() -> None:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="lyric rows")
    parser.add_argument(
        "--scaling-rows", type=int, help="lyric rows where one node and two are compared"
    )
    parser.add_argument("--no-recordings", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        scaling = options.rows if options.scaling_rows is None else options.scaling_rows
        good = run(options.rows, scaling, not options.no_recordings, Path(folder))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
