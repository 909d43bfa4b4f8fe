"""Reading on Ray: the same answers as here, whatever happens to who reads."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

pytest.importorskip("ray", reason="ray is in the extra `cluster`")

from app import ray_pool
from app.cli import app
from app.commands.options import Engine, reading_pool
from app.pooled_mels import PooledMels
from app.ray_pool import RayPool
from app.reading_pool import ReadingPool, TooSlowError, outcome
from audio_model.mel_preparation import Listeners, prepare_sound
from audio_model.mel_sources import SoundSources, recognise
from data_prep.catalogue import Catalogue, StageVector
from data_prep.errors import InputError, ModelFolderError
from data_prep.left_out import LeftOut
from data_prep.mel_store import MelStore
from data_prep.remote_file import place_of_file
from fusion.analysis import SongAnalyser
from tests.s3_server import s3_store

TEXTS = ["비가 오는 밤이면 네가 그리워", "so happy I could dance", "1234", "조용한 저녁"]


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings with words beside some of them, and one that is none."""
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(4)
    for i in range(4):
        t = np.arange(16_000 * (12 + i)) / 16_000
        wave = 0.2 * np.sin(2 * np.pi * (180 + 70 * i) * t) + 0.02 * rng.normal(size=t.size)
        soundfile.write(folder / f"곡 {i}.wav", wave.astype(np.float32), 16_000)
    (folder / "곡 1.txt").write_text("비가 오는 밤이면\n네가 그리워\n잠 못 드네", encoding="utf-8")
    (folder / "broken.mp3").write_bytes(b"no sound at all")
    return folder


@pytest.fixture(scope="module")
def pool() -> Iterator[RayPool]:
    with RayPool(workers=2) as opened:
        yield opened


def sure(reading: Any) -> Any:
    return reading if isinstance(reading, InputError) else reading.distribution


# These start Ray themselves, before the pool that the others share does.


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_other_models_on_a_machine_are_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(ray_pool, "_models_of", lambda *_: ("another",))
    with pytest.raises(ModelFolderError, match="install the same"):
        RayPool(workers=1)


def test_a_graphics_card_that_cannot_be_used_is_told(monkeypatch: Any) -> None:
    import ray

    begin = ray.init  # a card that Ray believes in
    monkeypatch.setattr(ray, "init", lambda **options: begin(num_gpus=1, **options))
    monkeypatch.setattr(ray_pool, "START_S", 60.0)
    with pytest.raises(InputError, match="without CUDA"):
        RayPool(workers=1, with_gpus=True)


