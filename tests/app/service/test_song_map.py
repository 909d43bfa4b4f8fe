"""The map's points, and trials of the laboratory, beside what a whole rescoring gives."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from app.service import laboratory
from app.service.laboratory import Laboratory
from app.service.song_map import song_map
from app.service.songs import KeptSongs
from data_prep.catalogue import Catalogue, Song, StageVector
from fusion.catalogue_shelf import CatalogueShelf
from fusion.recommendation import Recommender, Wishes
from fusion.rescoring import rescore
from fusion.rules import Mean, Product
from fusion.search import scan

N_SONGS = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)

    def stage() -> StageVector | None:
        if rng.random() < 0.2:
            return None
        return StageVector(rng.dirichlet(np.full(6, 0.5)).astype(np.float32), "test")

    path = tmp_path / "songs.db"
    songs = [
        Song(f"{i:03}", title=f"T{i}", artist="A" if i % 2 else None, lyrics=stage(), audio=stage())
        for i in range(N_SONGS)
    ]
    with Catalogue.open(path, create=True) as catalogue:
        catalogue.upsert(songs)
        catalogue.mark_missing(["007"], "2026-01-01")
    return path


@pytest.fixture
def kept(path: Path):
    songs = KeptSongs(Catalogue.open(path, read_only=True))
    yield songs
    songs.close()


def test_points_are_the_songs_that_can_be_found(kept: KeptSongs) -> None:
    content = song_map(kept).to_json()
    shelf = kept.shelf()
    known = np.isfinite(shelf.index().vectors[:, 0])
    assert content["count"] == content["shown"] == known.sum() < N_SONGS
    assert "007" not in content["ids"]
    raw = np.frombuffer(base64.b64decode(content["shares"]), np.uint8).reshape(-1, 6)
    vectors = shelf.vectors_of(content["ids"])
    for song_id, shares in zip(content["ids"], raw, strict=True):
        assert shares / 255 == pytest.approx(vectors[song_id], abs=0.5 / 255 + 1e-6)
    assert content["titles"][0].startswith("T")
    assert "" in content["artists"]


def test_of_many_songs_some_are_taken_evenly(kept: KeptSongs) -> None:
    all_ids = song_map(kept).ids
    few = song_map(kept, 10)
    assert 5 <= len(few.ids) <= 10
    assert few.ids == all_ids[:: -(-len(all_ids) // 10)]
    assert few.count == len(all_ids)


@pytest.mark.parametrize("rule", [Mean(0.1), Product(1.0, 0.5)])
def test_a_trial_is_what_a_rescoring_would_give(kept: KeptSongs, path: Path, rule) -> None:
    query = np.random.default_rng(5).dirichlet(np.ones(6)).astype(np.float32)
    trial = Laboratory(kept).trial(rule, query)
    before = kept.recommender().recommend(query, Wishes(10))
    assert [song.id for song, _ in trial.before] == [each.song.id for each in before]
    with Catalogue.open(path) as catalogue:
        rescore(catalogue, trial.settings)
        after = Recommender(CatalogueShelf(catalogue, trial.settings)).recommend(query, Wishes(10))
        tops = catalogue.vectors(stages=("fused",)).fused
    assert [song.id for song, _ in trial.after] == [each.song.id for each in after]
    ids = [song.id for song, _ in trial.before]
    assert trial.changed == len({song.id for song, _ in trial.after} - set(ids))
    for song, place in trial.after:
        assert place == (ids.index(song.id) if song.id in ids else None)
    shown = np.isfinite(tops[:, 0])
    shown[7] = False
    counts = np.bincount(tops[shown].argmax(axis=1), minlength=6)
    assert trial.tops_after == pytest.approx(counts / shown.sum())


def test_of_a_very_large_catalogue_songs_are_taken_evenly(kept, monkeypatch) -> None:
    query = np.random.default_rng(5).dirichlet(np.ones(6)).astype(np.float32)
    whole = Laboratory(kept).trial(Mean(0.1), query)
    assert (whole.tried, whole.songs) == (N_SONGS, N_SONGS)
    monkeypatch.setattr(laboratory, "WHOLE_UP_TO", N_SONGS - 1)
    monkeypatch.setattr(laboratory, "SAMPLE", N_SONGS)  # all of them, by the other way
    same = Laboratory(kept).trial(Mean(0.1), query)
    assert [(song.id, at) for song, at in same.after] == [(s.id, at) for s, at in whole.after]
    assert same.tops_before == pytest.approx(whole.tops_before)
    monkeypatch.setattr(laboratory, "SAMPLE", N_SONGS // 3)
    some = Laboratory(kept).trial(Mean(0.1), query)
    assert N_SONGS // 4 <= some.tried <= N_SONGS // 3
    assert some.songs == N_SONGS
    taken = {f"{i:03}" for i in range(0, N_SONGS, -(-N_SONGS // (N_SONGS // 3)))}
    assert {song.id for song, _ in some.after} <= taken


def test_a_scan_is_brute_force() -> None:
    rng = np.random.default_rng(6)
    vectors = rng.dirichlet(np.ones(6), size=300).astype(np.float32)
    vectors[::7] = np.nan
    vectors[10] = vectors[20]
    query = rng.dirichlet(np.ones(6))
    scores = vectors @ query.astype(np.float32) / np.linalg.norm(vectors, axis=1)
    order = sorted((-score, row) for row, score in enumerate(scores) if np.isfinite(score))
    for k in (1, 5, 299, 1_000):
        assert scan(vectors, query, k)[0].tolist() == [row for _, row in order][:k]
    assert scan(vectors[:0], query, 3)[0].tolist() == []
