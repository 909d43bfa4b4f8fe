"""Pretraining: crops, loss by hand, resume, left-out recordings, and a toy it learns."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
pytest.importorskip("timm", reason="timm is in the extra `train`")
lightning = pytest.importorskip("lightning", reason="lightning is in the extra `train`")
pytest.importorskip("sklearn", reason="scikit-learn is in the extra `train`")

from toy_recordings import recording, toy_recordings  # noqa: E402

from audio_model import simclr  # noqa: E402
from audio_model.backbones import load_backbone, make_backbone  # noqa: E402
from audio_model.recording import StoredRecording  # noqa: E402
from audio_model.simclr import (  # noqa: E402
    SimclrConfiguration,
    SimclrTraining,
    nt_xent,
    pretrain,
)
from audio_model.view_augmentation import Normalisation, ViewAugmentation  # noqa: E402
from audio_model.views import ViewBatches  # noqa: E402
from data_prep.errors import InputError, MissingDataError  # noqa: E402

TOY = SimclrConfiguration(
    backbone="small-cnn",
    n_frames=64,
    max_shift=4.0,
    batch_size=8,
    hidden=16,
    projected=8,
    n_epochs=3,
    warmup_epochs=1,
    precision="32",
    augmentation=ViewAugmentation(memory=16),
)


def silent(_: str) -> None:
    pass


def test_the_loss_by_hand():
    first = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    second = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    # cosines: of the first pair 0.6, of the second 1; across 0, 0 (firsts with seconds: 0, 0.8),
    # between the seconds 0.8
    t = 0.5

    def entropy(partner: float, *others: float) -> float:
        weights = [math.exp(cosine / t) for cosine in (partner, *others)]
        return -math.log(weights[0] / sum(weights))

    expected = np.mean(
        [
            entropy(0.6, 0.0, 0.0),  # first view of recording 0
            entropy(1.0, 0.0, 0.8),  # first view of recording 1
            entropy(0.6, 0.8, 0.8),  # second view of recording 0: the nearest is a stranger
            entropy(1.0, 0.0, 0.8),  # second view of recording 1
        ]
    )
    loss, found = nt_xent(first, second, torch.tensor([0, 1]), t)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert float(found) == 0.75


def test_recordings_of_one_group_are_not_strangers():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(3, 5, generator=generator) for _ in range(2))
    loss, found = nt_xent(first, second, torch.tensor([4, 4, 4]), 0.1)
    assert (float(loss), float(found)) == (0.0, 1.0)  # nothing to be told from
    # recordings 0 and 1 are of one group: neither is among the other's strangers
    views = torch.nn.functional.normalize(torch.cat([first, second]), dim=1)
    expected = []
    for view, strangers in enumerate([[2, 5], [2, 5], [0, 1, 3, 4]] * 2):
        partner = (view + 3) % 6
        cosines = views[[partner, *strangers]] @ views[view]
        expected.append(-float(torch.log_softmax(cosines / 0.1, dim=0)[0]))
    loss, _ = nt_xent(first, second, torch.tensor([0, 0, 2]), 0.1)
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)


def test_mixed_precision_does_not_touch_the_loss():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(6, 5, generator=generator) for _ in range(2))
    plain, _ = nt_xent(first, second, torch.arange(6), 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = nt_xent(first, second, torch.arange(6), 0.1)
    assert float(mixed) == float(plain)


def test_fast_dev_run():
    normalisation = Normalisation()
    normalisation.fit(torch.randn(4, 48, 64))
    module = SimclrTraining(make_backbone("small-cnn"), normalisation, toy_recordings(8), TOY)
    before = [p.detach().clone() for p in module.parameters()]
    lightning.Trainer(
        fast_dev_run=True, accelerator="cpu", logger=False, enable_model_summary=False,
        enable_progress_bar=False,
    ).fit(module)  # fmt: skip
    moved = [not torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True)]
    assert all(moved)


def test_views_are_in_decibels_like_the_inputs():
    normalisation = Normalisation()
    inputs = torch.randn(2, 8, 48, 64) * 12 - 20
    normalisation.fit(inputs)
    module = SimclrTraining(make_backbone("small-cnn"), normalisation, toy_recordings(8), TOY)
    for _ in range(2):  # the second time with a memory
        made = module.views(inputs, torch.Generator().manual_seed(0))
    assert made.shape == inputs.shape
    assert float(made.mean()) == pytest.approx(float(inputs.mean()), abs=1e-2)
    assert float(made.std()) == pytest.approx(float(inputs.std()), rel=1e-2)
    assert not torch.allclose(made[0], made[1])


def test_an_interrupted_pretraining_ends_the_same(tmp_path, monkeypatch):
    clips = toy_recordings(17)
    lines: list[str] = []
    arguments = {"labelled": clips, "say": lines.append, "threads": 1}
    whole = pretrain(clips, tmp_path / "a", TOY, **arguments)
    assert lines[0].startswith("small-cnn: 384,808 parameters")
    assert "17 recordings (17 of toy)" in lines[1]
    assert any(line.startswith("epoch 3 of 3: loss") and "left" in line for line in lines)

    class KilledError(Exception):
        pass

    epochs = []

    class Killing(ViewBatches):
        def __getitem__(self, index):
            if index == 1:
                epochs.append(index)
                if len(epochs) == 3:
                    raise KilledError
            return super().__getitem__(index)

    monkeypatch.setattr(simclr, "ViewBatches", Killing)
    with pytest.raises(KilledError):
        pretrain(clips, tmp_path / "b", TOY, **arguments)
    assert not (tmp_path / "b" / "backbone.json").exists()
    monkeypatch.setattr(simclr, "ViewBatches", ViewBatches)
    lines.clear()
    resumed = pretrain(clips, tmp_path / "b", TOY, **arguments)
    assert not any(line.startswith("epoch 2") for line in lines)
    one, other = (load_backbone(made.folder).state_dict() for made in (whole, resumed))
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert whole.probe == resumed.probe
    assert whole.probe is not None
    for folder in (whole.folder, resumed.folder):
        (path,) = folder.glob("run-*/probe.jsonl")
        epochs_probed = [json.loads(line)["epoch"] for line in path.read_text().splitlines()]
        assert epochs_probed == [0, 3]


def test_a_finished_pretraining_is_not_done_again(tmp_path, monkeypatch):
    clips = toy_recordings(8)
    first = pretrain(clips, tmp_path, TOY, labelled=clips, say=silent)
    monkeypatch.setattr(ViewBatches, "__getitem__", None)
    again = pretrain(clips, tmp_path, TOY, labelled=clips, say=silent)
    assert again == first
    card = json.loads((tmp_path / "backbone.json").read_text())
    assert card["name"] == "small-cnn"
    assert card["provenance"]["recordings"] == {"toy": 8}
    assert card["provenance"]["configuration"]["temperature"] == 0.1
    assert card["provenance"]["probe"]["toy"]["n_clips"] == 8


def test_other_settings_start_anew(tmp_path):
    clips = toy_recordings(8)
    for temperature in (0.1, 0.2):
        settings = replace(TOY, temperature=temperature, n_epochs=1)
        pretrain(clips, tmp_path, settings, say=silent)
    assert len(list(tmp_path.glob("run-*"))) == 2


def test_mixed_precision_leaves_whole_weights(tmp_path):
    settings = replace(TOY, precision="bf16", n_epochs=1)
    made = pretrain(toy_recordings(8), tmp_path, settings, say=silent)
    weights = load_backbone(made.folder).state_dict().values()
    assert {value.dtype for value in weights} == {torch.float32, torch.int64}
    assert all(torch.isfinite(value).all() for value in weights)


def test_it_learns_what_views_have_in_common(tmp_path):
    clips = toy_recordings(64, seed=3)
    settings = replace(
        TOY,
        batch_size=32,
        n_epochs=20,
        learning_rate=5e-3,
        temperature=0.3,
        hidden=32,
        projected=16,
        augmentation=ViewAugmentation(memory=16, band_scale=(0.9, 1.0)),
    )
    made = pretrain(clips, tmp_path, settings, labelled=clips, say=silent, threads=1)
    (path,) = tmp_path.glob("run-*/probe.jsonl")
    before, *_, after = (json.loads(line)["figures"]["toy"] for line in path.open())
    assert made.probe is not None
    assert made.probe.datasets[0].nearest == after["nearest"]
    # four classes; fresh weights already tell something
    assert before["nearest"]["accuracy"] < 0.6
    assert after["nearest"]["accuracy"] > 0.75


def test_recordings_that_cannot_be_used_are_told_and_left_out(tmp_path):
    class Store:
        def __init__(self) -> None:
            random = np.random.default_rng(0)
            self.songs = {str(i): random.normal(-40, 10, (48, 90)) for i in range(9)}
            self.songs["3"] = np.zeros((48, 0))
            self.songs["4"] = np.full((48, 90), np.nan)

        ids = tuple(str(i) for i in range(9))

        def log_mel(self, song_id, /):
            return self.songs[song_id].astype(np.float16)

    store = Store()
    clips = [StoredRecording("songs", song_id, store) for song_id in store.ids]
    np.testing.assert_allclose(clips[0].spectra.log_mel.max(), 20, atol=20)
    lines: list[str] = []
    made = pretrain(clips, tmp_path, TOY, say=lines.append)
    assert sorted(reason.partition(":")[0] for reason in made.left_out) == ["songs/3", "songs/4"]
    assert sum(line.startswith("left out: songs/") for line in lines) == 2
    assert made.probe is None
    assert json.loads((tmp_path / "backbone.json").read_text())["provenance"]["left_out"] == 2
    with pytest.raises(InputError, match="songs/3"):
        pretrain([clips[3], clips[4]], tmp_path, TOY, say=silent)


def test_the_validation_split_of_emopia_is_not_heard(tmp_path):
    text = files("data_prep").joinpath("splits/emopia.json").read_text(encoding="utf-8")
    splits = json.loads(text)["splits"]
    songs = (splits["train"][0], splits["validation"][0])
    flat = np.random.default_rng(0).normal(-20, 5, (48, 64))
    clips = [recording(flat, song, dataset="emopia", group=song) for song in songs]
    with pytest.raises(MissingDataError, match="1 recordings"):
        pretrain(clips, tmp_path, TOY, say=silent)


def test_a_fold_is_left_out_and_named(tmp_path):
    folds = json.loads(
        files("data_prep").joinpath("splits/emotify.json").read_text(encoding="utf-8")
    )["folds"]
    random = np.random.default_rng(0)
    clips = [
        recording(random.normal(-20, 5, (48, 64)), name, dataset="emotify", group=name)
        for fold in folds
        for name in fold[:2]
    ]
    said: list[str] = []
    settings = replace(TOY, n_epochs=1)
    out = pretrain(clips, tmp_path / "left", settings, without_fold=3, say=said.append).folder
    assert any(line.startswith("8 recordings (8 of emotify)") for line in said)
    provenance = json.loads((out / "backbone.json").read_text(encoding="utf-8"))["provenance"]
    assert (provenance["held_out_fold"], provenance["recordings"]) == (3, {"emotify": 8})
    # the same run as of these recordings alone
    kept = [clip for clip in clips if clip.group not in folds[3]]
    same = pretrain(kept, tmp_path / "kept", settings, say=silent).folder
    runs = [next(folder.glob("run-*")).name for folder in (out, same)]
    assert runs[0] == runs[1]
    provenance = json.loads((same / "backbone.json").read_text(encoding="utf-8"))["provenance"]
    assert provenance["held_out_fold"] is None
    with pytest.raises(InputError, match="--without-fold 5: expected one of 0 to 4"):
        pretrain(clips, tmp_path, TOY, without_fold=5, say=silent)


def test_bands_must_agree(tmp_path):
    clips = [recording(np.full((n, 64), -20.0), str(n)) for n in (48, 64)]
    with pytest.raises(InputError, match="48 and 64 bands"):
        pretrain(clips, tmp_path, TOY, say=silent)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"n_frames": 10}, "10 frames"),
        ({"batch_size": 1}, "batch of 1"),
        ({"precision": "16"}, "'16'"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"n_epochs": 0}, "n_epochs=0"),
        ({"max_shift": -1.0}, "max_shift"),
    ],
)
def test_settings_are_checked(settings, match):
    with pytest.raises(InputError, match=match):
        replace(TOY, **settings)
