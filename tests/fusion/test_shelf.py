"""Shelves: a list and a catalogue give the same, and what is kept on disk is never stale."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from data_prep.catalogue import Catalogue, Song, SongFilter, StageVector
from fusion import catalogue_shelf, shelf_folder
from fusion.catalogue_shelf import CatalogueShelf
from fusion.recommendation import Recommender, Wishes
from fusion.rescoring import rescore
from fusion.rules import Mean
from fusion.settings import FusionSettings
from fusion.shelf import ListShelf
from fusion.shelf_folder import index_place

SETTINGS = FusionSettings()
OTHER = FusionSettings(rule=Mean(0.9))


def songs_of(n: int, seed: int = 0) -> list[Song]:
    rng = np.random.default_rng(seed)
    vectors = rng.dirichlet(np.full(6, 0.5), size=(n, 2)).astype(np.float32)
    return [
        Song(
            id=f"{i:04}",
            title="".join(chr(97 + int(digit)) for digit in f"{i:04}"),
            artist=f"Artist {i % 7}",
            year=2000 + i % 20,
            genre="Pop" if i % 3 else "Rock",
            lyrics=StageVector(vectors[i, 0], "words") if i % 4 else None,
            audio=StageVector(vectors[i, 1], "sound") if i % 4 != 1 else None,
        )
        for i in range(n)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "songs.db"
    with Catalogue.open(path, create=True) as catalogue:
        catalogue.upsert([*songs_of(200), Song(id="silent", title="Nothing")])
    return path


@pytest.fixture(autouse=True)
def kept_from_ten(monkeypatch):
    monkeypatch.setattr(shelf_folder, "SAVE_FROM", 10)


def ids(shelf, query, wishes=None) -> list[str]:
    return [r.song.id for r in Recommender(shelf).recommend(query, wishes or Wishes(10))]


QUERY = np.array([0.1, 0.1, 0.1, 0.4, 0.2, 0.1])


@pytest.mark.parametrize("rescored", [False, True])
@pytest.mark.parametrize(
    "wishes",
    [
        Wishes(10),
        Wishes(10, SongFilter(year_from=2010, genre="rock")),
        Wishes(10, SongFilter(has_audio=False)),
        Wishes(8, toward="joy"),
        Wishes(10, similarity="jensen-shannon", same_top_first=True),
        Wishes(10, similarity="weighted-cosine", diversity=0.5),
        Wishes(10, per_artist=1, hygiene=True),
    ],
    ids=str,
)
def test_a_catalogue_gives_what_its_list_gives(path, wishes, rescored):
    if rescored:
        with Catalogue.open(path) as catalogue:
            rescore(catalogue, SETTINGS)
    with Catalogue.open(path, read_only=True) as catalogue:
        listed = ids(ListShelf(catalogue.songs(), SETTINGS), QUERY, wishes)
        for _ in range(2):  # made, then read from disk
            assert ids(CatalogueShelf(catalogue, SETTINGS), QUERY, wishes) == listed
    assert listed


def test_the_index_is_kept_beside_the_catalogue_and_read_again(path, monkeypatch):
    with Catalogue.open(path, read_only=True) as catalogue:
        first = ids(CatalogueShelf(catalogue, SETTINGS), QUERY)
        (folder,) = index_place(str(path)).iterdir()

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("vectors were read although the index is there")

        monkeypatch.setattr(catalogue, "vectors", refuse)
        assert ids(CatalogueShelf(catalogue, SETTINGS), QUERY) == first
    assert {one.name for one in folder.iterdir()} == {"songs", "facts", "cosine"}


def test_what_is_kept_is_mapped_and_not_copied(path):
    with Catalogue.open(path, read_only=True) as catalogue:
        for _ in range(2):  # made, then read from disk
            shelf = CatalogueShelf(catalogue, SETTINGS)
            for array in (shelf.index().vectors, shelf.index("hellinger").vectors, shelf.numbers):
                assert isinstance(array.base, np.memmap), "a copy of its own"


def test_what_was_asked_for_later_is_kept_too(path, monkeypatch):
    wishes = Wishes(10, similarity="hellinger", hygiene=True)
    with Catalogue.open(path, read_only=True) as catalogue:
        first = ids(CatalogueShelf(catalogue, SETTINGS), QUERY, wishes)
        (folder,) = index_place(str(path)).iterdir()
        assert {one.name for one in folder.iterdir()} >= {"hellinger", "hygiene"}

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("it was made again although it is there")

        monkeypatch.setattr(catalogue, "names", refuse)
        monkeypatch.setattr(catalogue_shelf, "SimilarityIndex", refuse)
        assert ids(CatalogueShelf(catalogue, SETTINGS), QUERY, wishes) == first


def test_what_an_earlier_version_kept_is_cleared(path):
    (index_place(str(path)) / "cosine-0123456789abcdef").mkdir(parents=True)
    with Catalogue.open(path, read_only=True) as catalogue:
        ids(CatalogueShelf(catalogue, SETTINGS), QUERY)
    assert len(list(index_place(str(path)).iterdir())) == 1


def test_a_change_of_songs_or_settings_makes_another_index(path):
    with Catalogue.open(path) as catalogue:
        before = ids(CatalogueShelf(catalogue, SETTINGS), QUERY)
        (old,) = index_place(str(path)).iterdir()
        catalogue.upsert([Song(id="best", title="b", lyrics=StageVector(QUERY, "words"))])
        after = ids(CatalogueShelf(catalogue, SETTINGS), QUERY)
        assert after[0] == "best" != before[0]
        (new,) = index_place(str(path)).iterdir()
        assert new != old
        rescore(catalogue, OTHER)
        shelf = CatalogueShelf(catalogue, OTHER)
        assert ids(shelf, QUERY) == ids(ListShelf(catalogue.songs(), OTHER), QUERY)
        assert len(list(index_place(str(path)).iterdir())) == 1


def test_what_killed_processes_left_is_cleared_and_nothing_of_those_that_write(path):
    place = index_place(str(path))
    for name in (".new-long-ago", ".new-now"):
        (place / name).mkdir(parents=True)
    os.utime(place / ".new-long-ago", (1_000_000, 1_000_000))
    with Catalogue.open(path, read_only=True) as catalogue:
        ids(CatalogueShelf(catalogue, SETTINGS), QUERY)
    assert (place / ".new-now").is_dir()
    assert not (place / ".new-long-ago").exists()


def test_a_catalogue_in_memory_leaves_nothing_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shelf_folder, "SAVE_FROM", 1)
    with Catalogue.open("sqlite://", create=True) as catalogue:
        catalogue.upsert([Song(id="one", title="b", lyrics=StageVector(QUERY, "words"))])
        assert ids(CatalogueShelf(catalogue, SETTINGS), QUERY) == ["one"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["songs", "cosine", "facts", "empty"])
def test_a_damaged_index_is_made_again(path, damage):
    with Catalogue.open(path, read_only=True) as catalogue:
        first = ids(CatalogueShelf(catalogue, SETTINGS), QUERY)
        (folder,) = index_place(str(path)).iterdir()
        if damage != "empty":
            for file in (folder / damage).iterdir():
                file.write_bytes(b"")
        else:
            for file in sorted(folder.rglob("*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()
        assert ids(CatalogueShelf(catalogue, SETTINGS), QUERY) == first


def test_where_nothing_can_be_kept_songs_are_found_all_the_same(path, monkeypatch):
    place = path.with_name("a file")
    place.write_text("in the way")
    monkeypatch.setattr(shelf_folder, "index_place", lambda name: place)
    with Catalogue.open(path, read_only=True) as catalogue:
        shelf = CatalogueShelf(catalogue, SETTINGS)
        assert ids(shelf, QUERY) == ids(ListShelf(catalogue.songs(), SETTINGS), QUERY)


def test_songs_that_went_meanwhile_are_passed_over(path):
    with Catalogue.open(path) as catalogue:
        shelf = CatalogueShelf(catalogue, SETTINGS)
        best, second = ids(shelf, QUERY, Wishes(2))
        catalogue.remove([best])
        assert ids(shelf, QUERY, Wishes(1)) == [second]
        assert shelf.row_of(best) is None
        assert shelf.revision != catalogue.revision()


def test_rows_by_id(path):
    with Catalogue.open(path, read_only=True) as catalogue:
        shelf = CatalogueShelf(catalogue, SETTINGS)
        assert len(shelf) == 201
        assert shelf.row_of("0007") == ListShelf(catalogue.songs(), SETTINGS).row_of("0007") == 7
        assert shelf.row_of("nowhere") is None


def test_a_server_has_its_index_among_the_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = index_place("postgresql+psycopg://maeum@host/songs")
    assert place.parent == tmp_path / "maeum" / "index"
    assert place != index_place("postgresql+psycopg://maeum@host/others")


def test_an_empty_catalogue(tmp_path):
    with Catalogue.open(tmp_path / "empty.db", create=True) as catalogue:
        shelf = CatalogueShelf(catalogue, SETTINGS)
        assert len(shelf) == 0
        assert ids(shelf, QUERY) == []
