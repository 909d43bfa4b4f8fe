"""The lyric ablation: resume, seeds, no test text, and sentences from made-up figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("transformers")
pytest.importorskip("sklearn")

from typer.testing import CliRunner  # noqa: E402

import lyrics_model.ablation as ablation  # noqa: E402
from app.cli import app  # noqa: E402
from data_prep.errors import InputError  # noqa: E402
from data_prep.readers import goemotions, kote, kpoem, nsmc  # noqa: E402
from data_prep.readers.row import PoemRow, TextRow  # noqa: E402
from data_prep.taxonomy import native_label_set  # noqa: E402
from lyrics_model import dapt_report  # noqa: E402
from lyrics_model.ablation import AblationSettings, study  # noqa: E402
from lyrics_model.ablation_report import (  # noqa: E402
    CONSTANT,
    JSON,
    MARKDOWN,
    linear_sentence,
    nothing_learned,
    sentence,
    summarise,
    summary_of,
    verdict,
)
from lyrics_model.ablation_rows import BASE, GROUPS, LINEAR_LIMITED, TESTS, VARIANTS  # noqa: E402
from lyrics_model.specification import EncoderSpecification  # noqa: E402
from tests.lyrics_model.toy_encoders import TEXTS  # noqa: E402
from tests.lyrics_model.toy_labels import LABELS  # noqa: E402

torch.set_num_threads(1)

TOY = AblationSettings(
    seeds=2,
    steps=3,
    epochs=1,
    limit=12,
    encoder=EncoderSpecification(
        vocab_size=200,
        hidden_size=16,
        layers=4,
        attention_heads=2,
        intermediate_size=32,
        max_tokens=24,
    ),
    batch=4,
    tuning_batch=8,
)
READERS = {module: module.read for module in (kote, goemotions, kpoem)}
REVIEWS = nsmc.iter_reviews
JOBS = TOY.seeds * (3 + len(VARIANTS) + 1) + 1


def _rows(label_set: str, split: str, count: int) -> Iterator[TextRow]:
    native = native_label_set(label_set)
    labels = [native.index(label) for label in LABELS[label_set]]
    for i in range(count):
        shares = np.zeros(len(native.labels), dtype=np.float32)
        shares[labels[i % 4]] = 1.0
        text = f"{TEXTS[i % 4]} {TEXTS[4 + (i // 4) % 6]}"
        yield TextRow(f"{split}-{i}", text, shares, group=f"{split}-{i}", language="ko")


def _refuse_test(split: str | None) -> str:
    if split not in ("train", "validation"):
        raise AssertionError(f"split {split!r} was read: this study must not see test texts")
    return split


@pytest.fixture(scope="module")
def made_up() -> Iterator[None]:
    """Readers of made-up rows that refuse to read the test split, or all splits at once."""
    counts = {"train": 20, "validation": 8}

    def read_kote(split: str | None = None) -> list[TextRow]:
        return list(_rows("kote", _refuse_test(split), counts[split]))

    def read_korean(split: str | None = None, *, language: str = "en") -> list[TextRow]:
        assert language == "ko"
        return list(_rows("goemotions", _refuse_test(split), counts[split]))

    def read_poems(split: str | None = None, *, unit: str | None = None) -> list[PoemRow]:
        return [
            PoemRow(**vars(row) | {"language": "ko"}, poet="p", unit="text")
            for row in _rows("kote", _refuse_test(split), counts[split])
        ]

    patch = pytest.MonkeyPatch()
    patch.setattr(kote, "read", read_kote)
    patch.setattr(goemotions, "read", read_korean)
    patch.setattr(kpoem, "read", read_poems)
    patch.setattr(
        nsmc, "iter_reviews", lambda: ((8, f"{text} {i}") for i in range(9) for text in TEXTS)
    )
    for name in ("_draw_losses", "_draw_perplexities"):
        patch.setattr(dapt_report, name, lambda *_: None)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, made_up: None) -> SimpleNamespace:
    """A whole study, with all that it said."""
    folder = tmp_path_factory.mktemp("ablation")
    said: list[str] = []
    results = study(folder / "out", folder / "work", TOY, threads=1, say=said.append)
    return SimpleNamespace(folder=folder, said=said, results=results)


def test_one_call_makes_every_run_and_the_table(finished: SimpleNamespace) -> None:
    results = finished.results
    assert len(list((finished.folder / "work" / "runs").glob("*.json"))) == JOBS
    assert results == json.loads((finished.folder / "out" / JSON).read_text(encoding="utf-8"))
    for variant in VARIANTS:
        for test in TESTS:
            row = results["rows"][variant.name][test]
            assert row["seeds"] == TOY.seeds
            assert row["interval"][0] <= row["mean"] <= row["interval"][1]
            assert ("difference" in row) == (variant is not BASE)
    tuned = {(r["row"], r["seed"]): r for r in results["runs"] if r["kind"] == "tuning"}
    assert tuned["kote", 0]["texts"] == {"kote": 12, "kpoem": 0}
    assert tuned["kote + kpoem + goemotions-ko", 0]["texts"]["goemotions-ko"] == 12
    assert tuned["frozen", 0]["trained_parameters"] < tuned["base", 0]["trained_parameters"]
    pretrained = [r for r in results["runs"] if r["kind"] == "pretraining"]
    assert {sum(stage["steps"] for stage in r["stages"]) for r in pretrained} == {TOY.steps}


def test_the_table_names_its_command_and_every_row(finished: SimpleNamespace) -> None:
    text = (finished.folder / "out" / MARKDOWN).read_text(encoding="utf-8")
    assert "`maeum study lyrics --seeds 2 --steps 3 --epochs 1 --limit 12`" in text
    assert "never reads a test text" in text
    assert text.count("(base) |") == len(GROUPS)
    for variant in VARIANTS[1:]:
        assert f"| {variant.group} | {variant.name} | " in text
    for heading in ("Pretraining", "Frozen or full", "Heads", "Labels", "Beside a linear model"):
        assert f"- **{heading}.** " in text


def test_progress_names_the_run_and_the_time_left(finished: SimpleNamespace) -> None:
    assert any(line == f"run 4 of {JOBS}: tuning, base, seed 0" for line in finished.said)
    last = [line for line in finished.said if line.startswith("run ") and " left" in line]
    assert len(last) == JOBS
    assert last[0].endswith(" left")
    assert "more than" in last[0]
    assert last[-1].endswith("about 0 s left")


def test_a_second_call_trains_nothing_and_writes_the_same(
    finished: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished run was made again")

    for name in ("adapt", "tune", "linear_classifier"):
        monkeypatch.setattr(ablation, name, never)
    said: list[str] = []
    again = study(finished.folder / "again", finished.folder / "work", TOY, say=said.append)
    assert again == finished.results
    assert said == [f"{JOBS} of {JOBS} runs are there already"]


def test_only_what_is_missing_is_made(
    finished: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = finished.folder / "work" / "runs"
    paths = [
        path
        for path in runs.glob("*.json")
        if json.loads(path.read_text(encoding="utf-8"))["decided_by"].get("head") == "architecture1"
    ]
    assert len(paths) == TOY.seeds
    kept = json.loads(paths[0].read_text(encoding="utf-8"))["figures"]
    paths[0].unlink()
    made: list[str] = []
    original = ablation.tune

    def counting(specification, *arguments, **options):  # type: ignore[no-untyped-def]
        made.append(specification.head)
        return original(specification, *arguments, **options)

    monkeypatch.setattr(ablation, "tune", counting)
    study(finished.folder / "out", finished.folder / "work", TOY, say=lambda _: None)
    assert made == ["architecture1"]
    again = json.loads(paths[0].read_text(encoding="utf-8"))["figures"]
    assert again == kept, "the same run gives the same figures"


def test_seeds_differ_in_weights_texts_and_figures(
    tmp_path: Path, made_up: None, finished: SimpleNamespace
) -> None:
    laboratory = ablation._Laboratory(tmp_path, TOY, 1, lambda _: None)
    from lyrics_model.backbone import load_backbone

    first, second = (
        load_backbone(str(laboratory.fresh_encoder(seed))).model.get_input_embeddings().weight
        for seed in (0, 1)
    )
    assert not torch.equal(first, second)
    drawn = [
        [row.id for row in laboratory.labelled(BASE.labels, seed, TOY.limit)[0].rows["train"]]
        for seed in (0, 1)
    ]
    assert drawn[0] != drawn[1]
    assert len(drawn[0]) == TOY.limit
    pretrained = [r for r in finished.results["runs"] if r["kind"] == "pretraining"]
    measured = [json.dumps(r["perplexity"]) for r in pretrained if r["perplexity"]]
    assert len(set(measured)) == len(measured) > TOY.seeds


def test_all_runs_are_judged_on_the_same_validation_texts(tmp_path: Path, made_up: None) -> None:
    laboratory = ablation._Laboratory(tmp_path, TOY, 1, lambda _: None)
    judged = [
        {part.source.name: len(part.rows["validation"]) for part in found}
        for found in (laboratory.labelled(v.labels, 0, TOY.limit) for v in VARIANTS)
    ]
    for counts in judged:
        assert {name: counts[name] for name in TESTS} == {"kote": 8, "kpoem": 8}
        assert counts.get("goemotions-ko", 0) == 0


def test_no_file_with_test_texts_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from data_prep.data_folder import data_root

    if not (data_root() / "text" / "kote").is_dir():
        pytest.skip("the data folder (MAEUM_DATA) is not there")

    for module, read in READERS.items():  # the real ones
        monkeypatch.setattr(module, "read", read)
    monkeypatch.setattr(nsmc, "iter_reviews", REVIEWS)
    original = Path.open

    def refusing(self: Path, *arguments: object, **options: object) -> object:
        assert self.name != "test.tsv", f"{self} was opened"
        return original(self, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refusing)
    laboratory = ablation._Laboratory(tmp_path, TOY, 1, lambda _: None)
    assert all(not part.rows["test"] for part in laboratory.rows.values())
    ids = {row.id for row in kpoem.read("test")}  # lies in the same file as the others
    read = {
        row.id for split in ("train", "validation") for row in laboratory.rows["kpoem"].rows[split]
    }
    assert read
    assert not ids & read


@pytest.mark.parametrize(
    ("interval", "expected"),
    [((0.001, 0.02), "higher"), ((-0.02, -0.001), "lower"), ((-0.01, 0.01), "none")],
)
def test_a_verdict_needs_an_interval_without_zero(
    interval: tuple[float, float], expected: str
) -> None:
    assert verdict(interval) == expected


def test_summary_by_hand() -> None:
    summary = summary_of([0.30, 0.34, 0.32], [0.28, 0.31, 0.30])
    assert summary["mean"] == pytest.approx(0.32)
    assert summary["difference"] == pytest.approx(0.07 / 3)
    # Student's t of 2 degrees at 97.5% is 4.3027; deviations 0.02 and 0.01 / sqrt(3).
    half = 4.3027 * 0.02 / 3**0.5
    assert summary["interval"] == pytest.approx([0.32 - half, 0.32 + half], abs=1e-5)
    half = 4.3027 * np.std([0.02, 0.03, 0.02], ddof=1) / 3**0.5
    assert summary["difference_interval"] == pytest.approx(
        [0.07 / 3 - half, 0.07 / 3 + half], abs=1e-5
    )


def _row(kote_ends: tuple[float, float], kpoem_ends: tuple[float, float]) -> dict:
    return {
        test: {"difference": sum(ends) / 2, "difference_interval": list(ends)}
        for test, ends in (("kote", kote_ends), ("kpoem", kpoem_ends))
    }


def test_sentences_from_made_up_figures() -> None:
    of = {variant.name: variant for variant in VARIANTS}
    worse_without = sentence(of["none"], _row((-0.04, -0.02), (-0.03, 0.01)))
    assert worse_without == (
        "Pretraining in all stages helped on KOTE (+0.030, +0.020 to +0.040); "
        "no difference can be shown on KPoEM (+0.010, -0.010 to +0.030)."
    )
    added = sentence(of["kote + kpoem + goemotions-ko"], _row((-0.02, 0.02), (-0.05, -0.01)))
    assert added == (
        "Labels of GoEmotions (ko) beside those of KOTE and KPoEM harmed on KPoEM "
        "(-0.030, -0.050 to -0.010); no difference can be shown on KOTE "
        "(0.000, -0.020 to +0.020)."
    )
    nothing = sentence(of["reverse order"], _row((-0.02, 0.02), (-0.01, 0.03)))
    assert nothing == (
        "Going towards the lyrics, not away from them: no difference can be shown on KOTE "
        "(0.000, -0.020 to +0.020) and on KPoEM (-0.010, -0.030 to +0.010)."
    )
    both = sentence(of["cls"], _row((-0.03, -0.01), (0.01, 0.03)))
    assert both == (
        "The head architecture2 in place of cls helped on KOTE (+0.020, +0.010 to +0.030) and "
        "harmed on KPoEM (-0.020, -0.030 to -0.010)."
    )


def test_what_helped_twice_is_said_once() -> None:
    frozen = next(variant for variant in VARIANTS if variant.frozen)
    assert sentence(frozen, _row((-0.03, -0.01), (-0.05, -0.01))) == (
        "Training the encoder, not its head alone, helped on KOTE (+0.020, +0.010 to +0.030) and "
        "on KPoEM (+0.030, +0.010 to +0.050)."
    )


def test_rows_that_learned_nothing_are_named() -> None:
    rows = {
        CONSTANT: {"kote": {"mean": 0.10}, "kpoem": {"mean": 0.08}},
        "base": {"kote": {"mean": 0.20}, "kpoem": {"mean": 0.15}},
        "frozen": {"kote": {"mean": 0.09}, "kpoem": {"mean": 0.08}},
        "kote": {"kote": {"mean": 0.20}, "kpoem": {"mean": 0.07}},
    }
    assert nothing_learned(rows) == ["frozen"]


def test_the_linear_model_is_compared_in_words() -> None:
    linear = _row((0.05, 0.07), (-0.01, 0.02))
    for test in TESTS:
        linear[test]["mean"] = 0.3
    base = {test: {"mean": 0.31} for test in TESTS}
    said = linear_sentence({LINEAR_LIMITED: linear, "base": base})
    assert said == [
        "The linear model on the same texts is better than the base on KOTE "
        "(+0.060, +0.050 to +0.070) and cannot be told from the base on KPoEM "
        "(+0.005, -0.010 to +0.020)."
    ]
    base = {test: {"mean": 0.2} for test in TESTS}
    assert "No row reaches it" in linear_sentence({LINEAR_LIMITED: linear, "base": base})[1]


def test_differences_are_paired_by_seed() -> None:
    values = {"base": (0.2, 0.4), "frozen": (0.1, 0.3)}
    records = [
        {
            "kind": "tuning",
            "row": row,
            "seed": seed,
            "seconds": 1.0,
            "figures": {"macro_f1": {"kote": value, "kpoem": value}},
        }
        for row, several in values.items()
        for seed, value in enumerate(several)
    ]
    rows = summarise(records, {"kote": 0.1, "kpoem": 0.1})["rows"]
    difference = rows["frozen"]["kote"]
    assert difference["difference"] == pytest.approx(-0.1)
    assert difference["difference_interval"] == pytest.approx([-0.1, -0.1])
    low, high = difference["interval"]
    assert low < 0 < high, "over seeds the figures themselves vary far more"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 1}, "--seeds 1: an interval needs at least two seeds"),
        ({"steps": 100}, "--steps 100: expected a multiple of 3"),
        ({"steps": 0}, "--steps 0: expected a multiple of 3"),
        ({"epochs": 0}, "--epochs 0: expected at least 1"),
        ({"limit": -1}, "--limit -1: expected at least 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AblationSettings(**settings)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    arguments = ["study", "lyrics", "--out", str(tmp_path / "out"), "--seeds", "1"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 2
    assert "maeum: --seeds 1: an interval needs at least two seeds\n" in answer.output
    assert not (tmp_path / "out").exists()


def test_a_damaged_record_is_named(finished: SimpleNamespace, made_up: None) -> None:
    path = finished.folder / "work" / "runs" / "0000.json"
    path.write_text("{", encoding="utf-8")
    try:
        with pytest.raises(InputError, match=r"0000\.json cannot be read.*delete it"):
            study(finished.folder / "out", finished.folder / "work", TOY, say=lambda _: None)
    finally:
        path.unlink()
