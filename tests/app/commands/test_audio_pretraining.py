"""``maeum pretrain audio``: what its options say to the pretraining."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import app.cli

pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("timm")

import data_prep.mel_store
from audio_model import input_cache, simclr
from audio_model.input_cache import Clip
from audio_model.simclr import Pretrained
from audio_model.windows import Spectra
from data_prep.errors import MissingDataError


def maeum(*arguments: object):
    return CliRunner().invoke(app.cli.app, [str(a) for a in arguments])


def refused(result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()[-1:]
    assert line.startswith("maeum: ")
    for word in words:
        assert word in line


def clip(dataset: str, name: str) -> Clip:
    random = np.random.default_rng(len(name))
    log_mel = random.normal(-20, 5, (48, 80)).astype(np.float16)
    labels = np.eye(2, dtype=np.float32)[len(name) % 2]
    return Clip(dataset, name, name, labels, Spectra.without_notes(log_mel))


class Store:
    """Stands in for a store of mels."""

    sample_rate, hop_length = 16_000, 256

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ids = ("7", "8", "9") if "empty" not in path.name else ()
        if "slow" in path.name:
            self.hop_length = 512

    def log_mel(self, song_id: str):
        if "broken" in self.path.name and song_id == "8":
            return np.zeros((48, 0), dtype=np.float16)
        return np.random.default_rng(int(song_id)).normal(-50, 9, (48, 90)).astype(np.float16)


@pytest.fixture
def prepared(monkeypatch):
    """What is in the work folder: recordings by data set, and any store."""
    there = {name: [clip(name, "a" * n) for n in range(2, 6)] for name in input_cache.DATASETS}

    def load(work: Path, dataset: str) -> list[Clip]:
        if dataset not in there:
            raise MissingDataError(f"{work}: run `maeum prepare audio` first")
        return there[dataset]

    monkeypatch.setattr(input_cache, "load", load)
    monkeypatch.setattr(data_prep.mel_store, "MelStore", Store)
    return there


@pytest.fixture
def called(monkeypatch):
    """Stands in for the pretraining; keeps what it was called with."""
    calls = []

    def pretrain(clips, out, configuration, **named):
        calls.append((clips, out, configuration, named))
        named["say"]("at work")
        return Pretrained(Path("made"), (), None)

    monkeypatch.setattr(simclr, "pretrain", pretrain)
    return calls


def test_defaults(prepared, called, tmp_path) -> None:
    result = maeum("pretrain", "audio", "--work", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "made\n"), result.output
    assert result.stderr == "at work\n"
    clips, out, configuration, named = called[0]
    assert [one.dataset for one in clips[::4]] == list(input_cache.DATASETS)
    assert len(clips) == len(named["labelled"]) == 12
    assert out == tmp_path / "audio" / "backbones" / "resnet18"
    assert configuration == simclr.SimclrConfiguration()
    assert configuration.backbone == "resnet18"
    assert named["without_fold"] is None


def test_options(prepared, called, tmp_path) -> None:
    result = maeum(
        *("pretrain", "audio", "--work", tmp_path, "--backbone", "small-cnn"),
        *("--data", "emotify, emopia", "--epochs", 7, "--batch", 16, "--frames", 128),
        *("--max-shift", 0, "--temperature", 0.07, "--learning-rate", 0.002),
        *("--precision", "bf16", "--probe-every", 2, "--workers", 1, "--out", tmp_path / "x"),
        *("--seed", 5, "--threads", 1),
    )
    assert result.exit_code == 0, result.output
    clips, out, configuration, named = called[0]
    assert {one.dataset for one in clips} == {"emotify", "emopia"}
    assert {one.dataset for one in named["labelled"]} == set(input_cache.DATASETS)
    assert out == tmp_path / "x"
    assert named["threads"] == 1
    assert configuration == simclr.SimclrConfiguration(
        backbone="small-cnn",
        n_epochs=7,
        batch_size=16,
        n_frames=128,
        max_shift=0.0,
        temperature=0.07,
        learning_rate=0.002,
        precision="bf16",
        probe_every=2,
        workers=1,
        seed=5,
    )


def test_a_fold_may_be_left_out(prepared, called, tmp_path) -> None:
    result = maeum("pretrain", "audio", "--work", tmp_path, "--without-fold", 2)
    assert result.exit_code == 0, result.output
    _, out, _, named = called[0]
    assert named["without_fold"] == 2
    assert out == tmp_path / "audio" / "backbones" / "resnet18-without-fold-2"
    assert maeum("pretrain", "audio", "--work", tmp_path, "--without-fold", 5).exit_code == 2
    assert len(called) == 1


def test_stores(prepared, called, tmp_path) -> None:
    stores = ("--store", tmp_path / "arena.h5", "--store", tmp_path / "own.h5")
    assert maeum("pretrain", "audio", "--work", tmp_path, *stores).exit_code == 0
    clips, _, _, named = called[0]
    assert [(one.dataset, one.id) for one in clips[:4]] == [
        ("arena", "7"),
        ("arena", "8"),
        ("arena", "9"),
        ("own", "7"),
    ]
    assert len(clips) == 6
    assert len(named["labelled"]) == 12  # probed on what is labelled, not trained on it
    assert clips[0].spectra.log_mel.shape == (48, 90)
    together = maeum("pretrain", "audio", "--work", tmp_path, *stores, "--data", "emopia")
    assert together.exit_code == 0
    assert {one.dataset for one in called[1][0]} == {"emopia", "arena", "own"}


def test_a_store_without_labelled_recordings_is_not_probed(prepared, called, tmp_path) -> None:
    prepared.clear()
    result = maeum("pretrain", "audio", "--work", tmp_path, "--store", "arena.h5")
    assert result.exit_code == 0, result.output
    assert called[0][3]["labelled"] == []
    assert "no labelled recordings" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "emotify,gtzan"), ("gtzan", "ravdess_song, emotify, emopia")),
        (("--data", ","), ("--data", "ravdess_song")),
        (("--backbone", "resnet81"), ("resnet81", "resnet18")),
        (("--precision", "half"), ("half", "auto, bf16, 32")),
        (("--frames", 20), ("20 frames", "64")),
        (("--store", "empty.h5"), ("empty.h5", "no song")),
        (("--store", "slow.h5"), ("slow.h5", "512", "256")),
    ],
)
def test_what_does_not_fit_is_refused(prepared, arguments, words, tmp_path) -> None:
    refused(maeum("pretrain", "audio", "--work", tmp_path, *arguments), *words)


def test_nothing_there_is_one_message(prepared, tmp_path) -> None:
    prepared.clear()
    result = maeum("pretrain", "audio", "--work", tmp_path)
    refused(result, "maeum prepare audio")
    assert len(result.stderr.splitlines()) == 1


def test_a_whole_pretraining_with_a_song_that_cannot_be_used(prepared, tmp_path) -> None:
    pytest.importorskip("sklearn")
    prepared.clear()
    result = maeum(
        *("pretrain", "audio", "--work", tmp_path, "--backbone", "small-cnn"),
        *("--store", tmp_path / "broken.h5", "--frames", 64, "--epochs", 1, "--threads", 1),
    )
    assert result.exit_code == 1, result.output
    folder = tmp_path / "audio" / "backbones" / "small-cnn"
    assert result.stdout == f"{folder}\n"
    assert "small-cnn: 384,808 parameters" in result.stderr
    assert "3 recordings (3 of broken), 1 epochs" in result.stderr
    assert "left out: broken/8" in result.stderr
    assert "1 recordings could not be used" in result.stderr
    assert (folder / "backbone.safetensors").is_file()
