"""Sentences read as moods: balanced for fitting, drawn for asking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.errors import InputError
from fusion.calibration import calibrate
from fusion.evaluation import mood_texts
from fusion.evaluation.mood_texts import drawn, fitting_moods
from fusion.settings import BranchCalibration, FusionSettings
from lyrics_model.mixture import ValidationTexts
from tests.fusion.toy_published import Reader


@pytest.fixture
def texts(monkeypatch) -> list[str]:
    """Seven of sadness, three of joy and one of calm, from two sources."""
    names = ["sadness"] * 7 + ["joy"] * 3 + ["calm"]
    made = [f"{name}{'!' * number}" for number, name in enumerate(names)]
    sources = [
        ValidationTexts(f"source {i}", part, np.zeros(len(part), dtype=np.int64))
        for i, part in enumerate((made[:5], made[5:]))
    ]
    monkeypatch.setattr(mood_texts, "validation_texts", lambda: sources)
    return made


def test_every_emotion_that_leads_leads_as_many(texts) -> None:
    calibration = BranchCalibration(temperature=0.5)
    settings = replace(FusionSettings(), mood=calibration)
    moods = fitting_moods(Reader(), settings)
    assert moods.shape == (21, 6)
    assert np.bincount(moods.argmax(axis=1), minlength=6).tolist() == [7, 0, 7, 7, 0, 0]
    read = calibrate(Reader().distributions(texts), calibration)
    found, counts = np.unique(moods, axis=0, return_counts=True)
    np.testing.assert_allclose(found, np.unique(read, axis=0))  # none is lost
    assert sorted(counts.tolist()) == [1] * 7 + [2, 2, 3, 7]
    np.testing.assert_array_equal(moods, fitting_moods(Reader(), settings))


def test_moods_are_drawn_once_each_and_by_their_seed() -> None:
    answers = np.random.default_rng(0).dirichlet(np.ones(6), 50)
    first = drawn(answers, 20, seed=1)
    np.testing.assert_array_equal(first, drawn(answers, 20, seed=1))
    assert not np.array_equal(first, drawn(answers, 20, seed=2))
    assert len(np.unique(first, axis=0)) == 20
    np.testing.assert_array_equal(np.sort(drawn(answers, 50, seed=3), 0), np.sort(answers, 0))
    with pytest.raises(InputError, match="51 moods: there are 50 sentences"):
        drawn(answers, 51, seed=1)
