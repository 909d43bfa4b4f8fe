"""Teachers: their mean answers, kept for a later start, and what becomes of the targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer

from data_prep.errors import InputError
from data_prep.readers.row import TextRow
from lyrics_model import examples as module
from lyrics_model import teachers
from lyrics_model.examples import SOURCES, Teaching, build_examples
from lyrics_model.moods import MoodRow
from lyrics_model.specification import (
    EncoderSpecification,
    LyricModelSpecification,
    NgramSpecification,
)
from lyrics_model.teachers import kept_answers, mean_answers
from lyrics_model.tokens import train_tokenizer

HEADS = ("six", "goemotions", "kote")
SIZES = {"six": 6, "goemotions": 28, "kote": 44}


class Saying:
    """Answers one number everywhere."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.card = SimpleNamespace(labels=dict.fromkeys(HEADS, ()))
        self.asked = 0

    def native(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        self.asked += len(texts)
        return {
            head: np.full((len(texts), size), self.value, dtype=np.float32)
            for head, size in SIZES.items()
        }


def test_teachers_answer_their_mean_and_say_how_long_it_takes() -> None:
    lines: list[str] = []
    pair = [Saying(0.2), Saying(0.4)]
    found = mean_answers(pair, ["가", "나"], say=lines.append)  # type: ignore[arg-type]
    assert {head: rows.shape for head, rows in found.items()} == {
        head: (2, size) for head, size in SIZES.items()
    }
    np.testing.assert_allclose(found["kote"], 0.3, rtol=1e-6)
    assert "left" in lines[-1]


def test_answers_are_kept_and_asked_again_when_texts_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = Saying(0.5)
    monkeypatch.setattr(teachers, "load_teachers", lambda folders, heads: [teacher])
    monkeypatch.setattr(teachers, "folder_hash", str)
    path = tmp_path / "kept" / "teachers.npz"
    texts = ["가", "나", "가"]
    first = kept_answers(path, [tmp_path], HEADS, texts, say=lambda line: None)
    assert teacher.asked == 2  # the same text once
    again = kept_answers(path, [tmp_path], HEADS, texts)
    assert teacher.asked == 2
    np.testing.assert_array_equal(first["six"], again["six"])
    assert len(again["six"]) == 3
    kept_answers(path, [tmp_path], HEADS, ["다"], say=lambda line: None)
    assert teacher.asked == 3


def test_a_teacher_without_a_head_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers.LyricPredictor, "load", lambda folder: Saying(0.5))
    with pytest.raises(InputError, match="no head aihub"):
        teachers.load_teachers([tmp_path], [*HEADS, "aihub"])


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    """Two texts of each set instead of the data folder."""
    kote = np.zeros((2, 44), dtype=np.float32)
    kote[:, 5] = 1.0  # 슬픔
    go = np.zeros((2, 28), dtype=np.float32)
    go[:, 17] = 1.0  # joy

    def rows(name: str, shares: np.ndarray) -> list[TextRow]:
        return [TextRow(f"{name}{i}", f"{name} 글 {i}", shares[i], name, "ko") for i in range(2)]

    monkeypatch.setattr(module.kote, "read", lambda split: rows("kote", kote))
    monkeypatch.setattr(module.kpoem, "read", lambda split: rows("kpoem", kote))
    monkeypatch.setattr(
        module.goemotions,
        "read",
        lambda split, language: [
            TextRow(f"g{i}", f"{language} 글 {i}", go[i], "go", language) for i in range(2)
        ],
    )
    monkeypatch.setattr(module, "read_moods", lambda split: [MoodRow("오늘 우울해", "ko", 3)])
    return train_tokenizer(["글 0 1 en ko kote kpoem 오늘 우울해 좋은 영화"] * 4, 80)


def test_targets_with_and_without_teachers(texts: Tokenizer) -> None:
    specification = LyricModelSpecification(
        EncoderSpecification(80, 16, 1, 2, 32, 24), NgramSpecification(buckets=64)
    )
    plain = build_examples("train", texts, specification)
    assert np.isnan(plain.targets["kote"][plain.sources == SOURCES.index("moods")]).all()
    asked = module.labelled_texts("train")
    assert len(asked) == len(plain)
    answers = {
        head: np.full((len(asked) + 1, size), 1 / size, dtype=np.float32)
        for head, size in SIZES.items()
    }
    found = build_examples(
        "train", texts, specification, Teaching(["좋은 영화"], answers, 0.5, 0.0)
    )
    assert len(found) == len(plain) + 1
    assert not any(np.isnan(rows).any() for rows in found.targets.values())
    kote = found.sources == SOURCES.index("kote")
    np.testing.assert_allclose(found.targets["kote"][kote, 5], 0.5 + 0.5 / 44, rtol=1e-5)
    np.testing.assert_allclose(found.targets["goemotions"][kote], 1 / 28, rtol=1e-5)
    assert found.labelled["kote"][kote].all()
    assert not found.labelled["goemotions"][kote].any()
    moods = found.sources == SOURCES.index("moods")
    np.testing.assert_array_equal(found.targets["six"][moods, 3], 1.0)  # labels that are certain
    assert found.sources[-1] == SOURCES.index("reviews")
    assert not any(known[-1] for known in found.labelled.values())
    np.testing.assert_allclose(found.prior(SOURCES.index("reviews")), 1 / 6, rtol=1e-5)


def test_teachers_get_the_prior_back_that_they_were_freed_of(texts: Tokenizer) -> None:
    specification = LyricModelSpecification(
        EncoderSpecification(80, 16, 1, 2, 32, 24), NgramSpecification(buckets=64)
    )
    n = len(module.labelled_texts("train"))
    answers = {head: np.full((n, size), 1 / size, dtype=np.float32) for head, size in SIZES.items()}
    plain = build_examples("train", texts, specification)
    found = build_examples("train", texts, specification, Teaching([], answers, 1.0, 1.0))
    kote = SOURCES.index("kote")
    np.testing.assert_allclose(
        found.targets["six"][found.sources == kote][0], plain.prior(kote), rtol=1e-5
    )
