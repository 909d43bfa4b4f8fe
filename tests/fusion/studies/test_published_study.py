"""The study of the published audio branch on toy recordings: resume, figures, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")
pytest.importorskip("lightning", reason="lightning is in the extra `train`")
pytest.importorskip("matplotlib", reason="matplotlib is in the extra `train`")

from typer.testing import CliRunner  # noqa: E402

from app.cli import app  # noqa: E402
from audio_model.heads import head_slices  # noqa: E402
from audio_model.input_cache import Clip  # noqa: E402
from audio_model.windows import Spectra  # noqa: E402
from data_prep.data_folder import VARIABLE  # noqa: E402
from data_prep.errors import InputError  # noqa: E402
from data_prep.taxonomy import EMOTIONS, native_label_set  # noqa: E402
from fusion.evaluation import plots as evaluation_plots  # noqa: E402
from fusion.evaluation.lyrics import LyricTask  # noqa: E402
from fusion.studies import (  # noqa: E402
    published_study,
    published_study_report,
    published_words,
)
from fusion.studies.published_study import PublishedSettings, corrected, study  # noqa: E402
from fusion.studies.published_study_report import CONSTANT_PEOPLE, CONSTANT_WORDS, NAME  # noqa: E402
from fusion.studies.published_words import SADNESS  # noqa: E402

SETTINGS = PublishedSettings(seeds=2, epochs=1, batches=1)
RUNS = 8
PNG = b"\x89PNG\r\n"


def toy_clips() -> list[Clip]:
    """Recordings whose level says the emotion; those of number i are in fold i modulo five."""
    clips = []
    for dataset, label_set in (
        ("ravdess_song", "ravdess_song"),
        ("emotify", "emotify"),
        ("emopia", "quadrants"),
    ):
        known = native_label_set(label_set)
        for i in range(20):
            native = i % len(known.labels)
            if dataset == "emotify":
                native = known.labels.index(("joyful_activation", "calmness", "sadness")[i % 3])
            shares = np.eye(len(known.labels))[native].astype(np.float32)
            emotion = known.targets[native][0]
            log_mel = np.full((48, 320), -10.0 - 5.0 * emotion, dtype=np.float16)
            spectra = Spectra(log_mel, np.zeros((64, 80), dtype=np.float16))
            clips.append(Clip(dataset, f"{dataset}-{i}", f"g{i}", shares, spectra))
    # of no fold, as EMOPIA's validation split
    return [*clips, replace(clips[-1], id="emopia-none")]


class Hearing(torch.nn.Module):
    """Answers what the level says; or sadness, nearly always and most of all to sadness."""

    def __init__(self, labels: dict[str, list[str]], hears: bool) -> None:
        super().__init__()
        self.n_logits = sum(len(names) for names in labels.values())
        self.six, self.hears = head_slices(labels)["six"], hears

    def forward(self, log_mel, *others):
        assert not others[0].numel(), "the front end has no note spectrograms"
        emotions = ((-10.0 - log_mel.mean(dim=(1, 2))) / 5.0).round().long()
        logits = torch.zeros(len(log_mel), self.n_logits)
        six = torch.nn.functional.one_hot(emotions, 6).float()
        logits[:, self.six] = (8.0 if self.hears else 0.5) * six
        if not self.hears:
            logits[:, self.six.start + SADNESS] += 3.0
        return logits


class Reader:
    """Answers the emotion whose name a text holds."""

    model_hash = "reader"

    def distributions(self, texts: list[str]) -> np.ndarray:
        six = np.full((len(texts), 6), 0.1, dtype=np.float32)
        for row, text in zip(six, texts, strict=True):
            row[next(i for i, name in enumerate(EMOTIONS) if name in text)] = 0.5
        return six


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Recordings, texts and trainings without any work; ``trained`` names what was trained."""
    labels = np.repeat(np.arange(6), 4)
    texts = [f"{EMOTIONS[e]} {i}" for i, e in enumerate(labels)]
    task = LyricTask("toy", texts, labels, np.eye(6, dtype=np.float32)[labels], 0, "toy")
    state = SimpleNamespace(trained=[], clips=toy_clips(), killed_at=None)

    def train(folder, clips, configuration, *, seed, title, say, epochs_after):
        if state.killed_at == len(state.trained):
            raise KeyboardInterrupt
        state.trained.append((title, len(clips), configuration, epochs_after))
        folder.mkdir(parents=True)
        (folder / "last.ckpt").write_text("weights")
        return Hearing(configuration.labels, hears=title.startswith("sound"))

    def fold(clip: Clip) -> int | None:
        number = clip.id.rpartition("-")[2]
        return None if number == "none" else int(number) % 5

    monkeypatch.setenv(VARIABLE, str(tmp_path / "data"))
    monkeypatch.setattr(published_words, "lyric_tasks", lambda moods: [task])
    monkeypatch.setattr(published_study, "load_clips", lambda work: state.clips)
    monkeypatch.setattr(published_study, "clip_fold", fold)
    monkeypatch.setattr(published_study, "train_member", train)
    # matplotlib takes most of a toy study's time: one test draws
    monkeypatch.setattr(published_study_report, "plot_bars", lambda *_: None)
    return state