def test_refusals(music: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def refused(words: str, *options: object) -> None:
        done = run("index", music, "--catalogue", tmp_path / "x.db", *options)
        assert done.exit_code == 2, done.output
        assert words in done.output

    refused("no Ray cluster answers", "--engine", "ray", "--address", "127.0.0.1:1")
    refused("--address goes with --engine ray", "--address", "127.0.0.1:1")
    refused("leave out --engine ray", "--engine", "ray", "--workers", 0)
    refused("--gpus goes with --engine ray", "--gpus")
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    refused("maeum[cluster]", "--engine", "ray")


def test_words_are_read_as_they_are_here(pool: RayPool) -> None:
    here = SongAnalyser(threads=1)
    asked = [pool.words(TEXTS, as_mood=as_mood) for as_mood in (False, True) for _ in range(6)]
    for pending, as_mood in zip(asked, [False] * 6 + [True] * 6, strict=True):
        for found, text in zip(outcome(pending), TEXTS, strict=True):
            expected = here.read_words(text, as_mood=as_mood)
            np.testing.assert_array_equal(sure(found), expected.distribution)


def test_a_recording_that_is_not_there_is_sent(pool: RayPool, music: Path) -> None:
    path = music / "곡 0.wav"
    near = outcome(pool.sound(path))
    status = path.stat()
    read = (None, ray_pool._read_sound, ())
    far = outcome(pool._ask("on_file", str(path), status.st_size, status.st_mtime_ns + 1, *read))
    np.testing.assert_array_equal(far.distribution, near.distribution)
    broken = music / "broken.mp3"
    size, time_ns = broken.stat().st_size, broken.stat().st_mtime_ns
    with pytest.raises(InputError, match=r"broken\.mp3") as told:
        outcome(pool._ask("on_file", str(broken), size, time_ns + 1, *read))
    assert "maeum-ray-" not in str(told.value)
    with pytest.raises(InputError, match="cannot be read"):
        outcome(pool.sound(music / "none.mp3"))


def test_a_recording_elsewhere_is_fetched_by_its_reader(pool: RayPool, music: Path) -> None:
    with s3_store(music.parent) as store:
        key = f"somebody:secret@{music.name}/곡 0.wav"
        found = outcome(pool.sound(place_of_file(store.url(key))))
        with pytest.raises(InputError, match="cannot be read"):
            outcome(pool.sound(place_of_file(store.url(key.replace("0", "9")))))
    expected = outcome(pool.sound(music / "곡 0.wav"))
    np.testing.assert_array_equal(found.distribution, expected.distribution)


def test_a_store_of_mels_is_the_same_whoever_makes_it(
    pool: RayPool, music: Path, tmp_path: Path
) -> None:
    silence = np.zeros(32_000, np.float32)
    folder = tmp_path / "recordings"
    shutil.copytree(music, folder)
    soundfile.write(folder / "silent.wav", silence, 16_000)
    listed = recognise([folder])
    assert isinstance(listed, SoundSources)
    stores, told = [], []
    with ReadingPool(2) as processes:
        for mels in (None, PooledMels(processes), PooledMels(pool)):
            left_out: list[LeftOut] = []
            place = tmp_path / f"{len(stores)}.h5"
            listeners = Listeners(left_out=left_out.append)
            prepare_sound(listed, place, length_s=5.0, listeners=listeners, mels=mels)
            with MelStore(place) as opened:
                stores.append({i: opened.log_mel(i).tobytes() for i in map(str, opened.ids)})
            told.append([(each.id, each.reason) for each in left_out])
    assert stores[0] == stores[1] == stores[2]
    assert len(stores[0]) == 4
    assert told[0] == told[1] == told[2] == [("broken.mp3", "no sound"), ("silent.wav", "silence")]


def test_what_a_lost_reader_was_asked_is_asked_again(pool: RayPool) -> None:
    asked = [pool.words(TEXTS * 16) for _ in range(30)]
    outcome(asked[0])
    pool._ray.kill(pool._readers[0].actor)
    found = [outcome(pending) for pending in asked]
    assert [len(each) for each in found] == [64] * 30
    for each in found[1:]:
        for one, other in zip(each, found[0], strict=True):
            np.testing.assert_array_equal(sure(one), sure(other))


def test_an_input_that_crashes_its_readers_costs_itself_alone(pool: RayPool) -> None:
    crashing = pool._ask("__ray_terminate__")
    others = [pool.words(TEXTS) for _ in range(8)]
    with pytest.raises(InputError, match="crashed on it"):
        outcome(crashing)
    assert [len(outcome(each)) for each in others] == [4] * 8


def test_what_takes_too_long_is_given_up(pool: RayPool, music: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(pool, "timeout_s", 0.05)
    slow = pool.sound(music / "곡 3.wav")
    with pytest.raises(TooSlowError):
        outcome(slow)
    monkeypatch.setattr(pool, "timeout_s", 60.0)
    assert len(outcome(pool.words(TEXTS))) == 4


def plain(value: Any) -> Any:
    if isinstance(value, StageVector):
        return value.distribution.tobytes(), value.made_by
    return value


def rows(place: Path) -> list[Any]:
    with Catalogue.open(place, read_only=True) as catalogue:
        return [
            [plain(getattr(song, name)) for name in song.__slots__] for song in catalogue.songs()
        ]


def test_what_ray_says_is_not_among_the_results(
    pool: RayPool, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr(RayPool, "close", lambda _: None)  # that of the module is used again
    monkeypatch.setattr(ray_pool, "RayPool", lambda *_, **__: pool)
    with reading_pool(Engine.ray, None, None, None, None, say=lambda _: None) as opened:
        assert opened is pool
        print("(raylet) The node has been marked dead")
    print("a result")
    told = capsys.readouterr()
    assert told.out == "a result\n"
    assert "marked dead" in told.err


def test_a_catalogue_is_the_same_whoever_reads(
    pool: RayPool, music: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    table = tmp_path / "songs.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "lyrics"])
        writer.writerows([f"t{i}", f"제목 {i}", TEXTS[i % 4] * (1 + i % 3)] for i in range(150))
    monkeypatch.setattr(RayPool, "close", lambda _: None)  # that of the module is used again
    monkeypatch.setattr(ray_pool, "RayPool", lambda *_, **__: pool)
    here = run("index", music, table, "--catalogue", tmp_path / "a.db", "--workers", 0)
    there = run("index", music, table, "--catalogue", tmp_path / "b.db", "--engine", "ray")
    assert (here.exit_code, there.exit_code) == (1, 1), there.output  # broken.mp3
    assert "broken.mp3" in there.output
    found = rows(tmp_path / "a.db")
    assert len(found) > 100
    assert rows(tmp_path / "b.db") == found


def test_a_table_is_the_same_whoever_reads(
    pool: RayPool, music: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    table = tmp_path / "songs.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "audio_path"])
        recordings = {3: str(music / "곡 1.wav"), 70: str(music / "broken.mp3")}
        for i in range(200):
            words = TEXTS[(0, 1, 3)[i % 3]] + "\n노래 " * (i % 5)
            writer.writerow([f"t{i}", words, recordings.get(i, "")])
    monkeypatch.setattr(RayPool, "close", lambda _: None)  # that of the module is used again
    monkeypatch.setattr(ray_pool, "RayPool", lambda *_, **__: pool)
    outputs = []
    for name, options in {
        "here": (),
        "pool": ("--workers", 2),
        "ray": ("--engine", "ray"),
    }.items():
        out = tmp_path / f"{name}.jsonl"
        done = run("analyse", "--table", table, "--out", out, *options)
        assert done.exit_code == 1, done.output  # broken.mp3
        assert "199 of 200 rows analysed" in done.output
        outputs.append(out.read_bytes())
    assert outputs[1] == outputs[0]
    assert outputs[2] == outputs[0]
    refused = run("analyse", "--text", "sad", "--engine", "ray")
    assert (refused.exit_code, "go with --table" in refused.output) == (2, True)
