"""The study finds what made-up songs were made to show."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from data_prep.metrics import macro_f1
from fusion.evaluation.labelled_songs import LabelledSongs
from fusion.rules import METHODS
from fusion.settings import FusionSettings
from fusion.studies.weight_rows import CHOSEN, FIXED, ROWS
from fusion.studies.weight_study import WeightStudy, study
from tests.fusion.toy_songs import FIRST_HALF, SECOND_HALF, heard, made_songs


@pytest.fixture(scope="module")
def halves() -> WeightStudy:
    """Words know three emotions, sound the other three; two draws."""
    draws = [made_songs(180, FIRST_HALF, SECOND_HALF, seed=seed) for seed in (1, 2)]
    said: list[str] = []
    found = study(draws, served=FusionSettings(), across=False, say=said.append)
    assert [line.partition(":")[0] for line in said[:2]] == ["draw 1 of 2", "draw 2 of 2"]
    return found


def test_the_content_is_json_and_says_what_was_studied(halves) -> None:
    content = halves.content
    json.dumps(content, allow_nan=False)
    assert (content["draws"], content["songs"], content["with_both"]) == (2, 180, 180)
    assert content["per_emotion"] == [30] * 6
    assert sum(content["sources"]["words"].values()) == 180
    assert list(content["rows"]) == [*ROWS, "as served"]
    assert content["left_out"] == {}
    assert "across" not in content


def test_rules_by_emotion_find_who_knows_what(halves) -> None:
    content = halves.content
    weights = np.array([rule["lyrics_weights_of"] for rule in content["learned"]["emotion-mean"]])
    assert weights.shape == (10, 6)
    assert weights[:, :3].min() > 0.5 > weights[:, 3:].max()
    assert content["best"] in ("emotion-mean", "stacking")
    merits = {row: figures["macro_f1"] for row, figures in content["rows"].items()}
    assert merits[content["best"]] == max(merits[row] for row in (*METHODS, FIXED))
    assert merits[content["better_branch"]] == max(
        merits[row] for row in ("words", "sound", "words, scaled", "sound, scaled")
    )
    assert content["differences"][0] == {
        **content["differences"][0],
        "row": content["best"],
        "base": content["better_branch"],
        "figure": "macro_f1",
    }
    assert content["differences"][0]["interval"][0] > 0.1


def test_settings_in_force_are_a_row_of_their_own(halves) -> None:
    rows = halves.content["rows"]
    for figure, value in rows[FIXED].items():
        assert rows["as served"][figure] == pytest.approx(value, abs=1e-6)


def test_curve_and_grid_hold_the_branches_at_their_ends(halves) -> None:
    curve, grid, rows = (halves.content[name] for name in ("curve", "grid", "rows"))
    assert (curve["weights"][0], curve["weights"][-1]) == (0.0, 1.0)
    for end, branch in ((0, "sound"), (-1, "words")):
        assert curve["macro_f1"][end] == pytest.approx(rows[branch]["macro_f1"])
        assert curve["nll"][end] == pytest.approx(rows[branch]["nll"], abs=1e-4)
    places = grid["exponents"]
    assert grid["macro_f1"][0][0] is grid["nll"][0][0] is None
    assert grid["macro_f1"][places.index(1.0)][0] == pytest.approx(rows["words"]["macro_f1"])
    assert grid["nll"][0][places.index(1.0)] == pytest.approx(rows["sound"]["nll"], abs=1e-4)
    for (low, high), value in zip(curve["intervals"], curve["macro_f1"], strict=True):
        assert low < value < high


def test_songs_without_a_branch_are_the_other_branchs(halves) -> None:
    missing = halves.content["missing"]
    assert missing["same_as_the_branch_left"] is True
    assert set(missing) == {"words", "sound", FIXED, *METHODS, "same_as_the_branch_left"}
    assert missing["stacking"]["macro_f1"] < halves.content["rows"]["stacking"]["macro_f1"]


def test_plots_are_of_the_first_draw(halves) -> None:
    bins, counts = halves.bins("words"), halves.confusion("words")
    assert bins.counts.sum() == counts.sum() == 180
    said = halves.answers["words"].argmax(axis=1)
    assert macro_f1(halves.songs.labels, said, 6) == pytest.approx(
        float(np.mean(2 * np.diag(counts) / (counts.sum(axis=0) + counts.sum(axis=1))))
    )
    np.testing.assert_array_equal(counts.sum(axis=1), [30] * 6)


def songs_whose_sound_tells_its_source(n: int) -> LabelledSongs:
    """Choirs are answered by neutral and pianos by anger, whatever they sound like; but choirs
    are mostly of the first three emotions, pianos of the others."""
    songs, random = made_songs(n, (1.2,) * 6, seed=5), np.random.default_rng(6)
    choir = (songs.labels < 3) != (random.random(n) < 0.1)
    sound = heard(np.where(choir, 5, 4), (3.0,) * 6, random)
    return replace(songs, sound=sound, sound_sources=np.where(choir, "choir", "piano"))


def test_a_rule_that_learned_the_sources_is_shown_with_sources_held_out() -> None:
    found = study([songs_whose_sound_tells_its_source(420)]).content
    assert [(each["branch"], each["source"]) for each in found["across"]] == [
        ("words", "page"),
        ("words", "poem"),
        ("sound", "choir"),
        ("sound", "piano"),
    ]
    assert found["across"][2]["songs"] == found["sources"]["sound"]["choir"]
    rows = found["rows"]
    assert rows["stacking"]["macro_f1"] > rows["words, scaled"]["macro_f1"] + 0.04
    for each in found["across"]:
        gain = each["macro_f1"]["stacking"] - each["macro_f1"]["words"]
        assert gain < -0.1 if each["branch"] == "sound" else gain > 0


def test_rules_that_other_sources_do_not_teach_are_left_out_there() -> None:
    songs = made_songs(180, seed=7)
    neutral = songs.labels == 5
    sources = np.where(neutral, "choir", songs.sound_sources)
    found = study([replace(songs, sound_sources=sources)]).content["across"]
    tables = {each["source"]: set(each["macro_f1"]) for each in found}
    assert "stacking" not in tables["choir"]  # pianos are never neutral
    assert tables["piano"] == tables["page"] == {"words", "sound", FIXED, *METHODS}


def test_a_rare_emotion_leaves_out_what_it_cannot_teach() -> None:
    songs = made_songs(150, seed=8)
    anger = np.flatnonzero(songs.labels == 4)
    kept = np.ones(150, dtype=bool)
    kept[anger[np.isin(songs.folds[anger], (2, 3, 4))]] = False
    found = study([songs.chosen(kept)], across=False).content
    assert found["left_out"] == {"stacking": "too few songs of anger to learn it in every fold"}
    assert "stacking" not in found["rows"]
    assert "stacking" not in found["missing"]
    assert set(found["learned"]) == {*METHODS} - {"stacking"}


def test_an_emotion_that_is_rare_once_branches_are_lost_is_no_reason_to_stop() -> None:
    songs = made_songs(150, seed=9)
    anger = np.flatnonzero(songs.labels == 4)
    kept = np.ones(150, dtype=bool)
    kept[anger[3:]] = False  # one in each of three folds
    found = study([songs.chosen(kept)], across=False).content
    assert {"stacking", CHOSEN} <= set(found["rows"])
    assert "stacking" not in found["missing"]
    assert found["missing"]["product"]["macro_f1"] > 0


def test_songs_of_two_emotions_and_few_with_sound_can_be_studied() -> None:
    songs = made_songs(240, seed=10).chosen(np.arange(240) % 6 < 2)
    words, sound = songs.words.copy(), songs.sound.copy()
    sound[:10] = np.nan
    words[70:] = np.nan
    found = study([replace(songs, words=words, sound=sound)], across=False).content
    assert found["with_both"] == 60
    assert found["per_emotion"] == [40, 40, 0, 0, 0, 0]
    assert "stacking" in found["left_out"]
    assert found["missing"]["same_as_the_branch_left"] is True
    assert found["rows"]["product"]["accuracy"] > found["rows"]["constant"]["accuracy"]
