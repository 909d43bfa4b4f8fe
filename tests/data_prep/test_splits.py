import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from data_prep import split_making, splits
from data_prep.data_folder import data_root
from data_prep.errors import InputError
from data_prep.readers.row import PoemRow

FOLDER = Path(splits.__file__).parent / "splits"
WITH_SPLITS = ("kote", "kpoem", "emopia")
WITH_FOLDS = ("ravdess_song", "emotify", "emopia")


def committed(dataset: str) -> dict:
    return json.loads((FOLDER / f"{dataset}.json").read_text(encoding="utf-8"))


def needs_data(*relative: str) -> None:
    for path in relative:
        if not (data_root() / path).exists():
            pytest.skip(f"{path} is not in the data folder (MAEUM_DATA)")


@pytest.mark.parametrize("dataset", WITH_SPLITS)
def test_splits_are_disjoint(dataset: str) -> None:
    members = committed(dataset)["splits"]
    for a, b in combinations(members.values(), 2):
        assert not set(a) & set(b)
    for split, ids in members.items():
        assert len(set(ids)) == len(ids) > 0
        assert splits.split_of(dataset, ids[0]) == split


@pytest.mark.parametrize("dataset", WITH_FOLDS)
def test_folds_are_disjoint_and_even(dataset: str) -> None:
    folds = committed(dataset)["folds"]
    assert len(folds) == 5
    for a, b in combinations(folds, 2):
        assert not set(a) & set(b)
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for index, fold in enumerate(folds):
        assert {splits.fold_of(dataset, group) for group in fold} == {index}


def test_emopia_folds_cover_train_songs_only() -> None:
    content = committed("emopia")
    assert {song for fold in content["folds"] for song in fold} == set(content["splits"]["train"])


def test_emotify_folds_have_every_genre_alike() -> None:
    for fold in committed("emotify")["folds"]:
        genres = [recording.partition("-")[0] for recording in fold]
        assert {genre: genres.count(genre) for genre in set(genres)} == {
            "classical": 16,
            "electronic": 16,
            "pop": 16,
            "rock": 16,
        }


def test_sizes() -> None:
    kote = committed("kote")["splits"]
    assert {split: len(ids) for split, ids in kote.items()} == {
        "train": 4250,
        "validation": 750,
        "test": 2500,
    }
    assert committed("goemotions")["sizes"] == {"train": 43410, "validation": 5426, "test": 5427}


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="no splits for 'melon'"):
        splits.split_of("melon", "1")
    with pytest.raises(InputError, match="not in the splits of 'kote'"):
        splits.split_of("kote", "x")
    with pytest.raises(InputError, match="use fold_of"):
        splits.split_of("ravdess_song", "actor-01")
    with pytest.raises(InputError, match="use split_of"):
        splits.fold_of("kote", "1")
    with pytest.raises(InputError, match="expected one of train, validation, test"):
        splits.check_split("kote", "dev")


def test_emopia_split_takes_clip_and_song() -> None:
    song = committed("emopia")["splits"]["validation"][0]
    assert splits.split_of("emopia", song) == "validation"
    assert splits.split_of("emopia", f"Q2_{song}_11") == "validation"
    assert splits.emopia_song("Q3_f0NbGeyJYms_0") == "f0NbGeyJYms"


def test_folds_of_toy_strata() -> None:
    folds = split_making.make_folds({"a": "abcdefg", "b": "ABC"})
    assert sorted(map(len, folds)) == [2, 2, 2, 2, 2]
    assert sorted(group for fold in folds for group in fold) == sorted("abcdefgABC")
    assert folds == split_making.make_folds({"b": "CBA", "a": "gfedcba"})


def poem_row(number: int, text: str, unit: str) -> PoemRow:
    return PoemRow(f"{unit}-{number}", text, np.zeros(44, np.float32), "poet", "ko", "poet", unit)


def test_kpoem_blocks_keep_a_text_with_its_lines() -> None:
    rows = [
        poem_row(1, "나 보기가 역겨워", "line"),
        poem_row(2, "가실 때에는", "line"),
        poem_row(3, "말없이 고이 보내드리오리다.", "line"),
        poem_row(4, "엄마야 누나야 강변 살자", "line"),
        poem_row(5, "뜰에는 반짝이는 금모래빛", "line"),
        poem_row(6, "나 보기가  역겨워 가실 때에는 말없이 고이 보내드리오리다", "text"),
    ]
    blocks = {frozenset(row.id for row in block) for block in split_making.kpoem_blocks(rows)}
    assert blocks == {
        frozenset({"line-1", "line-2", "line-3", "text-6"}),
        frozenset({"line-4", "line-5"}),
    }


def test_kpoem_validation_shares_no_line_with_train() -> None:
    needs_data("text/kpoem")
    from data_prep.readers import kpoem

    train, validation = kpoem.read("train"), kpoem.read("validation")
    for ours, theirs in ((train, validation), (validation, train)):
        keys = {split_making._letters(row.text) for row in ours}
        texts = "|".join(split_making._letters(row.text) for row in ours if row.unit == "text")
        for row in theirs:
            key = split_making._letters(row.text)
            assert key not in keys
            assert len(key) < 8 or key not in texts
    assert {row.poet for row in kpoem.read("test")} == {"한용운"}
    assert "한용운" not in {row.poet for row in train + validation}
    lines = {split: len(kpoem.read(split, unit="line")) for split in ("train", "validation")}
    assert 0.09 < lines["validation"] / sum(lines.values()) < 0.11


@pytest.mark.parametrize(
    ("dataset", "folder"),
    [
        ("kote", "text/kote"),
        ("kpoem", "text/kpoem"),
        ("goemotions", "text/goemotions_en"),
        ("ravdess_song", "audio/ravdess_song"),
        ("emotify", "audio/emotify"),
        ("emopia", "audio/emopia"),
    ],
)
def test_making_the_file_again_gives_the_same_bytes(dataset: str, folder: str) -> None:
    needs_data(folder)
    path = FOLDER / f"{dataset}.json"
    assert split_making.make(dataset).encode("utf-8") == path.read_bytes()
