"""Songs of a table: which are used, which are left out and why, how they are dealt to folds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.readers.labelled_table import label_set_of, open_song_table
from fusion.evaluation.labelled_songs import (
    SILENT,
    UNDECIDED,
    UNREADABLE,
    AskedSongs,
    dealt_folds,
    fold_of_name,
    numbered,
    songs_of_table,
)
from tests.fusion.toy_songs import ToyAnalyser, made_songs


def asked(
    folder: Path, lines: list[str], label_set: str = "six", group: str | None = None
) -> AskedSongs:
    path = folder / "songs.tsv"
    head = "text\taudio_path\temotion\tartist"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    table = open_song_table(
        path,
        label_set_of(label_set),
        text_column="text",
        audio_column="audio_path",
        label_column="emotion",
        group_column=group,
    )
    told: list[int] = []
    found = songs_of_table(table, ToyAnalyser(), advance=told.append)
    assert sum(told) == found.rows == len(lines)
    return found


def test_words_only_sound_only_and_both(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("sadness", encoding="utf-8")
    (tmp_path / "b.wav").write_text("silence", encoding="utf-8")
    lines = [
        "joy joy\ta.wav\t기쁨\t",
        "anger\t\tanger\t",
        "\ta.wav\tsadness|sadness\t",
        "calm\tb.wav\t평화\t",
        "silence\ta.wav\t슬픔\t",
    ]
    songs = asked(tmp_path, lines).songs
    assert songs.labels.tolist() == [0, 4, 3, 2, 3]
    assert songs.has_words.tolist() == [True, True, False, True, False]
    assert songs.has_sound.tolist() == [True, False, True, False, True]
    assert np.isnan(songs.words[2]).all()
    assert songs.words[0].argmax() == 0
    assert songs.sound[0].argmax() == 3
    assert songs.name == "songs.tsv"
    assert set(songs.word_sources) == set(songs.sound_sources) == {"songs.tsv"}


def test_rows_left_out_are_counted_with_their_reasons(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_text("broken", encoding="utf-8")
    (tmp_path / "silence.wav").write_text("silence", encoding="utf-8")
    found = asked(
        tmp_path,
        [
            "joy\t\tjoy\t",
            "joy\tbroken.wav\tjoy\t",
            "joy\tnowhere.wav\tjoy\t",
            "silence\tsilence.wav\tjoy\t",
            "joy\t\tjoy|anger\t",
            "joy\t\tbliss\t",
            "\t\tjoy\t",
        ],
    )
    assert len(found.songs) == 1
    assert found.left_out.reasons == {
        UNREADABLE: 2,
        SILENT: 1,
        UNDECIDED: 1,
        "unknown label": 1,
        "no song": 1,
    }
    problems = {each["row"]: each["problem"] for each in found.left_out.in_order()}
    assert list(problems) == [2, 3, 4, 5, 6, 7]
    assert "broken cannot be read" in problems[2]
    assert "nowhere.wav does not exist" in problems[3]
    assert problems[4] == "no words; the recording is silent"
    assert "'text' and 'audio_path'" in problems[7]


def test_no_row_left_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row that can be used: 1 song whose words and sound"):
        asked(tmp_path, ["silence\t\tjoy\t"])


def test_native_labels_are_mended_and_told(tmp_path: Path) -> None:
    found = asked(tmp_path, ["joy\t\tㅈ립\t", "joy\t\t행복\t"], "aihub-7")
    assert found.songs.labels.tolist() == [5, 0]
    assert found.mended == {("ㅈ립", "중립"): 1}


def test_artists_stay_together_and_rows_without_one_are_their_own(tmp_path: Path) -> None:
    lines = [f"joy\t\tjoy\t{artist}" for artist in ("가수", "b", "가수", "", "", "b")]
    songs = asked(tmp_path, lines, group="artist").songs
    groups = songs.word_groups.tolist()
    assert np.array_equal(songs.word_groups, songs.sound_groups)
    assert groups[0] == groups[2]
    assert groups[1] == groups[5]
    assert len(set(groups)) == 4
    for group in set(groups):
        assert len(np.unique(songs.folds[songs.word_groups == group])) == 1
    alone = asked(tmp_path, lines).songs
    assert len(np.unique(alone.word_groups)) == len(lines)


def test_groups_are_dealt_to_the_emptiest_fold() -> None:
    # 4 of a, then 2 of b and c, then single ones: 4, 2, 2, 1, 1 and the last to the first of one
    groups = ["b", *"aaaa", "b", "c", "c", "d", "e", "f"]
    folds = dict(zip(groups, dealt_folds(groups).tolist(), strict=True))
    assert folds["a"] == 0
    assert {folds["b"], folds["c"]} == {1, 2}
    assert sorted(folds[name] for name in "def")[1:] in ([4, 4], [3, 4])
    assert min(folds[name] for name in "def") == 3
    random = np.random.default_rng(0)
    many = [f"g{i}" for i in random.integers(40, size=500)]
    sizes = np.bincount(dealt_folds(many))
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 3


def test_labels_that_take_turns_are_in_every_fold() -> None:
    folds = dealt_folds([f"row {i}" for i in range(100)])
    labels = np.arange(100) % 5
    assert np.bincount(folds).tolist() == [20] * 5
    for fold in range(5):
        assert set(labels[folds == fold]) == set(range(5))


def test_folds_of_names_follow_from_the_name_alone() -> None:
    folds = [fold_of_name(f"line {i}") for i in range(2_000)]
    assert folds == [fold_of_name(f"line {i}") for i in range(2_000)]
    assert np.bincount(folds).min() > 330
    assert fold_of_name("\ud800") in range(5)  # no encoding has it


def test_numbers_of_names() -> None:
    assert numbered(["b", "a", "b"]).tolist() == [1, 0, 1]


def test_songs_that_do_not_belong_together_are_refused() -> None:
    songs = made_songs(12)
    with pytest.raises(InputError, match="different songs"):
        replace(songs, folds=songs.folds[:5])
    with pytest.raises(InputError, match="different songs"):
        replace(songs, sound=songs.sound[:, :5])
    with pytest.raises(InputError, match="0 to 5"):
        replace(songs, labels=songs.labels + 1)
    assert len(songs.chosen(songs.labels == 6)) == 0
    chosen = songs.chosen(np.array([3, 1]))
    assert chosen.labels.tolist() == [3, 1]
    np.testing.assert_array_equal(chosen.words, songs.words[[3, 1]])
