"""Lists that make their songs when they are asked for, and hygiene over them."""

from __future__ import annotations

import pytest

from app.library.song_material import SongMaterial, SongSource
from app.library.source_hygiene import without_unwanted
from app.library.source_list import Chosen, Joined
from data_prep.errors import InputError
from data_prep.song import Song


def source(name: str, title: str | None = None, artist: str | None = None) -> SongSource:
    song = Song(id=name, title=title, artist=artist)
    return SongSource(name, name, lambda: SongMaterial(song, None, None))


def unreadable(name: str) -> SongSource:
    def load() -> SongMaterial:
        raise InputError("damaged")

    return SongSource(name, name, load)


@pytest.mark.parametrize("sizes", [[], [0], [3], [2, 0, 1], [0, 2, 2, 0]])
def test_joined_is_one_list(sizes):
    parts = [[source(f"{part}-{i}") for i in range(size)] for part, size in enumerate(sizes)]
    flat = [one for part in parts for one in part]
    joined = Joined(parts)
    assert len(joined) == len(flat)
    assert list(joined) == flat
    assert [joined[i] for i in range(len(flat))] == flat
    assert [joined[i] for i in range(-len(flat), 0)] == flat
    assert joined[1:3] == flat[1:3]
    assert joined[::-1] == flat[::-1]
    for beyond in (len(flat), -len(flat) - 1):
        with pytest.raises(IndexError):
            joined[beyond]


def test_chosen_are_some_of_a_list():
    sources = [source(str(i)) for i in range(5)]
    chosen = Chosen(sources, [3, 1])
    assert (len(chosen), list(chosen)) == (2, [sources[3], sources[1]])


def test_hygiene_leaves_out_before_anything_is_analysed():
    sources = [
        source("a", "밤편지", "아이유"),
        unreadable("b"),
        source("c", "밤편지 (Live)", "아이유"),
        source("d", "Hits", "Various Artists"),
        source("e", "밤편지 (MR)", "아이유"),
        source("f", "밤편지", "다른 가수"),
        source("g"),
    ]
    kept, hygiene = without_unwanted(sources)
    assert [one.id for one in kept] == ["a", "b", "f", "g"]
    assert hygiene.counts == {"duplicate": 1, "various artists": 1, "novelty series": 1}
    assert str(hygiene) == (
        "hygiene: left out 1 duplicate, 1 various artists, 1 novelty series; 4 songs stay"
    )
