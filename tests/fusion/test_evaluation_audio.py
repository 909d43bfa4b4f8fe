"""The audio evaluation: who answers what, figures by hand, tables."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from audio_model.heads import DATASET_HEADS, N_LOGITS, head_labels, head_slices
from audio_model.input_cache import Clip
from audio_model.windows import TEN_SECONDS, Spectra
from data_prep.errors import MissingDataError, ModelFolderError
from data_prep.splits import N_FOLDS
from data_prep.taxonomy import native_label_set
from fusion import evaluation_audio

N_CLIPS = 20


class Oracle:
    """Member k knows the labels of fold k alone; a clip's label is its level."""

    n_members = N_FOLDS
    model_hash = "0" * 16
    front_end = TEN_SECONDS

    def __init__(self, answers):
        self.answers = answers
        self.asked = 0
        labels = {head: list(head_labels(head)) for head in (*DATASET_HEADS.values(), "six")}
        weights = {"ravdess_song": 0.0, "emotify": 0.0, "quadrants": 0.0, "six": 1.0}
        self.card = SimpleNamespace(
            name="oracle", labels=labels, head_weights=weights, temperature=1.0, metrics={}
        )

    def read_members(self, window):
        members = np.full((len(window.log_mel), N_FOLDS, N_LOGITS), 1e-3, dtype=np.float32)
        fold, native, six = self.answers[self.asked]
        self.asked += 1
        slices = head_slices()
        members[:, fold, slices["ravdess_song"]] = native
        members[:, fold, slices["six"]] = six
        return members


@pytest.fixture
def oracle(monkeypatch):
    projection = native_label_set("ravdess_song").projection()
    clips, folds, answers = [], {}, []
    for i in range(N_CLIPS):
        shares = np.eye(6, dtype=np.float32)[i % 6]
        log_mel = np.random.default_rng(i).normal(-20, 4, (48, 300)).astype(np.float16)
        spectra = Spectra(log_mel, np.zeros((64, 75), dtype=np.float16))
        clips.append(Clip("ravdess_song", f"c{i}", f"actor-{i}", shares, spectra))
        folds[f"c{i}"] = i % N_FOLDS
        answers.append((i % N_FOLDS, shares, shares @ projection))

    def known(work, dataset):
        if dataset != "ravdess_song":
            raise MissingDataError(f"no {dataset}")
        return clips

    monkeypatch.setattr(evaluation_audio.input_cache, "clips", known)
    monkeypatch.setattr(evaluation_audio, "clip_fold", lambda clip: folds[clip.id])
    return Oracle(answers)


def test_each_clip_is_answered_by_the_member_that_did_not_hear_it(oracle, tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is in the extra `train`")
    lines: list[str] = []
    results = evaluation_audio.evaluate_audio(tmp_path, oracle, say=lines.append)
    (test,) = results["tests"]
    assert test["name"] == "ravdess_song, out of fold"
    assert test["models"]["oracle, native head"]["macro_f1"] == 1.0
    assert test["models"]["oracle, served six"]["macro_f1"] == 1.0
    assert test["models"]["constant"]["balanced_accuracy"] == pytest.approx(1 / 6)
    assert set(evaluation_audio.stored_baselines(results)[test["name"]]) == {
        "logistic regression",
        "SVC",
    }
    assert any("left out: no emotify" in line for line in lines)
    assert json.loads((tmp_path / "audio.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(results)
    )
    table = (tmp_path / "audio.md").read_text(encoding="utf-8")
    assert "| oracle, native head | 1.000 (1.000 to 1.000) |" in table


def test_without_the_extra_the_figures_of_the_card_are_shown(oracle, tmp_path):
    stored = {"macro_f1": 0.5, "accuracy": 0.5}
    oracle.card.metrics = {"baselines": {"ravdess_song, out of fold": {"SVC": stored}}}
    results = evaluation_audio.evaluate_audio(
        tmp_path, oracle, baselines=False, say=lambda line: None
    )
    assert results["tests"][0]["baselines"] == "from the model's card"
    assert results["tests"][0]["models"]["mel statistics, SVC"] == stored


def test_a_model_without_cross_fitted_members_is_refused(oracle, tmp_path):
    oracle.n_members = 1
    with pytest.raises(ModelFolderError, match="cross-fitted"):
        evaluation_audio.evaluate_audio(tmp_path, oracle)


def test_no_data_at_all(oracle, tmp_path, monkeypatch):
    def nothing(work, dataset):
        raise MissingDataError(f"no {dataset}")

    monkeypatch.setattr(evaluation_audio.input_cache, "clips", nothing)
    with pytest.raises(MissingDataError, match="no ravdess_song"):
        evaluation_audio.evaluate_audio(tmp_path, oracle, say=lambda line: None)
