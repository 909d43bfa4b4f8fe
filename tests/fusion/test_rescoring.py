"""Rescoring: from stored branch vectors alone, idempotent, with settings carried along."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.catalogue import Catalogue, Song, StageVector
from data_prep.errors import CatalogueError, InputError
from fusion.combination import fuse
from fusion.rescoring import SETTINGS_KEY, catalogue_settings, rescore
from fusion.rules import Product
from fusion.settings import FusionSettings

OTHER = FusionSettings(rule=Product.of_weight(0.8))


@pytest.fixture
def catalogue(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.dirichlet(np.ones(6), size=(30, 2)).astype(np.float32)
    with Catalogue.open(str(tmp_path / "songs.db"), create=True) as opened:
        opened.upsert(
            Song(
                id=f"{i:02}",
                lyrics=StageVector(vectors[i, 0], "words") if i % 3 else None,
                audio=StageVector(vectors[i, 1], "sound") if i % 3 != 1 else None,
            )
            for i in range(30)
        )
        opened.upsert([Song(id="nothing")])
        yield opened


def test_every_song_gets_the_vector_that_fusion_gives(catalogue):
    assert rescore(catalogue, OTHER) == 30
    for song in catalogue.songs():
        if song.id == "nothing":
            assert song.fused is None
            continue
        expected = fuse(
            song.lyrics.distribution if song.lyrics else None,
            song.audio.distribution if song.audio else None,
            OTHER,
        )
        np.testing.assert_allclose(song.fused.distribution, expected.distribution, atol=1e-6)
        assert song.fused.made_by == OTHER.hash


def test_only_stale_songs_are_touched_if_asked(catalogue):
    rescore(catalogue, OTHER)
    assert rescore(catalogue, OTHER, only_stale=True) == 0
    assert rescore(catalogue, FusionSettings.load(), only_stale=True) == 30


def test_a_catalogue_carries_settings_that_are_not_the_embedded_ones(catalogue):
    assert catalogue_settings(catalogue) == FusionSettings.load()
    rescore(catalogue, OTHER)
    assert catalogue_settings(catalogue) == OTHER
    rescore(catalogue, FusionSettings.load())
    assert catalogue_settings(catalogue) == FusionSettings.load()
    assert catalogue.meta()[SETTINGS_KEY] == ""


@pytest.mark.parametrize("stored", ["{", '{"version": 9}'])
def test_damaged_settings_are_named(catalogue, stored):
    catalogue.set_meta(SETTINGS_KEY, stored)
    with pytest.raises((CatalogueError, InputError), match=r"songs\.db"):
        catalogue_settings(catalogue)
