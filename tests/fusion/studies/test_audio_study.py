"""The study of audio models on toy recordings: rows, folds, resume, figures, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
pytest.importorskip("lightning", reason="lightning is in the extra `train`")
pytest.importorskip("sklearn", reason="scikit-learn is in the extra `train`")
pytest.importorskip("matplotlib", reason="matplotlib is in the extra `train`")

from typer.testing import CliRunner  # noqa: E402

from app.cli import app  # noqa: E402
from audio_model import baseline  # noqa: E402
from audio_model.backbones import make_backbone, save_backbone  # noqa: E402
from audio_model.heads import SIX, SOURCE, head_slices  # noqa: E402
from audio_model.input_cache import Clip  # noqa: E402
from audio_model.training import RECIPE  # noqa: E402
from audio_model.windows import Spectra  # noqa: E402
from data_prep.errors import InputError, MissingDataError, ModelFolderError  # noqa: E402
from data_prep.taxonomy import native_label_set  # noqa: E402
from fusion.evaluation import audio as evaluation_audio  # noqa: E402
from fusion.evaluation import plots as evaluation_plots  # noqa: E402
from fusion.studies import (  # noqa: E402
    audio_study,
    audio_study_report,
)
from fusion.studies.audio_study import (  # noqa: E402
    AudioStudySettings,
    SimclrStart,
    network_size,
    study,
    study_rows,
)
from fusion.studies.audio_study_report import CONSTANT, JOINT, KERNEL, LINEAR, NAME  # noqa: E402

SMALL = AudioStudySettings(seeds=2, folds=(0, 1), epochs=1, batches=1)
ROWS = [
    JOINT,
    "without the embedding",
    "ravdess_song alone",
    "emotify alone",
    "emopia alone",
    "small-cnn, from nothing",
]
SIMCLR_ROWS = ["small-cnn, SimCLR, frozen", "small-cnn, SimCLR, fine-tuned"]
RUNS = len(ROWS) * 2 * 2
PNG = b"\x89PNG\r\n"
N = 30


def toy_clips() -> list[Clip]:
    """Recordings whose level says the native label; number i is in fold i modulo five."""
    clips = []
    for dataset, label_set in (
        ("ravdess_song", "ravdess_song"),
        ("emotify", "emotify"),
        ("emopia", "quadrants"),
    ):
        n = len(native_label_set(label_set).labels)
        names = [f"{dataset}-{i}" for i in range(N)]
        names += [f"{dataset}-{i}-none" for i in range(4 if dataset == "emopia" else 0)]
        for i, name in enumerate(names):
            shares = np.eye(n, dtype=np.float32)[i % n]
            log_mel = np.full((48, 320), -10.0 - 2.0 * (i % n), dtype=np.float16)
            spectra = Spectra(log_mel, np.zeros((64, 80), dtype=np.float16))
            patches = np.full((2, 200), i, dtype=np.float16)
            clips.append(Clip(dataset, name, f"g{i}", shares, spectra, patches))
    return clips


class Hearing(torch.nn.Module):
    """Says in each native head the label that the level is of; deaf: always the first."""

    def __init__(self, labels: dict[str, list[str]], hears: bool) -> None:
        super().__init__()
        self.labels, self.hears = labels, hears

    def forward(self, log_mel, salience, embedding):
        heard = ((-10.0 - log_mel.mean(dim=(1, 2))) / 2.0).round().long()
        parts = []
        for head, names in self.labels.items():
            number = heard.clamp_max(len(names) - 1) * self.hears
            if head in (SIX, SOURCE):
                number = torch.zeros_like(heard)
            parts.append(16.0 * torch.nn.functional.one_hot(number, len(names)) - 8.0)
        return torch.cat(parts, dim=1)


def all_knowing(task: evaluation_audio.AudioTask) -> dict[str, np.ndarray]:
    """Baselines that answer with the labels."""
    kinds = baseline.REGRESSORS if task.classes.are_scales else baseline.CLASSIFIERS
    return dict.fromkeys(kinds, task.classes.of_native(task.targets))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Recordings, and trainings without any work; ``trained`` names what was trained."""
    state = SimpleNamespace(trained=[], clips=toy_clips(), killed_at=None, deaf=lambda title: False)

    def train(folder, clips, configuration, *, seed, title, say, epochs_after):
        if state.killed_at == len(state.trained):
            raise KeyboardInterrupt
        state.trained.append(SimpleNamespace(**locals()))
        folder.mkdir(parents=True)
        (folder / "last.ckpt").write_text("weights")
        return Hearing(configuration.labels, hears=not state.deaf(title))

    def fold(clip: Clip) -> int | None:
        number = clip.id.rpartition("-")[2]
        return None if number == "none" else int(number) % 5

    monkeypatch.setattr(audio_study, "load_clips", lambda work: state.clips)
    monkeypatch.setattr(audio_study, "clip_fold", fold)
    monkeypatch.setattr(audio_study, "train_member", train)
    # matplotlib and scikit-learn take most of a toy study's time: one test has them
    monkeypatch.setattr(audio_study, "baseline_answers", all_knowing)
    monkeypatch.setattr(audio_study_report, "plot_bars", lambda *_: None)
    return state


