"""int8 against float32: figures by hand, the section, and what is no twin."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import fusion.evaluation.lyrics as evaluation
from data_prep.errors import InputError
from data_prep.model_folder import read_card, write_card
from fusion.evaluation.quantisation import int8_against_float32, load_float32, quantisation_markdown
from lyrics_model.predictor import EMBEDDED, LyricPredictor

SHARP = np.eye(6, dtype=np.float32) * 0.94 + 0.01


def test_figures_by_hand() -> None:
    labels = np.array([0, 0, 1, 1])
    float32 = SHARP[labels]
    int8 = float32.copy()
    int8[3] = SHARP[0]
    found = int8_against_float32("made up", labels, int8, float32)
    assert (found["name"], found["n"]) == ("made up", 4)
    assert found["same_top"] == 0.75
    assert found["largest_difference"] == pytest.approx(0.94)
    # F1 of joy 2·2 / (2·2 + 1), of tension 2·1 / (2·1 + 1).
    by_hand = (0.8 + 2 / 3) / 2
    assert found["int8"] == pytest.approx(by_hand)
    assert found["float32"] == 1
    assert found["points"] == pytest.approx(100 * (by_hand - 1))


@pytest.mark.parametrize(
    ("points", "same_top", "kept"),
    [(0.5, 0.98, "yes"), (-0.5, 1.0, "yes"), (-0.51, 1.0, "no"), (0.0, 0.979, "no")],
)
def test_the_section_says_whether_the_promise_is_kept(points, same_top, kept) -> None:
    test = {"name": "a", "n": 1000, "int8": 0.5, "float32": 0.5}
    lines = quantisation_markdown([test | {"points": points, "same_top": same_top}])
    assert lines[0] == "## int8 against float32"
    assert lines[-2].startswith("| a | 1,000 | 0.5000 | 0.5000 |")
    assert lines[-2].endswith(f"| {kept} |")


class Answering:
    """In place of a predictor: always the same emotion, and what it was asked."""

    model_hash = "hash"
    folder = EMBEDDED

    def __init__(self, emotion: int) -> None:
        self.card = read_card(EMBEDDED, "lyrics")
        self.asked: list[list[str]] = []
        self._emotion = emotion

    def distributions(self, texts: list[str]) -> np.ndarray:
        self.asked.append(texts)
        return np.tile(SHARP[self._emotion], (len(texts), 1))


def test_the_evaluation_asks_both_the_same_texts_at_once(monkeypatch, tmp_path) -> None:
    labels = np.array([0, 1, 2, 3, 4, 5])
    reference = np.eye(6, dtype=np.float32)
    texts = [f"text {i}" for i in labels]
    task = evaluation.LyricTask("made up", texts, labels, reference, 0, "kote")
    monkeypatch.setattr(evaluation, "lyric_tasks", lambda moods: [task])
    monkeypatch.setattr(evaluation, "parallel_agreement", lambda predictor: None)
    monkeypatch.setattr(evaluation, "_temperatures", lambda predictor: {"kote": 2.0})
    own, plain = Answering(0), Answering(1)
    results = evaluation.evaluate_lyrics(
        tmp_path,
        own,  # type: ignore[arg-type]
        baselines=False,
        float32=plain,  # type: ignore[arg-type]
    )
    assert own.asked == plain.asked == [texts]
    (test,) = results["quantisation"]
    assert (test["points"], test["same_top"]) == (0.0, 0.0)
    assert json.loads((tmp_path / "lyrics.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(results)
    )
    (calibration,) = results["calibration"]
    assert (calibration["name"], calibration["own_temperature"]) == ("made up", 2.0)
    assert "## int8 against float32" in (tmp_path / "lyrics.md").read_text(encoding="utf-8")
    alone = evaluation.evaluate_lyrics(tmp_path, own, baselines=False)  # type: ignore[arg-type]
    assert "quantisation" not in alone
    assert "float32" not in (tmp_path / "lyrics.md").read_text(encoding="utf-8")


def test_another_model_is_no_twin(tmp_path) -> None:
    int8 = LyricPredictor.load()
    with pytest.raises(InputError, match="the same network"):
        load_float32(EMBEDDED, int8)
    other = tmp_path / "other"
    shutil.copytree(EMBEDDED, other)
    card = read_card(other, "lyrics")
    weights = dict.fromkeys(card.head_weights, 1 / len(card.head_weights))
    write_card(other, replace(card, head_weights=weights))
    with pytest.raises(InputError, match="weights of the heads"):
        load_float32(other, int8)
