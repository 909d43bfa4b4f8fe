"""A user's own recordings: from a store and a table to a model folder that answers."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="torch is in the extra `train`")
pytest.importorskip("lightning", reason="lightning is in the extra `train`")
pytest.importorskip("timm", reason="timm is in the extra `train`")
pytest.importorskip("h5py", reason="h5py is in the extra `train`")

from typer.testing import CliRunner

import app.cli
from audio_model import exporting
from audio_model.backbones import make_backbone, save_backbone
from audio_model.folds import clip_fold
from audio_model.heads import head_labels
from audio_model.log_mel import KAKAO, PRESETS
from audio_model.predictor import AudioPredictor
from audio_model.training_recordings import RecordingSources
from audio_model.views import open_store
from data_prep.errors import InputError, MissingDataError
from data_prep.mel_store_writer import MelStoreWriter, StoreContent
from data_prep.taxonomy import EMOTIONS

N_SONGS = 30


def write_store(path, n_songs: int = N_SONGS):
    """Songs whose loud bands tell joy from sadness."""
    content = StoreContent(asdict(KAKAO), 400, {"made up": True}, {}, 16)
    random = np.random.default_rng(0)
    with MelStoreWriter(path, content) as store:
        for i in range(n_songs):
            log_mel = random.normal(-50, 4, (48, 400))
            log_mel[(slice(0, 12), slice(30, 48))[i % 2]] += 30
            store.add(f"노래/{i}", log_mel.astype(np.float16))
    return path


def write_table(path, n_songs: int = N_SONGS):
    lines = ["id,emotion,artist"]
    lines += [f"노래/{i},{('joy', '슬픔')[i % 2]},artist {i // 3}" for i in range(n_songs)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def sources(tmp_path):
    store, table = write_store(tmp_path / "mels.h5"), write_table(tmp_path / "labels.csv")
    return RecordingSources((), str(store), str(table), group_column="artist")


def maeum(*arguments: object):
    return CliRunner().invoke(app.cli.app, [str(a) for a in arguments])


def test_recordings_have_labels_groups_and_folds(sources, tmp_path):
    clips = sources.load(tmp_path)
    assert len(clips) == N_SONGS
    assert [EMOTIONS[int(clip.shares.argmax())] for clip in clips[:2]] == ["joy", "sadness"]
    folds = {clip.group: {clip_fold(c) for c in clips if c.group == clip.group} for clip in clips}
    assert len(folds) == N_SONGS // 3
    assert all(len(of_group) == 1 for of_group in folds.values())
    assert set.union(*folds.values()) == set(range(5))
    assert clips[0].spectra.log_mel.shape == (48, 400)


def test_rows_that_cannot_be_used_are_told(sources, tmp_path):
    with (tmp_path / "labels.csv").open("a", encoding="utf-8") as table:
        table.write("nowhere,joy,x\n노래/1,hunger,x\n")
    lines: list[str] = []
    assert len(sources.load(tmp_path, lines.append)) == N_SONGS
    assert "2 rows left out" in lines[0]
    assert any("'nowhere' is not in" in line for line in lines)


def test_distributions_are_learned_from_as_they_are(tmp_path):
    store = write_store(tmp_path / "mels.h5", 2)
    table = tmp_path / "words.csv"
    table.write_text(f"id,{','.join(EMOTIONS)}\n노래/0,0.1,0,0.2,0.7,0,0\n", encoding="utf-8")
    (clip,) = RecordingSources((), str(store), str(table)).load(tmp_path)
    np.testing.assert_allclose(clip.shares, [0.1, 0, 0.2, 0.7, 0, 0])


@pytest.mark.parametrize(
    ("label_set", "cells", "expected"),
    [
        ("quadrants", "60,20,10,10", [0.6, 0.2, 0.1, 0.1]),
        ("six", "2,0,0,2,0,0", [0.5, 0, 0, 0.5, 0, 0]),
        ("emotify", "1,0.5,0,0,0,0,0,0,1", [1, 0.5, 0, 0, 0, 0, 0, 0, 1]),
        ("emotify", "60,0,0,0,0,0,0,0,0", None),
    ],
)
def test_numbers_become_shares(tmp_path, label_set, cells, expected):
    store = write_store(tmp_path / "mels.h5", 2)
    table = tmp_path / "own.csv"
    table.write_text(f"id,{','.join(head_labels(label_set))}\n노래/0,{cells}\n", encoding="utf-8")
    own = RecordingSources((), str(store), str(table), label_set=label_set)
    lines: list[str] = []
    if expected is None:
        with pytest.raises(InputError, match="no row"):
            own.load(tmp_path, lines.append)
        assert "from 0 to 1" in lines[1]
    else:
        (clip,) = own.load(tmp_path, lines.append)
        np.testing.assert_allclose(clip.shares, expected)


def test_a_store_without_labels_has_the_folds_of_its_table(tmp_path):
    store, table = write_store(tmp_path / "mels.h5"), write_table(tmp_path / "labels.csv")
    labelled = RecordingSources((), str(store), str(table)).load(tmp_path)
    folds = {clip.id: clip_fold(clip) for clip in labelled}
    assert {clip.id: clip_fold(clip) for clip in open_store(store)} == folds


def test_tables_of_one_name_are_trained_apart(sources, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "labels.csv"
    assert replace(sources, table=str(elsewhere)).hash != sources.hash
    assert replace(sources).hash == sources.hash


def test_sources_are_written_and_read(sources, tmp_path):
    sources.write(tmp_path / "run")
    assert RecordingSources.read(tmp_path / "run") == sources
    with pytest.raises(MissingDataError, match="maeum train audio"):
        RecordingSources.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"datasets": ("gtzan",)}, "gtzan"),
        ({"table": None}, "go together"),
        ({"store": None, "table": None}, "no recording"),
        ({"table": "emopia.csv"}, "rename"),
    ],
)
def test_sources_that_do_not_fit(sources, change, match):
    with pytest.raises(InputError, match=match):
        replace(sources, **change)


def test_from_a_store_to_answers(tmp_path, sources):
    arguments = [
        *("train", "audio", "--work", tmp_path, "--store", sources.store, "--table", sources.table),
        *("--group-column", "artist", "--backbone", "small-cnn", "--seconds", 2, "--epochs", 6),
        *("--batches", 8, "--batch", 16, "--run", "own", "--balance", "weights"),
    ]
    done = maeum(*arguments)
    assert done.exit_code == 0, done.output
    assert "384,808 parameters" in done.stderr
    assert len(done.stdout.splitlines()) == 5
    again = maeum(*arguments)  # goes on where it was: nothing is left to do
    assert again.exit_code == 0, again.output
    assert "epoch 6" not in again.stderr

    folder = tmp_path / "model"
    done = maeum("export-model", "audio", "--work", tmp_path, "--run", "own", "--out", folder)
    assert done.exit_code == 0, done.output
    predictor = AudioPredictor.load(folder)
    assert predictor.n_members == 5
    assert list(predictor.card.labels) == ["six"]
    assert predictor.card.training_data[0].rows == N_SONGS
    clips = sources.load(tmp_path)
    answers = np.stack(
        [
            predictor.six(predictor.read_members(clip.windows(predictor.front_end))).mean(axis=0)
            for clip in clips
        ]
    )
    right = answers.argmax(axis=1) == [clip.shares.argmax() for clip in clips]
    assert right.mean() > 0.9
    reading = predictor.read_waveform(np.random.default_rng(0).normal(0, 0.1, 64_000), 16_000)
    assert reading.distribution is not None


def test_a_backbone_that_heard_the_fold_is_told_and_stands_on_the_card(tmp_path, sources):
    save_backbone(
        make_backbone("small-cnn"),
        tmp_path / "start",
        provenance={"method": "SimCLR", "recordings": {"mels": 24}, "held_out_fold": 1},
    )
    done = maeum(
        *("train", "audio", "--work", tmp_path, "--store", sources.store, "--table", sources.table),
        *("--backbone", "small-cnn", "--seconds", 2, "--epochs", 1, "--batches", 1, "--batch", 4),
        *("--run", "own", "--start", tmp_path / "start", "--frozen", "--folds", "0,1"),
    )
    assert done.exit_code == 0, done.output
    assert done.stderr.count("the pretraining heard this fold") == 1  # not fold 1
    folder = tmp_path / "model"
    done = maeum("export-model", "audio", "--work", tmp_path, "--run", "own", "--out", folder)
    assert done.exit_code == 0, done.output
    named = {data.name: data for data in AudioPredictor.load(folder).card.training_data}
    assert named["mels"].rows == 24
    assert named["mels"].use == "SimCLR without labels, every fold but 1"


def test_a_failed_export_leaves_the_model_that_is_there(tmp_path, sources, monkeypatch):
    arguments = [
        *("train", "audio", "--work", tmp_path, "--store", sources.store, "--table", sources.table),
        *("--backbone", "small-cnn", "--seconds", 2, "--epochs", 1, "--batches", 1, "--batch", 4),
        *("--run", "own", "--folds", "0"),
    ]
    assert maeum(*arguments).exit_code == 0
    folder = tmp_path / "model"
    export = ("export-model", "audio", "--work", tmp_path, "--run", "own", "--out", folder)
    assert maeum(*export).exit_code == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(exporting, "_TOLERANCE", -1.0)
    done = maeum(*export)
    assert (done.exit_code, "differs from torch" in done.stderr) == (2, True), done.output
    monkeypatch.setattr(exporting, "clip_fold", lambda clip: 4)
    done = maeum(*export)
    assert (done.exit_code, "no recording is in fold 0" in done.stderr) == (2, True), done.output
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_members_of_two_trainings_are_not_joined(tmp_path, sources):
    for folds, seconds in (("0", 2), ("1", 3)):
        arguments = [
            *("train", "audio", "--work", tmp_path, "--store", sources.store),
            *("--table", sources.table, "--backbone", "small-cnn", "--seconds", seconds),
            *("--epochs", 1, "--batches", 1, "--batch", 4, "--run", "own", "--folds", folds),
        ]
        assert maeum(*arguments).exit_code == 0
    done = maeum("export-model", "audio", "--work", tmp_path, "--run", "own", "--out", tmp_path)
    assert (done.exit_code, "of another training" in done.stderr) == (2, True), done.output


def test_ids_may_lie_in_a_column_of_another_name(tmp_path, sources):
    text = (tmp_path / "labels.csv").read_text(encoding="utf-8")
    (tmp_path / "labels.csv").write_text(text.replace("id,", "song,", 1), encoding="utf-8")
    arguments = [
        *("train", "audio", "--work", tmp_path, "--store", sources.store, "--table", sources.table),
        *("--backbone", "small-cnn", "--seconds", 2, "--epochs", 1, "--batches", 1, "--batch", 4),
        *("--folds", "0"),
    ]
    done = maeum(*arguments)
    assert (done.exit_code, "--id-column" in done.stderr) == (2, True), done.output
    assert maeum(*arguments, "--id-column", "song").exit_code == 0


def test_wrong_options_are_one_message(tmp_path, sources):
    for arguments, words in (
        (["--start", "x"], "--backbone"),
        (["--backbone", "small-cnn", "--frozen"], "pretrained"),
        (["--label-set", "six"], "--table"),
        (["--backbone", "small-cnn", "--store", sources.store], "go together"),
        (["--backbone", "resnet81", "--data", "emotify"], "resnet"),
        (["--data", "gtzan"], "ravdess_song"),
        (["--folds", "a"], "0 to 4"),
        (["--run", "nothing"], "maeum prepare audio"),
    ):
        done = maeum("train", "audio", "--work", tmp_path, *arguments)
        assert done.exit_code == 2, done.output
        assert words in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) <= 2


def test_recordings_of_a_fuller_log_mel_are_served_as_they_were_made(tmp_path):
    full = PRESETS["full"]
    content = StoreContent(asdict(full), 300, {"made up": True}, {}, 16)
    random = np.random.default_rng(0)
    with MelStoreWriter(tmp_path / "full.h5", content) as store:
        for i in range(N_SONGS):
            log_mel = random.normal(-50, 4, (full.n_mels, 300))
            store.add(f"노래/{i}", log_mel.astype(np.float16))
    table = write_table(tmp_path / "labels.csv")
    done = maeum(
        *("train", "audio", "--work", tmp_path, "--store", tmp_path / "full.h5", "--table", table),
        *("--backbone", "small-cnn", "--seconds", 2, "--epochs", 1, "--batches", 1, "--batch", 4),
        *("--run", "full", "--folds", 0),
    )
    assert done.exit_code == 0, done.output
    folder = tmp_path / "model"
    done = maeum("export-model", "audio", "--work", tmp_path, "--run", "full", "--out", folder)
    assert done.exit_code == 0, done.output
    predictor = AudioPredictor.load(folder)
    assert predictor.n_members == 1
    assert predictor.front_end.log_mel == full
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100 * 3) / 44_100).astype(np.float32)
    soundfile.write(tmp_path / "tone.wav", tone, 44_100)
    (by_file, by_waveform) = (
        predictor.read_file(tmp_path / "tone.wav"),
        predictor.read_waveform(tone, 44_100),
    )
    np.testing.assert_allclose(by_file.distribution, by_waveform.distribution, atol=0.01)
