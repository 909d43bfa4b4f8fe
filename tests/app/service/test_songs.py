"""Songs are read once, and again when the catalogue has changed."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from app.service.songs import LEAST_PAUSE_S, KeptSongs, PreparingError
from data_prep.catalogue import Catalogue, Song, StageVector
from data_prep.errors import CatalogueError
from fusion import shelf_folder
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


# A large catalogue.


class Making:
    """Stands for the process that makes what is searched: it begins, and ends when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.calls: list[FusionSettings] = []
        self.with_hygiene: list[bool] = []
        self.fails = False

    def __call__(self, settings: FusionSettings, *, with_hygiene: bool = False) -> None:
        self.calls.append(settings)
        self.with_hygiene.append(with_hygiene)
        self.begun.set()
        assert self.may_end.wait(20)
        if self.fails:
            raise CatalogueError("it cannot be read")


@pytest.fixture
def making(monkeypatch) -> Making:
    monkeypatch.setattr(shelf_folder, "SAVE_FROM", 5)
    made = Making()
    made.may_end.set()  # at the start
    return made


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def large(path: Path, making: Making, clock: list[float]):
    songs = KeptSongs(
        Catalogue.open(path, read_only=True), make_shelf=making, clock=lambda: clock[0]
    )
    assert songs.count() == 11
    assert len(making.calls) == 1
    making.begun.clear()
    making.may_end.clear()
    yield songs
    making.may_end.set()
    songs.close()


def ended(songs: KeptSongs) -> None:
    for _ in range(1_000):
        if not songs.is_renewing:
            return
        time.sleep(0.01)
    raise AssertionError("the renewal does not end")


def test_songs_of_before_answer_until_those_of_now_are_there(large, making, path) -> None:
    with Catalogue.open(path) as catalogue:
        catalogue.upsert([song(11, genre="Jazz")])
    assert large.count() == 11
    assert making.begun.wait(20)
    for _ in range(5):
        assert large.count() == 11
        assert "Jazz" not in large.genres()
    making.may_end.set()
    ended(large)
    assert large.count() == 12
    assert "Jazz" in large.genres()
    assert len(making.calls) == 2


def test_new_settings_come_with_the_songs_fused_by_them(large, making, path) -> None:
    other = FusionSettings(rule=Mean(0.9))
    with Catalogue.open(path) as catalogue:
        rescore(catalogue, other)
    assert large.settings() == FusionSettings.load()
    making.may_end.set()
    ended(large)
    assert large.settings() == other == making.calls[-1]


def test_what_changes_while_it_is_made_is_seen_after_a_pause(large, making, path, clock) -> None:
    with Catalogue.open(path) as catalogue:
        catalogue.upsert([song(11)])
        large.shelf()
        assert making.begun.wait(20)
        making.may_end.set()
        ended(large)
        catalogue.upsert([song(12)])
    assert large.count() == 12, "so soon it is not made again"
    clock[0] += LEAST_PAUSE_S
    large.shelf()
    ended(large)
    assert large.count() == 13


def test_where_it_cannot_be_made_the_songs_of_before_stay(large, making, path, clock, caplog):
    making.fails = True
    making.may_end.set()
    with Catalogue.open(path) as catalogue:
        catalogue.upsert([song(11)])
    large.shelf()
    ended(large)
    assert large.count() == 11
    assert "it cannot be read" in caplog.text
    making.fails = False
    clock[0] += LEAST_PAUSE_S
    large.shelf()
    ended(large)
    assert large.count() == 12


def test_what_is_kept_on_disk_is_not_made_again(large, making, path) -> None:
    songs = KeptSongs(Catalogue.open(path, read_only=True), make_shelf=making)
    assert songs.count() == 11
    assert len(making.calls) == 1
    songs.close()


def test_hygiene_of_a_large_catalogue_is_found_out_beside_the_answers(large, making) -> None:
    for _ in range(3):
        with pytest.raises(PreparingError, match="being found out"):
            large.require_hygiene()
    assert making.begun.wait(20)
    assert making.with_hygiene == [False, True]
    large.shelf().hygiene()  # as the process would
    making.may_end.set()
    ended(large)
    large.require_hygiene()


def test_hygiene_of_a_small_one_is_found_out_at_once(kept) -> None:
    kept.require_hygiene()