@pytest.fixture
def simclr(tmp_path: Path):
    """Makes a backbone folder that says which fold it did not hear."""

    def make(held_out_fold: int | None, name: str = "simclr") -> Path:
        torch.manual_seed(0)
        provenance = {
            "held_out_fold": held_out_fold,
            "recordings": {"emotify": 24},
            "configuration": {"n_epochs": 7},
        }
        return save_backbone(make_backbone("small-cnn"), tmp_path / name, provenance=provenance)

    return make


def run(folder: Path, said: list[str], settings=SMALL, out: str = "out", **options) -> dict:
    return study(folder / out, folder / "work", settings, say=said.append, **options)


def rows_of(results: dict, table: int = 0) -> dict:
    return results["tables"][table]["rows"]


def test_the_whole_study(
    toy: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_study_report, "plot_bars", evaluation_plots.plot_bars)
    monkeypatch.setattr(audio_study, "baseline_answers", evaluation_audio.baseline_answers)
    toy.deaf = lambda title: title.startswith("without")
    said: list[str] = []
    results = run(tmp_path, said)
    assert results == json.loads((tmp_path / "out" / f"{NAME}.json").read_text(encoding="utf-8"))
    assert [each.title for each in toy.trained] == [
        f"{row}, seed {seed}, fold {fold}" for seed in (1, 2) for row in ROWS for fold in (0, 1)
    ]
    assert {each.seed for each in toy.trained} == {100, 101, 200, 201}
    assert [each.epochs_after for each in toy.trained] == list(range(RUNS - 1, -1, -1))
    for each in toy.trained:
        fold = int(each.title[-1])
        own = [name for name in toy_sets() if name in each.title] or toy_sets()
        numbers = {clip.id.rpartition("-")[2] for clip in each.clips}
        assert numbers == {str(i) for i in range(N) if i % 5 != fold}
        assert {clip.dataset for clip in each.clips} == set(own)
        assert sum(each.configuration.shares.values()) == 64
        hears_notes = each.configuration.front_end.pitch is not None
        assert hears_notes == (not each.title.startswith("small-cnn"))

    rows = rows_of(results)
    assert list(rows) == [CONSTANT, LINEAR, KERNEL, *ROWS]
    assert results["tables"][0]["counts"] == {
        **dict.fromkeys(toy_sets(), 12),
        "emopia_validation": 4,
    }
    for name in (JOINT, "small-cnn, from nothing"):
        for figure in ("ravdess_song", "emopia", "emopia_validation"):
            assert rows[name][figure] == {"mean": 1.0, "seeds": 2, "interval": [1.0, 1.0]}
        assert rows[name]["emotify"]["mean"] == pytest.approx(1.0, abs=1e-5)
    assert {n for n in rows["emotify alone"] if "six" not in n} == {"emotify"}
    assert {n for n in rows["emopia alone"] if "six" not in n} == {"emopia", "emopia_validation"}
    # the deaf one says the first label; of numbers 0, 1, 5, 6, … 26 three are of quadrant 1
    assert rows["without the embedding"]["emopia"]["mean"] == pytest.approx(3 / 12)
    assert rows["without the embedding"]["emopia_validation"]["mean"] == pytest.approx(1 / 4)
    assert rows["without the embedding"]["emotify"]["mean"] == 0.0
    assert "interval" not in rows[LINEAR]["emopia"]
    assert rows[CONSTANT]["emotify"] == {"mean": 0.0, "seeds": 1}
    assert rows[CONSTANT]["emopia_validation"]["mean"] == pytest.approx(1 / 4)
    assert rows[CONSTANT]["six_emopia"] == rows[CONSTANT]["emopia"]
    assert results["shares"]["emopia"]["mean"] == 1.0

    assert said[0].startswith(f"{JOINT}: ")
    assert "parameters" in said[0]
    assert said[len(ROWS)] == f"run 1 of {RUNS}: {JOINT}, seed 1, fold 0"
    assert said[-1] == "fitting the baselines on mel statistics …"
    text = (tmp_path / "out" / f"{NAME}.md").read_text(encoding="utf-8")
    assert "`maeum study audio --seeds 2 --folds 0,1 --epochs 1 --batches 1`" in text
    assert f"]({NAME}.png)" in text
    assert (tmp_path / "out" / f"{NAME}.png").read_bytes().startswith(PNG)
    kept = sorted(path.name for path in (tmp_path / "work" / "audio" / "study").iterdir())
    assert len(kept) == RUNS, "one record of each run, no checkpoints"


