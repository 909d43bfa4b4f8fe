"""Filters over columns give what the database and the filter itself give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep.catalogue import Catalogue, Song, SongFilter, StageVector
from fusion.shelf_folder import SongRows
from fusion.song_facts import SongFacts

VALUES = [
    None, "", " ", ";", "Pop", "pop", " POP ", "pop;rock", "Pop ; Rock", "rock  ;pop", "poprock",
    "발라드; pop", "발라드", "K-Pop (R&B)", "a.b", "aXb", "É", "é", "pop;;rock", "x;pop", "\n",
]  # fmt: skip
VECTOR = np.full(6, 1 / 6, dtype=np.float32)


def songs() -> list[Song]:
    rng = np.random.default_rng(4)
    made = []
    for i in range(600):
        genre, artist, language, source = (VALUES[j] for j in rng.integers(len(VALUES), size=4))
        made.append(
            Song(
                id=f"{rng.integers(10**9):09}-{i}",
                year=None if rng.random() < 0.2 else int(rng.integers(1990, 2000)),
                genre=genre,
                artist=artist,
                language=language,
                source=source,
                lyrics=StageVector(VECTOR, "words") if rng.random() < 0.6 else None,
                audio=StageVector(VECTOR, "sound") if rng.random() < 0.6 else None,
            )
        )
    return made


def wanted() -> list[SongFilter]:
    named = [
        v for v in [*VALUES, "op", "po", "R&B", "rock;pop", "none", "."] if v and v.strip(" ;")
    ]
    filters = [
        SongFilter(**{field: value})
        for field in ("genre", "artist", "language", "source")
        for value in named
    ]
    filters += [SongFilter(year_from=1995), SongFilter(year_to=1995), SongFilter(year_to=9999)]
    filters += [SongFilter(year_from=0), SongFilter(year_from=1992, year_to=1994, genre="pop")]
    filters += [SongFilter(has_lyrics=has, has_audio=not has) for has in (True, False)]
    return [*filters, SongFilter(has_audio=True, source="Pop", year_from=1991), SongFilter()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("facts") / "songs.db"
    with Catalogue.open(path, create=True) as catalogue:
        catalogue.upsert(songs())
        catalogue.remove([song.id for song in songs()[:50]])  # numbers that are no more
    return path


@pytest.mark.parametrize("is_saved", [False, True])
def test_a_filter_lets_through_what_the_database_lets_through(place, tmp_path, is_saved):
    with Catalogue.open(place, read_only=True) as catalogue:
        rows = SongRows.of(catalogue.numbers())
        facts = SongFacts.of(catalogue.filter_facts(), rows.rows, len(rows.numbers))
        if is_saved:
            facts.save(tmp_path / "facts")
            facts = SongFacts.load(tmp_path / "facts")
        listed = catalogue.songs()
        some = 0
        for where in wanted():
            mask = facts.mask(where)
            found = rows.numbers[mask].tolist()
            assert found == catalogue.numbers(where).tolist(), where
            assert mask.tolist() == [where.accepts(song) for song in listed], where
            some += 0 < len(found) < len(listed)
        assert some > 50


def test_songs_that_have_no_row_are_left_out():
    with Catalogue.open("sqlite://", create=True) as catalogue:
        catalogue.upsert([Song(id="a", genre="pop"), Song(id="b", genre="rock")])
        rows = SongRows.of(catalogue.numbers())
        catalogue.upsert([Song(id="0", genre="pop"), Song(id="c", genre="pop")])
        facts = SongFacts.of(catalogue.filter_facts(), rows.rows, len(rows.numbers))
    assert facts.mask(SongFilter(genre="pop")).tolist() == [True, False]


def test_no_songs(tmp_path):
    facts = SongFacts.of([], np.empty(0, np.int32), 0)
    facts.save(tmp_path / "facts")
    assert SongFacts.load(tmp_path / "facts").mask(SongFilter(genre="pop")).tolist() == []


def test_rows_by_number():
    rows = SongRows.of(np.array([5, 2, 9]))
    assert rows.of_numbers(np.array([2, 3, 9, -1, 10, 5])).tolist() == [1, -1, 2, -1, -1, 0]
    assert SongRows.of(np.empty(0, np.int64)).of_numbers(np.array([1])).tolist() == [-1]
