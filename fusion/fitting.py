"""Fitting of the fusion settings: temperatures on validation data, priors on a catalogue.

Temperatures come from validation texts that no test uses; the branch priors are
the branches' average answers over a catalogue's songs, so that prior correction
undoes what a branch says of every song alike. The audio temperature is the one
its own training fitted, taken from the card.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.catalogue import Catalogue, Song
from data_prep.taxonomy import N_EMOTIONS
from fusion.calibration import calibrate, estimate_prior, fit_temperature
from fusion.settings import BranchCalibration, FusionSettings
from lyrics_model.mixture import validation_texts
from lyrics_model.predictor import LyricPredictor


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


def _rows(songs: list[Song], branch: str) -> NDArray[np.float32]:
    vectors = [getattr(song, branch) for song in songs]
    rows = [vector.distribution for vector in vectors if vector is not None]
    return np.stack(rows) if rows else np.zeros((0, N_EMOTIONS), dtype=np.float32)


def fit_priors(settings: FusionSettings, songs: list[Song]) -> FusionSettings:
    """The same settings with each branch's prior estimated on a catalogue's songs.

    The prior is that of the answers after their temperature, since that is what
    it divides.
    """
    return replace(
        settings,
        lyrics=_with_prior(settings.lyrics, _rows(songs, "lyrics")),
        audio=_with_prior(settings.audio, _rows(songs, "audio")),
    )


def _with_prior(calibration: BranchCalibration, rows: NDArray[np.float32]) -> BranchCalibration:
    if not len(rows):
        return calibration
    plain = replace(calibration, prior_strength=0.0)
    return replace(calibration, prior=estimate_prior(calibrate(rows, plain)))


def fit_on_catalogue(settings: FusionSettings, catalogue_url: str, out: Path) -> FusionSettings:
    """Estimate the priors on a catalogue and save the settings to ``out``."""
    with Catalogue.open(catalogue_url, read_only=True) as catalogue:
        fitted = fit_priors(settings, catalogue.songs())
    fitted.save(out)
    return fitted