def toy_sets() -> list[str]:
    return ["ravdess_song", "emotify", "emopia"]


def test_each_fold_is_answered_by_its_own_network(toy: SimpleNamespace, tmp_path: Path) -> None:
    toy.deaf = lambda title: title.endswith("seed 2, fold 1")
    results = run(tmp_path, [], replace(SMALL, rows=("emopia alone",)))
    seeds = [each["emopia alone"] for each in results["tables"][0]["seeds"]]
    assert seeds[0]["emopia"] == 1.0
    # fold 0 heard: six right; fold 1 deaf: right for numbers 16 of 1, 6, 11, 16, 21, 26
    assert seeds[1]["emopia"] == pytest.approx(7 / 12)
    # the mean of one that hears and one that says quadrant 1: the lower of equals, quadrant 1
    assert seeds[1]["emopia_validation"] == pytest.approx(1 / 4)
    mean = (1.0 + 7 / 12) / 2
    found = rows_of(results)["emopia alone"]["emopia"]
    assert found["mean"] == pytest.approx(mean)
    # Student's t with one degree of freedom, 12.706, times half the distance of the two
    assert found["interval"][1] - mean == pytest.approx(12.7062 * 0.5 * (1 - 7 / 12), rel=1e-4)


def test_a_second_call_trains_nothing_and_writes_the_same(
    toy: SimpleNamespace, tmp_path: Path
) -> None:
    said: list[str] = []
    first = run(tmp_path, said)
    toy.killed_at = len(toy.trained)  # the next training would end it
    said.clear()
    assert run(tmp_path, said, out="again") == first
    assert f"{RUNS} of {RUNS} runs are there already" in said
    for name in ("json", "md"):
        texts = [(tmp_path / out / f"{NAME}.{name}").read_bytes() for out in ("out", "again")]
        assert texts[0] == texts[1]


def test_a_killed_study_goes_on_and_ends_the_same(toy: SimpleNamespace, tmp_path: Path) -> None:
    settings = replace(SMALL, rows=(JOINT, "emotify alone"))
    whole = run(tmp_path / "whole", [], settings)
    toy.trained.clear()
    toy.killed_at = 3
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [], settings)
    toy.killed_at = None
    said: list[str] = []
    resumed = run(tmp_path, said, settings)
    assert "3 of 8 runs are there already" in said
    assert len(toy.trained) == 8
    assert resumed["tables"] == whole["tables"]


def test_more_seeds_and_folds_keep_what_is_there(toy: SimpleNamespace, tmp_path: Path) -> None:
    run(tmp_path, [], replace(SMALL, rows=(JOINT,)))
    toy.trained.clear()
    run(tmp_path, [], replace(SMALL, rows=(JOINT,), seeds=3, folds=(2, 0, 1)))
    assert [each.title for each in toy.trained] == [
        "joint, seed 1, fold 2",
        "joint, seed 2, fold 2",
        "joint, seed 3, fold 0",
        "joint, seed 3, fold 1",
        "joint, seed 3, fold 2",
    ]


def test_what_decides_a_run(toy: SimpleNamespace, tmp_path: Path) -> None:
    settings = replace(SMALL, rows=(JOINT, "without the embedding", "emopia alone"))

    def again() -> set[str]:
        toy.trained.clear()
        run(tmp_path, [], settings)
        return {each.title.rpartition(", seed")[0] for each in toy.trained}

    assert len(again()) == 3
    assert again() == set()
    # another label of Emotify; another embedding of it; another length
    toy.clips[N] = replace(toy.clips[N], shares=np.eye(9, dtype=np.float32)[8])
    assert again() == {JOINT, "without the embedding"}
    toy.clips[N] = replace(toy.clips[N], patches=np.ones((2, 200), dtype=np.float16))
    assert again() == {JOINT}
    settings = replace(settings, batches=2)
    assert len(again()) == 3


