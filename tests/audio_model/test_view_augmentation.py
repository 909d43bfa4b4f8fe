"""Augmentations of BYOL-A: each by hand."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")

from audio_model.view_augmentation import (  # noqa: E402
    InputMemory,
    Normalisation,
    ViewAugmentation,
    augmented,
    by_batch,
    crop_boxes,
    mix_powers,
    resized_crops,
)
from data_prep.errors import InputError  # noqa: E402


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def level(*values: float) -> torch.Tensor:
    """Flat log-mels (n, 4, 6)."""
    return torch.tensor(values)[:, None, None].expand(-1, 4, 6).clone()


def test_normalisation_and_back():
    normalisation = Normalisation()
    values = torch.tensor([[[-30.0, -10.0]]])
    normalisation.fit(values)
    assert float(normalisation.mean_db) == -20.0
    assert float(normalisation.std_db) == pytest.approx(np.sqrt(200.0))  # of a sample of two
    np.testing.assert_allclose(normalisation(values), [[[-np.sqrt(0.5), np.sqrt(0.5)]]], rtol=1e-6)
    np.testing.assert_allclose(normalisation.inverse(normalisation(values)), values)
    normalisation.fit(torch.zeros(1, 2, 2))
    assert torch.isfinite(normalisation(values)).all()


def test_a_batch_is_normalised_as_a_whole():
    found = by_batch(level(1.0, 3.0))
    np.testing.assert_allclose(found, level(-1.0, 1.0))
    assert torch.isfinite(by_batch(level(2.0, 2.0))).all()


def test_powers_are_mixed_not_decibels():
    share = torch.tensor([0.5, 0.25, 0.0, 0.4])
    first, second = level(-20.0, -20.0, -20.0, -20.0), level(-20.0, -10.0, 30.0, -300.0)
    mixed = mix_powers(first, second, share, 1.0)[:, 0, 0]
    # powers 0.01 and 0.1: 0.75 * 0.01 + 0.25 * 0.1 = 0.0325
    expected = [-20.0, 10 * np.log10(0.0325), -20.0, 10 * np.log10(0.6 * 0.01)]
    np.testing.assert_allclose(mixed, expected, rtol=1e-5)


def test_mixing_does_not_depend_on_the_unit():
    share, generator = torch.tensor([0.3, 0.1]), seeded()
    first, second = (torch.randn(2, 4, 6, generator=generator) for _ in range(2))
    in_db = mix_powers(first * 12.0, second * 12.0, share, 1.0)
    np.testing.assert_allclose(
        mix_powers(first, second, share, 12.0) * 12.0, in_db, rtol=1e-4, atol=1e-4
    )


def test_the_memory_forgets_the_oldest():
    memory = InputMemory(3)
    assert memory.draw(2, seeded()) is None
    memory.push(level(1.0, 2.0))
    assert len(memory) == 2
    assert set(memory.draw(50, seeded())[:, 0, 0].tolist()) == {1.0, 2.0}
    memory.push(level(3.0, 4.0))
    assert len(memory) == 3
    assert set(memory.draw(50, seeded())[:, 0, 0].tolist()) == {2.0, 3.0, 4.0}
    memory.push(level(5.0, 6.0, 7.0, 8.0))  # more than it holds
    assert set(memory.draw(50, seeded())[:, 0, 0].tolist()) == {6.0, 7.0, 8.0}
    memory.push(level(9.0))
    assert set(memory.draw(50, seeded())[:, 0, 0].tolist()) == {7.0, 8.0, 9.0}
    assert memory.draw(5, seeded()).shape == (5, 4, 6)
    nothing = InputMemory(0)
    nothing.push(level(1.0))
    assert nothing.draw(1, seeded()) is None


def test_the_whole_as_a_box_is_the_input():
    inputs = torch.randn(2, 5, 7, generator=seeded())
    whole = torch.tensor([[0.0, 0.0, 5.0, 7.0]]).repeat(2, 1)
    np.testing.assert_allclose(resized_crops(inputs, whole), inputs, atol=1e-5)


def test_crops_by_hand():
    # a ramp over time and one over bands: cubic interpolation keeps lines inside
    bands, frames = torch.arange(9.0), torch.arange(21.0)
    ramp = (100.0 * bands[:, None] + frames[None, :])[None]
    (found,) = resized_crops(ramp, torch.tensor([[2.0, 4.0, 5.0, 11.0]]))
    down, across = np.linspace(2, 6, 9), np.linspace(4, 14, 21)
    np.testing.assert_allclose(found, 100.0 * down[:, None] + across[None, :], rtol=1e-5)


def test_beyond_the_ends_there_is_nothing():
    inputs = torch.ones(1, 4, 10)
    # twenty frames from five before the first, seen at ten places 19/9 frames apart
    (found,) = resized_crops(inputs, torch.tensor([[0.0, -5.0, 4.0, 20.0]]))
    places = -5 + 19 / 9 * np.arange(10)
    outside = (places < -2) | (places > 11)  # cubic interpolation looks two frames further
    inside = (places > 1) & (places < 8)
    assert outside.sum() == 4
    np.testing.assert_allclose(found[:, outside], 0.0, atol=1e-6)
    np.testing.assert_allclose(found[:, inside], 1.0, atol=1e-5)


def test_boxes_lie_in_the_virtual_area():
    settings = ViewAugmentation()
    boxes = crop_boxes(2000, 48, 256, settings, seeded())
    top, left, height, width = boxes.unbind(dim=1)
    assert float(height.min()) >= int(0.6 * 48)
    assert float(height.max()) == 48  # no higher than the area
    assert int(0.6 * 256) <= float(width.min()) < 0.62 * 256
    assert 1.48 * 256 < float(width.max()) <= 384
    assert float(top.min()) == 0
    assert float((top + height).max()) == 48
    assert float(left.min()) >= -64
    assert float((left + width).max()) <= 256 + 64
    assert float(left.min()) < -60
    assert float((left + width).max()) > 256 + 60
    assert torch.equal(boxes, boxes.round())


def test_views_are_seeded_and_differ():
    inputs, settings = torch.randn(4, 48, 64, generator=seeded()), ViewAugmentation()
    memory = InputMemory(8)
    memory.push(torch.randn(8, 48, 64, generator=seeded(1)))
    first, again = (augmented(inputs, memory, settings, 10.0, seeded(5)) for _ in range(2))
    other = augmented(inputs, memory, settings, 10.0, seeded(6))
    assert torch.equal(first, again)
    assert first.shape == inputs.shape
    assert all(float((a - b).abs().mean()) > 0.1 for a, b in zip(first, other, strict=True))


def test_without_variation_a_view_is_its_input():
    still = ViewAugmentation(
        mixup=0.0, band_scale=(1.0, 1.0), time_scale=(1.0, 1.0), virtual_time=1.0
    )
    inputs, memory = torch.randn(4, 48, 64, generator=seeded()), InputMemory(4)
    memory.push(inputs)
    found = augmented(inputs, memory, still, 10.0, seeded())
    np.testing.assert_allclose(found, inputs, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{"mixup": 1.0}, {"time_scale": (1.5, 0.6)}, {"virtual_bands": 0.5}, {"memory": -1}],
)
def test_settings_are_checked(settings):
    with pytest.raises(InputError, match="views"):
        ViewAugmentation(**settings)
