"""How often an answer stays the same: by hand, with a model that hears loudness."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_model import folds
from data_prep.errors import InputError, MissingDataError
from data_prep.readers.labelled_table import label_set_of, open_recording_table
from data_prep.readers.row import ClipRow
from fusion.evaluation import audio_robustness
from fusion.evaluation.audio_robustness import (
    Recording,
    RobustnessTask,
    evaluate_robustness,
    sampled,
    stability_figures,
    task_of_table,
    tasks_of_data_sets,
)
from fusion.evaluation.emotion_classes import EmotionClasses
from fusion.evaluation.sound_changes import quieter, unchanged
from fusion.evaluation.table_answers import LeftOutRows
from tests.fusion.toy_listeners import ToyListener

SIX = EmotionClasses.of("six")
JOY, _, _, SADNESS, *_ = np.eye(6, dtype=np.float32)


def recordings_of(folder: Path, peaks: list[float], shares: list[np.ndarray]) -> list[Recording]:
    found = []
    for number, (peak, own) in enumerate(zip(peaks, shares, strict=True), start=1):
        path = folder / f"곡 {number}.wav"
        t = np.arange(16_000) / 16_000
        soundfile.write(path, (peak * np.sin(2 * np.pi * 440 * t)), 16_000, subtype="FLOAT")
        found.append(Recording(number, path, own, number % 5))
    return found


def test_stability_by_hand() -> None:
    before = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    after = np.array([[0.4, 0.6], [0.8, 0.2], [0.2, 0.8], [np.nan, np.nan]])
    figures = stability_figures(before, after)
    assert (figures["n"], figures["unchanged"], figures["no_answer"]) == (4, 2, 1)
    assert figures["share"] == 0.5
    assert figures["distance"] == pytest.approx((0.2 + 0.1 + 0.0 + 1.0) / 4)
    # Wilson's interval of 2 of 4
    assert figures["share_interval"] == pytest.approx([0.15004, 0.84996], abs=1e-4)


def test_figures_of_recordings_by_hand(tmp_path) -> None:
    # Heard as they are: 0.9 and 0.8 joy, 0.4 sadness; at -12 dB, a quarter: all sadness.
    peaks = [0.9, 0.8, 0.4, 0.02]
    own = [JOY, SADNESS, SADNESS, SADNESS]
    task = RobustnessTask("toy set", SIX, recordings_of(tmp_path, peaks, own), 9)
    listener = ToyListener()
    counted: list[int] = []

    def progress(total, unit):
        from contextlib import nullcontext

        assert (total, unit) == (4, "recordings")
        return nullcontext(counted.append)

    results = evaluate_robustness(
        tmp_path / "out",
        listener,
        [task],
        changes={"same": unchanged, "quiet": quieter},
        progress=progress,
    )
    assert sum(counted) == 4
    assert listener.members[:3] == [1, 1, 1]  # as it is and both changes, by the same member
    (test,) = results["tests"]
    assert (test["n"], test["of"], test["measure"]) == (4, 9, "accuracy")
    assert (test["before"], test["constant"]) == (0.75, 0.75)
    same, quiet = test["changes"]["same"], test["changes"]["quiet"]
    assert (same["share"], same["distance"], same["change"]) == (1.0, 0.0, 0.0)
    assert (quiet["unchanged"], quiet["no_answer"]) == (1, 1)  # the last is silence then
    gain = 1 - 10 ** (-12 / 20)
    assert quiet["distance"] == pytest.approx(((0.9 + 0.8 + 0.4) * gain + 1) / 4, abs=1e-4)
    # Of the three that have both answers: two of three right before, two of three after.
    assert (quiet["after"], quiet["change"]) == (pytest.approx(2 / 3), 0.0)
    assert json.loads(
        (tmp_path / "out" / "audio_robustness.json").read_text(encoding="utf-8")
    ) == json.loads(json.dumps(results))
    text = (tmp_path / "out" / "audio_robustness.md").read_text(encoding="utf-8")
    assert "| quiet | 25.0% (" in text
    assert "1 without answer" in text
    assert "| any, constant answer | 100.0% | 0.000 | 0.750 | +0.000 |" in text


def test_a_broken_recording_is_told_and_the_rest_is_done(tmp_path) -> None:
    recordings = recordings_of(tmp_path, [0.9, 0.7], [JOY, JOY])
    recordings[0].path.write_bytes(b"RIFF not a sound")
    task = RobustnessTask("toy set", SIX, recordings, 2)
    left_out = LeftOutRows()
    results = evaluate_robustness(
        tmp_path, ToyListener(), [task], left_out=left_out, changes={"same": unchanged}
    )
    assert results["left_out"] == {"recording that cannot be heard": 1}
    assert "곡 1.wav" in results["problems"][0]["problem"]
    assert results["tests"][0]["n"] == 1
    with pytest.raises(InputError, match="no row that can be used"):
        evaluate_robustness(
            tmp_path,
            ToyListener(),
            [RobustnessTask("toy set", SIX, recordings[:1], 1)],
            changes={"same": unchanged},
        )


def test_two_sources_are_counted_together_as_well(tmp_path) -> None:
    first = recordings_of(tmp_path, [0.9], [JOY])
    (tmp_path / "b").mkdir()
    second = recordings_of(tmp_path / "b", [0.3, 0.4, 0.2], [JOY, JOY, JOY])
    tasks = [RobustnessTask("a", SIX, first, 1), RobustnessTask("b", SIX, second, 3)]
    results = evaluate_robustness(tmp_path, ToyListener(), tasks, changes={"quiet": quieter})
    assert results["all"]["quiet"]["n"] == 4
    assert results["all"]["quiet"]["unchanged"] == 3
    text = (tmp_path / "audio_robustness.md").read_text(encoding="utf-8")
    assert "## all recordings (n = 4)" in text
    assert "| quiet | 75.0% (" in text


def test_samples_keep_the_shares_of_classes() -> None:
    shares = [JOY] * 60 + [SADNESS] * 30
    recordings = [Recording(i, Path("x"), own) for i, own in enumerate(shares)]
    chosen = sampled(recordings, SIX, 30, seed=0)
    assert len(chosen) == 30
    assert sum(each.shares[0] == 1 for each in chosen) in range(19, 22)
    numbers = [each.number for each in chosen]
    assert numbers == sorted(set(numbers))
    assert numbers == [each.number for each in sampled(recordings, SIX, 30, seed=0)]
    assert numbers != [each.number for each in sampled(recordings, SIX, 30, seed=1)]
    assert sampled(recordings, SIX, 90, seed=0) == recordings


def test_tables_with_and_without_labels(tmp_path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("audio_path\na.wav\n\nb.wav\n", encoding="utf-8")
    six = label_set_of("six")

    def opened(**options):
        return open_recording_table(path, six, audio_column="audio_path", **options)

    with pytest.raises(InputError, match="no column 'emotion'"):
        opened()
    task, left_out = task_of_table(opened(labels_needed=False))
    assert [each.path for each in task.recordings] == [tmp_path / "a.wav", tmp_path / "b.wav"]
    assert not left_out.reasons
    assert not any(each.shares.any() for each in task.recordings)
    recordings = recordings_of(tmp_path, [0.9, 0.2], [each.shares for each in task.recordings])
    results = evaluate_robustness(
        tmp_path, ToyListener(), [RobustnessTask("t", SIX, recordings, 2)], changes={"q": quieter}
    )
    assert "measure" not in results["tests"][0]
    assert (
        "accuracy"
        not in (tmp_path / "audio_robustness.md").read_text(encoding="utf-8").split("## t")[1]
    )
    path.write_text("audio_path,emotion\na.wav,joy\nb.wav,bliss\n", encoding="utf-8")
    task, left_out = task_of_table(opened(labels_needed=False))
    assert len(task.recordings) == 1
    assert left_out.reasons == {"unknown label": 1}
    path.write_text("audio_path,emotion\nb.wav,bliss\n", encoding="utf-8")
    with pytest.raises(InputError, match="'bliss' is no label"):
        task_of_table(opened())


@pytest.fixture
def data_sets(monkeypatch):
    """Two actors of RAVDESS, and an EMOPIA song of each split; no Emotify."""
    quadrant = np.eye(4, dtype=np.float32)[0]
    clips = {
        "Q1_train_0": "0qYNvMCEwaw",
        "Q1_validation_0": "02t1bj7ZABY",
    }  # songs of fold 3 and of none

    def none():
        raise MissingDataError("no emotify")

    actors = [ClipRow(f"r{i}", Path(f"r{i}"), JOY, group=f"actor-{i:02d}") for i in (1, 2)]
    songs = [ClipRow(name, Path(name), quadrant, group=group) for name, group in clips.items()]
    monkeypatch.setattr(audio_robustness.ravdess_song, "read", lambda: actors)
    monkeypatch.setattr(audio_robustness.emotify, "read", none)
    monkeypatch.setattr(audio_robustness.emopia, "read", lambda cache: songs)
    return actors


def test_our_data_sets_are_answered_out_of_fold(data_sets, tmp_path) -> None:
    said: list[str] = []
    ravdess, emopia = tasks_of_data_sets(ToyListener(), tmp_path, say=said.append)
    assert (ravdess.name, emopia.name) == ("ravdess_song", "emopia")
    for each, row in zip(ravdess.recordings, data_sets, strict=True):
        assert each.member == folds.fold_of("ravdess_song", row.group)
    assert [each.member for each in emopia.recordings] == [3, None]
    assert said == ["left out: no emotify"]


def test_a_model_of_one_member_is_heard_on_the_validation_split(data_sets, tmp_path) -> None:
    said: list[str] = []
    (task,) = tasks_of_data_sets(ToyListener(n_members=1), tmp_path, say=said.append)
    assert [each.path.name for each in task.recordings] == ["Q1_validation_0"]
    assert "only EMOPIA's validation split" in said[0]