def test_rows_of_simclr_run_on_the_fold_that_it_did_not_hear(
    toy: SimpleNamespace, simclr, tmp_path: Path
) -> None:
    toy.deaf = lambda title: "from nothing" in title
    rows = (JOINT, "small-cnn, from nothing", *SIMCLR_ROWS)
    results = run(tmp_path, [], replace(SMALL, rows=rows), simclr=simclr(1))
    own = [each for each in toy.trained if "SimCLR" in each.title]
    assert {each.title[-6:] for each in own} == {"fold 1"}
    assert [each.configuration.network.frozen for each in own[:2]] == [True, False]
    assert all(each.configuration.network.start == str(tmp_path / "simclr") for each in own)
    assert [table["folds"] for table in results["tables"]] == [[0, 1], [1]]
    assert list(rows_of(results, 0))[3:] == [JOINT, "small-cnn, from nothing"]
    assert list(rows_of(results, 1))[3:] == list(rows)
    # of fold 1 alone: numbers 1, 6, 11, 16, 21, 26, of which 16 is of quadrant 1
    # answers of baselines are cut to the same recordings
    assert rows_of(results, 1)[KERNEL]["ravdess_song"]["mean"] == 1.0
    assert rows_of(results, 1)["small-cnn, from nothing"]["emopia"]["mean"] == pytest.approx(1 / 6)
    assert results["tables"][1]["counts"]["emopia"] == 6
    told = " ".join(results["sentences"]["SimCLR"])
    assert "better on 3 of 3 data sets" in told
    assert "24 of emotify 7 times, none of fold 1" in told


def test_a_pretraining_that_heard_all_is_run_on_all_folds(
    toy: SimpleNamespace, simclr, tmp_path: Path
) -> None:
    settings = replace(SMALL, rows=tuple(SIMCLR_ROWS))
    results = run(tmp_path, [], settings, simclr=simclr(None))
    assert len(toy.trained) == 8
    assert [table["folds"] for table in results["tables"]] == [[0, 1]]
    told = results["sentences"]["SimCLR"][-1]
    assert "may have heard the held-out recordings (folds 0 and 1), without their labels" in told


def test_the_weights_decide_not_the_folder(toy: SimpleNamespace, simclr, tmp_path: Path) -> None:
    settings = replace(SMALL, rows=(SIMCLR_ROWS[0],))
    run(tmp_path, [], settings, simclr=simclr(1))
    toy.killed_at = len(toy.trained)
    run(tmp_path, [], settings, simclr=simclr(1, "elsewhere"))
    save_backbone(make_backbone("small-cnn"), tmp_path / "simclr", provenance={"held_out_fold": 1})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [], settings, simclr=tmp_path / "simclr")


def test_rows_of_another_backbone() -> None:
    start = SimclrStart(Path("x"), "resnet18", 48, "hash", 2, {}, None)
    rows = {row.name: row for row in study_rows(AudioStudySettings(), start)}
    assert list(rows) == [
        *ROWS,
        "resnet18, from nothing",
        "resnet18, SimCLR, frozen",
        "resnet18, SimCLR, fine-tuned",
    ]
    assert {name: row.folds for name, row in rows.items() if row.folds != (0, 1, 2, 3, 4)} == (
        dict.fromkeys(list(rows)[-3:], (2,))
    )
    assert rows[JOINT].configuration == RECIPE
    front_ends = {row.configuration.front_end for row in list(rows.values())[-4:]}
    assert [(f.pitch, f.windows.n_frames, f.windows.at_most) for f in front_ends] == [
        (None, 312, 12)
    ]


def test_rows_that_cannot_be(simclr) -> None:
    with pytest.raises(InputError, match=r"--rows 'jiont': expected some of 'joint', .*--simclr"):
        study_rows(replace(SMALL, rows=("jiont",)))
    start = SimclrStart.read(simclr(3))
    with pytest.raises(InputError, match=r"without fold 3.*: add 3 to --folds"):
        study_rows(SMALL, start)
    assert [row.name for row in study_rows(replace(SMALL, rows=(JOINT,)), start)] == [JOINT]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 1}, "--seeds 1: an interval needs at least two seeds"),
        ({"epochs": 0}, "--epochs 0: expected at least 1"),
        ({"folds": (0, 5)}, "--folds 0,5: expected some of 0 to 4"),
        ({"folds": ()}, "--folds : expected some of 0 to 4"),
    ],
)
def test_settings_that_make_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AudioStudySettings(**settings)


