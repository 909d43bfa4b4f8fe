"""Rows of the study: nothing is learned from what is answered, and one branch alone stays it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.metrics import macro_f1
from fusion.calibration import calibrate
from fusion.evaluation.labelled_songs import LabelledSongs
from fusion.rules import METHODS, Mean, Product
from fusion.settings import BranchCalibration
from fusion.studies.rule_learning import WEIGHTS
from fusion.studies.weight_rows import (
    CHOSEN,
    EXPONENTS,
    FIXED,
    ROWS,
    best_method,
    calibrated_settings,
    check_size,
    cross_validated,
    exponent_grid,
    folds_of,
    learned_settings,
    one_missing,
    sources_of,
    weight_curve,
)
from tests.fusion.toy_songs import FIRST_HALF, SECOND_HALF, made_songs


@pytest.fixture(scope="module")
def songs() -> LabelledSongs:
    return made_songs(240, seed=1)


def answers_to(songs: LabelledSongs, rows=ROWS, methods=METHODS) -> dict[str, np.ndarray]:
    return cross_validated(songs, list(folds_of(songs)), rows, methods)[0]


@pytest.fixture(scope="module")
def answers(songs) -> dict[str, np.ndarray]:
    return answers_to(songs)


def test_every_row_answers_every_song_with_a_distribution(answers) -> None:
    assert tuple(answers) == ROWS
    for own in answers.values():
        assert own.shape == (240, 6)
        assert (own >= 0).all()
        np.testing.assert_allclose(own.sum(axis=1), 1.0, atol=1e-5)


def test_labels_of_a_fold_do_not_change_its_answers(songs, answers) -> None:
    here = songs.folds == 2
    poisoned = replace(songs, labels=np.where(here, (songs.labels + 1) % 6, songs.labels))
    found = answers_to(poisoned)
    for row in ROWS:
        np.testing.assert_array_equal(found[row][here], answers[row][here], err_msg=row)
    # where they are learned from they do, or nothing would have been shown
    for row in {*ROWS} - {FIXED, "constant", "words, raw", "sound, raw"}:
        assert not np.array_equal(found[row][~here], answers[row][~here]), row


def test_other_answers_of_a_fold_do_not_change_those_to_a_song(songs, answers) -> None:
    others = np.flatnonzero(songs.folds == 3)[1:]
    words, sound = songs.words.copy(), songs.sound.copy()
    words[others], sound[others] = sound[others], np.eye(6, dtype=np.float32)[0]
    found = answers_to(replace(songs, words=words, sound=sound))
    song = np.flatnonzero(songs.folds == 3)[0]
    for row in ROWS:
        np.testing.assert_array_equal(found[row][song], answers[row][song], err_msg=row)
        if row not in ("constant", FIXED):
            assert not np.array_equal(found[row][others], answers[row][others]), row


@pytest.mark.parametrize("branch", ["words", "sound"])
def test_nothing_is_learned_of_a_source_that_is_held_out(songs, branch) -> None:
    sources = getattr(songs, "word_sources" if branch == "words" else "sound_sources")
    parts = list(sources_of(songs, branch))
    assert len(parts) == 10
    np.testing.assert_array_equal(sum(test.astype(int) for _, test in parts), 1)
    for train, test in parts:
        assert len(np.unique(sources[test])) == len(np.unique(songs.folds[test])) == 1
        assert not np.isin(sources[train], sources[test]).any()
        assert not np.isin(songs.folds[train], songs.folds[test]).any()
    source = np.unique(sources)[0]
    own_parts = [part for part in parts if (sources[part[1]] == source).all()]
    poisoned = replace(
        songs, labels=np.where(sources == source, (songs.labels + 1) % 6, songs.labels)
    )
    rows = ["constant", branch, "stacking"]
    before, after = (
        cross_validated(each, own_parts, rows, ["stacking"])[0] for each in (songs, poisoned)
    )
    for row in rows:
        np.testing.assert_array_equal(before[row], after[row])
        assert np.isfinite(before[row][sources == source]).all()
        assert np.isnan(before[row][sources != source]).all()


def test_a_song_with_one_branch_is_answered_as_that_branch(songs) -> None:
    uneven = songs.chosen(np.arange(240) % 4 > 0)  # fewer of three emotions
    lost = one_missing(uneven, seed=3)
    assert (lost.has_words | lost.has_sound).all()
    for share in (lost.has_words.mean(), lost.has_sound.mean()):
        assert 0.65 < share < 0.85
    found = answers_to(lost)
    assert found["constant"].std(axis=1).min() > 0.02
    for branch, left in (("words", ~lost.has_sound), ("sound", ~lost.has_words)):
        for row in (*METHODS, CHOSEN):
            np.testing.assert_array_equal(found[row][left], found[branch][left], err_msg=row)
        raw = getattr(lost, branch)[left]
        np.testing.assert_allclose(found[FIXED][left], raw, atol=1e-6)
        # a branch alone answers what it has not read with the constant
        for row in (branch, f"{branch}, scaled"):
            unread = ~(lost.has_words if branch == "words" else lost.has_sound)
            np.testing.assert_array_equal(found[row][unread], found["constant"][unread])


def test_songs_that_have_one_branch_already_keep_it() -> None:
    songs = made_songs(90)
    words, sound = songs.words.copy(), songs.sound.copy()
    words[:30], sound[30:60] = np.nan, np.nan
    lost = one_missing(replace(songs, words=words, sound=sound), seed=1)
    assert lost.has_sound[:30].all()
    assert lost.has_words[30:60].all()
    assert not (lost.has_words & lost.has_sound)[60:].all()
    assert not np.isnan(words[30:]).any()  # the songs that came in are as they were


def test_simple_rows_by_hand(songs, answers) -> None:
    np.testing.assert_allclose(answers[FIXED], (songs.words + songs.sound) / 2, atol=1e-6)
    np.testing.assert_allclose(answers["constant"], 1 / 6)
    few = made_songs(90).chosen(np.arange(90) % 6 < 4)
    shares = answers_to(few, ["constant"], [])["constant"]
    np.testing.assert_allclose(shares, [[0.25] * 4 + [0, 0]] * len(few))
    for train, test in folds_of(songs):
        temperature = calibrated_settings(songs.chosen(train)).lyrics.temperature
        expected = calibrate(songs.words[test], BranchCalibration(temperature))
        np.testing.assert_array_equal(answers["words"][test], expected)


def test_the_chosen_rule_is_the_best_of_the_other_folds(songs, answers) -> None:
    for train, test in folds_of(songs):
        known = songs.chosen(train)
        inner = answers_to(known, METHODS)
        merits = {m: macro_f1(known.labels, inner[m].argmax(axis=1), 6) for m in METHODS}
        best = best_method(known)
        assert merits[best] == max(merits.values())
        np.testing.assert_array_equal(answers[CHOSEN][test], answers[best][test])


def test_weights_of_emotions_show_who_knows_what() -> None:
    songs = made_songs(300, FIRST_HALF, SECOND_HALF, seed=2)
    found, learned = cross_validated(
        songs, list(folds_of(songs)), ["words", "sound", "emotion-mean"], ["emotion-mean"]
    )
    assert len(learned["emotion-mean"]) == 5
    for settings in learned["emotion-mean"]:
        weights = settings.rule.to_dict()["lyrics_weights_of"]
        assert min(weights[:3]) > 0.6
        assert max(weights[3:]) < 0.4
    merits = {row: macro_f1(songs.labels, own.argmax(axis=1), 6) for row, own in found.items()}
    assert merits["emotion-mean"] > max(merits["words"], merits["sound"]) + 0.1


def test_the_curve_and_the_grid_are_means_and_products(songs, answers) -> None:
    curve, grid = weight_curve(songs), exponent_grid(songs)
    assert list(curve) == [f"{weight:g}" for weight in WEIGHTS]
    assert len(grid) == len(EXPONENTS) ** 2 - 1
    np.testing.assert_allclose(curve["1"], answers["words"], atol=1e-6)
    np.testing.assert_allclose(curve["0"], answers["sound"], atol=1e-6)
    np.testing.assert_allclose(grid["1 0"], answers["words"], atol=1e-5)
    words, sound = answers["words"], answers["sound"]
    np.testing.assert_allclose(curve["0.3"], Mean(0.3).combine(words, sound), atol=1e-5)
    np.testing.assert_allclose(grid["0.5 2"], Product(0.5, 2).combine(words, sound), atol=1e-5)


def test_sizes_that_say_nothing_are_refused() -> None:
    check_size(made_songs(60))
    with pytest.raises(InputError, match=r"54 songs have both .* at least 60"):
        check_size(made_songs(54))
    songs = made_songs(90)
    deaf = replace(songs, sound=np.full_like(songs.sound, np.nan))
    with pytest.raises(InputError, match="0 songs have both"):
        check_size(deaf)
    with pytest.raises(InputError, match="no song has both"):
        learned_settings("mean", deaf, calibrated_settings(deaf))
    with pytest.raises(InputError, match="are calm: expected songs of two emotions"):
        check_size(replace(songs, labels=np.full(90, 2)))
    for folds, found in ((np.zeros(90, dtype=int), 1), (np.arange(90) % 2, 2)):
        with pytest.raises(InputError, match=f"fill {found} of 5 folds.*more artists"):
            check_size(replace(songs, folds=folds))
    more = made_songs(180)
    both_in_two_folds = np.where(more.folds[:, None] < 2, more.sound, np.nan)
    with pytest.raises(InputError, match="fill 2 of 5 folds"):
        check_size(replace(more, sound=both_in_two_folds))