def run(folder: Path, said: list[str], out: str = "out") -> dict:
    return study(folder / out, folder / "work", SETTINGS, predictor=Reader(), say=said.append)


def test_the_whole_study(
    toy: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published_study_report, "plot_bars", evaluation_plots.plot_bars)
    said: list[str] = []
    results = run(tmp_path, said)
    assert results == json.loads((tmp_path / "out" / f"{NAME}.json").read_text(encoding="utf-8"))
    assert [title for title, *_ in toy.trained] == [
        f"{arm}{weights}, seed {seed}"
        for seed in range(2)
        for arm in ("words", "sound")
        for weights in ("", ", class weights")
    ]
    # four folds of five of sixty recordings; epochs of the runs still to come
    assert {n for _, n, *_ in toy.trained} == {48}
    assert [after for *_, after in toy.trained] == list(range(RUNS - 1, -1, -1))
    heads = {title.partition(",")[0]: list(c.labels) for title, _, c, _ in toy.trained}
    assert heads["words"] == ["six"]
    assert heads["sound"] == ["ravdess_song", "emotify", "quadrants", "six", "source"]
    assert {c.balance for *_, c, _ in toy.trained} == {"none", "weights"}

    rows = results["rows"]
    assert list(rows)[:2] == [CONSTANT_WORDS, CONSTANT_PEOPLE]
    assert len(rows) == 10
    # the network that hears is right throughout, the other says sadness as the constant does
    assert rows["sound"]["ravdess_song"]["mean"] == rows["sound"]["emopia"]["mean"] == 1.0
    assert rows["words"]["says_sadness"]["mean"] == 1.0
    for figure in ("top1", "macro_f1"):
        assert rows["words"][figure] == rows[CONSTANT_WORDS][figure]
    # divided by its mean answer, it says what little it heard
    assert rows["words, prior corrected"]["ravdess_song"]["mean"] == 1.0
    assert results["words"]["say"][SADNESS] == pytest.approx(47 / 60)  # 0.784 of 60
    assert results["recordings"] == {"ravdess_song": 20, "emotify": 20, "emopia": 20}

    assert said[0].startswith("24 of 24 texts read")
    assert said[1].startswith("published figures left out: ")
    assert "2015lyric.npy is missing" in said[1]
    assert said[2] == f"run 1 of {RUNS}: words, seed 0"
    assert said[-1] == f"run {RUNS} of {RUNS} took 0 s; about 0 s left"
    text = (tmp_path / "out" / f"{NAME}.md").read_text(encoding="utf-8")
    assert "`maeum study published-audio --seeds 2 --epochs 1 --batches 1`" in text
    for plot in ("words", "sound", "labels"):
        assert f"]({NAME}_{plot}.png)" in text
        assert (tmp_path / "out" / f"{NAME}_{plot}.png").read_bytes().startswith(PNG)
    kept = sorted(path.name for path in (tmp_path / "work" / "published").iterdir())
    assert len(kept) == RUNS + 1, "one record of each run and the texts' answers, no checkpoints"


def test_a_second_call_trains_nothing_and_writes_the_same(
    toy: SimpleNamespace, tmp_path: Path
) -> None:
    said: list[str] = []
    first = run(tmp_path, said)
    toy.killed_at = len(toy.trained)  # the next training would end it
    said.clear()
    assert run(tmp_path, said, "again") == first
    assert said[1:] == [f"{RUNS} of {RUNS} runs are there already"]
    for name in ("json", "md"):
        texts = [(tmp_path / out / f"{NAME}.{name}").read_bytes() for out in ("out", "again")]
        assert texts[0] == texts[1]


