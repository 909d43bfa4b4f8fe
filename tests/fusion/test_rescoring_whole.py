"""A rescoring is seen as a whole or not at all: by readers, and after it was killed."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from sqlalchemy.engine.default import DefaultDialect

from data_prep import catalogue_vectors
from data_prep.catalogue import Catalogue, Song, SongVectors, StageVector
from fusion.combination import fuse_many
from fusion.rescoring import catalogue_settings, rescore
from fusion.rules import Mean, Product
from fusion.settings import FusionSettings
from tests.children import die_at, exit_status

OLD = FusionSettings(rule=Mean(0.3))
NEW = FusionSettings(rule=Product.of_weight(0.8))
ROWS = 7


@pytest.fixture
def catalogue(place: str, monkeypatch):
    """Songs with the old settings' vectors, read and written a few at a time."""
    monkeypatch.setattr(catalogue_vectors, "_ROWS_PER_BLOCK", ROWS)
    vectors = np.random.default_rng(0).dirichlet(np.ones(6), size=(60, 2)).astype(np.float32)
    with Catalogue.open(place, create=True) as opened:
        opened.upsert(
            Song(
                f"{(37 * i) % 60:02}",
                lyrics=StageVector(vectors[i, 0], "words") if i % 3 else None,
                audio=StageVector(vectors[i, 1], "sound") if i % 3 != 1 else None,
            )
            for i in range(60)
        )
        rescore(opened, OLD)
        yield opened


def state(catalogue: Catalogue) -> tuple[SongVectors, FusionSettings]:
    return catalogue.vectors(NEW.hash), catalogue_settings(catalogue)


def test_readers_see_the_old_vectors_until_all_are_new(catalogue: Catalogue, place: str) -> None:
    with Catalogue.open(place, read_only=True) as reader:
        before, _ = state(reader)
        seen = []
        assert rescore(catalogue, NEW, advance=lambda n: seen.append((n, state(reader)))) == 60
        assert [n for n, _ in seen] == [ROWS] * 8 + [4]
        for _, (vectors, settings) in seen:
            np.testing.assert_array_equal(vectors.fused, before.fused)
            assert vectors.revision == before.revision
            assert settings == OLD
        after, settings = state(reader)
        assert after.current.all()
        assert settings == NEW
        assert after.revision != before.revision
        expected = fuse_many(after.lyrics, after.audio, NEW).distribution
        np.testing.assert_array_equal(after.fused, expected)


def test_a_rescoring_that_fails_leaves_the_old_vectors(catalogue: Catalogue) -> None:
    before, _ = state(catalogue)

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rescore(catalogue, NEW, advance=fail)
    after, settings = state(catalogue)
    assert after.fused.tobytes() == before.fused.tobytes()
    assert after.revision == before.revision
    assert settings == OLD


def test_nothing_stale_is_no_change(catalogue: Catalogue) -> None:
    before = catalogue.revision()
    assert rescore(catalogue, OLD, only_stale=True) == 0
    assert catalogue.revision() == before


def die_rescoring(place: str, owner: type, name: str, call: int) -> None:
    catalogue_vectors._ROWS_PER_BLOCK = ROWS
    with Catalogue.open(place) as catalogue:
        die_at(owner, name, call)
        rescore(catalogue, NEW)


@pytest.mark.parametrize("in_the_end", [False, True])
def test_a_killed_rescoring_leaves_the_old_vectors(
    catalogue: Catalogue, place: str, in_the_end: bool
) -> None:
    before, _ = state(catalogue)
    catalogue.close()
    moment = int(np.random.default_rng().integers(4, 16))  # of 9 blocks, a statement each
    how = ("do_commit", 1) if in_the_end else ("do_execute", moment)
    assert exit_status(die_rescoring, place, DefaultDialect, *how) == -signal.SIGKILL, how
    with Catalogue.open(place, read_only=True) as reader:
        after, settings = state(reader)
        assert after.fused.tobytes() == before.fused.tobytes(), how
        assert after.revision == before.revision
        assert settings == OLD
    with Catalogue.open(place) as again:
        assert rescore(again, NEW) == 60
        assert again.vectors(NEW.hash).current.all()
