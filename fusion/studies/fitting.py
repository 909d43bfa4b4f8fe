"""Fitting of the fusion settings: temperatures on validation data, priors on a catalogue.

Temperatures come from validation texts that no test uses; the audio temperature
is the one its own training fitted, taken from the card. A branch's prior is its
average answer over a catalogue's songs, so that prior correction undoes what a
branch says of every song alike. How strongly it is undone is the smallest
strength, in tenths, at which the catalogue's emotions spread: no emotion is the
strongest of too many songs, none of too few. Nothing here looks at a label of
the songs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.catalogue import Catalogue
from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from data_prep.temperature import fit_temperature
from fusion.calibration import calibrate
from fusion.combination import fuse_many
from fusion.evaluation.labelled_songs import LabelledSongs
from fusion.evaluation.mood_texts import fitting_moods
from fusion.quantile_map import QuantileMap
from fusion.rules import Method
from fusion.settings import BranchCalibration, FusionSettings
from fusion.studies.priors import average_answer
from fusion.studies.weight_rows import calibrated_settings, learned_settings
from lyrics_model.mixture import validation_texts
from lyrics_model.predictor import LyricPredictor

LARGEST_SHARE: Final = 0.40
SMALLEST_SHARE: Final = 0.05


@dataclass(frozen=True)
class Spread:
    """Shares (6,) of the songs that each emotion leads."""

    shares: tuple[float, ...]

    @property
    def even_enough(self) -> bool:
        """Whether no emotion leads too many songs, and none too few."""
        return max(self.shares) <= LARGEST_SHARE and min(self.shares) >= SMALLEST_SHARE

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {share:.1%}" for name, share in zip(EMOTIONS, self.shares, strict=True)
        )


def fit_lyric_temperatures(predictor: LyricPredictor) -> tuple[float, float]:
    """Temperature for songs' words, and for mood sentences.

    The first is fitted on comments and poems, the second on the development
    moods; every source counts alike whatever its size.
    """
    answers: dict[str, NDArray[np.float32]] = {}
    labels: dict[str, NDArray[np.int64]] = {}
    for source in validation_texts():
        answers[source.name] = predictor.distributions(source.texts)
        labels[source.name] = source.labels

    def fit(names: list[str]) -> float:
        size = min(len(labels[name]) for name in names)
        return fit_temperature(
            np.concatenate([answers[name][:size] for name in names]),
            np.concatenate([labels[name][:size] for name in names]),
        )

    moods = [name for name in answers if name.startswith("moods")]
    return fit([name for name in answers if name not in moods]), fit(moods)


def spread(
    lyrics: NDArray[np.float32], audio: NDArray[np.float32], settings: FusionSettings
) -> Spread:
    """Which emotion leads how many songs, from raw branch vectors (n, 6), NaN where missing."""
    fused = fuse_many(lyrics, audio, settings).distribution
    fused = fused[~np.isnan(fused[:, 0])]
    if not len(fused):
        raise InputError("the catalogue holds no analysed song: index some first")
    counts = np.bincount(fused.argmax(axis=1), minlength=N_EMOTIONS)
    return Spread(tuple((counts / counts.sum()).tolist()))


def fit_priors(
    settings: FusionSettings, lyrics: NDArray[np.float32], audio: NDArray[np.float32]
) -> tuple[FusionSettings, Spread]:
    """The same settings with each branch's prior, and its strength, fitted on raw branch
    vectors of songs (n, 6), NaN where missing.

    The prior is that of the answers after their temperature, since that is what
    it divides. Where no strength spreads the catalogue evenly enough, the one
    whose largest share is smallest is taken.

    Raises
    ------
    InputError
        If no song has a branch vector.
    """
    best: tuple[FusionSettings, Spread] | None = None
    for tenths in range(11):
        candidate = replace(
            settings,
            lyrics=_corrected(settings.lyrics, lyrics, tenths / 10),
            audio=_corrected(settings.audio, audio, tenths / 10),
        )
        found = spread(lyrics, audio, candidate)
        if found.even_enough:
            return candidate, found
        if best is None or max(found.shares) < max(best[1].shares):
            best = candidate, found
    assert best is not None, "eleven candidates were looked at"
    return best


def _corrected(
    calibration: BranchCalibration, rows: NDArray[np.float32], strength: float
) -> BranchCalibration:
    rows = rows[~np.isnan(rows[:, 0])]
    if not len(rows):
        return calibration
    prior = average_answer(calibrate(rows, replace(calibration, prior_strength=0.0)))
    return replace(calibration, prior=prior, prior_strength=strength)


def fit_fusion(
    predictor: LyricPredictor,
    audio_temperature: float,
    catalogue: Catalogue,
    out: Path,
    learn_from: tuple[Method, LabelledSongs] | None = None,
    *,
    relative: bool = False,
) -> tuple[FusionSettings, Spread]:
    """Fit temperatures and priors and save the settings to ``out``.

    Parameters
    ----------
    predictor
        The lyric model whose answers the catalogue holds.
    audio_temperature
        From the audio model's card.
    catalogue
        Songs whose branch vectors give the priors.
    learn_from
        Kind of rule, and labelled songs that it is learned from: their temperatures first, then
        the catalogue's priors, and then the rule from answers so corrected, as it will be given
        them. ``None`` fits the temperatures on validation texts, for the plain mean.
    relative
        Also spread the catalogue's songs over everyday moods
        (:mod:`fusion.quantile_map`).
    """
    of_songs, of_moods = fit_lyric_temperatures(predictor)
    settings = FusionSettings(
        lyrics=BranchCalibration(temperature=of_songs),
        audio=BranchCalibration(temperature=audio_temperature),
    )
    if learn_from is not None:
        settings = calibrated_settings(learn_from[1])
    settings = replace(settings, mood=BranchCalibration(temperature=of_moods))
    songs = catalogue.vectors(stages=("lyrics", "audio"))
    fitted, found = fit_priors(settings, songs.lyrics, songs.audio)
    if learn_from is not None:
        fitted = learned_settings(*learn_from, fitted)
        found = spread(songs.lyrics, songs.audio, fitted)
    if relative:
        fused = fuse_many(songs.lyrics, songs.audio, fitted).distribution
        moods = fitting_moods(predictor, fitted)
        fitted = replace(fitted, relative=QuantileMap.fit(fused, moods))
        found = spread(songs.lyrics, songs.audio, fitted)
    fitted.save(out)
    return fitted, found
