"""Songs are read once, and again when the catalogue has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.service.songs import KeptSongs
from data_prep.catalogue import Catalogue, Song, StageVector
from fusion.rescoring import rescore
from fusion.rules import Mean
from fusion.settings import FusionSettings


def song(number: int, **facts) -> Song:
    vector = np.full(6, 0.1, dtype=np.float32)
    vector[number % 6] = 0.5
    return Song(id=f"{number:03}", lyrics=StageVector(vector, "test"), **facts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.db"
    with Catalogue.open(path, create=True) as catalogue:
        catalogue.upsert(
            [song(i, genre="Pop; Folk" if i % 2 else "rock", year=2000 + i) for i in range(10)]
        )
        catalogue.upsert([Song(id="silent")])
    return path


@pytest.fixture
def kept(path: Path):
    songs = KeptSongs(Catalogue.open(path, read_only=True))
    yield songs
    songs.close()


def test_songs_are_read_once(kept: KeptSongs) -> None:
    assert kept.shelf() is kept.shelf()
    assert kept.count() == 11


def test_for_a_while_the_catalogue_is_taken_to_be_what_it_was(path: Path) -> None:
    now = [0.0]
    catalogue = Catalogue.open(path, read_only=True)
    songs = KeptSongs(catalogue, check_every_s=1.0, clock=lambda: now[0])
    assert songs.count() == 11
    with Catalogue.open(path) as writing:
        writing.upsert([song(11)])
    now[0] = 0.9
    assert songs.count() == 11
    now[0] = 1.1
    assert songs.count() == 12
    songs.close()


def test_a_change_of_the_file_is_seen(kept: KeptSongs, path: Path) -> None:
    before = kept.recommender()
    with Catalogue.open(path) as catalogue:
        catalogue.upsert([song(11, genre="Jazz")])
    assert "Jazz" in kept.genres()
    assert len(kept.recommender()) == len(before) + 1


def test_new_settings_of_the_catalogue_are_taken(kept: KeptSongs, path: Path) -> None:
    assert kept.settings() == FusionSettings.load()
    other = FusionSettings(rule=Mean(0.9))
    with Catalogue.open(path) as catalogue:
        rescore(catalogue, other)
    assert kept.settings() == other


def test_a_rescore_between_settings_and_songs_is_seen(kept, path, monkeypatch) -> None:
    from app.service import songs as page_songs

    other, read = FusionSettings(rule=Mean(0.9)), page_songs.catalogue_settings

    def read_and_be_overtaken(catalogue):
        found = read(catalogue)
        if found != other:
            with Catalogue.open(path) as writing:
                rescore(writing, other)
        return found

    monkeypatch.setattr(page_songs, "catalogue_settings", read_and_be_overtaken)
    assert kept.settings() == FusionSettings.load()
    assert kept.settings() == other


def test_settings_that_were_given_stay(path: Path) -> None:
    given = FusionSettings(rule=Mean(0.2))
    songs = KeptSongs(Catalogue.open(path, read_only=True), given)
    assert songs.settings() == given
    songs.close()


def test_a_change_of_a_catalogue_without_a_file_is_seen() -> None:
    with Catalogue.open("sqlite://", create=True) as catalogue:
        songs = KeptSongs(catalogue)
        assert songs.count() == 0
        catalogue.upsert([song(1)])
        assert songs.count() == 1


def test_another_catalogue_in_the_same_place_is_seen(kept: KeptSongs, path: Path) -> None:
    other = path.with_name("other.db")
    with Catalogue.open(other, create=True) as catalogue:
        catalogue.upsert([song(7)])
    assert kept.count() == 11
    other.replace(path)
    assert kept.count() == 1
    assert kept.song("007") is not None


def test_genres_are_told_apart_and_sorted(kept: KeptSongs) -> None:
    assert kept.genres() == ["Folk", "Pop", "rock"]
