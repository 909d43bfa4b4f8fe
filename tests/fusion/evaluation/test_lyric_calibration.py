"""Calibration of the lyric branch: temperatures by source, and what chance alone shows."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.metrics import ece
from data_prep.model_folder import read_card
from fusion.calibration import calibrate
from fusion.evaluation.lyric_calibration import (
    calibration_markdown,
    calibration_row,
    own_temperatures,
    served_settings,
)
from fusion.settings import BranchCalibration, FusionSettings
from lyrics_model.mixture import ValidationTexts
from lyrics_model.predictor import EMBEDDED


def _drawn(n: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Answers of a model, and gold that is as sure as the answers at a temperature."""
    generator = np.random.default_rng(seed)
    answers = generator.dirichlet(np.full(6, 0.5), size=n).astype(np.float32)
    answers = np.maximum(answers, 1e-4) / np.maximum(answers, 1e-4).sum(axis=1, keepdims=True)
    edges = calibrate(answers, BranchCalibration(temperature=temperature)).cumsum(axis=1)
    gold = np.minimum((generator.random((n, 1)) > edges).sum(axis=1), 5)
    return answers, gold


def test_a_temperature_for_each_source_and_one_for_moods() -> None:
    made = {
        "kote": _drawn(4_000, 2.0),
        "kpoem": _drawn(4_000, 0.5),
        "moods_ko": _drawn(2_000, 1.5, seed=1),
        "moods_en": _drawn(2_000, 1.5, seed=2),
    }
    predictor = SimpleNamespace(distributions=lambda texts: made[texts[0]][0])
    sources = [ValidationTexts(name, [name], gold) for name, (_, gold) in made.items()]
    found = own_temperatures(predictor, sources)  # type: ignore[arg-type]
    assert found["kote"] == pytest.approx(2.0, rel=0.1)
    assert found["kpoem"] == pytest.approx(0.5, rel=0.1)
    assert found["moods_ko"] == found["moods_en"] == pytest.approx(1.5, rel=0.1)


def test_the_right_temperature_mends_the_confidence() -> None:
    answers, gold = _drawn(20_000, 2.0)
    row = calibration_row("a", gold, answers, served=1.0, own=2.0)
    assert row["ece"] == pytest.approx(row["ece_served"], abs=1e-6)
    assert row["ece_own"] < 0.02 < 0.1 < row["ece"]
    assert row["ece_own"] == pytest.approx(row["ece_perfect"], abs=0.01)


def test_few_texts_show_an_error_by_chance() -> None:
    answers, gold = _drawn(60, 1.0)
    row = calibration_row("few", gold, answers, served=1.0, own=1.0)
    assert row["ece_perfect"] > 0.05
    draws = [ece(*_drawn(60, 1.0, seed=seed)) for seed in range(50)]
    assert row["ece_perfect"] == pytest.approx(float(np.mean(draws)), abs=0.02)
    again = calibration_row("few", gold, answers, served=1.0, own=1.0)
    assert again == row


@pytest.mark.parametrize(("error", "kept"), [(0.049, "yes"), (0.051, "no")])
def test_the_section_says_whether_the_promise_is_kept(error: float, kept: str) -> None:
    answers, gold = _drawn(1_000, 1.0)
    row = calibration_row("a test", gold, answers, served=1.0, own=1.0) | {"ece_own": error}
    lines = calibration_markdown([row])
    assert lines[-2].startswith("| a test | 1,000 |")
    assert f"| {error:.3f} (1.00) | {kept} |" in lines[-2]


def test_settings_are_those_of_the_model_asked() -> None:
    card = read_card(EMBEDDED, "lyrics")
    embedded = SimpleNamespace(folder=EMBEDDED, card=card)
    assert served_settings(embedded) == FusionSettings.load()  # type: ignore[arg-type]
    other = SimpleNamespace(folder=EMBEDDED / "x", card=replace(card, temperature=3.0))
    settings = served_settings(other)  # type: ignore[arg-type]
    assert settings.lyrics.temperature == settings.mood.temperature == 3.0
