"""Patches for the tagger: where they lie, what they hold, and what gain does to them."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model.tag_embedding import (
    MUSICNN,
    EmbeddingConfiguration,
    embedding_configuration,
    grid_places,
    patches_at,
    spread_patches,
)
from data_prep.errors import InputError

HOP = 256
PATCH = 187 * HOP


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


def test_patches_agree_with_librosa():
    librosa = pytest.importorskip("librosa", reason="librosa is in the extra `train`")
    samples = noise(16_000 * 8)
    power = librosa.feature.melspectrogram(
        y=samples / np.abs(samples).max(),
        sr=16_000,
        n_fft=512,
        hop_length=HOP,
        n_mels=96,
        pad_mode="constant",
    )
    whole = np.log10(10_000.0 * power + 1.0).T
    for start, patch in zip(
        (0, 5, 200), patches_at([samples], [np.array([0, 5, 200])]), strict=True
    ):
        np.testing.assert_allclose(patch, whole[start : start + 187], atol=1e-4)


@pytest.mark.parametrize(
    ("seconds", "n"), [(0.5, 1), (2.9, 1), (6.0, 2), (20.0, 6), (60.0, 10), (240.0, 10)]
)
def test_as_many_patches_as_fit_and_ten_at_most(seconds, n):
    assert spread_patches([noise(int(16_000 * seconds))]).shape == (n, 187, 96)


def test_excerpts_give_one_patch_each():
    assert len(spread_patches([noise(160_000, k) for k in range(24)])) == 10
    assert len(spread_patches([noise(160_000, k) for k in range(4)])) == 8


def test_gain_does_not_change_patches():
    samples = noise(160_000)
    np.testing.assert_allclose(
        spread_patches([samples]), spread_patches([samples * 0.01]), atol=1e-4
    )


def test_silence_is_finite():
    assert np.isfinite(spread_patches([np.zeros(160_000, dtype=np.float32)])).all()


def test_the_grid_overlaps_by_half_and_reaches_the_end():
    places = grid_places(160_000)
    assert places[0] == 0
    assert (places[-1] + 187) * HOP <= 160_000 < (places[-1] + 188) * HOP
    assert np.diff(places).max() <= 94
    np.testing.assert_array_equal(grid_places(1_000), [0])


def test_a_configuration_survives_its_card():
    from dataclasses import asdict

    assert embedding_configuration(asdict(MUSICNN)) == MUSICNN
    assert embedding_configuration(None) is None
    with pytest.raises(InputError, match="positive"):
        EmbeddingConfiguration(at_most=0)
