"""``maeum prepare mels``: what it prints, writes and ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

pytest.importorskip("h5py")
pytest.importorskip("torch")

import app.cli
from data_prep.mel_store import MelStore
from tests.data_prep.toy_mels import arena_mel, arena_name, arena_tar, npy, write_tar

ROOT = Path(__file__).resolve().parents[3]


def maeum(*arguments: object):
    return CliRunner().invoke(app.cli.app, ["prepare", "mels", *map(str, arguments)])


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    folder = tmp_path / "arena"
    folder.mkdir()
    for tar in range(2):
        arena_tar(folder / f"arena_mel_{tar}.tar", range(3 * tar, 3 * tar + 3))
    return folder


def test_a_folder_of_tars(tars, tmp_path):
    store = tmp_path / "s.h5"
    result = maeum(tars, "--out", store)
    assert (result.exit_code, result.stdout) == (0, f"{store}\n"), result.output
    assert result.stderr.splitlines() == [
        "the values are dB: 6 of the first 6 songs fit, typically -100 to 10",
        "6 songs in the store, 6 of them new",
    ]
    result = maeum(tars / "arena_mel_0.tar", tars / "arena_mel_1.tar", "--out", store, "--json")
    assert result.exit_code == 0
    summary = json.loads(result.stdout)
    assert (summary["songs"], summary["added"], summary["left_out"]) == (6, 0, {})
    assert summary["values"]["range"] == "db"
    assert "arena_mel_1.tar is in the store already" in result.stderr
    assert len(MelStore(store)) == 6


def test_what_was_left_out_is_listed(tars, tmp_path):
    write_tar(
        tars / "arena_mel_2.tar",
        {arena_name(s): npy(arena_mel(s)[:40]) for s in range(7, 14)} | {"14": b""},
    )
    cut = tars / "arena_mel_1.tar"
    cut.write_bytes(cut.read_bytes()[:800_000])
    result = maeum(tars, "--out", tmp_path / "s.h5", "--errors", tmp_path / "errors.jsonl")
    assert (result.exit_code, result.stdout) == (1, f"{tmp_path / 's.h5'}\n")
    lines = result.stderr.splitlines()
    assert lines[1:3] == [
        "5 songs in the store, 5 of them new",
        "9 left out: 7 shape, 1 damaged tar, 1 no song",
    ]
    assert f"{cut} is damaged or cut off" in lines[3]
    assert lines[-1] == f"  and 4 more; all are in {tmp_path / 'errors.jsonl'}"
    errors = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert len(errors) == 9
    assert errors[1]["id"] == "7"
    assert errors[1]["where"].endswith("arena_mel_2.tar:0/7.npy")
    assert "(40, 1876): expected (48, frames)" in errors[1]["error"]


def test_nothing_in_the_store_is_no_success(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"0/1.npy": b"x"})
    result = maeum(tar, "--out", tmp_path / "s.h5", "--values", "db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "0 songs in the store" in result.stderr
    assert "1 left out: 1 damaged file" in result.stderr


def test_values_as_given(tmp_path):
    mels = {0: arena_mel(0), 1: arena_mel(1) + np.float32(100)}  # half and half
    tar = write_tar(tmp_path / "a.tar", {arena_name(s): npy(m) for s, m in mels.items()})
    result = maeum(tar, "--out", tmp_path / "s.h5")
    assert result.exit_code == 2
    assert "--values db, shifted or scaled" in result.stderr
    result = maeum(tar, "--out", tmp_path / "s.h5", "--values", "shifted")
    assert result.exit_code == 1
    assert "the values are read as dB + 100, as asked for" in result.stderr
    assert MelStore(tmp_path / "s.h5").ids == ("1",)


def test_a_folder_of_sound(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, 44_100)
    for name in ("a.wav", "b.flac"):
        soundfile.write(folder / name, noise, 22_050)
    (folder / "broken.mp3").write_bytes(b"x" * 99)
    store = tmp_path / "s.h5"
    result = maeum(folder, "--out", store, "--features", "full", "--from-s", 0, "--length-s", 1)
    assert (result.exit_code, result.stdout) == (1, f"{store}\n"), result.output
    assert "2 songs in the store, 2 of them new" in result.stderr
    assert "1 left out: 1 no sound" in result.stderr
    read = MelStore(store)
    assert (read.ids, read.sample_rate, read.n_mels) == (("a.wav", "b.flac"), 22_050, 128)
    assert read.log_mel("a.wav").shape == (128, 1 + 22_050 // 512)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{tars}", "--features", "full"), ("--features", "sound files")),
        (("{tars}", "--from-s", 3), ("--from-s", "sound files")),
        (("{tars}", "--length-s", 3), ("--length-s", "sound files")),
        (("{sound}", "--values", "db"), ("--values", "Kakao")),
        (("{sound}", "--features", "half"), ("--features half", "kakao, full")),
        (("{sound}", "--length-s", 0), ("0.0 s from 20.0 s",)),
        (("{sound}", "--length-s", 3601), ("3601.0 s", "at most 3600 s")),
        (("{sound}", "--length-s", 1e12), ("at most 3600 s",)),
        (("{sound}", "{tars}"), ("one store of each",)),
        (("absent",), ("absent does not exist",)),
        (("{tars}", "--errors", "absent/x"), ("no folder absent",)),
    ],
)
def test_options_that_do_not_fit(tars, tmp_path, arguments, words):
    (tmp_path / "sound").mkdir()
    soundfile.write(tmp_path / "sound" / "a.wav", np.zeros(99), 16_000)
    given = [str(a).format(tars=tars, sound=tmp_path / "sound") for a in arguments]
    refused(maeum(*given, "--out", tmp_path / "s.h5"), *words)
    assert not (tmp_path / "s.h5").exists()


def refused(result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    *_, line = result.stderr.splitlines()
    assert line.startswith("maeum: ")
    for word in words:
        assert word in line


def test_other_files_are_not_written_over(tars, tmp_path):
    (tmp_path / "songs.db").write_bytes(b"my catalogue")
    refused(maeum(tars, "--out", tmp_path / "songs.db"), "songs.db is not an HDF5 file")
    assert (tmp_path / "songs.db").read_bytes() == b"my catalogue"
    refused(maeum(tars, "--out", tmp_path), "is a folder")
    refused(maeum(tars, "--out", tmp_path / "no" / "s.h5"), "there is no folder")


def test_a_process_that_is_killed_goes_on(tars, tmp_path):
    store = tmp_path / "s.h5"
    code = (
        "import os, signal, sys, app.cli\n"
        "from data_prep.mel_store_writer import MelStoreWriter\n"
        "real = MelStoreWriter.begin\n"
        "def begin(self, source):\n"
        "    if source == 'arena_mel_1.tar': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(self, source)\n"
        "MelStoreWriter.begin = begin\n"
        "app.cli.main()\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, "prepare", "mels", str(tars), "--out", str(store)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert MelStore(store).ids == ("0", "1", "2")
    result = maeum(tars, "--out", store)
    assert result.exit_code == 0
    assert "arena_mel_0.tar is in the store already" in result.stderr
    assert "6 songs in the store, 3 of them new" in result.stderr
    for song in range(6):
        np.testing.assert_array_equal(MelStore(store).log_mel(str(song)), arena_mel(song))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arena", "s.h5"]


def test_processes_make_the_same_store(tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    for number in range(5):
        t = np.arange(16_000 * 2) / 16_000
        wave = 0.3 * np.sin(2 * np.pi * (200 + 90 * number) * t)
        soundfile.write(music / f"{number}.wav", wave.astype(np.float32), 16_000)
    (music / "broken.mp3").write_bytes(b"no sound")
    told = []
    for workers in (0, 2):
        store = tmp_path / f"{workers}.h5"
        result = maeum(music, "--out", store, "--workers", workers)
        assert result.exit_code == 1, result.output
        with MelStore(store) as opened:
            told.append({song: opened.log_mel(song).tobytes() for song in opened.ids})
        assert "1 left out" in result.stderr
    assert told[0] == told[1]
    assert len(told[0]) == 5


def test_processes_are_for_recordings(tars, tmp_path):
    result = maeum(tars, "--out", tmp_path / "s.h5", "--workers", 2)
    assert result.exit_code == 2
    assert "--workers and --engine are for sound files" in result.stderr
