"""Low-rank adapters: nothing changes at first, little is trained, all is merged in the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402

import lyrics_model.adapters as adapters  # noqa: E402
import lyrics_model.tuning as tuning  # noqa: E402
from data_prep.errors import MissingExtraError  # noqa: E402
from lyrics_model.backbone import load_backbone  # noqa: E402
from lyrics_model.text_encoding import padded  # noqa: E402
from lyrics_model.tuned_folder import read_answers, read_tuned  # noqa: E402
from lyrics_model.tuning_specification import (  # noqa: E402
    TuningConfiguration,
    TuningSpecification,
    parse_sources,
)
from tests.lyrics_model.toy_labels import encoder, read_toys  # noqa: E402

torch.set_num_threads(1)
IDS = torch.arange(5, 15)[None]
SOURCES = parse_sources("goemotions-en")


@pytest.fixture(scope="module")
def toy_encoder(tmp_path_factory) -> Path:
    return encoder(tmp_path_factory.mktemp("encoder") / "toy")


def _answer(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state


def _train_by_hand(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)


def test_a_fresh_adapter_changes_nothing_and_is_all_that_is_trained(toy_encoder) -> None:
    plain = load_backbone(str(toy_encoder)).model
    before = _answer(plain)
    names = [name for name, _ in plain.named_parameters()]
    adapted = adapters.add_adapter(plain, "lora", 4).eval()
    assert torch.equal(_answer(adapted), before)
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora" in name for name in trained)
    # Two thin matrices beside each of the six linear layers of each of the four layers.
    assert len(trained) == 2 * 6 * 4
    assert len(names) == len([n for n, _ in adapted.named_parameters()]) - len(trained)


def test_a_merged_adapter_answers_as_before_and_leaves_a_plain_encoder(toy_encoder) -> None:
    plain = load_backbone(str(toy_encoder)).model
    before = _answer(plain)
    names = set(plain.state_dict())
    adapted = adapters.add_adapter(plain, "lora", 4).eval()
    _train_by_hand(adapted)
    after = _answer(adapted)
    assert not torch.allclose(after, before, atol=1e-3)
    merged = adapters.merge_adapter(adapted)
    torch.testing.assert_close(_answer(merged), after, rtol=1e-4, atol=1e-5)
    assert set(merged.state_dict()) == names
    assert type(merged) is type(load_backbone(str(toy_encoder)).model)


def test_no_adapter_is_no_change(toy_encoder) -> None:
    plain = load_backbone(str(toy_encoder)).model
    assert adapters.add_adapter(plain, "none", 4) is plain


@pytest.mark.parametrize(
    ("adapter", "missing", "extra"),
    [
        ("lora", "peft", "adapters"),
        ("qlora", "peft", "adapters"),
        ("qlora", "bitsandbytes", "qlora"),
    ],
)
def test_missing_packages_are_named(monkeypatch, adapter, missing, extra) -> None:
    def importing(name: str) -> None:
        if name == missing:
            raise ImportError(f"no module {name}")

    monkeypatch.setattr(adapters, "import_module", importing)
    with pytest.raises(MissingExtraError, match=rf"{adapter}.*maeum\[{extra}\]"):
        adapters.check_adapter(adapter)
    adapters.check_adapter("none")


def _tune(encoder: Path, work: Path, **changes: Any) -> Path:
    specification = TuningSpecification(str(encoder), "architecture2", ("goemotions",), 32)
    settings = {"epochs": 2, "batch": 16, "learning_rate": 1e-2, "rank": 2} | changes
    return tuning.tune(
        specification, TuningConfiguration(SOURCES, **settings), work, say=lambda _: None
    )


def _logits_of_the_saved_network(folder: Path) -> np.ndarray:
    encoding = read_tuned(folder).encoding
    texts = [row.text for part in read_toys(SOURCES) for row in part.rows["validation"]]
    rows = padded(encoding.rows(texts), encoding.pad_id)
    with torch.no_grad():
        return tuning.load_tuned(folder)(*map(torch.from_numpy, rows)).numpy()


def test_lora_trains_little_keeps_little_and_serves_without_peft(
    toy_encoder, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(tuning, "read_sources", read_toys)
    kept: list[set[str]] = []
    saving = ModelCheckpoint.on_validation_end

    def watching(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        kept.append(set(trainer._checkpoint_connector.dump_checkpoint()["state_dict"]))
        saving(self, trainer, pl_module)

    monkeypatch.setattr(ModelCheckpoint, "on_validation_end", watching)
    folder = _tune(toy_encoder, tmp_path, adapter="lora")
    assert kept
    assert all("lora" in name or name.startswith("model.head.") for name in kept[0])
    training = json.loads((folder / "metrics.json").read_text())["training"]
    assert training["trained_parameters"] < training["parameters"]
    assert training["peak_resident_mib"] > 0
    monkeypatch.setattr(adapters, "import_module", None)
    np.testing.assert_allclose(
        _logits_of_the_saved_network(folder), read_answers(folder).logits, atol=1e-4
    )
    fresh = load_backbone(str(toy_encoder)).model.state_dict()
    tuned = tuning.load_tuned(folder).encoder.state_dict()
    changed = {name for name in fresh if not torch.equal(fresh[name], tuned[name])}
    assert changed
    assert all(name.endswith("weight") and "embeddings" not in name for name in changed)


def test_qlora_is_merged_into_the_weights_as_they_were(toy_encoder, tmp_path, monkeypatch) -> None:
    pytest.importorskip("bitsandbytes")
    monkeypatch.setattr(tuning, "read_sources", read_toys)
    folder = _tune(toy_encoder, tmp_path, adapter="qlora")
    np.testing.assert_allclose(
        _logits_of_the_saved_network(folder), read_answers(folder).logits, atol=1e-4
    )
    fresh = load_backbone(str(toy_encoder)).model.state_dict()
    tuned = tuning.load_tuned(folder).encoder.state_dict()
    name = "encoder.layer.0.attention.self.query.weight"
    change = tuned[name] - fresh[name]
    assert 0 < torch.linalg.matrix_rank(change, atol=1e-6) <= 2  # the adapter's, nothing else


def test_four_bits_hold_a_layer_nearly(toy_encoder) -> None:
    pytest.importorskip("bitsandbytes")
    plain = load_backbone(str(toy_encoder)).model
    before = _answer(plain)
    linear = sum(type(module) is torch.nn.Linear for module in plain.modules())
    assert adapters.quantise_linear(plain, torch.float32) == linear
    difference = (_answer(plain) - before).abs().max()
    assert 0 < difference < 0.3 * before.abs().max()
