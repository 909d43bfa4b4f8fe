"""musicnn: the published layout read without TensorFlow, and the network by hand."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model.musicnn_weights import NETWORK, read_weights
from audio_model.tag_embedding import MUSICNN
from data_prep.errors import InputError, MissingDataError
from tests.audio_model.toy_musicnn import checkpoint, toy_weights, write_wheel


def test_a_wheel_gives_the_weights_without_the_optimisers(tmp_path):
    weights = toy_weights()
    found = read_weights(write_wheel(tmp_path / "musicnn.whl", weights))
    assert set(found) == set(weights)
    for name, values in weights.items():
        np.testing.assert_array_equal(found[name], values)


def test_a_folder_with_its_content_will_do(tmp_path):
    index, data = checkpoint(toy_weights())
    folder = tmp_path / "musicnn" / NETWORK
    folder.mkdir(parents=True)
    (folder / ".index").write_bytes(index)
    (folder / ".data-00000-of-00001").write_bytes(data)
    assert read_weights(tmp_path)["dense/bias"].shape == (200,)


def test_what_is_no_wheel_of_musicnn_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match="pip download"):
        read_weights(tmp_path / "nowhere.whl")
    (tmp_path / "text.whl").write_text("nothing")
    with pytest.raises(InputError, match="pip download"):
        read_weights(tmp_path / "text.whl")


@pytest.mark.parametrize("damage", ["cut", "magic", "data"])
def test_damaged_checkpoints_are_refused(tmp_path, damage):
    index, data = checkpoint(toy_weights())
    if damage == "cut":
        index = index[:100] + index[-48:]
    elif damage == "magic":
        index = index[:-1] + b"\0"
    else:
        data = data[:1000]
    folder = tmp_path / "musicnn" / NETWORK
    folder.mkdir(parents=True)
    (folder / ".index").write_bytes(index)
    (folder / ".data-00000-of-00001").write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_weights(tmp_path)


def convolved(image, kernel, bias):
    """(frames, bands) and TensorFlow's kernel (length, height, 1, n) → (frames, places, n)."""
    length, height = kernel.shape[:2]
    padded = np.pad(image, (((length - 1) // 2, length // 2), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (length, height))
    return np.maximum(np.einsum("tblh,lhn->tbn", views, kernel[:, :, 0]) + bias, 0.0)


def test_the_network_by_hand():
    torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
    from audio_model.musicnn import Musicnn

    w = {name: values.astype(np.float64) for name, values in toy_weights().items()}

    def normalised(values, number):
        name = "batch_normalization" + (f"_{number}" if number else "")
        spread = np.sqrt(w[f"{name}/moving_variance"] + 1e-3)
        return (values - w[f"{name}/moving_mean"]) / spread * w[f"{name}/gamma"] + w[f"{name}/beta"]

    def layer(image, number):
        name = "conv2d" + (f"_{number}" if number else "")
        made = convolved(image, w[f"{name}/kernel"], w[f"{name}/bias"])
        return normalised(made, number + 1)

    patch = np.random.default_rng(1).uniform(0, 3, MUSICNN.patch_shape)
    image = normalised(patch, 0)
    maps = np.concatenate([layer(image, number).max(axis=1) for number in range(5)], axis=1)
    found = [maps]
    for number in (5, 6, 7):
        made = layer(maps, number)[:, 0]
        maps = made if number == 5 else made + maps
        found.append(maps)
    everything = np.concatenate(found, axis=1)  # (frames, channels)
    pooled = np.stack([everything.max(axis=0), everything.mean(axis=0)], axis=1).reshape(-1)
    hidden = np.maximum(normalised(pooled, 9) @ w["dense/kernel"] + w["dense/bias"], 0.0)
    expected = normalised(hidden, 10)

    got = Musicnn(toy_weights())(torch.from_numpy(patch.astype(np.float32))[None])
    np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-4)


def test_weights_that_are_not_musicnns_are_refused():
    pytest.importorskip("torch", reason="torch is in the extra `train`")
    from audio_model.musicnn import Musicnn

    weights = toy_weights()
    del weights["dense/bias"]
    with pytest.raises(InputError, match="dense/bias"):
        Musicnn(weights)
