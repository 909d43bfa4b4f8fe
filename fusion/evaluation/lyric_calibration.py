"""How far the confidence of the lyric branch can be trusted, after temperature scaling.

Two temperatures are shown for each test: the one that is served, fitted on all
validation sources together, since a song does not say which of them it is like; and
the one fitted on the validation texts of the test's own source (Guo et al. 2017).

An error of calibration is above zero even for a model that is calibrated perfectly,
and the more so the fewer texts there are. What such a model would show is drawn:
gold emotions by the model's own answers, many times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.metrics import ece
from data_prep.taxonomy import N_EMOTIONS
from data_prep.temperature import fit_temperature
from fusion.calibration import calibrate
from fusion.settings import BranchCalibration, FusionSettings
from lyrics_model.mixture import ValidationTexts
from lyrics_model.predictor import EMBEDDED, LyricPredictor

LARGEST: Final = 0.05
"""Promised, with the temperature of the source."""
_DRAWS: Final = 200
_MOODS: Final = "moods"


def served_settings(predictor: LyricPredictor) -> FusionSettings:
    """Those that come with the embedded model; for any other, with its card's temperature."""
    settings = FusionSettings.load()
    return settings if predictor.folder == EMBEDDED else settings.for_cards(predictor.card)


def own_temperatures(
    predictor: LyricPredictor, sources: Sequence[ValidationTexts]
) -> dict[str, float]:
    """Temperature fitted on each validation source alone; on mood sentences together.

    They are few, and their two languages are one test of the same kind.
    """
    answers = {source.name: predictor.distributions(source.texts) for source in sources}
    labels = {source.name: source.labels for source in sources}
    groups: dict[str, list[str]] = {}
    for name in answers:
        groups.setdefault(_MOODS if name.startswith(_MOODS) else name, []).append(name)
    found: dict[str, float] = {}
    for names in groups.values():
        temperature = fit_temperature(
            np.concatenate([answers[name] for name in names]),
            np.concatenate([labels[name] for name in names]),
        )
        found |= dict.fromkeys(names, temperature)
    return found


def calibration_row(
    name: str,
    labels: NDArray[np.int64],
    answers: NDArray[np.float32],
    served: float,
    own: float,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures of one test.

    Parameters
    ----------
    name
        Of the test.
    labels
        (texts,) gold emotions 0..5.
    answers
        (texts, 6) of the network.
    served, own
        Temperatures.

    Returns
    -------
    ``name``, ``n``, both temperatures, ``ece`` as the network answers, ``ece_served``
    and ``ece_own`` after them, and ``ece_perfect``, the mean of a model as confident as
    that with its own temperature whose confidence is true.
    """
    scaled = calibrate(answers, BranchCalibration(temperature=own))
    as_served = calibrate(answers, BranchCalibration(temperature=served))
    generator = np.random.default_rng(seed)
    edges = scaled.cumsum(axis=1)
    drawn = []
    for _ in range(_DRAWS):
        gold = (generator.random((len(scaled), 1)) > edges).sum(axis=1)
        drawn.append(ece(scaled, np.minimum(gold, N_EMOTIONS - 1)))
    return {
        "name": name,
        "n": len(labels),
        "served_temperature": served,
        "own_temperature": own,
        "ece": ece(answers, labels),
        "ece_served": ece(as_served, labels),
        "ece_own": ece(scaled, labels),
        "ece_perfect": float(np.mean(drawn)),
    }


def calibration_markdown(tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of the section on calibration."""
    lines = [
        "## Calibration",
        "",
        "Expected calibration error of the strongest emotion. The served temperature is one for "
        "all songs' words and one for moods; a source's own is fitted on its validation texts "
        f"alone. Promised: at most {LARGEST:g} with the source's own. The last column is what a "
        "model that is calibrated perfectly shows on so many texts by chance.",
        "",
        "| test | n | as it answers | served (T) | own (T) | as promised | perfect |",
        "|---|---:|---:|---:|---:|---|---:|",
    ]
    for test in tests:
        kept = "yes" if test["ece_own"] <= LARGEST else "no"
        lines.append(
            f"| {test['name']} | {test['n']:,} | {test['ece']:.3f} "
            f"| {test['ece_served']:.3f} ({test['served_temperature']:.2f}) "
            f"| {test['ece_own']:.3f} ({test['own_temperature']:.2f}) | {kept} "
            f"| {test['ece_perfect']:.3f} |"
        )
    return [*lines, ""]
