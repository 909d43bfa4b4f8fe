"""The lyric evaluation's scoring, on answers whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.data_folder import data_root
from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS
from fusion.evaluation.lyrics import MOOD_TEST, LyricTask, lyric_tasks, lyrics_markdown, score
from lyrics_model.moods import parse_moods, read_mood_file, read_moods


def _task(labels: list[int]) -> LyricTask:
    array = np.array(labels)
    reference = np.eye(6, dtype=np.float32)[array]
    return LyricTask("made up", ["text"] * len(labels), array, reference, 2, "kote")


def test_perfect_and_constant_answers() -> None:
    task = _task([0, 1, 2, 3, 4, 5] * 4)
    perfect = score(task, task.reference * 0.94 + 0.01)
    assert perfect["macro_f1"] == 1.0
    assert perfect["balanced_accuracy"] == 1.0
    assert perfect["top1"] == 1.0
    always = np.tile(np.array([0, 0, 0, 1, 0, 0], dtype=np.float32), (24, 1))
    constant = score(task, always)
    assert constant["accuracy"] == pytest.approx(1 / 6)
    assert constant["balanced_accuracy"] == pytest.approx(1 / 6)
    # One class of six has F1 = 2 * (1/6) / (1 + 1/6); the others have none.
    assert constant["macro_f1"] == pytest.approx((2 / 7) / 6)
    assert constant["recall"]["sadness"] == 1.0
    low, high = constant["macro_f1_interval"]
    assert low <= constant["macro_f1"] <= high


def test_markdown_names_every_model_and_the_ties() -> None:
    task = _task([0, 1, 2, 3])
    figures = score(task, task.reference * 0.94 + 0.01)
    text = lyrics_markdown(
        {
            "tests": [
                {"name": "a", "n": 4, "ties_left_out": 2, "models": {"ours": figures, "b": figures}}
            ],
            "parallel": {"agreement": 0.5, "chance": 0.25, "rows": 10},
        }
    )
    assert "n = 4, 2 ties left out" in text
    assert "| ours |" in text
    assert "| b |" in text
    assert "50.0%" in text
    assert "chance 25.0%" in text


def test_mood_lists_are_disjoint_and_cover_all_emotions() -> None:
    test = read_mood_file(MOOD_TEST)
    lists = {"test": test, "train": read_moods("train"), "dev": read_moods("dev")}
    for name, rows in lists.items():
        for language in ("ko", "en"):
            found = {row.emotion for row in rows if row.language == language}
            assert found == set(range(6)), f"{name} {language}"
    assert len(test) >= 60
    folded = {
        name: {"".join(row.text.lower().split()) for row in rows} for name, rows in lists.items()
    }
    assert not folded["test"] & folded["train"]
    assert not folded["test"] & folded["dev"]


def test_bad_mood_row_is_named() -> None:
    header = "text\tlanguage\temotion"
    with pytest.raises(InputError, match="line 3"):
        parse_moods([header, "fine\ten\tjoy", "no columns"], "my list")
    with pytest.raises(InputError, match="unknown emotion"):
        parse_moods([header, "fine\ten\tbliss"], "my list")
    assert parse_moods([header, "좋아\tko\t기쁨"], "my list")[0].emotion == 0


@pytest.mark.skipif(not data_root().is_dir(), reason="MAEUM_DATA is not there")
def test_tasks_hold_what_the_data_sets_hold() -> None:
    tasks = {task.name: task for task in lyric_tasks()}
    kote = tasks["KOTE test"]
    assert len(kote.texts) + kote.ties == 2_500
    assert len(tasks["KPoEM 한용운, lines"].texts) + tasks["KPoEM 한용운, lines"].ties == 1_198
    for task in tasks.values():
        assert len(task.texts) == len(task.labels) == len(task.reference)
        assert task.labels.min() >= 0
        assert task.labels.max() < len(EMOTIONS)
