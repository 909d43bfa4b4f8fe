"""What is searched of a large catalogue is made by one process, once, and nobody is held up."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from app.service.shelf_making import LOCK, make_shelf
from data_prep.catalogue import Catalogue
from data_prep.errors import CatalogueError
from data_prep.stored_vectors import VECTOR_BYTES, encode
from fusion import catalogue_shelf
from fusion.catalogue_shelf import CatalogueShelf
from fusion.settings import FusionSettings
from fusion.shelf_folder import SAVE_FROM, ShelfFolder, index_place

SETTINGS = FusionSettings()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """As many songs as are worth it."""
    path = tmp_path / "songs.db"
    Catalogue.open(path, create=True).close()
    vectors = np.random.default_rng(0).dirichlet(np.ones(6), size=SAVE_FROM)
    whole = encode(vectors.astype(np.float32))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO maeum_songs (id, genre, lyrics, lyrics_made_by) VALUES (?, ?, ?, 'words')",
            (
                (f"{i:06}", "Pop", whole[i * VECTOR_BYTES : (i + 1) * VECTOR_BYTES])
                for i in range(SAVE_FROM)
            ),
        )
    return path


def folder(path: Path) -> ShelfFolder:
    with Catalogue.open(path, read_only=True) as catalogue:
        return ShelfFolder(catalogue.name, catalogue.revision(), SETTINGS.hash)


def test_it_is_made_once_however_many_want_it(path, monkeypatch):
    wanting = [threading.Thread(target=make_shelf, args=(str(path), SETTINGS)) for _ in range(3)]
    for each in wanting:
        each.start()
    for each in wanting:
        each.join(60)
    made = [one for one in index_place(str(path)).iterdir() if one.name != LOCK]
    assert made == [folder(path).path]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was not made, or not whole")

    monkeypatch.setattr(catalogue_shelf, "SimilarityIndex", refuse)
    with Catalogue.open(path, read_only=True) as catalogue:
        shelf = CatalogueShelf(catalogue, SETTINGS)
        assert len(shelf) == SAVE_FROM
        assert shelf.genres() == ["Pop"]


def test_what_was_asked_for_of_the_state_before_is_made_too(path):
    with Catalogue.open(path) as catalogue:
        before = CatalogueShelf(catalogue, SETTINGS)
        before.index("hellinger")
        before.hygiene()
        catalogue.upsert(before.songs([1]))  # the same, and yet a new revision
    assert not folder(path).is_there
    make_shelf(str(path), SETTINGS)
    kept = {one.name for one in folder(path).path.iterdir()}
    assert kept == {"songs", "facts", "cosine", "hellinger", "hygiene"}


def test_hygiene_is_made_when_it_is_wanted(path):
    make_shelf(str(path), SETTINGS)
    assert folder(path).hygiene() is None
    make_shelf(str(path), SETTINGS, with_hygiene=True)
    found = folder(path).hygiene()
    assert found is not None
    assert len(found.kept) == SAVE_FROM


def test_whoever_comes_second_waits_for_the_first(path):
    place = index_place(str(path))
    place.mkdir()
    second = threading.Thread(target=make_shelf, args=(str(path), SETTINGS))
    with FileLock(place / LOCK):
        second.start()
        second.join(1.0)
        assert second.is_alive()
        folder(path).path.mkdir()  # as if the first had made it
    second.join(20)
    assert not second.is_alive()
    assert list(folder(path).path.iterdir()) == [], "it was made a second time"


def test_a_damaged_catalogue_is_named(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE maeum_songs SET lyrics = 'nothing' WHERE id = '000007'")
    with pytest.raises(CatalogueError, match=path.name):
        make_shelf(str(path), SETTINGS)
    assert not folder(path).is_there


def test_where_nothing_can_be_kept_nothing_is_done(path):
    index_place(str(path)).write_text("in the way")
    make_shelf(str(path), SETTINGS)
    assert not folder(path).is_there
