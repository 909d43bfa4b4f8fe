"""The label-paired benchmark: pairs of one emotion, folds that share nothing, kept answers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.readers.row import ClipRow, TextRow
from data_prep.taxonomy import EMOTIONS, native_label_set
from fusion.evaluation import paired_benchmark
from fusion.evaluation.labelled_songs import LabelledSongs
from fusion.evaluation.listening import Heard
from fusion.evaluation.paired_benchmark import (
    Answered,
    answered,
    held_out_clips,
    held_out_lines,
    paired,
)
from tests.fusion.toy_songs import made_answers

SPLITS = Path(paired_benchmark.__file__).parents[2] / "data_prep" / "splits"


def rows_of(songs: LabelledSongs, lines: Answered, clips: Answered) -> list[tuple[int, int]]:
    """Line and clip of each song, found by their answers, which are all different."""
    places = [
        {row.tobytes(): place for place, row in enumerate(side.answers)} for side in (lines, clips)
    ]
    return [
        (places[0][word.tobytes()], places[1][sound.tobytes()])
        for word, sound in zip(songs.words, songs.sound, strict=True)
    ]


@pytest.fixture(scope="module")
def sides() -> tuple[Answered, Answered]:
    return made_answers(240, seed=1), made_answers(150, seed=2, undecided=True)


def test_pairs_have_one_emotion_and_one_fold(sides) -> None:
    songs = paired(*sides, seed=1, per_emotion=40)
    assert np.bincount(songs.labels).tolist() == [40] * 6
    assert {*zip(songs.labels.tolist(), songs.folds.tolist(), strict=True)} == {
        (emotion, fold) for emotion in range(6) for fold in range(5)
    }
    for (line, clip), label, fold in zip(
        rows_of(songs, *sides), songs.labels, songs.folds, strict=True
    ):
        assert sides[0].may_be[line, label]
        assert sides[1].may_be[clip, label]
        assert sides[0].folds[line] == sides[1].folds[clip] == fold


def test_what_does_not_decide_between_two_is_paired_with_both_and_no_other(sides) -> None:
    songs = paired(*sides, seed=2, per_emotion=100)
    undecided = {i for i, may_be in enumerate(sides[1].may_be) if may_be.sum() == 2}
    labels = {
        EMOTIONS[label]
        for (_, clip), label in zip(rows_of(songs, *sides), songs.labels, strict=True)
        if clip in undecided
    }
    assert labels == {"tension", "anger"}


def test_every_line_of_an_emotion_and_fold_comes_before_any_comes_twice(sides) -> None:
    # eight lines of each emotion and fold, and five clips, ten of tension or anger
    songs = paired(*sides, seed=3, per_emotion=50)
    pairs = rows_of(songs, *sides)
    for emotion in range(6):
        for fold in range(5):
            here = np.flatnonzero((songs.labels == emotion) & (songs.folds == fold))
            for side in (0, 1):
                there = sides[side].of(emotion, fold)
                counts = Counter(pairs[song][side] for song in here)
                assert set(counts) == set(there.tolist())
                assert max(counts.values()) - min(counts.values()) <= 1


def test_a_draw_depends_on_its_seed_alone(sides) -> None:
    first, again = (paired(*sides, seed=7, per_emotion=10) for _ in range(2))
    for each in fields(first):
        np.testing.assert_array_equal(getattr(first, each.name), getattr(again, each.name))
    other = paired(*sides, seed=8, per_emotion=10)
    assert not np.array_equal(first.words, other.words)
    # groups have the same numbers in every draw, so that they are drawn alike
    for draw in (first, other):
        for (line, clip), words, sound in zip(
            rows_of(draw, *sides), draw.word_groups, draw.sound_groups, strict=True
        ):
            assert sorted(set(sides[0].groups))[words] == sides[0].groups[line]
            assert sorted(set(sides[1].groups))[sound] == sides[1].groups[clip]


def test_too_few_lines_or_an_uneven_number_are_told(sides) -> None:
    lines, clips = sides
    gone = replace(lines, folds=np.where(lines.may_be[:, 3] & (lines.folds == 2), 1, lines.folds))
    with pytest.raises(InputError, match="no line of sadness in fold 2"):
        paired(gone, clips, seed=1, per_emotion=5)
    silent = replace(clips, may_be=clips.may_be & (np.arange(6) != 5))
    with pytest.raises(InputError, match="no clip of neutral in fold 0"):
        paired(lines, silent, seed=1, per_emotion=5)
    for number in (0, 7):
        with pytest.raises(InputError, match=f"{number} songs of each emotion: .* multiple of 5"):
            paired(lines, clips, seed=1, per_emotion=number)


class NamedEmotion:
    """Answers the emotion whose name a text or path holds; keeps what it was asked."""

    def __init__(self, n_members: int = 5) -> None:
        self.model_hash = "toy"
        self.folder, self.n_members = Path("toy"), n_members
        self.asked: list[tuple[str, int | None]] = []

    def distributions(self, texts: list[str]) -> np.ndarray:
        self.asked += [(text, None) for text in texts]
        return np.stack([self._six(text) for text in texts])

    def hear_file(self, path: Path, head: str | None = None, member: int | None = None) -> Heard:
        self.asked.append((str(path), member))
        return Heard(np.stack([self._six(str(path)), np.full(6, 1 / 6, np.float32)]), None)

    def _six(self, name: str) -> np.ndarray:
        six = np.full(6, 0.1, dtype=np.float32)
        six[next(i for i, emotion in enumerate(EMOTIONS) if emotion in name)] = 0.5
        return six


def comment(number: int, text: str, label_set: str, *labels: str, language: str = "ko") -> TextRow:
    known = native_label_set(label_set)
    shares = np.zeros(len(known.labels), dtype=np.float32)
    shares[[known.index(label) for label in labels]] = 1.0
    return TextRow(f"test-{number:05d}", text, shares, "g", language)


@pytest.fixture
def toy_texts(monkeypatch) -> None:
    """One clear comment, one without a clear label, a line, and translated comments."""
    tied = comment(2, "joy and sadness", "kote", "기쁨", "슬픔")
    comments = [comment(1, "joy", "kote", "기쁨"), tied]
    monkeypatch.setattr(paired_benchmark.kote, "read", lambda split: comments)
    line = [comment(1, "sadness of a poem", "kote", "슬픔")]
    monkeypatch.setattr(paired_benchmark.kpoem, "read", lambda split, unit: line)
    translated = {
        language: [comment(i, f"anger {i}, {language}", "goemotions", "anger") for i in range(40)]
        for language in ("en", "ko")
    }
    monkeypatch.setattr(
        paired_benchmark.goemotions, "read", lambda split, language: translated[language]
    )


def test_translations_are_together_and_ties_left_out(toy_texts) -> None:
    reader = NamedEmotion()
    lines = held_out_lines(reader)
    assert [text for text, _ in reader.asked][:2] == ["joy", "sadness of a poem"]
    assert Counter(lines.sources.tolist()) == {
        "KOTE": 1,
        "KPoEM": 1,
        "GoEmotions, en": 40,
        "GoEmotions, ko": 40,
    }
    assert (lines.may_be.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(lines.may_be.argmax(axis=1), lines.answers.argmax(axis=1))
    english, korean = (lines.sources == f"GoEmotions, {language}" for language in ("en", "ko"))
    np.testing.assert_array_equal(lines.groups[english], lines.groups[korean])
    np.testing.assert_array_equal(lines.folds[english], lines.folds[korean])
    assert len(np.unique(lines.folds)) == 5
    # a comment and a line of the same number are two
    assert lines.groups[0] != lines.groups[1]


def clip(name: str, label_set: str, label: str, group: str) -> ClipRow:
    known = native_label_set(label_set)
    return ClipRow(name, Path(f"{name}.wav"), np.eye(len(known.labels))[known.index(label)], group)


@pytest.fixture
def toy_clips(monkeypatch) -> list[ClipRow]:
    """Three sung phrases of two actors, a song of each fold, and one of the validation split."""
    splits = json.loads((SPLITS / "emopia.json").read_text(encoding="utf-8"))
    trained = [fold[0] for fold in splits["folds"]]
    validation = splits["splits"]["validation"][0]
    sung = [
        clip(f"joy {actor}", "ravdess_song", "happy", f"actor-{actor:02d}") for actor in (1, 1, 2)
    ]
    played = [clip(f"anger {i}", "quadrants", "Q2", song) for i, song in enumerate(trained)]
    played.append(clip("calm new", "quadrants", "Q4", validation))
    monkeypatch.setattr(paired_benchmark.ravdess_song, "read", lambda: sung)
    monkeypatch.setattr(paired_benchmark.emopia, "read", lambda cache: played)
    return [*sung, *played]


def test_clips_are_answered_by_what_never_heard_them(toy_clips) -> None:
    listener = NamedEmotion()
    clips = held_out_clips(listener, {"ravdess_song": toy_clips[:3], "emopia": toy_clips[3:]})
    assert [name for name, _ in listener.asked] == [str(each.path) for each in toy_clips]
    members = [member for _, member in listener.asked]
    assert members[:-1] == clips.folds[:-1].tolist()
    assert members[3:8] == [0, 1, 2, 3, 4]  # a song of each fold of the training
    assert members[-1] is None  # no member heard the validation songs
    assert clips.groups[0] == clips.groups[1] != clips.groups[2]
    assert clips.folds[0] == clips.folds[1]
    said = [[EMOTIONS[i] for i in np.flatnonzero(row)] for row in clips.may_be]
    assert said == [["joy"]] * 3 + [["tension", "anger"]] * 5 + [["calm"]]
    np.testing.assert_allclose(clips.answers.sum(axis=1), 1.0, atol=1e-6)
    assert clips.answers[0, 0] == pytest.approx((0.5 + 1 / 6) / 2)


def test_a_model_that_has_heard_the_clips_is_refused(toy_clips) -> None:
    listener = NamedEmotion(n_members=1)
    with pytest.raises(InputError, match="toy has 1 members, not one for each of 5"):
        held_out_clips(listener, {"ravdess_song": toy_clips[:3], "emopia": toy_clips[3:]})
    assert not listener.asked


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_answers_are_kept_for_the_same_models(toy_texts, toy_clips, tmp_path, damage) -> None:
    reader, listener, said = NamedEmotion(), NamedEmotion(), []

    def ask() -> tuple[Answered, Answered]:
        return answered(reader, listener, tmp_path, say=said.append)

    first = ask()
    asked = SimpleNamespace(lines=len(reader.asked), clips=len(listener.asked))
    kept = ask()
    assert (len(reader.asked), len(listener.asked)) == (asked.lines, asked.clips)
    for one, other in zip(first, kept, strict=True):
        for each in fields(one):
            np.testing.assert_array_equal(getattr(one, each.name), getattr(other, each.name))
    assert sorted(path.suffix for path in (tmp_path / "fusion").iterdir()) == [".npz"] * 2
    assert not said
    listener.model_hash = "another"
    ask()
    assert (len(reader.asked), len(listener.asked)) == (asked.lines, 2 * asked.clips)
    (path,) = (tmp_path / "fusion").glob("lines-*")
    path.write_bytes(damage)
    again, _ = ask()
    assert said == [f"{path} is damaged and is made again"]
    np.testing.assert_array_equal(again.answers, first[0].answers)
    assert len(reader.asked) == 2 * asked.lines
