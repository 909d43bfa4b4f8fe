"""Properties of fusion, whatever the rule."""

import numpy as np
import pytest

from data_prep.errors import InputError
from fusion.combination import fuse, fuse_many, jensen_shannon
from fusion.quantile_map import QuantileMap
from fusion.rules import Mean, Product, certainty
from fusion.settings import BranchCalibration, FusionSettings

UNIFORM = np.full(6, 1 / 6, dtype=np.float32)
METHODS = ("mean", "product")


def draw(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(6, 0.6), size=n).astype(np.float32)


def settings_of(method: str, lyrics_weight: float = 0.5, **changes) -> FusionSettings:
    rule = Mean(lyrics_weight) if method == "mean" else Product.of_weight(lyrics_weight)
    return FusionSettings(rule=rule, **changes)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_sums_to_one(method, weight):
    fused = fuse_many(draw(300, 1), draw(300, 2), settings_of(method, weight))
    np.testing.assert_allclose(fused.distribution.sum(axis=1), 1.0, atol=1e-5)
    assert (fused.distribution >= 0).all()
    np.testing.assert_allclose(fused.lyrics_share + fused.audio_share, 1.0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_permuting_the_emotions_permutes_the_answer(method):
    lyrics, audio = draw(50, 3), draw(50, 4)
    order = np.array([5, 2, 0, 1, 3, 4])
    straight = fuse_many(lyrics, audio, settings_of(method, 0.7))
    permuted = fuse_many(lyrics[:, order], audio[:, order], settings_of(method, 0.7))
    np.testing.assert_allclose(permuted.distribution, straight.distribution[:, order], atol=1e-6)
    np.testing.assert_allclose(permuted.disagreement, straight.disagreement, atol=1e-6)
    np.testing.assert_allclose(permuted.lyrics_share, straight.lyrics_share, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_a_missing_branch_leaves_the_other_unchanged(method, weight):
    settings = settings_of(
        method,
        weight,
        lyrics=BranchCalibration(1.4, (0.3, 0.1, 0.1, 0.3, 0.1, 0.1), 0.5),
        audio=BranchCalibration(0.8),
    )
    (answer,) = draw(1, 5)
    words_only, sound_only = fuse(answer, None, settings), fuse(None, answer, settings)
    np.testing.assert_array_equal(words_only.distribution, words_only.lyrics)
    np.testing.assert_array_equal(sound_only.distribution, sound_only.audio)
    assert words_only.audio is None
    assert sound_only.lyrics is None
    assert (words_only.lyrics_share, words_only.audio_share) == (1.0, 0.0)
    assert (sound_only.lyrics_share, sound_only.audio_share) == (0.0, 1.0)
    assert words_only.disagreement is None
    assert sound_only.disagreement is None


@pytest.mark.parametrize("weight", [0.5, 0.7, 1.0])
def test_a_uniform_expert_of_no_greater_weight_changes_nothing(weight):
    for answer in draw(20, 6):
        fused = fuse(answer, UNIFORM, settings_of("product", weight))
        np.testing.assert_allclose(fused.distribution, answer, atol=1e-6)
        swapped = fuse(UNIFORM, answer, settings_of("product", 1.0 - weight))
        np.testing.assert_allclose(swapped.distribution, answer, atol=1e-6)


def test_a_uniform_expert_of_greater_weight_keeps_the_order():
    for answer in draw(20, 7):
        fused = fuse(UNIFORM, answer, settings_of("product", 0.8))
        np.testing.assert_array_equal(np.argsort(fused.distribution), np.argsort(answer))


def test_hand_computed_mean_and_product():
    lyrics = np.array([0.5, 0.5, 0, 0, 0, 0])
    audio = np.array([0.8, 0.0, 0.2, 0, 0, 0])
    mean = fuse(lyrics, audio, settings_of("mean", 0.25))
    np.testing.assert_allclose(mean.distribution, [0.725, 0.125, 0.15, 0, 0, 0], atol=1e-6)
    product = fuse(
        np.array([0.4, 0.2, 0.1, 0.1, 0.1, 0.1]),
        np.array([0.1, 0.4, 0.1, 0.2, 0.1, 0.1]),
        settings_of("product"),
    )
    np.testing.assert_allclose(product.distribution, np.array([4, 8, 1, 2, 1, 1]) / 17, atol=1e-6)


def test_experts_with_nothing_in_common_still_give_a_distribution():
    fused = fuse(np.eye(6)[0], np.eye(6)[3], settings_of("product"))
    np.testing.assert_allclose(fused.distribution.sum(), 1.0, atol=1e-5)
    np.testing.assert_allclose(fused.distribution[[0, 3]], 0.5, atol=1e-5)
    assert fused.disagreement == pytest.approx(1.0)


@pytest.mark.parametrize("method", METHODS)
def test_one_by_one_and_together_agree(method):
    settings = settings_of(method, 0.6, audio=BranchCalibration(1.9))
    lyrics, audio = draw(40, 8), draw(40, 9)
    lyrics[::4] = np.nan
    audio[1::4] = np.nan
    together = fuse_many(lyrics, audio, settings)
    for i in range(40):
        one = fuse(
            None if np.isnan(lyrics[i, 0]) else lyrics[i],
            None if np.isnan(audio[i, 0]) else audio[i],
            settings,
        )
        np.testing.assert_allclose(one.distribution, together.distribution[i], atol=1e-7)
        assert one.lyrics_share == pytest.approx(float(together.lyrics_share[i]))
        assert one.confidence == pytest.approx(float(together.confidence[i]))
        assert one.abstain == together.abstain[i]
        if one.disagreement is None:
            assert np.isnan(together.disagreement[i])
        else:
            assert one.disagreement == pytest.approx(float(together.disagreement[i]))


def test_neither_branch():
    with pytest.raises(InputError, match="neither"):
        fuse(None, None, FusionSettings())
    missing = np.full((1, 6), np.nan)
    fused = fuse_many(missing, missing, FusionSettings())
    assert np.isnan(fused.distribution).all()
    assert np.isnan(fused.lyrics_share).all()
    assert fused.abstain.all()


def test_no_songs_at_all():
    fused = fuse_many(np.empty((0, 6)), np.empty((0, 6)), FusionSettings())
    assert fused.distribution.shape == (0, 6)


def test_disagreement_and_certainty():
    (p, q) = draw(2, 10)
    assert jensen_shannon(p, p) == pytest.approx(0.0, abs=1e-9)
    assert jensen_shannon(p, q) == pytest.approx(float(jensen_shannon(q, p)))
    assert jensen_shannon(np.eye(6)[1], np.eye(6)[2]) == pytest.approx(1.0)
    # Half of the mass shared: JS of (1, 0) and (.5, .5) is 0.3113 bits.
    shared = jensen_shannon(np.eye(6)[0], np.array([0.5, 0.5, 0, 0, 0, 0]))
    assert shared == pytest.approx(0.311278, abs=1e-6)
    assert certainty(UNIFORM) == pytest.approx(0.0, abs=1e-7)
    assert certainty(np.eye(6)[4]) == pytest.approx(1.0)


def test_the_surer_branch_has_the_larger_share():
    sure, unsure = np.array([0.95, 0.01, 0.01, 0.01, 0.01, 0.01]), UNIFORM
    fused = fuse(sure, unsure, FusionSettings())
    assert fused.lyrics_share > 0.99
    assert fuse(unsure, unsure, settings_of("mean", 0.3)).lyrics_share == pytest.approx(0.3)


def test_what_the_sound_moved():
    lyrics, audio = draw(2, 11)
    both = fuse(lyrics, audio, settings_of("mean", 0.25))
    np.testing.assert_allclose(both.moved, 0.75 * (audio - lyrics), atol=1e-6)
    assert both.moved.sum() == pytest.approx(0.0, abs=1e-6)
    assert fuse(lyrics, None, FusionSettings()).moved is None
    assert fuse(None, audio, FusionSettings()).moved is None


def test_what_was_fused_is_sharpened_and_a_single_branch_is_not():
    (lyrics, audio), half = draw(2, 12), settings_of("mean", fused_temperature=0.5)
    plain = fuse(lyrics, audio, settings_of("mean")).distribution.astype(float)
    expected = plain**2 / (plain**2).sum()
    np.testing.assert_allclose(fuse(lyrics, audio, half).distribution, expected, atol=1e-6)
    np.testing.assert_allclose(fuse(lyrics, None, half).distribution, lyrics, atol=1e-6)


def test_songs_relative_to_their_catalogue_have_it_whatever_their_branches():
    relative = QuantileMap(((-1.0, 1.0),) * 6, ((-2.0, 2.0),) * 6)
    (lyrics, audio), settings = draw(2, 13), FusionSettings(relative=relative)
    for given in ((lyrics, audio), (lyrics, None), (None, audio)):
        plain = fuse(*given, FusionSettings()).distribution
        np.testing.assert_allclose(
            fuse(*given, settings).distribution, relative(plain[None])[0], atol=1e-6
        )
    assert fuse_many(np.full((1, 6), np.nan), np.full((1, 6), np.nan), settings).abstain.all()


def test_the_abstain_band():
    assert fuse(UNIFORM, None, FusionSettings(abstain_below=0.2)).abstain
    assert not fuse(UNIFORM, None, FusionSettings(abstain_below=0.16)).abstain


@pytest.mark.parametrize(
    "row",
    [
        [0.5, 0.5, 0.5, 0, 0, 0],
        [1.5, -0.5, 0, 0, 0, 0],
        [0.5, np.nan, 0.5, 0, 0, 0],
        [np.inf, 0, 0, 0, 0, 0],
    ],
)
def test_what_is_not_a_distribution_is_refused(row):
    with pytest.raises(InputError, match="lyrics"):
        fuse(np.array(row), None, FusionSettings())


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match="shape"):
        fuse(np.full(5, 0.2), None, FusionSettings())
    with pytest.raises(InputError, match="2"):
        fuse_many(draw(2), draw(3), FusionSettings())
