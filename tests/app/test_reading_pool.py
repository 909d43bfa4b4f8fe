"""Reading in other processes: the same answers, and what a crash, a hang or a kill costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.reading_pool import PooledSound, ReadingPool, outcome
from audio_model.predictor import AudioPredictor
from data_prep.errors import InputError
from fusion.analysis import SongAnalyser


@pytest.fixture(scope="module")
def pool() -> Iterator[ReadingPool]:
    with ReadingPool(1, timeout_s=60.0) as started:
        yield started


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    noise = np.random.default_rng(1).normal(0, 0.1, 3 * 16_000).astype(np.float32)
    path = tmp_path / "noise.wav"
    soundfile.write(path, noise, 16_000)
    return path


def test_a_recording_is_read_as_in_this_process(pool: ReadingPool, recording: Path) -> None:
    here = AudioPredictor.load()
    there = PooledSound(pool, here.model_hash).read_file(recording)
    assert there.distribution == pytest.approx(here.read_file(recording).distribution, abs=1e-6)


def test_words_are_read_as_in_this_process(pool: ReadingPool) -> None:
    texts = ["오늘 너무 우울해", "I am so happy today", "!!"]
    analyser = SongAnalyser(threads=1)
    for text, there in zip(texts, outcome(pool.words(texts, as_mood=True)), strict=True):
        here = analyser.read_words(text, as_mood=True)
        assert there.reason == here.reason
        if here.distribution is None:
            assert there.distribution is None
        else:
            assert there.distribution == pytest.approx(here.distribution, abs=1e-6)


def test_a_bad_recording_is_told_as_in_this_process(pool: ReadingPool, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"no sound at all")
    with pytest.raises(InputError) as here:
        AudioPredictor.load().read_file(bad)
    with pytest.raises(InputError) as there:
        outcome(pool.sound(bad))
    assert str(there.value) == str(here.value)


def test_what_takes_too_long_is_given_up_and_the_next_is_read() -> None:
    with ReadingPool(1, timeout_s=5.0) as pool:
        with pytest.raises(InputError, match="too long"):
            outcome(pool.words(["기쁘다"] * 1_000_000))
        assert outcome(pool.words(["기쁘다"]))[0].distribution is not None


def test_a_crash_costs_one_answer(recording: Path) -> None:
    with _one_process() as (pool, process):
        pending = pool.words(["기쁘다"] * 20_000)
        while not pending.running():
            time.sleep(0.01)
        os.kill(process, signal.SIGSEGV)
        with pytest.raises(InputError, match="crashed"):
            outcome(pending)
        assert outcome(pool.sound(recording)).distribution is not None


def test_a_process_that_is_killed_while_it_waits_is_replaced(recording: Path) -> None:
    with _one_process() as (pool, process):
        os.kill(process, signal.SIGKILL)
        while _is_running(process):
            time.sleep(0.01)
        time.sleep(1.0)  # the pool looks after its processes ten times a second
        assert outcome(pool.sound(recording)).distribution is not None


@contextmanager
def _one_process() -> Iterator[tuple[ReadingPool, int]]:
    """A pool with one process, which has begun and has nothing to do; and its number."""
    others = set(_children(os.getpid(), "spawn_main"))
    with ReadingPool(1, timeout_s=60.0) as pool:
        assert outcome(pool.words(["기쁘다"]))[0].distribution is not None
        (process,) = set(_children(os.getpid(), "spawn_main")) - others
        yield pool, process


def test_the_processes_end_with_the_one_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent("""
        import sys, time
        from app.reading_pool import ReadingPool, outcome

        if __name__ == "__main__":
            with ReadingPool(2) as pool:
                outcome(pool.words(["기쁘다"]))
                print("ready", flush=True)
                time.sleep(600)
        """)
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        children = _children(process.pid, "spawn_main")
        assert children
    finally:
        process.kill()
        process.wait()
    for _ in range(100):
        if not any(_is_running(child) for child in children):
            return
        time.sleep(0.1)
    pytest.fail("processes of the pool are left over")


def _children(parent: int, word: str) -> list[int]:
    shown = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    return [int(line.split()[0]) for line in shown.splitlines() if word in line]


def _is_running(pid: int) -> bool:
    try:
        return "(Z" not in Path(f"/proc/{pid}/stat").read_text().replace(") Z", "(Z")
    except OSError:
        return False
