"""Tuning of any encoder: data, losses and rates by hand; runs that learn, stop and go on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
L = pytest.importorskip("lightning")
pytest.importorskip("transformers")

from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

import lyrics_model.tuning as tuning  # noqa: E402
from data_prep.errors import InputError, MissingDataError, MissingExtraError  # noqa: E402
from lyrics_model.feature_cache import FeatureCache  # noqa: E402
from lyrics_model.heads import TunedNetwork  # noqa: E402
from lyrics_model.text_encoding import padded  # noqa: E402
from lyrics_model.tuned_folder import NETWORK, read_answers, read_tuned  # noqa: E402
from lyrics_model.tuning_batches import shuffled_batches  # noqa: E402
from lyrics_model.tuning_module import (  # noqa: E402
    Tuning,
    each_once,
    label_loss,
    parameter_groups,
)
from lyrics_model.tuning_specification import (  # noqa: E402
    LabelSource,
    TuningConfiguration,
    TuningSpecification,
    label_sets_of,
    parse_sources,
)
from tests.lyrics_model.toy_labels import encoder, read_toys  # noqa: E402

torch.set_num_threads(1)
MIXED = parse_sources("kote,goemotions-en")


class InterruptedRunError(Exception):
    """Stands for a killed process."""


@pytest.fixture(scope="module")
def toy_encoder(tmp_path_factory) -> Path:
    return encoder(tmp_path_factory.mktemp("encoder") / "toy")


@pytest.fixture(autouse=True)
def toy_sources(monkeypatch) -> None:
    monkeypatch.setattr(tuning, "read_sources", read_toys)


def _specification(encoder: Path, head: str = "cls", sources=MIXED) -> TuningSpecification:
    return TuningSpecification(
        str(encoder),
        head,  # type: ignore[arg-type]
        label_sets_of(sources),
        max_tokens=32,
        dropout=0.05,
    )


def _configuration(**changes) -> TuningConfiguration:
    settings = {"sources": MIXED, "epochs": 2, "batch": 16, "learning_rate": 1e-2}
    return TuningConfiguration(**(settings | {"steps_per_part": 4} | changes))


def _quiet(_: str) -> None:
    pass


def _metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_a_run_learns_and_leaves_all_that_is_needed(toy_encoder, tmp_path) -> None:
    said: list[str] = []
    run = (_specification(toy_encoder, "architecture2"), _configuration(epochs=14), tmp_path)
    folder = tuning.tune(*run, say=said.append)
    metrics = _metrics(folder)
    for source in ("kote", "goemotions-en"):
        six = metrics["validation"][source]["six"]
        assert six["macro_f1"] > 0.9 > 0.2 > six["constant"]["macro_f1"]
        native = metrics["test"][source]["native"]
        assert native["accuracy"] > 0.9 > 0.3 > native["constant"]["accuracy"]
    assert metrics["training"]["trained_parameters"] == metrics["training"]["parameters"]
    assert not (folder / "checkpoints").exists()
    answers = read_answers(folder)
    described = read_tuned(folder)
    texts = [row.text for part in read_toys(MIXED) for row in part.rows["validation"]]
    rows = padded(described.encoding.rows(texts), described.encoding.pad_id)
    with torch.no_grad():
        logits = tuning.load_tuned(folder)(*map(torch.from_numpy, rows)).numpy()
    np.testing.assert_allclose(logits, answers.logits, atol=1e-4)
    said.clear()
    assert tuning.tune(*run, say=said.append) == folder
    assert said == [f"{folder} is there already"]


def test_two_machines_train_one_network(toy_encoder, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    part = [sys.executable, "-m", "tests.lyrics_model.one_of_two_machines"]
    machines = [
        subprocess.Popen(
            [*part, str(toy_encoder), str(tmp_path / "work"), "2"],
            cwd=Path(__file__).parents[2],
            env=os.environ
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [machine.communicate(timeout=240) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], told
    folders = {out.splitlines()[-1] for out, _ in told}
    assert len(folders) == 1
    assert "best pass" in told[0][1]
    assert "best pass" not in told[1][1], "one of them judges and saves"
    metrics = _metrics(Path(folders.pop()))
    training = metrics["training"]
    texts = 2 * 48
    assert training["steps"] == training["passes"] * texts / 8 / 2, "each takes half of the batches"
    assert metrics["validation"]["kote"]["six"]["macro_f1"] > 0.9


def test_a_killed_run_ends_as_an_uninterrupted_one(toy_encoder, tmp_path, monkeypatch) -> None:
    run = (_specification(toy_encoder), _configuration(epochs=3))
    whole = tuning.tune(*run, tmp_path / "whole", say=_quiet)
    original = Tuning.training_step

    def failing(self, batch, batch_idx):  # type: ignore[no-untyped-def]
        if self.global_step == 10:  # within a part, after a validation
            raise InterruptedRunError
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Tuning, "training_step", failing)
    with pytest.raises(InterruptedRunError):
        tuning.tune(*run, tmp_path / "broken", say=_quiet)
    monkeypatch.setattr(Tuning, "training_step", original)
    steps: list[int] = []

    def counting(self, batch, batch_idx):  # type: ignore[no-untyped-def]
        steps.append(self.global_step)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Tuning, "training_step", counting)
    broken = tuning.tune(*run, tmp_path / "broken", say=_quiet)
    assert steps[0] == 9, "it goes on from the last part, not from the start"
    assert broken.name == whole.name
    first, second = load_file(whole / NETWORK), load_file(broken / NETWORK)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    kept = _metrics(whole), _metrics(broken)
    assert kept[0]["validation"] == kept[1]["validation"]
    assert kept[0]["training"]["steps"] == kept[1]["training"]["steps"]


def test_a_run_killed_after_early_stopping_is_not_trained_on(
    toy_encoder, tmp_path, monkeypatch
) -> None:
    run = (
        _specification(toy_encoder),
        _configuration(epochs=9, patience=1, learning_rate=1e-7, frozen=True),
        tmp_path,
    )
    original = tuning.save_tuned

    def failing(*_, **__):  # type: ignore[no-untyped-def]
        raise InterruptedRunError

    monkeypatch.setattr(tuning, "save_tuned", failing)
    with pytest.raises(InterruptedRunError):
        tuning.tune(*run, say=_quiet)
    monkeypatch.setattr(tuning, "save_tuned", original)
    folder = tuning.tune(*run, say=_quiet)
    training = _metrics(folder)["training"]
    assert (training["passes"], training["best_pass"]) == (2, 1)
    assert training["seconds"] > 0


@pytest.mark.parametrize("head", ["architecture1", "architecture2"])
def test_frozen_features_give_what_the_network_gives(toy_encoder, tmp_path, head) -> None:
    folder = tuning.tune(
        _specification(toy_encoder, head), _configuration(frozen=True), tmp_path, say=_quiet
    )
    described = read_tuned(folder)
    texts = [row.text for part in read_toys(MIXED) for row in part.rows["validation"]]
    rows = padded(described.encoding.rows(texts), described.encoding.pad_id)
    network = tuning.load_tuned(folder)
    with torch.no_grad():
        logits = network(*map(torch.from_numpy, rows)).numpy()
    np.testing.assert_allclose(logits, read_answers(folder).logits, atol=3e-3)
    fresh = tuning.load_backbone(str(toy_encoder)).model.state_dict()
    tuned = network.encoder.state_dict()
    assert all(torch.equal(fresh[name], tuned[name]) for name in fresh)
    training = _metrics(folder)["training"]
    assert training["trained_parameters"] < training["parameters"]


def test_features_are_computed_once_and_only_where_missing(tmp_path) -> None:
    class Counted(TunedNetwork):
        texts = 0

        def gather(self, input_ids, attention_mask):  # type: ignore[no-untyped-def]
            Counted.texts += len(input_ids)
            if Counted.texts > 4:
                raise InterruptedRunError
            return input_ids[:, :1, None].float().expand(-1, 1, 3)

    pieces = [np.arange(i, i + 4, dtype=np.int32) for i in range(10)]
    network = Counted(nn.Identity(), nn.Identity())  # type: ignore[arg-type]

    def cache(key: str = "key") -> FeatureCache:
        return FeatureCache(tmp_path, key, pieces, vectors=1, hidden_size=3)

    def fill(positions: list[int]) -> None:
        cache().fill(
            network, np.array(positions), 0, what="toy", device=torch.device("cpu"), say=_quiet
        )

    fill([2, 5, 7])
    assert Counted.texts == 3
    fill([7, 2])
    assert Counted.texts == 3
    fill([7, 9])
    assert Counted.texts == 4
    np.testing.assert_array_equal(np.stack(cache().read(np.array([9, 2])))[:, 0, 0], [9, 2])
    with pytest.raises(InterruptedRunError):
        fill([0])
    assert cache().missing(np.arange(10)).tolist() == [0, 1, 3, 4, 6, 8]
    assert len(cache("another encoder").missing(np.arange(10))) == 10


def test_cross_validation_reports_each_fold_and_the_mean(toy_encoder, tmp_path) -> None:
    run = (_specification(toy_encoder), _configuration(folds=2, frozen=True, epochs=1), tmp_path)
    folder = tuning.tune(*run, say=_quiet)
    metrics = _metrics(folder)
    mean = metrics["mean"]["mean_six_macro_f1"]
    each = [fold["mean_six_macro_f1"] for fold in metrics["folds"]]
    assert mean["folds"] == len(each) == 2
    assert mean["mean"] == pytest.approx(np.mean(each))
    low, high = mean["interval"]
    assert low <= min(each) <= max(each) <= high
    # Every text outside the test split is held out once.
    assert sum(fold["kote"]["rows"] for fold in metrics["folds"]) == 48 + 16
    assert read_tuned(folder / "fold-1").specification.head == "cls"
    with pytest.raises(InputError, match="cross-validation"):
        read_tuned(folder)


def test_balance_adafactor_and_layer_rates_run(toy_encoder, tmp_path) -> None:
    folder = tuning.tune(
        _specification(toy_encoder),
        _configuration(
            epochs=1, balance="weights", optimiser="adafactor", layer_decay=0.5, limit=40
        ),
        tmp_path,
        say=_quiet,
    )
    metrics = _metrics(folder)
    assert metrics["texts"]["kote"]["train"] + metrics["texts"]["goemotions-en"]["train"] == 40
    assert any("limit: 40" in remark for remark in metrics["remarks"])


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("frozen", [True, False])
def test_half_precision_runs(toy_encoder, tmp_path, precision, frozen) -> None:
    configuration = _configuration(epochs=1, precision=precision, frozen=frozen)
    folder = tuning.tune(_specification(toy_encoder), configuration, tmp_path, say=_quiet)
    assert np.isfinite(read_answers(folder).logits).all()
    state = load_file(folder / NETWORK)
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_diverged_training_is_told_as_such(toy_encoder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        Tuning, "training_step", lambda self, batch, _: self.model(*batch_inputs(batch)).sum() * 1e9
    )
    with pytest.raises(InputError, match="diverged"):
        tuning.tune(
            _specification(toy_encoder),
            _configuration(learning_rate=1e30, epochs=3),
            tmp_path,
            say=_quiet,
        )


def batch_inputs(batch):  # type: ignore[no-untyped-def]
    return batch.given, batch.mask


def test_what_cannot_be_trained_is_refused(toy_encoder, tmp_path, monkeypatch) -> None:
    with pytest.raises(InputError, match="label sets"):
        tuning.tune(
            _specification(toy_encoder), _configuration(sources=parse_sources("kote")), tmp_path
        )
    monkeypatch.setattr(tuning, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"maeum\[wandb\]"):
        tuning.tune(_specification(toy_encoder), _configuration(wandb=True), tmp_path)
    with pytest.raises(MissingDataError, match="maeum train lyrics"):
        read_tuned(tmp_path)


def test_without_validation_texts_nothing_is_trained(toy_encoder, tmp_path, monkeypatch) -> None:
    def without(sources):  # type: ignore[no-untyped-def]
        read = read_toys(sources)
        for part in read:
            part.rows["validation"].clear()
        return read

    monkeypatch.setattr(tuning, "read_sources", without)
    with pytest.raises(InputError, match="validation"):
        tuning.tune(_specification(toy_encoder), _configuration(), tmp_path, say=_quiet)


def test_loss_of_exclusive_labels_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    targets = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    losses = label_loss(logits, targets, "goemotions", None)
    np.testing.assert_allclose(losses, [np.log(4), np.log(2)], rtol=1e-6)
    weighted = label_loss(logits, targets, "goemotions", torch.tensor([3.0, 1.0]))
    np.testing.assert_allclose(weighted, [3 * np.log(4), 2 * np.log(2)], rtol=1e-6)


def test_loss_of_labels_that_do_not_exclude_each_other_by_hand() -> None:
    logits = torch.tensor([[0.0, np.log(3.0)]], dtype=torch.float32)
    targets = torch.tensor([[1.0, 0.25]])
    second = -(0.25 * np.log(0.75) + 0.75 * np.log(0.25))
    losses = label_loss(logits, targets, "kote", None)
    np.testing.assert_allclose(losses, [(np.log(2) + second) / 2], rtol=1e-6)
    weighted = label_loss(logits, targets, "kote", torch.tensor([2.0, 1.0]))
    np.testing.assert_allclose(weighted, [(2 * np.log(2) + second) / 2], rtol=1e-6)


def test_rates_fall_from_layer_to_layer() -> None:
    class Toy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.ModuleDict(
                {
                    "embeddings": nn.Embedding(3, 2),
                    "layer": nn.ModuleList(nn.Linear(2, 2) for _ in range(3)),
                    "norm": nn.LayerNorm(2),
                }
            )
            self.head = nn.Linear(2, 2)

    toy = Toy()
    toy.encoder["layer"][1].bias.requires_grad_(False)
    configuration = _configuration(
        learning_rate=1.0, head_rate=8.0, layer_decay=0.5, weight_decay=0.1
    )
    groups = parameter_groups(toy, configuration)
    rate_of = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(rate_of) == sum(1 for p in toy.parameters() if p.requires_grad)
    assert rate_of[id(toy.head.weight)] == (8.0, 0.1)
    assert rate_of[id(toy.head.bias)] == (8.0, 0.0)
    rates = [rate_of[id(layer.weight)][0] for layer in toy.encoder["layer"]]
    assert rates == [0.25, 0.5, 1.0]
    assert rate_of[id(toy.encoder["embeddings"].weight)] == (0.125, 0.1)
    assert rate_of[id(toy.encoder["norm"].weight)] == (1.0, 0.0)


def test_a_text_that_two_processes_share_counts_once() -> None:
    index, logits = each_once(
        [
            (np.array([3, 1]), np.array([[3.0], [1.0]], dtype=np.float32)),
            (np.array([2, 3]), np.array([[2.0], [3.0]], dtype=np.float32)),
        ]
    )
    assert index.tolist() == [1, 2, 3]
    assert logits[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_batches_hold_every_text_once() -> None:
    index = np.arange(100, 300)
    lengths = np.random.default_rng(0).integers(3, 60, size=300)
    batches = shuffled_batches(index, lengths, 8, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == index.tolist()
    assert max(len(batch) for batch in batches) == 8
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < np.ptp(lengths) / 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frozen": True, "adapter": "lora"}, "--frozen and --adapter"),
        ({"layer_decay": 0.0}, "--layer-decay"),
        ({"frozen": True, "layer_decay": 0.9}, "--layer-decay"),
        ({"batch": 0}, "--batch 0"),
        ({"folds": 1}, "--folds 1"),
        ({"balance": "equal"}, "sampling"),
        ({"learning_rate": 0.0}, "positive"),
        ({"limit": 0}, "--limit 0"),
    ],
)
def test_configurations_that_cannot_be_are_refused(settings, message) -> None:
    with pytest.raises(InputError, match=message):
        _configuration(**settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kote,moods", "aihub-60=FILE"),
        ("aihub-7", "aihub-7=FILE"),
        ("kote=table.csv", "MAEUM_DATA"),
        ("kote,kpoem,kote", "kote are given twice"),
    ],
)
def test_labels_that_cannot_be_are_refused(text, message) -> None:
    with pytest.raises(InputError, match=message):
        parse_sources(text)


def test_labels_are_parsed_in_order() -> None:
    sources = parse_sources("kpoem, aihub-60=talk=1.xlsx,kote")
    assert sources == (
        LabelSource("kpoem"),
        LabelSource("aihub-60", Path("talk=1.xlsx")),
        LabelSource("kote"),
    )
    assert label_sets_of(sources) == ("kote", "aihub_dialogue_60")


def test_specifications_that_cannot_be_are_refused() -> None:
    for changes, message in (
        ({"head": "pooler"}, "architecture1"),
        ({"label_sets": ()}, "each once"),
        ({"label_sets": ("moods",)}, "kote"),
        ({"normalisation": "upper"}, "nfc"),
        ({"dropout": 1.0}, "--dropout"),
        ({"max_tokens": 2}, "--max-tokens"),
    ):
        settings = {"encoder": "x", "head": "cls", "label_sets": ("kote",)} | changes
        with pytest.raises(InputError, match=message):
            TuningSpecification(**settings)  # type: ignore[arg-type]
