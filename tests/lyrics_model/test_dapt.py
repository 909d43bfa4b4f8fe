"""Domain-adaptive pretraining: losses by hand, exact resume, and what a run leaves behind."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("transformers")

from toy_encoders import LAYOUTS, TEXTS, ToySize, kcelectra, klue, kobert_skt  # noqa: E402

from data_prep.errors import InputError  # noqa: E402
from lyrics_model import dapt_report  # noqa: E402
from lyrics_model.backbone import load_backbone, load_masked_lm  # noqa: E402
from lyrics_model.dapt import DaptConfiguration, Stage, adapt  # noqa: E402
from lyrics_model.dapt_report import smoothed  # noqa: E402
from lyrics_model.masked_text import Blocks, Masking, TrainingSteps, masking_for  # noqa: E402
from lyrics_model.masked_training import MaskedTraining  # noqa: E402

torch.set_num_threads(1)

QUICK = DaptConfiguration(
    steps=6,
    batch=3,
    accumulate=2,
    block=24,
    learning_rate=1e-2,
    steps_per_checkpoint=2,
    held_out_share=0.15,
    held_out_blocks=8,
    overlap_words=0,
)


def quiet(_: str) -> None:
    pass


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn once, by ``finished``, which is set up before this."""
    for name in ("_draw_losses", "_draw_perplexities"):
        monkeypatch.setattr(dapt_report, name, lambda *_: None)


def _stages(folder: Path) -> list[Stage]:
    folder.mkdir(parents=True, exist_ok=True)
    stages = []
    for name, texts, copies in (("talk", TEXTS[::2], 6), ("lyrics", TEXTS, 8)):
        path = folder / f"{name}.txt"
        rows = [f"{text} {TEXTS[i % 7][:i]}" for i in range(copies) for text in texts]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        stages.append(Stage(name, path))
    return stages