def test_a_killed_study_goes_on_and_ends_the_same(toy: SimpleNamespace, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", [])
    toy.trained.clear()
    toy.killed_at = 3
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, [])
    toy.killed_at = None
    said: list[str] = []
    resumed = run(tmp_path, said)
    assert f"3 of {RUNS} runs are there already" in said
    assert len(toy.trained) == RUNS
    assert resumed["rows"] == whole["rows"]


def test_other_labels_are_another_run(toy: SimpleNamespace, tmp_path: Path) -> None:
    run(tmp_path, [])
    toy.trained.clear()
    toy.clips[0] = replace(toy.clips[0], shares=np.eye(6, dtype=np.float32)[5])
    run(tmp_path, [])
    assert len([title for title, *_ in toy.trained if title.startswith("sound")]) == 4


def test_published_figures_stand_on_top(toy: SimpleNamespace, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "published_vectors"
    folder.mkdir(parents=True)
    words = np.full((4, 6), 0.1, dtype=np.float32)
    words[np.arange(4), [SADNESS, SADNESS, 0, 1]] = 0.5
    np.save(folder / "2015lyric.npy", words)
    np.save(folder / "2015mel.npy", words[[0, 0, 0, 0]])
    results = run(tmp_path, [])
    assert results["published"]["model"]["top1"] == 0.5
    assert results["words"]["sad_share"] == 0.5
    assert results["words"]["say"][SADNESS] == 0.5
    text = (tmp_path / "out" / f"{NAME}.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[2].startswith("| published: audio model | 0.500 |")
    assert table[3].startswith("| published: constant (mean lyric vector) | 0.500 |")


def test_prior_correction_by_hand() -> None:
    answer = np.array([[0.1, 0.1, 0.1, 0.6, 0.05, 0.05]])
    prior = [0.1, 0.1, 0.1, 0.5, 0.1, 0.1]
    # 1, 1, 1, 1.2, 0.5, 0.5: sum 5.2
    wanted = np.array([[1.0, 1.0, 1.0, 1.2, 0.5, 0.5]]) / 5.2
    np.testing.assert_allclose(corrected(answer, prior), wanted, atol=1e-6)


def test_one_real_training_of_each_arm(
    toy: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audio_model.member_training import train_member

    monkeypatch.setattr(published_study, "train_member", train_member)
    clips = published_study._clips(tmp_path)
    pool = published_words.read_pool(Reader(), tmp_path, say=lambda line: None)
    words = published_study._Words.of(clips, pool, 0.784, 0)
    runs = published_study._runs(clips, words, SETTINGS, 0)
    assert len({each.key for each in runs}) == 4
    for each in (runs[1], runs[2]):  # of words with class weights, of sound without
        small = replace(each.configuration, shares=dict.fromkeys(each.configuration.shares, 2))
        record = published_study._train(
            replace(each, configuration=small), tmp_path, 0, lambda line: None
        )
        answers = np.array(record["answers"])
        assert answers.shape == (12, 6)
        np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-4)
        assert sum(record["prior"]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 1}, "--seeds 1: an interval needs at least two seeds"),
        ({"epochs": 0}, "--epochs 0: expected at least 1"),
        ({"batches": -2}, "--batches -2: expected at least 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PublishedSettings(**settings)


def test_a_damaged_record_is_named(toy: SimpleNamespace, tmp_path: Path) -> None:
    run(tmp_path, [])
    path = sorted((tmp_path / "work" / "published").glob("run-*.json"))[0]
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=f"{path.name} cannot be read.*delete it"):
        run(tmp_path, [])


def test_the_command_says_what_is_missing_in_one_line(tmp_path: Path) -> None:
    arguments = ["study", "published-audio", "--out", str(tmp_path / "out")]
    answer = CliRunner().invoke(app, [*arguments, "--work", str(tmp_path / "work")])
    assert answer.exit_code == 2
    assert "inputs.h5 is missing: run `maeum prepare audio` first" in answer.output
    answer = CliRunner().invoke(app, [*arguments, "--seeds", "1"])
    assert answer.exit_code == 2
    assert "maeum: --seeds 1: an interval needs at least two seeds\n" in answer.output
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_report(
    toy: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        published_study.LyricPredictor, "load", classmethod(lambda cls, **_: Reader())
    )
    arguments = ["study", "published-audio", "--out", str(tmp_path / "out"), "--seeds", "2"]
    arguments += ["--work", str(tmp_path / "work"), "--epochs", "1", "--batches", "1"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    assert "# Why the published audio branch failed" in answer.stdout
    assert "run 1 of 8" not in answer.stdout
    assert "run 1 of 8" in answer.stderr
