"""Playlists in Kakao Arena's layout, made so that the answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from data_prep.catalogue import Catalogue, Song, StageVector

PER_CIRCLE = 40
CIRCLES = 6


def emotion_of(number: int) -> int:
    """Circles 0 and 1 share joy, 2 and 3 calm, 4 and 5 sadness: emotion cannot tell them apart."""
    return (0, 0, 2, 2, 3, 3)[number // PER_CIRCLE]


def write_playlists(
    path: Path, n: int = 600, *, seed: int = 0, popular: bool = False, first_id: int = 0
) -> None:
    """Each of the songs of one circle of listeners; ``popular`` ones of the same few songs."""
    rng = np.random.default_rng(seed)
    records = []
    for place in range(n):
        circle = int(rng.integers(CIRCLES))
        songs = circle * PER_CIRCLE + rng.choice(PER_CIRCLE, size=12, replace=False)
        if popular:
            weights = 1.0 / np.arange(1, CIRCLES * PER_CIRCLE + 1) ** 1.2
            songs = rng.choice(CIRCLES * PER_CIRCLE, 12, replace=False, p=weights / weights.sum())
        records.append(
            {
                "tags": ["락", "새벽"],
                "id": first_id + place,
                "plylst_title": f"제목 {place}",
                "songs": [int(song) for song in songs],
                "like_cnt": int(rng.integers(100)),
                "updt_date": "2019-06-28 15:33:51.000",
            }
        )
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")


def write_songs(path: Path, *, seed: int = 1, cold: int = 20) -> None:
    """A catalogue of the songs, and of some that no playlist has."""
    rng = np.random.default_rng(seed)

    def stage(emotion: int) -> StageVector:
        weights = np.full(6, 0.5)
        weights[emotion] = 6.0
        return StageVector(rng.dirichlet(weights).astype(np.float32), "test")

    songs = [
        Song(
            f"{number}",
            title=f"곡 {number}",
            artist=f"가수 {number}",
            lyrics=stage(emotion_of(number)),
        )
        for number in range(CIRCLES * PER_CIRCLE)
    ]
    songs += [
        Song(f"cold-{i}", title=f"새 곡 {i}", artist=f"새 가수 {i}", lyrics=stage((0, 2, 3)[i % 3]))
        for i in range(cold)
    ]
    with Catalogue.open(path, create=True) as catalogue:
        catalogue.upsert(songs)
