"""The audio evaluation: who answers what, figures by hand, tables."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from audio_model.heads import DATASET_HEADS, N_LOGITS, head_labels, head_slices
from audio_model.input_cache import Clip
from audio_model.log_mel import FULL
from audio_model.predictor import AudioPredictor
from audio_model.windows import TEN_SECONDS, FrontEnd, Spectra
from data_prep.errors import MissingDataError, MissingExtraError, ModelFolderError
from data_prep.readers.row import ClipRow
from data_prep.splits import N_FOLDS
from data_prep.taxonomy import native_label_set
from fusion.evaluation import audio as evaluation_audio
from fusion.evaluation import plots as evaluation_plots

N_CLIPS = 20
PNG = b"\x89PNG\r\n"


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

    def six(self, members):
        return members[..., head_slices(self.card.labels)["six"]].mean(axis=-2)

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

    def known(work, dataset, embed, say):
        assert embed is None, "this model has no embedding network"
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
    assert test["models"]["oracle, served six"]["ece"] < 0.01
    assert "windows" not in test
    assert any("left out: no emotify" in line for line in lines)
    assert json.loads((tmp_path / "audio.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(results)
    )
    table = (tmp_path / "audio.md").read_text(encoding="utf-8")
    assert "Every recording is one window long." in table
    assert "| oracle, native head | 1.000 (1.000 to 1.000) |" in table


def test_without_the_extra_the_figures_of_the_card_are_shown(oracle, tmp_path):
    stored = {"macro_f1": 0.5, "accuracy": 0.5}
    oracle.card.metrics = {"baselines": {"ravdess_song, out of fold": {"SVC": stored}}}
    results = evaluation_audio.evaluate_audio(
        tmp_path, oracle, baselines=False, say=lambda line: None
    )
    assert results["tests"][0]["baselines"] == "from the model's card"
    assert results["tests"][0]["models"]["mel statistics, SVC"] == stored


class Pianist:
    """Hears quadrants: each window of a clip says one, with 0.7; all members alike."""

    model_hash = "0" * 16
    front_end = TEN_SECONDS

    def __init__(self, said, n_members=N_FOLDS, heads=("quadrants", "six")):
        self.said = said
        self.asked = 0
        self.n_members = n_members
        labels = {head: list(head_labels(head)) for head in heads}
        self.card = SimpleNamespace(name="pianist", labels=labels, temperature=1.0, metrics={})

    def six(self, members):
        return members[..., head_slices(self.card.labels)["six"]].mean(axis=-2)

    def read_members(self, window):
        said = self.said[self.asked]
        self.asked += 1
        slices = head_slices(self.card.labels)
        n_logits = sum(len(labels) for labels in self.card.labels.values())
        members = np.zeros((len(said), self.n_members, n_logits), dtype=np.float32)
        quadrants = np.full((len(said), 4), 0.1, dtype=np.float32)
        quadrants[range(len(said)), said] = 0.7
        if "quadrants" in slices:
            members[:, :, slices["quadrants"]] = quadrants[:, None]
        six = quadrants @ native_label_set("quadrants").projection()
        members[:, :, slices["six"]] = six[:, None]
        return members


# Labels, and what each window says: the middle of the last misleads, all together do not.
PLAYED = [(0, [0]), (1, [1]), (2, [3]), (3, [3, 0, 3])]


@pytest.fixture
def piano(monkeypatch):
    """Four clips of EMOPIA, heard by the members, and four of the validation split."""
    clips = []
    for part in ("held", "validation"):
        for i, (quadrant, _) in enumerate(PLAYED):
            log_mel = np.random.default_rng(i).normal(-20, 4, (48, 300)).astype(np.float16)
            spectra = Spectra(log_mel, np.zeros((64, 75), dtype=np.float16))
            shares = np.eye(4, dtype=np.float32)[quadrant]
            clips.append(Clip("emopia", f"{part}-{i}", f"song-{i}", shares, spectra))

    def known(work, dataset, embed, say):
        if dataset != "emopia":
            raise MissingDataError(f"no {dataset}")
        return clips

    def fold(clip):
        return int(clip.id[-1]) if clip.id.startswith("held") else None

    monkeypatch.setattr(evaluation_audio.input_cache, "clips", known)
    monkeypatch.setattr(evaluation_audio, "clip_fold", fold)
    return [windows for _, windows in PLAYED]


def evaluated(out, model, **options):
    lines: list[str] = []
    results = evaluation_audio.evaluate_audio(
        out, model, baselines=False, say=lines.append, **options
    )
    return results, lines


def test_arousal_valence_and_the_window_curve_by_hand(piano, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")
    counted: list[tuple[int, str]] = []

    def progress(total, unit):
        counted.append((total, unit))
        return nullcontext(lambda done: None)

    results, _ = evaluated(tmp_path, Pianist(piano * 2), progress=progress)
    assert counted == [(4, "recordings")] * 2
    assert [t["name"] for t in results["tests"]] == ["emopia, out of fold", "emopia, validation"]
    for test in results["tests"]:
        constant = test["models"]["constant"]
        assert (constant["accuracy"], constant["arousal"], constant["valence"]) == (0.25, 0.5, 0.5)
        for way in ("native head", "served six"):
            figures = test["models"][f"pianist, {way}"]
            assert figures["accuracy"] == 0.75  # Q4 for Q3
            assert figures["arousal"] == 1.0
            assert figures["valence"] == 0.75
        curve = test["windows"]
        assert (curve["counts"], curve["mean_heard"]) == ([1, 2, "all"], [1.0, 1.25, 1.5])
        assert curve["models"]["native head"]["values"] == [0.5, 0.75, 0.75]
        assert curve["models"]["served six"]["values"] == [0.5, 0.75, 0.75]
    # Answers that are right say 0.7 of it; quadrants are all of the six here but neutral.
    native = results["tests"][0]["models"]["pianist, native head"]
    right, wrong = 0.7, 0.1
    assert native["nll"] == pytest.approx(
        -(2 * np.log(right) + np.log(wrong) + np.log(0.5)) / 4, abs=1e-4
    )
    for name in ("out-of-fold", "validation"):
        for plot in ("reliability", "windows"):
            content = (tmp_path / f"audio-{plot}-emopia-{name}.png").read_bytes()
            assert content.startswith(PNG)
    table = (tmp_path / "audio.md").read_text(encoding="utf-8")
    assert "| arousal (95%) | valence (95%) |" in table
    assert "| 2 | 1.2 | 0.750 (" in table


def test_a_model_of_one_member_is_measured_on_the_validation_split_alone(piano, tmp_path):
    results, lines = evaluated(tmp_path, Pianist(piano, n_members=1))
    assert [test["name"] for test in results["tests"]] == ["emopia, validation"]
    assert "1 member(s)" in lines[0]
    assert "validation split alone" in lines[0]


def test_baselines_of_the_validation_split_are_fitted_on_the_other_clips(piano, tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is in the extra `train`")
    results = evaluation_audio.evaluate_audio(
        tmp_path, Pianist(piano, n_members=1), say=lambda line: None
    )
    # The clips of both parts sound alike here, so that the models know them.
    models = results["tests"][0]["models"]
    assert models["mel statistics, SVC"]["accuracy"] == 1.0
    assert models["mel statistics, logistic regression"]["valence"] == 1.0


def test_a_model_without_a_native_head_is_measured_by_its_six(piano, tmp_path):
    results, _ = evaluated(tmp_path, Pianist(piano * 2, heads=("six",)))
    for test in results["tests"]:
        assert list(test["models"]) == ["constant", "pianist, served six"]
        assert list(test["windows"]["models"]) == ["served six"]


def test_a_model_of_one_member_without_the_validation_split_is_refused(oracle, tmp_path):
    oracle.n_members = 1
    with pytest.raises(ModelFolderError, match=r"1 member.* 5 cross-fitted .*no emopia"):
        evaluation_audio.evaluate_audio(tmp_path, oracle, say=lambda line: None)


def test_without_matplotlib_there_are_tables_but_no_plots(piano, tmp_path, monkeypatch):
    def missing(width, height):
        raise MissingExtraError("plots")

    monkeypatch.setattr(evaluation_plots, "_figure", missing)
    _, lines = evaluated(tmp_path, Pianist(piano * 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio.json", "audio.md"]
    assert "no plots" in lines[-1]


def test_every_scale_of_emotify_has_its_correlation(monkeypatch, tmp_path):
    random = np.random.default_rng(0)
    scales = native_label_set("emotify").labels
    clips = []
    for i in range(12):
        shares = random.random(9).astype(np.float32)
        log_mel = random.normal(-20, 4, (48, 300)).astype(np.float16)
        spectra = Spectra(log_mel, np.zeros((64, 75), dtype=np.float16))
        clips.append(Clip("emotify", f"e{i}", f"e{i}", shares, spectra))

    def known(work, dataset, embed, say):
        if dataset != "emotify":
            raise MissingDataError(f"no {dataset}")
        return clips

    class Rater(Pianist):
        """Rates as the listeners did, but for the last scale, which it has the wrong way round."""

        def __init__(self):
            super().__init__([], heads=("emotify", "six"))

        def read_members(self, window):
            members = np.zeros((1, N_FOLDS, 15), dtype=np.float32)
            shares = clips[self.asked].shares
            members[..., :9] = shares
            members[..., 8] = 1 - shares[8]
            members[..., 9:] = shares @ native_label_set("emotify").projection() / 9
            self.asked += 1
            return members

    monkeypatch.setattr(evaluation_audio.input_cache, "clips", known)
    monkeypatch.setattr(evaluation_audio, "clip_fold", lambda clip: int(clip.id[1:]) % N_FOLDS)
    results, _ = evaluated(tmp_path, Rater())
    (test,) = results["tests"]
    native = test["models"]["pianist, native head"]["r_of_scales"]
    assert list(native) == list(scales)
    assert list(native.values()) == pytest.approx([1.0] * 8 + [-1.0], abs=1e-4)
    assert test["models"]["constant"]["mean_r"] == 0.0
    assert "ece_calibrated" in test["models"]["pianist, served six"]
    table = (tmp_path / "audio.md").read_text(encoding="utf-8")
    for scale in scales[:8]:
        assert f"| {scale} | 1.000 |" in table
    assert f"| {scales[8]} | -1.000 |" in table


def test_no_data_at_all(oracle, tmp_path, monkeypatch):
    def nothing(work, dataset, embed, say):
        raise MissingDataError(f"no {dataset}")

    monkeypatch.setattr(evaluation_audio.input_cache, "clips", nothing)
    with pytest.raises(MissingDataError, match="no ravdess_song"):
        evaluation_audio.evaluate_audio(tmp_path, oracle, say=lambda line: None)


def test_recordings_without_a_cache_are_heard_with_the_models_own_embedding(monkeypatch, tmp_path):
    rows = []
    for i in range(N_FOLDS):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, np.random.default_rng(i).normal(0, 0.1, 48_000), 16_000)
        shares = np.eye(6, dtype=np.float32)[i]
        rows.append(ClipRow(str(i), path, shares, group=f"actor-{i}"))

    def read_rows(dataset, work):
        if dataset != "ravdess_song":
            raise MissingDataError(f"no {dataset}")
        return rows

    monkeypatch.setattr(evaluation_audio.input_cache, "read_rows", read_rows)
    monkeypatch.setattr(evaluation_audio, "clip_fold", lambda clip: int(clip.id))
    predictor = AudioPredictor.load()
    assert predictor.front_end.embedding is not None
    (task,) = evaluation_audio.audio_tasks(predictor, tmp_path, say=lambda line: None)
    for i, (row, said) in enumerate(zip(rows, task.heard, strict=True)):
        samples, _ = soundfile.read(row.path, dtype="float32")
        served = predictor.read_members(predictor.windows([samples]))
        np.testing.assert_allclose(said.six, predictor.six(served[:, i : i + 1]), atol=0.01)


@pytest.mark.parametrize(
    ("front_end", "words"),
    [
        (
            FrontEnd(FULL, pitch=None),
            r"with .*n_mels 128.*, and our own recordings .*n_mels 48.*--table FILE",
        ),
        (
            replace(TEN_SECONDS, pitch=replace(TEN_SECONDS.pitch, n_notes=60)),
            r"with n_notes 60, and our own recordings are prepared with n_notes 64:",
        ),
    ],
)
def test_a_model_of_other_spectrograms_is_refused_at_once(oracle, tmp_path, front_end, words):
    oracle.front_end = front_end
    with pytest.raises(ModelFolderError, match=words):
        evaluation_audio.evaluate_audio(tmp_path, oracle, say=lambda line: None)
    assert oracle.asked == 0


def test_a_model_without_notes_is_not_refused(oracle, tmp_path):
    oracle.front_end = replace(TEN_SECONDS, pitch=None)
    assert evaluated(tmp_path, oracle)[0]["tests"]
