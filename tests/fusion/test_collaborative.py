"""Collaborative models and the mixture with emotion, with vectors that are given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.catalogue import Catalogue, Song, SongFilter, StageVector
from data_prep.errors import IndexFolderError, InputError
from fusion.catalogue_shelf import CatalogueShelf
from fusion.collaborative import CollaborativeModel, scaled
from fusion.mixed_search import Beside, PlaylistSignal
from fusion.recommendation import Recommender, Wishes
from fusion.settings import FusionSettings
from fusion.shelf import ListShelf
from fusion.similarity import cosine

SETTINGS = FusionSettings()
N = 60


@pytest.fixture(scope="module")
def model() -> CollaborativeModel:
    rng = np.random.default_rng(0)
    ids = np.sort(np.array([f"{i}".encode() for i in range(N)] + ["노래".encode()], np.bytes_))
    factors = rng.normal(size=(len(ids), 5)).astype(np.float32)
    gram = factors.T.astype(float) @ factors + 0.1 * np.eye(5)
    return CollaborativeModel(ids, factors, gram, "als", 4.0, 0.6, {"seed": 1})


@pytest.fixture(scope="module")
def songs() -> list[Song]:
    rng = np.random.default_rng(1)
    names = [*map(str, range(N)), *(f"cold-{i}" for i in range(10))]
    return [
        Song(
            name,
            title=f"t {name}",
            artist=f"a {name}",
            year=2000 + i % 10,
            lyrics=StageVector(rng.dirichlet(np.ones(6)).astype(np.float32), "made"),
        )
        for i, name in enumerate(names)
    ]


def test_places_are_those_of_exactly_these_songs(model: CollaborativeModel) -> None:
    asked = ["3", "노래", "33333333333333", "none", "59", ""]
    found = model.places(asked)
    assert [model.ids[p].decode() if p >= 0 else None for p in found] == [
        "3", "노래", None, None, "59", None,
    ]  # fmt: skip


def test_a_listener_is_the_least_squares_solution(model: CollaborativeModel) -> None:
    """Weighted by confidence: alpha for the songs that are had, 1 for all others."""
    places = model.places(["3", "8"])
    confidence = np.ones(len(model))
    confidence[places] = model.alpha
    wanted = np.zeros(len(model))
    wanted[places] = 1.0
    wide = model.factors.astype(float)
    left = wide.T @ (confidence[:, None] * wide) + 0.1 * np.eye(5)
    expected = np.linalg.solve(left, wide.T @ (confidence * wanted))
    np.testing.assert_allclose(model.listener(places), expected, rtol=1e-4)


def test_scores_by_hand() -> None:
    raw = np.array([9.0, 1.0, 2.0, 3.0, 5.0, -4.0], np.float32)
    assert scaled(raw, np.array([0])).tolist() == [0.0, 0.0, 0.0, pytest.approx(1 / 3), 1.0, 0.0]
    assert scaled(raw[:1], np.array([0])).tolist() == [0.0]


def test_a_model_comes_back_from_its_folder(model: CollaborativeModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    found = CollaborativeModel.load(tmp_path / "model")
    assert (found.weight, found.method, found.facts) == (0.6, "als", {"seed": 1})
    asked = ["3", "8"]
    np.testing.assert_array_equal(found.scores(asked), model.scores(asked))
    with pytest.raises(IndexFolderError):
        CollaborativeModel.load(tmp_path)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0, None])
@pytest.mark.parametrize("where", [None, SongFilter(year_from=2004)])
def test_the_mixture_is_brute_force(
    model: CollaborativeModel, songs: list[Song], weight: float | None, where: SongFilter | None
) -> None:
    shelf = ListShelf(songs, SETTINGS)
    seeds = ("3", "8", "cold-1")
    wishes = Wishes(12, where=where, beside=Beside(PlaylistSignal(model), seeds, weight))
    found = Recommender(shelf).like(list(seeds), wishes)
    own = 0.6 if weight is None else weight
    vectors = {song.id: shelf.index().vectors[row].astype(float) for row, song in enumerate(songs)}
    mean = np.mean([vectors[s] / vectors[s].sum() for s in seeds], axis=0).astype(np.float32)
    scores = model.scores(seeds)
    assert scores is not None
    expected = []
    for song in songs:
        place = int(model.places([song.id])[0])
        listed = float(scores[place]) if place >= 0 else 0.0
        emotion = float(cosine(mean, vectors[song.id][None])[0])
        if song.id not in seeds and (where is None or where.accepts(song)):
            expected.append((-(own * listed + (1 - own) * emotion), song.id))
    expected.sort()
    assert [r.song.id for r in found] == [song_id for _, song_id in expected[:12]]
    assert [r.score for r in found] == pytest.approx([-s for s, _ in expected[:12]], abs=1e-6)


def test_songs_of_no_playlist_are_answered_by_emotion_alone(
    model: CollaborativeModel, songs: list[Song]
) -> None:
    recommender = Recommender(ListShelf(songs, SETTINGS))
    beside = Beside(PlaylistSignal(model), ("cold-1", "cold-2"))
    found = recommender.like(["cold-1", "cold-2"], Wishes(8, beside=beside))
    alone = recommender.like(["cold-1", "cold-2"], Wishes(8))
    assert [r.song.id for r in found] == [r.song.id for r in alone]
    assert [r.score for r in found] == [r.score for r in alone]


def test_a_catalogue_gives_what_a_list_gives(
    model: CollaborativeModel, songs: list[Song], tmp_path: Path
) -> None:
    signal = PlaylistSignal(model)
    wishes = Wishes(10, diversity=0.3, per_artist=1, beside=Beside(signal, ("3",)))
    listed = [r.song.id for r in Recommender(ListShelf(songs, SETTINGS)).like("3", wishes)]
    with Catalogue.open(tmp_path / "songs.db", create=True) as catalogue:
        catalogue.upsert(songs)
        shelf = CatalogueShelf(catalogue, SETTINGS)
        recommender = Recommender(shelf)
        assert {r.song.id for r in recommender.like("3", wishes)} == set(listed)
        first = signal.rows_on(shelf)
        assert signal.rows_on(shelf) is first  # found once
        path = replace(wishes, diversity=0.0, toward="joy")
        assert len(recommender.like("3", path)) == 10


def test_what_does_not_fit_is_refused(model: CollaborativeModel) -> None:
    with pytest.raises(InputError, match="weight of playlists"):
        Beside(PlaylistSignal(model), ("1",), 1.5)
    with pytest.raises(InputError, match="do not belong together"):
        replace(model, ids=model.ids[:-1])