def _report(out: Path) -> dict:
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def _losses(out: Path) -> list[list[float]]:
    return [stage["losses"] for stage in _report(out)["stages"]]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_masked_lm(str(folder)).model.state_dict()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder, texts, and a finished run over two stages with dropout."""
    folder = tmp_path_factory.mktemp("dapt")
    klue(folder / "klue", ToySize(dropout=0.3))
    said: list[str] = []
    adapt(str(folder / "klue"), _stages(folder), folder / "out", QUICK, say=said.append)
    (folder / "said.txt").write_text("\n".join(said), encoding="utf-8")
    return folder


def test_a_run_leaves_an_encoder_and_a_report(finished: Path) -> None:
    out = finished / "out"
    backbone = load_backbone(str(out))
    assert backbone.max_tokens == 40
    original = load_backbone(str(finished / "klue")).tokenizer
    assert backbone.tokenizer(TEXTS[1])["input_ids"] == original(TEXTS[1])["input_ids"]
    assert not load_masked_lm(str(out)).fresh_head
    assert load_backbone(str(out / "stages" / "1-talk")).layers == 2
    report = _report(out)
    assert [stage["name"] for stage in report["stages"]] == ["talk", "lyrics"]
    assert [len(losses) for losses in _losses(out)] == [6, 6]
    assert report["block"] == 24
    assert not report["fresh_head"]
    for figures in (report["before"], *(stage["perplexity"] for stage in report["stages"])):
        assert list(figures) == ["talk", "lyrics"]
        assert all(value > 1 for value in figures.values())
    text = (out / "report.md").read_text(encoding="utf-8")
    assert f"| nothing yet | {report['before']['talk']:,.2f} |" in text
    for name in ("losses.png", "perplexities.png"):
        assert (out / name).read_bytes()[:4] == b"\x89PNG"
        assert name in text
    assert not list((out / "work").rglob("*.ckpt"))


def test_a_run_says_how_far_it_is(finished: Path) -> None:
    said = (finished / "said.txt").read_text(encoding="utf-8")
    for step in (2, 4, 6):
        assert f"talk: step {step} of 6, loss " in said
    assert " left\n" in said
    assert "perplexity after lyrics: talk " in said


def test_training_lowers_loss_and_perplexity(tmp_path: Path) -> None:
    klue(tmp_path / "klue")
    configuration = replace(QUICK, steps=40, steps_per_checkpoint=40)
    adapt(str(tmp_path / "klue"), _stages(tmp_path)[:1], tmp_path / "out", configuration, say=quiet)
    report = _report(tmp_path / "out")
    losses = report["stages"][0]["losses"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
    assert report["stages"][0]["perplexity"]["talk"] < 0.6 * report["before"]["talk"]
    assert report["before"]["talk"] == pytest.approx(171, rel=0.25), "random: the vocabulary's size"


class KilledError(Exception):
    pass


@pytest.mark.parametrize(
    "moment",
    [
        "lyrics: ",
        "talk: step 4",
        "perplexity after talk",
        "lyrics: step 4",
        "perplexity after lyrics",
    ],
)
def test_a_killed_run_goes_on_exactly(finished: Path, tmp_path: Path, moment: str) -> None:
    def kill(line: str) -> None:
        if line.startswith(moment):
            raise KilledError

    arguments = (str(finished / "klue"), _stages(tmp_path), tmp_path / "out", QUICK)
    with pytest.raises(KilledError):
        adapt(*arguments, say=kill)
    assert not (tmp_path / "out" / "report.json").exists()
    torch.manual_seed(123)
    said: list[str] = []
    adapt(*arguments, say=said.append)
    if moment == "lyrics: step 4":  # the two steps since its last checkpoint, no more
        steps = [line.split(",")[0] for line in said if ": step " in line]
        assert steps == ["lyrics: step 4 of 6", "lyrics: step 6 of 6"]
    assert _losses(tmp_path / "out") == _losses(finished / "out")
    expected, found = _report(finished / "out"), _report(tmp_path / "out")
    assert found["before"] == expected["before"]
    for one, other in zip(found["stages"], expected["stages"], strict=True):
        assert one["perplexity"] == other["perplexity"]
    ours, theirs = _weights(tmp_path / "out"), _weights(finished / "out")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_dropout_takes_part_and_seeds_differ(finished: Path, tmp_path: Path) -> None:
    stages = _stages(tmp_path)
    losses = {"as it is": _losses(finished / "out")[0]}
    for name, changes in (("seed", {"seed": 1}), ("no dropout", {"dropout": 0.0})):
        configuration = replace(QUICK, **changes)
        out = tmp_path / name
        adapt(str(finished / "klue"), stages[:1], out, configuration, say=quiet)
        losses[name] = _losses(out)[0]
    assert losses["no dropout"] != losses["as it is"] != losses["seed"]


def test_batches_and_accumulation_are_one_thing_without_dropout(
    finished: Path, tmp_path: Path
) -> None:
    stages = _stages(tmp_path)[:1]
    losses = []
    for batch, accumulate in ((6, 1), (2, 3)):
        out = tmp_path / f"{batch}x{accumulate}"
        configuration = replace(QUICK, batch=batch, accumulate=accumulate, dropout=0.0)
        adapt(str(finished / "klue"), stages, out, configuration, say=quiet)
        losses.append(_losses(out)[0])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def _first_batch(blocks: Blocks, masking: Masking, batch: int) -> dict:
    return TrainingSteps(
        blocks, masking, batch=batch, accumulate=1, seed=0, stage=0, first=0, count=1
    )[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_chosen_positions_reach_the_vocabulary_head(tmp_path: Path, layout: str) -> None:
    torch.manual_seed(0)
    loaded = load_masked_lm(str(LAYOUTS[layout](tmp_path)))
    tokenizer = loaded.tokenizer
    ids = [piece for text in TEXTS for piece in tokenizer(text)["input_ids"][1:]]
    blocks = Blocks(
        np.array(ids), 20, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    )
    masking = masking_for(tokenizer, share=0.15, whole_words=True)
    batch = _first_batch(blocks, masking, 4)
    module = MaskedTraining(loaded.model, QUICK, steps=1, stage=0)
    rows: list[int] = []
    head = loaded.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda *args: rows.append(args[1][0].shape[:-1].numel()))
    with torch.no_grad():
        logits = module.masked_logits(batch)
        assert rows == [len(batch["labels"])]
        handle.remove()
        whole = loaded.model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits
    expected = whole.reshape(-1, whole.shape[-1])[batch["positions"]]
    torch.testing.assert_close(logits, expected)


def test_the_loss_of_a_step_by_hand(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    configuration = replace(QUICK, dropout=0.0, steps=1)
    stage = _stages(tmp_path)[0]
    adapt(str(finished / "klue"), [stage], out, configuration, say=quiet)
    loaded = load_masked_lm(str(finished / "klue"))
    tokenizer = loaded.tokenizer
    pieces = np.fromfile(out / "work" / "pieces" / "talk" / "training.bin", dtype=np.uint16)
    ends = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    blocks = Blocks(pieces, 24, *ends)
    masking = masking_for(tokenizer, share=0.15, whole_words=False)
    batch = _first_batch(blocks, masking, 6)
    labels = torch.full_like(batch["input_ids"], -100)
    labels.view(-1)[batch["positions"]] = batch["labels"]
    with torch.no_grad():
        answer = loaded.model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels
        )
    assert _losses(out)[0][0] == pytest.approx(float(answer.loss), rel=1e-5)


def test_largest_domain_first(finished: Path, tmp_path: Path) -> None:
    configuration = replace(QUICK, steps=1, order="largest-first", overlap_words=50)
    out = tmp_path / "out"
    adapt(str(finished / "klue"), _stages(tmp_path), out, configuration, say=quiet)
    report = _report(out)
    assert [stage["name"] for stage in report["stages"]] == ["lyrics", "talk"]
    assert report["stages"][0]["tokens"] > report["stages"][1]["tokens"]
    # The order changes neither what is held out nor what of it is masked.
    given = _report(finished / "out")["before"]
    assert report["before"] == pytest.approx(given)
    assert 0 < json.loads((out / "overlap.json").read_text())["overlap"]["lyrics"]["talk"] <= 1
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "overlap-heatmap.png" in text
    assert "overlap-chart.png" in text


def test_passes_bf16_and_whole_words(tmp_path: Path) -> None:
    kobert_skt(tmp_path / "kobert")
    stage = _stages(tmp_path)[0]
    configuration = replace(QUICK, steps=None, passes=2.0, precision="bf16", whole_words=True)
    adapt(str(tmp_path / "kobert"), [stage], tmp_path / "out", configuration, say=quiet)
    report = _report(tmp_path / "out")
    assert report["precision"] == "bf16-mixed"
    figures = report["stages"][0]
    blocks = math.ceil(figures["tokens"] / 22)
    assert figures["steps"] == round(2 * blocks / 6)
    assert figures["passes"] == pytest.approx(2.0, abs=6 / blocks)
    assert {p.dtype for p in load_backbone(str(tmp_path / "out")).model.parameters()} == {
        torch.float32
    }


def test_a_discriminator_gets_a_head_and_that_is_said(tmp_path: Path) -> None:
    kcelectra(tmp_path / "kcelectra")
    said: list[str] = []
    configuration = replace(QUICK, steps=1)
    stage = _stages(tmp_path)[0]
    adapt(str(tmp_path / "kcelectra"), [stage], tmp_path / "out", configuration, say=said.append)
    assert any("fresh one" in line for line in said)
    assert "fresh one" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert _report(tmp_path / "out")["fresh_head"]
    assert not load_masked_lm(str(tmp_path / "out")).fresh_head


def test_blocks_stay_within_the_encoder(finished: Path, tmp_path: Path) -> None:
    said: list[str] = []
    configuration = replace(QUICK, steps=1, block=512)
    stage = _stages(tmp_path)[0]
    adapt(str(finished / "klue"), [stage], tmp_path / "out", configuration, say=said.append)
    assert _report(tmp_path / "out")["block"] == 40
    assert said[0].startswith("blocks of 40 pieces")


def test_a_text_with_nothing_held_out_is_trained_on(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("오늘 너무 우울해서\n", encoding="utf-8")
    said: list[str] = []
    configuration = replace(QUICK, steps=1, held_out_share=0.0)
    stage = Stage("one", tmp_path / "one.txt")
    adapt(str(finished / "klue"), [stage], tmp_path / "out", configuration, say=said.append)
    assert _report(tmp_path / "out")["before"] == {}
    assert any("no perplexity" in line for line in said)
    assert "Perplexity" not in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_a_finished_run_is_not_run_again(finished: Path) -> None:
    said: list[str] = []
    stages = [Stage(name, finished / f"{name}.txt") for name in ("talk", "lyrics")]
    out = finished / "out"
    assert adapt(str(finished / "klue"), stages, out, QUICK, say=said.append) == out
    assert said == [f"{out} is finished already"]


def test_another_runs_folder_is_refused(finished: Path, tmp_path: Path) -> None:
    stages = _stages(tmp_path)
    out = finished / "out"
    klue(tmp_path / "other", seed=1)
    before = _losses(out)
    for encoder, given, configuration, message in (
        (finished / "klue", stages, replace(QUICK, steps=7), "steps 6 there, 7 here"),
        (finished / "klue", stages[:1], QUICK, "of the stages talk, lyrics"),
        (finished / "klue", stages[::-1], QUICK, "of the stages talk, lyrics"),
        (tmp_path / "other", stages, QUICK, "of another encoder"),
    ):
        with pytest.raises(InputError, match=message):
            adapt(str(encoder), given, out, configuration, say=quiet)
    stages[0].path.write_text("오늘\n", encoding="utf-8")
    with pytest.raises(InputError, match="talk is another text there"):
        adapt(str(finished / "klue"), stages, out, QUICK, say=quiet)
    with pytest.raises(InputError, match="not of this command"):
        adapt(str(finished / "klue"), stages, tmp_path / "other", QUICK, say=quiet)
    assert _losses(out) == before


def test_stages_that_cannot_be_are_refused(tmp_path: Path) -> None:
    klue(tmp_path / "klue")
    stage = _stages(tmp_path)[0]
    for stages, message in (
        ([], "at least one --stage"),
        ([stage, stage], "two stages are called talk"),
        ([Stage("none", tmp_path / "none.txt")], "is no file"),
    ):
        with pytest.raises(InputError, match=message):
            adapt(str(tmp_path / "klue"), stages, tmp_path / "out", QUICK, say=quiet)
    assert not (tmp_path / "out").exists()


def test_stages_are_read_from_the_command_line() -> None:
    assert Stage.parse("lyrics=a/b=c.txt") == Stage("lyrics", Path("a/b=c.txt"))
    for text in ("lyrics", "lyrics=", "=a.txt", "a b=c.txt", "../x=c.txt", "가사=c.txt"):
        with pytest.raises(InputError, match="stage"):
            Stage.parse(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": None},
        {"passes": 1.0},
        {"steps": 0},
        {"steps": None, "passes": 0.0},
        {"batch": 0},
        {"accumulate": 0},
        {"block": 2},
        {"masked_share": 0.0},
        {"masked_share": 1.0},
        {"held_out_share": 1.0},
        {"held_out_share": -0.1},
        {"warmup_share": 1.0},
        {"learning_rate": 0.0},
        {"order": "smallest-first"},
        {"precision": "16"},
        {"steps_per_checkpoint": 0},
        {"seed": -1},
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(QUICK, **changes)


def test_rates_rise_and_fall_linearly(tmp_path: Path) -> None:
    loaded = load_masked_lm(str(klue(tmp_path)))
    configuration = replace(QUICK, warmup_share=0.3)
    module = MaskedTraining(loaded.model, configuration, steps=10, stage=0)
    plan = module.configure_optimizers()
    rates = []
    for _ in range(10):
        rates.append(plan["optimizer"].param_groups[0]["lr"] / configuration.learning_rate)
        plan["optimizer"].step()
        plan["lr_scheduler"]["scheduler"].step()
    expected = [1 / 4, 2 / 4, 3 / 4, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7]
    np.testing.assert_allclose(rates, expected)
    decayed, plain = plan["optimizer"].param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.01, 0.0)
    total = sum(len(group["params"]) for group in plan["optimizer"].param_groups)
    assert total == len(list(loaded.model.parameters()))


def test_smoothing_by_hand() -> None:
    np.testing.assert_allclose(smoothed((1.0, 3.0, 5.0, 7.0), 2), [1.0, 2.0, 4.0, 6.0])
