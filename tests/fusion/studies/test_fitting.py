"""Fitting of priors: a drowned catalogue comes up, and nothing is corrected needlessly."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.catalogue import Catalogue, Song, StageVector
from data_prep.errors import InputError
from fusion.calibration import calibrate
from fusion.rescoring import branch_vectors
from fusion.settings import FusionSettings
from fusion.studies.fitting import Spread, fit_fusion, fit_priors, spread
from fusion.studies.rule_learning import learn
from tests.fusion.toy_songs import made_songs


def _songs(rows: np.ndarray) -> list[Song]:
    return [
        Song(id=f"s{i}", audio=StageVector(row.astype(np.float32), "made"))
        for i, row in enumerate(rows)
    ]


def _drowned(seed: int = 0) -> np.ndarray:
    """Answers that say sadness of nearly every song, with a little of each song's own."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=0.7, size=(600, 6)) + np.array([0, 0, 0, 3.0, 0, 0])
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def test_drowned_catalogue_spreads() -> None:
    songs = _songs(_drowned())
    before = spread(*branch_vectors(songs), FusionSettings())
    assert before.shares[3] > 0.95
    fitted, after = fit_priors(FusionSettings(), *branch_vectors(songs))
    assert after.even_enough
    assert spread(*branch_vectors(songs), fitted) == after
    assert 0 < fitted.audio.prior_strength <= 1
    assert fitted.lyrics == FusionSettings().lyrics  # no song has words


def test_even_catalogue_is_left_alone() -> None:
    rows = np.full((60, 6), 0.1)
    rows[np.arange(60), np.arange(60) % 6] = 0.5
    fitted, found = fit_priors(FusionSettings(), *branch_vectors(_songs(rows)))
    assert fitted.audio.prior_strength == 0
    assert found.shares == pytest.approx([1 / 6] * 6)


def test_constant_branch_cannot_be_spread() -> None:
    rows = np.tile([0.1, 0.1, 0.1, 0.5, 0.1, 0.1], (20, 1))
    fitted, found = fit_priors(FusionSettings(), *branch_vectors(_songs(rows)))
    assert not found.even_enough
    assert max(found.shares) == 1.0
    assert fitted.audio.prior[3] == pytest.approx(0.5)


def test_empty_catalogue_is_named() -> None:
    with pytest.raises(InputError, match="no analysed song"):
        fit_priors(FusionSettings(), *branch_vectors([]))


def test_spread_reads_well() -> None:
    assert str(Spread((0.5, 0.5, 0, 0, 0, 0))).startswith("joy 50.0%, tension 50.0%, calm 0.0%")


def test_a_rule_is_learned_from_what_it_will_be_given(tmp_path, monkeypatch) -> None:
    """Priors first: the same as learning from labelled songs whose answers are so corrected."""
    monkeypatch.setattr("fusion.studies.fitting.fit_lyric_temperatures", lambda _: (1.2, 0.8))
    labelled = made_songs(240)
    with Catalogue.open(tmp_path / "songs.db", create=True) as catalogue:
        catalogue.upsert(_songs(_drowned()))
        out = tmp_path / "fusion.json"
        fitted, found = fit_fusion(None, 1.0, catalogue, out, ("stacking", labelled))
        raw = catalogue.vectors(stages=("lyrics", "audio"))
    assert fitted.audio.prior_strength > 0
    assert fitted.mood.temperature == 0.8
    both = labelled.chosen(labelled.has_words & labelled.has_sound)
    words = calibrate(both.words, fitted.lyrics)
    sound = calibrate(both.sound, fitted.audio)
    assert fitted.rule == learn("stacking", words, sound, both.labels)
    assert found == spread(raw.lyrics, raw.audio, fitted)
    assert FusionSettings.load(out) == fitted