def test_sizes_of_networks() -> None:
    rows = {row.name: network_size(row.configuration) for row in study_rows(SMALL)}
    small = rows["small-cnn, from nothing"]
    # trunk, LayerNorm, 192 → 64, 64 → six, nine, four, six and three labels
    assert small["parameters"] == 384_808 + 2 * 192 + (192 + 1) * 64 + (64 + 1) * 28
    assert small["trained"] == small["parameters"]
    assert (small["receptive_bands"], small["receptive_frames"]) == (63, 63)
    assert small["receptive_s"] == pytest.approx(63 * 0.016)
    assert small["window_s"] == pytest.approx(312 * 0.016)
    assert not small["whole"]
    joint = rows[JOINT]
    # 5 frames, every 4th; then three times 3 frames, every 2nd: 5 + 2 * 4 * (1 + 2 + 4)
    assert joint["receptive_frames"] == 5 + 2 * 4 * (1 + 2 + 4)
    assert joint["whole"] == [
        "statistics of the whole window",
        "an embedding of the whole recording",
    ]
    # the embedding's 200 numbers go to 64 units and to all 28 logits
    without = rows["without the embedding"]["parameters"]
    assert joint["parameters"] - without == 200 * (64 + 28)


def test_a_frozen_backbone_trains_the_perceptron_alone(simclr) -> None:
    start = SimclrStart.read(simclr(0))
    rows = {row.name: row for row in study_rows(SMALL, start)}
    size = network_size(rows["small-cnn, SimCLR, frozen"].configuration)
    assert size["parameters"] - size["trained"] == 384_808


def test_one_real_training_of_each_kind(
    toy: SimpleNamespace, simclr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audio_model.member_training import train_member

    monkeypatch.setattr(audio_study, "train_member", train_member)
    start = SimclrStart.read(simclr(0))
    recordings = audio_study._Recordings(toy.clips)
    for row in study_rows(replace(SMALL, rows=(JOINT, SIMCLR_ROWS[0])), start):
        shares = dict.fromkeys(row.configuration.shares, 2)
        small = replace(row, configuration=replace(row.configuration, shares=shares))
        (first, *_) = audio_study._runs([small], recordings, SMALL)
        record = audio_study._train(first, tmp_path, 0, lambda line: None)
        slices = head_slices(row.configuration.labels)
        for part, n in (("held_out", 18), ("validation", 4)):
            found = np.array(record[part])
            assert found.shape == (n, 28)
            np.testing.assert_allclose(found[:, slices[SIX]].sum(axis=1), 1.0, atol=1e-4)


def test_a_damaged_record_is_named(toy: SimpleNamespace, tmp_path: Path) -> None:
    settings = replace(SMALL, rows=("emopia alone",))
    run(tmp_path, [], settings)
    path = sorted((tmp_path / "work" / "audio" / "study").glob("run-*.json"))[0]
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=f"{path.name} cannot be read.*delete it"):
        run(tmp_path, [], settings)


def test_missing_embeddings_are_told_before_anything_is_trained(
    toy: SimpleNamespace, tmp_path: Path
) -> None:
    toy.clips[-1] = replace(toy.clips[-1], patches=None)
    with pytest.raises(MissingDataError, match="has no embedding"):
        run(tmp_path, [])
    assert not toy.trained
    run(tmp_path, [], replace(SMALL, rows=("without the embedding",)))  # needs none
    command = ["study", "audio", "--out", str(tmp_path / "no"), "--work", str(tmp_path / "work")]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 2
    line = answer.stderr.splitlines()[-1]
    assert line.startswith("maeum: emopia/emopia-3-none has no embedding: run `maeum prepare audio")
    assert not (tmp_path / "no").exists()


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    command = ["study", "audio", "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    for more, message in (
        ([], "inputs.h5 is missing: run `maeum prepare audio` first"),
        (["--rows", "nothing"], "maeum: --rows 'nothing': expected some of 'joint', "),
        (["--folds", "one"], "maeum: --folds 'one': expected numbers from 0 to 4"),
        (["--simclr", str(tmp_path)], "expected a backbone folder made by `maeum pretrain audio`"),
    ):
        answer = CliRunner().invoke(app, [*command, *more])
        assert answer.exit_code == 2, answer.output
        assert message in answer.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModelFolderError):
        SimclrStart.read(tmp_path)


def test_the_command_prints_the_report(toy: SimpleNamespace, simclr, tmp_path: Path) -> None:
    command = ["study", "audio", "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    command += ["--seeds", "2", "--folds", "0", "--epochs", "1", "--batches", "1"]
    command += ["--rows", "small-cnn, from nothing", "--rows", SIMCLR_ROWS[0]]
    answer = CliRunner().invoke(app, [*command, "--simclr", str(simclr(0))])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.startswith("# Sound models over seeds\n")
    assert "| small-cnn, SimCLR, frozen | 1.000 (1.000 to 1.000) |" in answer.stdout
    assert "run 1 of 4" not in answer.stdout
    assert "run 1 of 4" in answer.stderr
