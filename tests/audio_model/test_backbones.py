"""Backbones: one interface, sizes by hand, folders, export."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
pytest.importorskip("timm", reason="timm is in the extra `train`")
pytest.importorskip("safetensors", reason="safetensors comes with the extra `train`")

from audio_model import backbones  # noqa: E402
from audio_model.backbones import (  # noqa: E402
    MIN_FRAMES,
    SmallCnn,
    describe,
    load_backbone,
    make_backbone,
    save_backbone,
)
from data_prep.errors import InputError, ModelFolderError  # noqa: E402

NAMES = ("small-cnn", "resnet18", "efficientnet_b0", "convnext_atto")


def log_mels(n: int = 2, n_frames: int = 100, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 48, n_frames, generator=torch.Generator().manual_seed(seed)) * 10 - 20


@pytest.mark.parametrize("name", NAMES)
def test_every_backbone_has_one_interface(name):
    backbone = make_backbone(name).eval()
    with torch.no_grad():
        for n_frames in (MIN_FRAMES, 257):
            found = backbone(log_mels(n_frames=n_frames))
            assert found.shape == (2, backbone.n_features)
            assert torch.isfinite(found).all()
        # a row does not depend on the others, nor on how the weights lie in memory
        both = backbone(log_mels())
        np.testing.assert_allclose(backbone(log_mels()[1:]), both[1:], rtol=1e-3, atol=1e-4)
        backbone.to(memory_format=torch.channels_last)
        np.testing.assert_allclose(backbone(log_mels()), both, rtol=1e-3, atol=1e-3)


def test_sizes():
    assert make_backbone("resnet18").n_features == 512
    assert make_backbone("small-cnn").n_features == 192
    assert make_backbone("small-cnn", n_mels=96).n_mels == 96


def test_description_of_the_small_cnn_by_hand():
    backbone = make_backbone("small-cnn")
    found = describe(backbone, 256, hop_s=0.016)
    convolutions = 9 * (1 * 24 + 24 * 48 + 48 * 96 + 96 * 128 + 128 * 192)
    assert found.n_parameters == convolutions + 2 * (24 + 48 + 96 + 128 + 192)
    assert f"{found.n_parameters:,}" in (SmallCnn.__doc__ or "")
    # four strided 3-wide convolutions add 2, 4, 8, 16 to the 1 of a position, the fifth 32
    assert (found.receptive_bands, found.receptive_frames) == (63, 63)
    assert found.receptive_s == pytest.approx(63 * 0.016)
    assert (found.rows, found.columns) == (3, 16)
    line = found.line()
    assert "\n" not in line
    for part in ("small-cnn", "384,808 parameters", "63 bands × 63 frames (1.01 s)", "16 frames"):
        assert part in line


def test_description_of_others():
    found = describe(make_backbone("resnet18"), 256)
    assert (found.receptive_frames, found.n_parameters) == (435, 11_170_240)
    gated = describe(make_backbone("efficientnet_b0"), 256)
    assert gated.receptive_frames is None
    assert gated.receptive_s is None
    assert "sees everything" in gated.line()


def test_bands_are_standardised():
    backbone = make_backbone("small-cnn").eval()
    some = log_mels(8)
    some[:, 3] = some[:, 3] * 2 + 7
    backbone.fit_scales(some)
    assert float(backbone.band_mean[3] - backbone.band_mean[4]) == pytest.approx(-13, abs=2)
    assert float(backbone.band_std[3]) == pytest.approx(20, rel=0.1)
    seen = []
    backbone.trunk.register_forward_pre_hook(lambda _, images: seen.append(images[0]))
    with torch.no_grad():
        backbone(some)
    assert seen[0].shape == (8, 1, 48, 100)
    np.testing.assert_allclose(seen[0].mean(dim=(0, 1, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(seen[0].std(dim=(0, 1, 3)), 1.0, rtol=1e-2)
    silent = torch.full((2, 48, 64), -60.0)
    backbone.fit_scales(silent)
    assert torch.isfinite(backbone(silent)).all()


def test_pooling_by_hand():
    class Maps(torch.nn.Module):
        def forward(self, image):
            return torch.tensor([[[[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]]]])

    pooled = backbones.Backbone("maps", Maps(), 48, 1)(log_mels(1))
    # over bands 2, 3, 7: mean 4 and largest 7
    assert float(pooled) == pytest.approx(11.0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet81", ("'resnet81'", "resnet18", "list_models")),
        ("xyzzy", ("'xyzzy'", "small-cnn", "list_models")),
        ("vit_small_patch16_224", ("vit_small_patch16_224", "48 bands", "resnet18")),
        ("swin_tiny_patch4_window7_224", ("48 bands", "fixed image size")),
    ],
)
def test_what_is_no_backbone_is_refused(name, words):
    with pytest.raises(InputError) as refused:
        make_backbone(name)
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["small-cnn", "resnet10t"])
def test_a_folder_keeps_everything(name, tmp_path):
    backbone = make_backbone(name)
    backbone.fit_scales(log_mels(8))
    backbone(log_mels(8))  # moves the statistics of the normalisations
    backbone.to(memory_format=torch.channels_last)
    folder = save_backbone(backbone, tmp_path / "a" / "b", provenance={"method": "none"})
    loaded = load_backbone(folder)
    assert not loaded.training
    assert (loaded.name, loaded.n_features) == (name, backbone.n_features)
    with torch.no_grad():
        np.testing.assert_allclose(
            loaded(log_mels()), backbone.eval()(log_mels()), rtol=1e-4, atol=1e-5
        )
    card = json.loads((folder / "backbone.json").read_text())
    assert card["provenance"] == {"method": "none"}
    assert sorted(path.name for path in folder.iterdir()) == [
        "backbone.json",
        "backbone.safetensors",
    ]


def test_folders_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ModelFolderError, match="maeum pretrain audio"):
        load_backbone(tmp_path)
    folder = save_backbone(make_backbone("small-cnn"), tmp_path, provenance={})
    path = folder / "backbone.json"
    text = path.read_text()
    card = json.loads(text)

    def refused(match: str, **changes: object) -> None:
        path.write_text(json.dumps(card | changes))
        with pytest.raises(ModelFolderError, match=match):
            load_backbone(folder)

    refused("other log-mels", feature_hash="0" * 16)
    refused("other log-mels", n_mels=64)
    refused("weights of 'resnet10t'", name="resnet10t")
    refused("7 features", n_features=7)
    refused("does not describe", n_mels="many")
    path.write_text("{")
    with pytest.raises(ModelFolderError, match="does not describe"):
        load_backbone(folder)
    path.write_text(text)
    weights = folder / "backbone.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelFolderError, match="does not hold"):
        load_backbone(folder)


@pytest.mark.parametrize("name", ["small-cnn", "resnet10t"])
def test_export_answers_as_torch_for_any_batch_and_length(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx", reason="onnx is in the extra `train`")
    backbone = make_backbone(name).eval()
    backbone.fit_scales(log_mels(8))
    torch.onnx.export(
        backbone,
        (log_mels(),),
        str(tmp_path / "backbone.onnx"),
        input_names=["log_mel"],
        output_names=["features"],
        dynamic_axes={"log_mel": {0: "batch", 2: "frames"}, "features": {0: "batch"}},
        dynamo=False,
        opset_version=18,
    )
    session = onnxruntime.InferenceSession(
        str(tmp_path / "backbone.onnx"), providers=["CPUExecutionProvider"]
    )
    for n, n_frames in ((1, 64), (3, 211)):
        given = log_mels(n, n_frames)
        (found,) = session.run(None, {"log_mel": given.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, backbone(given), rtol=1e-3, atol=1e-4)
