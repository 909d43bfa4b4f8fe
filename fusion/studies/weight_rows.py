"""Every way of fusing as a row: what it says of labelled songs that it did not learn from.

For each fold, all that is learned (the temperature of each branch, the numbers of a rule, the
temperature of what it gives) is learned from the other folds, and the fold is answered. Rows:

- ``constant``: the most frequent emotion of the other folds;
- ``words``, ``sound``: each branch alone, its temperature fitted;
- ``words, raw``, ``sound, raw``: each as it answers, before any calibration;
- ``words, scaled``, ``sound, scaled``: each alone after vector scaling, so that a rule that
  has numbers of its own for each emotion is compared with a branch that has them too;
- ``fixed mean``: half of each raw answer, the published rule;
- one row for each rule of :mod:`fusion.rules`, learned;
- ``chosen``: the rule that is best within the other folds, by a cross-validation of theirs:
  what somebody gets who lets this study choose.

A song with one branch is answered by that branch in every row of a rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.metrics import macro_f1
from data_prep.splits import N_FOLDS
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from data_prep.temperature import fit_temperature
from fusion.calibration import calibrate
from fusion.combination import fuse_many
from fusion.evaluation.labelled_songs import LabelledSongs
from fusion.rules import METHODS, Mean, Method, Product
from fusion.settings import BranchCalibration, FusionSettings
from fusion.studies.rule_learning import WEIGHTS, fit_vector_scaling, learn

BRANCHES: Final = ("words", "sound")
FIXED: Final = "fixed mean"
CHOSEN: Final = "chosen"
ROWS: Final = (
    "constant",
    *BRANCHES,
    *(f"{branch}, {how}" for how in ("raw", "scaled") for branch in BRANCHES),
    FIXED,
    *METHODS,
    CHOSEN,
)

EXPONENTS: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Of the product, for the heat map."""

LEAST_SONGS: Final = 60
"""Below so many songs nothing about weights can be said."""

LEAST_FOLDS: Final = 3
"""Folds that songs have to be in: two are held out where a rule is chosen, one is learned from."""

Answers = dict[str, NDArray[np.float64]]
Mask = NDArray[np.bool_]


def calibrated_settings(songs: LabelledSongs) -> FusionSettings:
    """Settings with a temperature for each branch, fitted on these songs; the plain mean."""
    found = FusionSettings()
    if songs.has_words.any():
        temperature = fit_temperature(
            songs.words[songs.has_words], songs.labels[songs.has_words], low=0.1, high=10.0
        )
        found = replace(found, lyrics=BranchCalibration(temperature))
    if songs.has_sound.any():
        temperature = fit_temperature(
            songs.sound[songs.has_sound], songs.labels[songs.has_sound], low=0.1, high=10.0
        )
        found = replace(found, audio=BranchCalibration(temperature))
    return found


def learned_settings(
    method: Method, songs: LabelledSongs, calibrated: FusionSettings
) -> FusionSettings:
    """Settings of one rule, learned from these songs: the rule, then the temperature of what it
    gives.

    Parameters
    ----------
    calibrated
        Calibration of the branches, as :func:`calibrated_settings` makes it of the songs.

    Raises
    ------
    InputError
        If too few songs have both branches, or the rule cannot be learned from their labels.
    """
    both = songs.chosen(songs.has_words & songs.has_sound)
    if not len(both):
        raise InputError(f"{songs.name}: no song has both words and sound")
    words = calibrate(both.words, calibrated.lyrics)
    sound = calibrate(both.sound, calibrated.audio)
    rule = learn(method, words, sound, both.labels)
    temperature = fit_temperature(rule.combine(words, sound), both.labels, low=0.1, high=10.0)
    return replace(calibrated, rule=rule, fused_temperature=temperature)


def folds_of(songs: LabelledSongs) -> Iterator[tuple[Mask, Mask]]:
    """What is learned from, and what is answered, for each fold."""
    for fold in np.unique(songs.folds):
        yield songs.folds != fold, songs.folds == fold


def sources_of(songs: LabelledSongs, branch: str) -> Iterator[tuple[Mask, Mask]]:
    """The same, where what is answered comes from sources that nothing was learned from."""
    sources = songs.word_sources if branch == "words" else songs.sound_sources
    for source in np.unique(sources):
        for others, fold in folds_of(songs):
            if (fold & (sources == source)).any():
                yield others & (sources != source), fold & (sources == source)


