"""Indexing in a pool of processes: the same catalogue, whatever happens on the way."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.library.indexing import index_songs
from app.library.song_sources import song_sources
from app.reading_pool import ReadingPool
from benchmarks.indexing_speed import differences, rows
from data_prep.catalogue import Catalogue
from fusion.analysis import SongAnalyser

N_SONGS = 14
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short recordings, some with words, a bad one, and a table of words."""
    folder = tmp_path_factory.mktemp("songs") / "music"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for i in range(N_SONGS):
        t = np.arange(int(16_000 * rng.uniform(2, 6))) / 16_000
        wave = 0.2 * np.sin(2 * np.pi * 110 * (i + 1) * t) + 0.02 * rng.normal(size=t.size)
        soundfile.write(folder / f"{i:02}.wav", wave.astype(np.float32), 16_000)
        if i % 3 == 0:
            (folder / f"{i:02}.txt").write_text(f"비가 오는 밤 {i}\n네가 그리워", encoding="utf-8")
    (folder / "05x.mp3").write_bytes(b"no sound")
    lines = [f"{i},눈물이 나는 밤 {i}번째" for i in range(150)]
    (folder / "words.csv").write_text("\n".join(["id,text", *lines]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def whole(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue as one process makes it."""
    place = tmp_path_factory.mktemp("whole") / "songs.db"
    with Catalogue.open(place, create=True) as catalogue:
        sources = [*song_sources(music), *song_sources(music / "words.csv")]
        report = index_songs(catalogue, sources, SongAnalyser(threads=1))
        assert (report.new, len(report.failures)) == (N_SONGS + 150, 1)
    return place


def test_a_pool_makes_the_same_catalogue(music: Path, whole: Path, tmp_path: Path) -> None:
    place = tmp_path / "songs.db"
    with Catalogue.open(place, create=True) as catalogue, ReadingPool(3) as pool:
        sources = [*song_sources(music), *song_sources(music / "words.csv")]
        report = index_songs(catalogue, sources, SongAnalyser(threads=1), pool=pool)
    assert (report.new, len(report.failures)) == (N_SONGS + 150, 1)
    assert differences(whole, place) == []
    assert len(rows(place)["maeum_songs"]) == N_SONGS + 150


def test_what_is_killed_ten_times_makes_the_same_catalogue(
    music: Path, whole: Path, tmp_path: Path
) -> None:
    place = tmp_path / "songs.db"
    rng = random.Random(11)
    kept = [0]
    for _ in range(10):
        process = start(music, place)
        try:
            process.wait(rng.uniform(0.3, 2.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        kept.append(songs_of(place))
        assert kept[-1] >= kept[-2], "nothing is lost"
    assert start(music, place).wait() == 1, "one recording is bad"
    assert differences(whole, place) == []


def test_ctrl_c_keeps_what_was_done_and_leaves_no_process(music: Path, tmp_path: Path) -> None:
    place, many = tmp_path / "songs.db", tmp_path / "many.csv"
    lines = [f"{i},눈물이 나는 밤 {i}번째" for i in range(20_000)]
    many.write_text("\n".join(["id,text", *lines]) + "\n", encoding="utf-8")
    process = start(music, place, many, stderr=subprocess.PIPE)
    while not songs_of(place):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    told = process.stderr.read()
    assert process.wait() == 130
    assert "run the same command again" in told
    assert "Traceback" not in told
    assert 0 < songs_of(place) < N_SONGS + 20_000
    left = subprocess.run(["pgrep", "-P", str(process.pid)], check=False, capture_output=True)
    assert left.stdout == b""


def start(
    music: Path, place: Path, words: Path | None = None, **settings: object
) -> subprocess.Popen[str]:
    table = words or music / "words.csv"
    arguments = ["index", str(music), str(table), "--catalogue", str(place)]
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "app.cli", *arguments, "--workers", "2"],
        cwd=ROOT,
        text=True,
        **({"stderr": subprocess.DEVNULL} | settings),
    )


def songs_of(place: Path) -> int:
    return len(rows(place).get("maeum_songs", [])) if place.is_file() else 0
