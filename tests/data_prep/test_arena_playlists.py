"""Playlists of Kakao Arena: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.readers.arena_playlists import read_playlists


def written(tmp_path: Path, records: Any) -> Path:
    path = tmp_path / "train.json"
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return path


def test_playlists_as_published(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        [
            {"tags": ["락"], "id": 61281, "plylst_title": "여행 음악", "songs": [525514, 129701],
             "like_cnt": 71, "updt_date": "2013-12-19 18:36:19.000"},
            {"tags": [], "id": 10532, "plylst_title": "", "songs": [], "like_cnt": 0,
             "updt_date": "2014-12-02 16:19:42.000"},
            {"tags": [], "id": 7, "plylst_title": "", "songs": [3, 3, 525514], "like_cnt": 0,
             "updt_date": ""},
        ],
    )  # fmt: skip
    found = read_playlists(path)
    assert found.ids.tolist() == [61281, 7]
    assert [found.of(place).tolist() for place in range(2)] == [[525514, 129701], [3, 525514]]
    assert found.empty == 1
    chosen = found.chosen(np.array([1]))
    assert (chosen.ids.tolist(), chosen.of(0).tolist()) == ([7], [3, 525514])


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "no playlist with songs"),
        ([{"id": 1, "songs": []}], "no playlist with songs"),
        ([{"id": 1}], "record 1 has no list of songs"),
        ([{"id": 1, "songs": [1]}, 5], "record 2 has no list"),
        ([{"id": 1, "songs": ["x"]}], "'x' where a number"),
        ([{"id": None, "songs": [1]}], "None where a number"),
        ([{"id": 1, "songs": [True]}], "True where a number"),
        ([{"id": 1, "songs": [1]}, {"id": 1, "songs": [2]}], "a playlist twice"),
        ({"id": 1, "songs": [1]}, "no JSON list"),
    ],
)
def test_what_is_something_else_is_refused(tmp_path: Path, records: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_playlists(written(tmp_path, records))
