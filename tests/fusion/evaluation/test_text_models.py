"""Models by name: what is loaded, what is refused, and how it answers."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.errors import InputError, ModelFolderError
from fusion.evaluation.text_models import (
    ClassifierModel,
    PredictorModel,
    distinct_names,
    fit_linear,
    folder_size_mb,
    load_model,
)
from fusion.settings import FusionSettings
from lyrics_model.predictor import EMBEDDED, LyricPredictor
from tests.fusion.toy_models import Saying, table_of


def no_fit():
    raise AssertionError("it was not asked for")


@pytest.fixture(scope="module")
def predictor() -> LyricPredictor:
    return LyricPredictor.load()


def test_the_embedded_model(predictor: LyricPredictor) -> None:
    model = load_model("embedded", fit_linear=no_fit, label_set="kote")
    assert model is not None
    texts = ["오늘 너무 우울해", "what a happy day"]
    answers = model.answer(texts)
    assert np.array_equal(answers.six, predictor.distributions(texts))
    assert answers.native is not None
    assert np.array_equal(answers.native, predictor.native(texts)["kote"])
    assert answers.seconds > 0
    assert model.size_mb == folder_size_mb(EMBEDDED) > 0
    assert model.temperature == FusionSettings.load().lyrics.temperature


def test_labels_that_a_model_has_no_head_for(predictor: LyricPredictor) -> None:
    assert PredictorModel(predictor, label_set="quadrants").answer(["joy"]).native is None


def test_songs_are_read_in_segments(predictor: LyricPredictor) -> None:
    song = "\n".join(f"너무 슬퍼서 눈물이 나는 {day}번째 밤" for day in range(20))
    model = PredictorModel(predictor, as_songs=True, label_set="kote")
    texts = [song, "1234", "행복해"]
    answers = model.answer(texts)
    assert np.isnan(answers.six[1]).all()
    reading = predictor.read_many(texts)[0]
    assert reading.distribution is not None
    assert len(reading.segments) > 1
    assert np.array_equal(answers.six[0], reading.distribution)
    assert answers.native is None


def test_names_that_are_no_model(tmp_path) -> None:
    assert load_model("constant", fit_linear=no_fit) is None
    with pytest.raises(InputError, match="'embeded' is no model: expected constant, linear"):
        load_model("embeded", fit_linear=no_fit)
    with pytest.raises(ModelFolderError, match="is missing"):
        load_model(str(tmp_path), fit_linear=no_fit)
    (tmp_path / "network.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="not exported yet"):
        load_model(str(tmp_path), fit_linear=no_fit)


def test_the_linear_model_is_fitted_when_it_is_asked_for() -> None:
    def calm(texts):
        return np.tile(np.eye(6)[2], (len(texts), 1))

    model = load_model("linear", fit_linear=lambda: calm)
    assert isinstance(model, ClassifierModel)
    assert (model.name, model.size_mb) == ("linear", None)
    assert model.answer(["a", "b"]).six.tolist() == [[0, 0, 1, 0, 0, 0]] * 2


def test_the_linear_model_of_a_table(tmp_path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is in the extra train")
    words = {"joy": "happy glad", "sadness": "tears alone", "anger": "furious rage"}
    lines = [f"{text} {i},{name}" for i in range(10) for name, text in words.items()]
    table = table_of(tmp_path / "a.csv", "text,emotion\n" + "\n".join(lines))
    answers = fit_linear(table)(["so happy and glad", "all alone in tears"])
    assert answers.argmax(axis=1).tolist() == [0, 3]
    with pytest.raises(InputError, match="fewer than two"):
        fit_linear(table_of(tmp_path / "b.csv", "text,emotion\nso glad,joy\ntoo,joy\nno,bliss\n"))


def test_names_are_told_apart() -> None:
    models = [Saying("a"), None, Saying("a"), Saying("b|c"), Saying("a")]
    assert distinct_names(models) == ["a", "constant", "a (2)", "b c", "a (3)"]
