"""Export of tuned networks: every layout and head as ONNX, and a folder that serves."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("transformers")
pytest.importorskip("onnx")

import lyrics_model.tuning as tuning  # noqa: E402
from data_prep.errors import InputError, MissingDataError, ModelFolderError  # noqa: E402
from data_prep.model_folder import configuration_hash, read_card  # noqa: E402
from data_prep.taxonomy import native_label_set  # noqa: E402
from data_prep.temperature import fit_temperature  # noqa: E402
from fusion.evaluation.quantisation import load_float32  # noqa: E402
from lyrics_model.backbone import load_backbone  # noqa: E402
from lyrics_model.predictor import LyricPredictor  # noqa: E402
from lyrics_model.specification import NgramSpecification  # noqa: E402
from lyrics_model.text_encoding import padded  # noqa: E402
from lyrics_model.tuned_export import (  # noqa: E402
    choose_mixture,
    export_tuned,
    largest_difference,
    mixture,
    to_onnx,
)
from lyrics_model.tuned_folder import (  # noqa: E402
    ValidationAnswers,
    new_network,
    read_answers,
)
from lyrics_model.tuning_specification import (  # noqa: E402
    HEAD_NAMES,
    TuningConfiguration,
    TuningSpecification,
    label_sets_of,
    parse_sources,
)
from tests.lyrics_model import toy_encoders  # noqa: E402
from tests.lyrics_model.toy_labels import SIZE, encoder, read_toys  # noqa: E402

torch.set_num_threads(1)
TEXTS = ["오늘 너무 우울해서 노래를 들었다", "I feel so lonely tonight", "화가 나서 참을 수 없어!"]
SOURCES = parse_sources("kote,aihub-7=own.xlsx")
MIXED = TuningSpecification("toy", "cls", label_sets_of(SOURCES), max_tokens=16)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp("work")
    specification = replace(MIXED, encoder=str(encoder(work / "toy")), head="architecture2")
    configuration = TuningConfiguration(SOURCES, epochs=4, batch=16, learning_rate=1e-2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "read_sources", read_toys)
        return tuning.tune(specification, configuration, work, say=lambda _: None)


@pytest.fixture(scope="module")
def served(tuned, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tuned"
    return export_tuned(tuned, folder, say=lambda _: None)


@pytest.mark.parametrize("layout", toy_encoders.LAYOUTS)
def test_every_layout_answers_as_in_torch(layout, tmp_path) -> None:
    head = HEAD_NAMES[list(toy_encoders.LAYOUTS).index(layout) % len(HEAD_NAMES)]
    made = toy_encoders.LAYOUTS[layout](tmp_path / layout, SIZE)  # type: ignore[call-arg]
    backbone = load_backbone(str(made))
    specification = replace(MIXED, head=head, max_tokens=backbone.max_tokens)
    encoding = tuning.encoding_of(backbone, specification)
    torch.manual_seed(0)
    network = new_network(
        backbone.model, specification, hidden_size=backbone.hidden_size, layers=backbone.layers
    )
    # Of other lengths and numbers than those the file was traced with, too.
    to_onnx(network, encoding, tmp_path / "model.onnx")
    assert largest_difference(network, encoding, tmp_path / "model.onnx") < 1e-5
    with torch.no_grad():
        network.head.out_proj.bias += 1.0
    assert largest_difference(network, encoding, tmp_path / "model.onnx") > 0.1


def test_the_served_folder_says_what_the_network_says(tuned, served) -> None:
    predictor = LyricPredictor.load(served)
    described = tuning.read_tuned(tuned)
    rows = padded(described.encoding.rows(TEXTS), described.encoding.pad_id)
    with torch.no_grad():
        logits = tuning.load_tuned(tuned)(*map(torch.from_numpy, rows))
    native = predictor.native(TEXTS)
    kote = torch.sigmoid(logits[:, described.specification.columns("kote")])
    seven = torch.softmax(logits[:, described.specification.columns("aihub_single_7")], dim=1)
    np.testing.assert_allclose(native["kote"], kote, atol=0.05)
    np.testing.assert_allclose(native["aihub_single_7"], seven, atol=0.05)
    np.testing.assert_allclose(predictor.distributions(TEXTS).sum(axis=1), 1, atol=1e-5)
    more = ["비가 오는 창가에서", "나는 편지를 쓴다", "the night is cold and long"]
    song = predictor.read("\n".join([*TEXTS, *more]))
    assert song.distribution is not None
    assert len(song.segments) > 1


def test_the_network_before_int8_is_written_beside_it(tuned, served, tmp_path) -> None:
    with pytest.raises(InputError, match="another one"):
        export_tuned(tuned, tmp_path / "same", float32=tmp_path / "same", say=lambda _: None)
    plain = tmp_path / "plain"
    export_tuned(tuned, tmp_path / "int8", float32=plain, say=lambda _: None)
    predictor = load_float32(plain, LyricPredictor.load(tmp_path / "int8"))
    assert predictor.card.name.endswith(", float32")
    described = tuning.read_tuned(tuned)
    rows = padded(described.encoding.rows(TEXTS), described.encoding.pad_id)
    with torch.no_grad():
        logits = tuning.load_tuned(tuned)(*map(torch.from_numpy, rows))
    kote = torch.sigmoid(logits[:, described.specification.columns("kote")])
    np.testing.assert_allclose(predictor.native(TEXTS)["kote"], kote, atol=1e-5)
    with pytest.raises(InputError, match="the same network"):
        load_float32(served, LyricPredictor.load(served))


def test_one_text_or_many_give_the_same(served) -> None:
    predictor = LyricPredictor.load(served)
    together = predictor.distributions([*TEXTS, " ".join(TEXTS * 5)])
    for text, row in zip(TEXTS, together, strict=False):
        np.testing.assert_allclose(predictor.distributions([text])[0], row, atol=0.02)


def test_the_card_tells_labels_features_and_figures(tuned, served) -> None:
    card = read_card(served, "lyrics")
    assert list(card.labels) == ["kote", "aihub_single_7"]
    assert sum(card.head_weights.values()) == pytest.approx(1)
    assert card.features == {
        "max_tokens": 16,
        "ngrams": None,
        "normalisation": "nfc",
        "pad_id": 1,
    }
    assert 0.05 <= card.temperature < 1  # toys are learned by heart
    assert {entry.name: entry.rows for entry in card.training_data} == {"kote": 48, "aihub-7": 48}
    assert set(card.metrics["validation_macro_f1"]) == {"kote", "aihub-7"}
    figures = json.loads((tuned / "metrics.json").read_text(encoding="utf-8"))
    assert card.metrics["tuning"] == figures


def test_one_label_set_counts_whole() -> None:
    alone = replace(MIXED, label_sets=("aihub_single_7",))
    answers = ValidationAnswers(
        np.zeros((2, 7), np.float32), np.array([0, 3]), np.zeros(2, np.int64)
    )
    assert choose_mixture(answers, alone) == {"aihub_single_7": 1.0}


def test_the_mixture_leans_to_the_label_set_that_knows() -> None:
    labels = native_label_set("aihub_single_7")
    logits = np.zeros((40, MIXED.outputs), dtype=np.float32)
    six = np.arange(40) % 2 * 3  # joy and sadness in turn
    columns = MIXED.columns("aihub_single_7")
    for row, label in zip(logits, six, strict=True):
        row[columns][labels.index("슬픔" if label else "행복")] = 3.0
    answers = ValidationAnswers(logits, six, np.zeros(40, np.int64))
    weights = choose_mixture(answers, MIXED)
    assert weights["kote"] < 1
    assert (mixture(answers, MIXED, weights).argmax(axis=1) == six).all()
    np.testing.assert_allclose(mixture(answers, MIXED, weights).sum(axis=1), 1, rtol=1e-5)


def test_temperature_undoes_a_known_sharpening() -> None:
    generator = np.random.default_rng(0)
    honest = generator.dirichlet(np.ones(6), size=20_000)
    labels = np.array([generator.choice(6, p=row) for row in honest])
    sharp = honest**2.0
    sharp /= sharp.sum(axis=1, keepdims=True)
    assert fit_temperature(honest, labels) == pytest.approx(1.0, abs=0.05)
    assert fit_temperature(sharp, labels) == pytest.approx(2.0, abs=0.1)
    unknown = np.concatenate([labels, np.full(500, -1)])
    rows = np.concatenate([sharp, np.tile([0.9, 0.02, 0.02, 0.02, 0.02, 0.02], (500, 1))])
    assert fit_temperature(rows, unknown) == pytest.approx(fit_temperature(sharp, labels))


def _changed(served: Path, folder: Path, features: dict[str, Any]) -> Path:
    shutil.copytree(served, folder)
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    content["features"] = features
    content["feature_hash"] = configuration_hash(features)
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"max_tokens": 16, "ngrams": None, "normalisation": "nfc"}, "pad_id"),
        ({"max_tokens": 16, "ngrams": None, "normalisation": "upper", "pad_id": 1}, "upper"),
        ({"max_tokens": 1, "ngrams": None, "normalisation": "nfc", "pad_id": 1}, "no room"),
        ({"max_tokens": 16, "ngrams": {}, "normalisation": "nfc"}, "do not describe"),
        (
            {"max_tokens": 16, "ngrams": asdict(NgramSpecification()), "normalisation": "nfc"},
            "the network takes",
        ),
    ],
)
def test_features_that_do_not_fit_are_refused(served, tmp_path, features, message) -> None:
    with pytest.raises(ModelFolderError, match=message):
        LyricPredictor.load(_changed(served, tmp_path / "model", features))


def test_what_cannot_be_exported_is_told(tuned, tmp_path) -> None:
    with pytest.raises(MissingDataError, match="maeum train lyrics"):
        export_tuned(tmp_path, tmp_path / "out")
    broken = tmp_path / "broken"
    shutil.copytree(tuned, broken)
    (broken / "validation.npz").unlink()
    with pytest.raises(MissingDataError, match="incomplete"):
        read_answers(broken)
    (broken / "network.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"network\.safetensors"):
        export_tuned(broken, tmp_path / "out")