def cross_validated(
    songs: LabelledSongs,
    parts: Sequence[tuple[Mask, Mask]],
    rows: Sequence[str] = ROWS,
    methods: Sequence[Method] = METHODS,
) -> tuple[Answers, dict[str, list[FusionSettings]]]:
    """Answers of each row to songs that it did not learn from.

    Parameters
    ----------
    parts
        What is learned from, and what is answered: masks (songs,).
    rows
        Which of :data:`ROWS`; of the methods those of ``methods``.
    methods
        Rules that are learned, and that are chosen from.

    Returns
    -------
    answers
        Row → (songs, 6).
    learned
        Method → the settings of each part.
    """
    answers: Answers = {
        row: np.full((len(songs), N_EMOTIONS), np.nan)
        for row in rows
        if row not in METHODS or row in methods
    }
    learned: dict[str, list[FusionSettings]] = {method: [] for method in methods}
    for train, test in parts:
        known, asked = songs.chosen(train), songs.chosen(test)
        plain = calibrated_settings(known)
        for method in methods:
            learned[method].append(learned_settings(method, known, plain))
        for row, own in answers.items():
            if row in METHODS:
                own[test] = _fused(asked, learned[row][-1])
            elif row == CHOSEN:
                own[test] = _fused(asked, learned[best_method(known, methods)][-1])
            elif row == FIXED:
                own[test] = _fused(asked, FusionSettings())
            elif row == "constant":
                shares = np.bincount(known.labels, minlength=N_EMOTIONS) / len(known)
                own[test] = shares
            else:
                own[test] = _branch(row, known, asked, plain)
    return answers, learned


def best_method(songs: LabelledSongs, methods: Sequence[Method] = METHODS) -> Method:
    """The rule with the best macro-F1 when these songs are cross-validated."""
    answers, _ = cross_validated(songs, list(folds_of(songs)), methods, methods)
    return max(methods, key=lambda m: macro_f1(songs.labels, answers[m].argmax(axis=1), N_EMOTIONS))


def _fused(songs: LabelledSongs, settings: FusionSettings) -> NDArray[np.float64]:
    return fuse_many(songs.words, songs.sound, settings).distribution.astype(np.float64)


def _branch(
    row: str, known: LabelledSongs, asked: LabelledSongs, plain: FusionSettings
) -> NDArray[np.float64]:
    branch, _, how = row.partition(", ")
    calibration = plain.lyrics if branch == "words" else plain.audio
    raw, has = getattr(known, branch), ~np.isnan(getattr(known, branch)[:, 0])
    if how == "raw":
        calibration = BranchCalibration()
    elif how == "scaled" and has.any():
        scale, bias = fit_vector_scaling(raw[has], known.labels[has])
        calibration = BranchCalibration(scale=scale, bias=bias)
    answers: NDArray[np.float64] = calibrate(getattr(asked, branch), calibration).astype(np.float64)
    shares = np.bincount(known.labels, minlength=N_EMOTIONS) / len(known)
    return np.where(np.isnan(answers), shares, answers)  # without an answer, the constant one


def weight_curve(songs: LabelledSongs) -> Answers:
    """Answers of the mean at every weight of :data:`~fusion.studies.rule_learning.WEIGHTS`, the
    branches calibrated on the other folds; rows are the weights as text."""
    return _calibrated_grid(songs, {f"{w:g}": FusionSettings(rule=Mean(w)) for w in WEIGHTS})


def exponent_grid(songs: LabelledSongs) -> Answers:
    """Answers of the product at every pair of :data:`EXPONENTS`; rows are "words sound"."""
    return _calibrated_grid(
        songs,
        {
            f"{a:g} {b:g}": FusionSettings(rule=Product(a, b))
            for a in EXPONENTS
            for b in EXPONENTS
            if a + b > 0
        },
    )


def _calibrated_grid(songs: LabelledSongs, grid: dict[str, FusionSettings]) -> Answers:
    answers = {name: np.full((len(songs), N_EMOTIONS), np.nan) for name in grid}
    for train, test in folds_of(songs):
        plain, asked = calibrated_settings(songs.chosen(train)), songs.chosen(test)
        for name, settings in grid.items():
            own = replace(settings, lyrics=plain.lyrics, audio=plain.audio)
            answers[name][test] = _fused(asked, own)
    return answers


def one_missing(songs: LabelledSongs, *, seed: int) -> LabelledSongs:
    """The same songs, of which half have lost their words or their sound at random."""
    lost = np.random.default_rng(seed).integers(4, size=len(songs))
    words, sound = songs.words.copy(), songs.sound.copy()
    words[(lost == 0) & songs.has_sound] = np.nan
    sound[(lost == 1) & songs.has_words] = np.nan
    return replace(songs, words=words, sound=sound)


def check_size(songs: LabelledSongs) -> None:
    """Refuse a collection that says nothing about weights.

    Raises
    ------
    InputError
        If songs with both branches are few, of one emotion, or in too few folds.
    """
    both = songs.chosen(songs.has_words & songs.has_sound)
    if len(both) < LEAST_SONGS:
        raise InputError(
            f"{songs.name}: {len(both)} songs have both words and sound that can be read, at least "
            f"{LEAST_SONGS} are needed to study weights"
        )
    if len(np.unique(both.labels)) < 2:
        raise InputError(
            f"{songs.name}: all songs with both words and sound are {EMOTIONS[both.labels[0]]}: "
            "expected songs of two emotions or more"
        )
    folds = len(np.unique(both.folds))
    if folds < LEAST_FOLDS:
        raise InputError(
            f"{songs.name}: groups of songs with both words and sound fill {folds} of {N_FOLDS} "
            f"folds, at least {LEAST_FOLDS} are needed to learn from some and measure on others: "
            "give songs of more artists, or no --group-column"
        )
