"""Probes: features that know everything, nothing, or the singer alone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
pytest.importorskip("timm", reason="timm is in the extra `train`")
pytest.importorskip("lightning", reason="lightning is in the extra `train`")
pytest.importorskip("sklearn", reason="scikit-learn is in the extra `train`")

from toy_recordings import recording, toy_recordings  # noqa: E402

from audio_model.backbones import make_backbone  # noqa: E402
from audio_model.probing import (  # noqa: E402
    NEIGHBOURS,
    ProbeCallback,
    clip_features,
    nearest_neighbours,
    probe,
    sample,
)
from data_prep.errors import InputError  # noqa: E402

RANDOM = np.random.default_rng(0)
FLAT = np.full((48, 64), -20.0)


def labelled(shares: np.ndarray, *, dataset: str = "toy", groups: int = 20):
    """Recordings with these labels, in so many groups."""
    return [
        recording(FLAT, str(i), dataset=dataset, group=f"g{i % groups}", shares=row)
        for i, row in enumerate(shares.astype(np.float32))
    ]


def classes(n: int = 200, n_classes: int = 5) -> np.ndarray:
    return np.eye(n_classes)[RANDOM.integers(0, n_classes, n)]


def test_features_that_know_the_class():
    shares = classes()
    features = (shares @ RANDOM.normal(0, 1, (5, 8)) + RANDOM.normal(0, 0.1, (200, 8))).astype(
        np.float32
    )
    (found,) = probe(features, labelled(shares)).datasets
    assert (found.dataset, found.n_clips) == ("toy", 200)
    assert set(found.linear) == {"balanced_accuracy", "macro_f1", "accuracy"}
    assert min(found.linear.values()) > 0.97
    assert min(found.nearest.values()) > 0.97
    assert found.constant["balanced_accuracy"] == pytest.approx(0.2)
    shown = max(shares.mean(axis=0))
    assert found.constant["accuracy"] == pytest.approx(shown)
    assert found.constant["macro_f1"] < 0.1


def test_features_that_know_nothing():
    (found,) = probe(RANDOM.normal(size=(200, 8)).astype(np.float32), labelled(classes())).datasets
    assert abs(found.linear["balanced_accuracy"] - 0.2) < 0.1
    assert abs(found.nearest["balanced_accuracy"] - 0.2) < 0.1


def test_features_that_know_the_group_alone_do_not_help():
    # a group has one class: whoever finds another of the group finds its class, but all
    # of the group are asked at once
    groups = np.arange(200) % 40
    shares = np.eye(4)[RANDOM.integers(0, 4, 40)[groups]]
    features = np.eye(40, dtype=np.float32)[groups] * 5 + RANDOM.normal(0, 0.01, (200, 40))
    (found,) = probe(features.astype(np.float32), labelled(shares, groups=40)).datasets
    assert found.nearest["balanced_accuracy"] < 0.5
    assert found.linear["balanced_accuracy"] < 0.5


def test_features_that_know_soft_scales():
    shares = RANDOM.uniform(0, 1, (200, 3))
    features = (shares @ RANDOM.normal(0, 1, (3, 6))).astype(np.float32)
    (found,) = probe(features, labelled(shares)).datasets
    assert found.linear["pearson_r"] > 0.95
    assert 0.7 < found.nearest["pearson_r"] < 1.0
    assert found.constant == {"pearson_r": 0.0}


def test_data_sets_are_probed_apart_and_what_has_no_label_or_fold_is_not():
    shares = np.eye(3)[np.arange(60) % 3]  # as many of each, whatever the folds
    clips = [
        *labelled(shares, dataset="a"),
        *labelled(shares[:, ::-1], dataset="b"),
        *labelled(shares[:, :0], dataset="stored"),
        *(recording(FLAT, f"{i}", dataset="alone", group="one", shares=s) for i, s in enumerate(
            shares.astype(np.float32)
        )),
    ]  # fmt: skip
    features = np.concatenate([shares, shares, shares, shares]).astype(np.float32)
    report = probe(features, clips)
    assert [one.dataset for one in report.datasets] == ["a", "b"]  # "alone" is in one fold
    assert all(one.linear["accuracy"] == 1.0 for one in report.datasets)
    assert json.loads(json.dumps(report.figures()))["b"]["n_clips"] == 60
    assert "a balanced accuracy: linear 1.000, nearest 1.000, constant 0.333" in report.line()
    with pytest.raises(InputError, match="of 240 recordings"):
        probe(features[:5], clips)


def test_neighbours_agree_with_scikit_learn():
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    known, asked = RANDOM.normal(3, 2, (90, 7)), RANDOM.normal(3, 2, (11, 7))
    scaler = StandardScaler().fit(known)
    reference = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine")
    expected = reference.fit(scaler.transform(known)).kneighbors(
        scaler.transform(asked), return_distance=False
    )
    found = nearest_neighbours(known.astype(np.float32), asked.astype(np.float32))
    np.testing.assert_array_equal(found, expected)
    assert nearest_neighbours(known[:4], asked).shape == (11, 4)


def test_features_are_means_over_windows():
    backbone = make_backbone("small-cnn")
    log_mel = RANDOM.normal(-20, 5, (48, 640)).astype(np.float16)
    short = log_mel[:, :50]
    clips = [recording(log_mel, "long"), recording(short, "short")]
    found = clip_features(backbone, clips, 128)
    assert backbone.training  # as it was
    backbone.eval()
    with torch.no_grad():
        windows = [log_mel[:, s : s + 128] for s in (0, 170, 341, 512)]
        parts = backbone(torch.from_numpy(np.stack(windows)).float())
        repeated = np.tile(short, (1, 3))[:, :128]
        alone = backbone(torch.from_numpy(repeated[None]).float())
    np.testing.assert_allclose(found[0], parts.mean(dim=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], alone[0], rtol=1e-4, atol=1e-5)


def test_many_windows_are_answered_in_parts():
    clips = toy_recordings(40, n_frames=256)
    backbone = make_backbone("small-cnn")
    whole = clip_features(backbone, clips, 64)
    halves = [clip_features(backbone, part, 64) for part in (clips[:17], clips[17:])]
    np.testing.assert_allclose(whole, np.concatenate(halves), rtol=1e-4, atol=1e-5)


def test_a_sample_is_fixed_and_even():
    shares = classes(60, 3)
    clips = [*labelled(shares, dataset="a"), *labelled(shares[:10], dataset="b")]
    first, again, other = (sample(clips, 20, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [clip.dataset for clip in first] == ["a"] * 20 + ["b"] * 10
    assert sample(labelled(shares[:, :0]), 20, 1) == []


def test_a_run_killed_while_it_writes_its_probes_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "probe.jsonl"
    module = SimpleNamespace(backbone=make_backbone("small-cnn"))

    def callback() -> ProbeCallback:
        return ProbeCallback(
            toy_recordings(20, n_frames=64),
            path,
            n_frames=64,
            every=1,
            at_most=20,
            seed=0,
            say=lambda line: None,
        )

    def end_epoch(probes: ProbeCallback, epoch: int) -> None:
        probes.on_train_epoch_end(SimpleNamespace(current_epoch=epoch, max_epochs=9), module)

    def killed(self: Path, text: str, **named: object) -> None:
        real(self, text[:-9], **named)
        raise KeyboardInterrupt

    end_epoch(callback(), 0)
    first = callback().last_report()
    real = Path.write_text
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            end_epoch(callback(), 1)
    again = callback()
    assert again.last_report() == first
    end_epoch(again, 1)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [one.name for one in tmp_path.iterdir()] == ["probe.jsonl"]
