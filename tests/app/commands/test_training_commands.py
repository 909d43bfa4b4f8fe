"""The training side of the command line: what its options say to what does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import app.cli

pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("transformers")

import lyrics_model.dapt as dapt
import lyrics_model.exporting
import lyrics_model.finetuning
import lyrics_model.pretraining
import lyrics_model.tuned_export
import lyrics_model.tuning
from lyrics_model.tuning_specification import LabelSource


def maeum(*arguments: object):
    return CliRunner().invoke(app.cli.app, [str(a) for a in arguments])


def refused(result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("maeum: ")
    for word in words:
        assert word in line


class Called:
    """Stands in for a function that works for hours; keeps what it was called with."""

    def __init__(self) -> None:
        self.positional: tuple[Any, ...] = ()
        self.named: dict[str, Any] = {}

    def __call__(self, *positional: Any, **named: Any) -> Path:
        self.positional, self.named = positional, named
        if "say" in named:
            named["say"]("at work")
        return Path("made")


def stand_in(monkeypatch, module, name: str) -> Called:
    called = Called()
    monkeypatch.setattr(module, name, called)
    return called


def test_train_lyrics_without_an_encoder_is_our_own_model(monkeypatch, tmp_path) -> None:
    train = stand_in(monkeypatch, lyrics_model.finetuning, "train")
    result = maeum("train", "lyrics", "--work", tmp_path, "--passes", 2, "--seed", 3)
    assert (result.exit_code, result.stdout) == (0, "made\n")
    work, configuration = train.positional
    assert (work, configuration.passes, configuration.seed) == (tmp_path, 2, 3)


def test_train_lyrics_with_an_encoder(monkeypatch, tmp_path) -> None:
    tune = stand_in(monkeypatch, lyrics_model.tuning, "tune")
    result = maeum(
        *("train", "lyrics", "--work", tmp_path, "--encoder", "klue/roberta-large"),
        *("--labels", "kote,aihub-7=own.xlsx", "--head", "architecture1", "--frozen"),
        *("--optimiser", "adafactor", "--learning-rate", 1e-6, "--patience", 4, "--batch", 16),
        *("--balance", "sampling", "--per-label", 900, "--folds", 5, "--dropout", 0.2),
        *("--max-tokens", 64, "--limit", 4000, "--threads", 1, "--seed", 7),
    )
    assert (result.exit_code, result.stdout) == (0, "made\n"), result.output
    assert result.stderr == "at work\n"
    specification, configuration, work = tune.positional
    assert specification.encoder == "klue/roberta-large"
    assert specification.head == "architecture1"
    assert specification.label_sets == ("kote", "aihub_single_7")
    assert (specification.max_tokens, specification.dropout) == (64, 0.2)
    assert configuration.sources[1] == LabelSource("aihub-7", Path("own.xlsx"))
    assert configuration.frozen
    assert (configuration.optimiser, configuration.rate) == ("adafactor", 1e-6)
    assert (configuration.patience, configuration.batch) == (4, 16)
    assert (configuration.balance, configuration.per_label) == ("sampling", 900)
    assert (configuration.folds, configuration.limit, configuration.seed) == (5, 4000, 7)
    assert configuration.adapter == "none"
    assert not configuration.wandb
    assert work == tmp_path
    assert tune.named["threads"] == 1


def test_train_lyrics_with_an_encoder_has_defaults(monkeypatch) -> None:
    tune = stand_in(monkeypatch, lyrics_model.tuning, "tune")
    for arguments, rate in (
        ((), 3e-5),
        (("--frozen",), 1e-3),
        (("--adapter", "lora", "--layer-decay", 0.9), 2e-4),
    ):
        result = maeum("train", "lyrics", "--encoder", "folder", *arguments)
        assert result.exit_code == 0, result.output
        specification, configuration, _ = tune.positional
        assert specification.label_sets == ("kote", "goemotions")
        assert specification.head == "cls"
        assert configuration.rate == rate
        assert configuration.per_label == 9_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--head", "cls"), ("--head", "--encoder")),
        (("--max-tokens", 9), ("--max-tokens", "--encoder")),
        (("--encoder", "x", "--passes", 2), ("--passes", "--epochs")),
        (("--encoder", "x", "--head", "pooler"), ("architecture2-padded-mean",)),
        (("--encoder", "x", "--labels", "moods"), ("moods", "aihub-60=FILE")),
        (("--encoder", "x", "--frozen", "--adapter", "lora"), ("--frozen", "--adapter lora")),
        (("--encoder", "x", "--balance", "even"), ("--balance", "weights")),
        (("--encoder", "./absent"), ("./absent",)),
    ],
)
def test_train_lyrics_refuses_what_does_not_fit(arguments, words, tmp_path) -> None:
    refused(maeum("train", "lyrics", "--work", tmp_path, *arguments), *words)


def test_pretrain_lyrics_without_an_encoder_is_our_own(monkeypatch, tmp_path) -> None:
    pretrain = stand_in(monkeypatch, lyrics_model.pretraining, "pretrain")
    result = maeum("pretrain", "lyrics", "--work", tmp_path, "--steps", 500)
    assert (result.exit_code, result.stdout) == (0, "made\n")
    work, configuration = pretrain.positional
    assert (work, configuration.steps) == (tmp_path, 500)


def test_pretrain_lyrics_with_an_encoder_adapts_it(monkeypatch, tmp_path) -> None:
    adapt = stand_in(monkeypatch, dapt, "adapt")
    result = maeum(
        *("pretrain", "lyrics", "--encoder", "klue/roberta-base", "--order", "largest-first"),
        *("--stage", "lyrics=a.txt", "--stage", "colloquial=b=c.txt", "--out", tmp_path),
        *("--block", 128, "--steps", 100, "--batch", 8, "--accumulate", 2, "--whole-words"),
        *("--precision", "bf16", "--seed", 5, "--threads", 2),
    )
    assert (result.exit_code, result.stdout) == (0, "made\n"), result.output
    assert result.stderr == "at work\n"
    encoder, stages, out, configuration = adapt.positional
    assert (encoder, out) == ("klue/roberta-base", tmp_path)
    assert [(stage.name, str(stage.path)) for stage in stages] == [
        ("lyrics", "a.txt"),
        ("colloquial", "b=c.txt"),
    ]
    assert (configuration.order, configuration.block) == ("largest-first", 128)
    assert (configuration.steps, configuration.passes) == (100, None)
    assert (configuration.batch, configuration.accumulate) == (8, 2)
    assert (configuration.whole_words, configuration.precision) == (True, "bf16")
    assert configuration.seed == 5


def test_pretrain_lyrics_with_an_encoder_has_the_published_defaults(monkeypatch, tmp_path) -> None:
    adapt = stand_in(monkeypatch, dapt, "adapt")
    asked = ("pretrain", "lyrics", "--work", tmp_path, "--encoder", "x", "--stage", "a=a.txt")
    assert maeum(*asked).exit_code == 0
    _, _, out, configuration = adapt.positional
    assert out == tmp_path / "adapted"
    assert (configuration.steps, configuration.block) == (12_500, 512)
    assert configuration.batch * configuration.accumulate == 512
    assert maeum(*asked, "--passes", 2).exit_code == 0
    assert (adapt.positional[3].steps, adapt.positional[3].passes) == (None, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--stage", "lyrics=a.txt"), ("--stage", "--encoder")),
        (("--block", 128), ("--block", "--encoder")),
        (("--encoder", "x"), ("--stage NAME=FILE",)),
        (("--encoder", "x", "--stage", "lyrics"), ("NAME=FILE",)),
        (("--encoder", "x", "--stage", "a=b", "--steps", 3, "--passes", 1), ("not both",)),
    ],
)
def test_pretrain_lyrics_refuses_what_does_not_fit(arguments, words, tmp_path) -> None:
    refused(maeum("pretrain", "lyrics", "--work", tmp_path, *arguments), *words)


def test_export_of_a_tuned_encoder(monkeypatch, tmp_path) -> None:
    export = stand_in(monkeypatch, lyrics_model.tuned_export, "export_tuned")
    out = tmp_path / "out"
    asked = ("export-model", "lyrics", "--out", out)
    result = maeum(*asked, "--tuned", tmp_path, "--name", "ours", "--float32", out / "plain")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "made\n", "at work\n")
    assert export.positional == (tmp_path, out)
    assert export.named["name"] == "ours"
    assert export.named["float32"] == out / "plain"
    refused(maeum(*asked, "--name", "ours"), "--tuned")


def test_export_of_our_own_model_before_int8_as_well(monkeypatch, tmp_path) -> None:
    export = stand_in(monkeypatch, lyrics_model.exporting, "export")
    asked = ("export-model", "lyrics", "--work", tmp_path, "--out", "out")
    assert maeum(*asked).exit_code == 0
    assert export.named["float32"] is None
    assert maeum(*asked, "--float32", "plain").exit_code == 0
    assert export.positional == (tmp_path, Path("out"))
    assert export.named["float32"] == Path("plain")


def test_export_of_nothing_is_told(tmp_path) -> None:
    result = maeum("export-model", "lyrics", "--tuned", tmp_path, "--out", tmp_path / "out")
    refused(result, "maeum train lyrics", str(tmp_path))
    assert not (tmp_path / "out").exists()
