"""Which words a recording is given, and which texts count."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from audio_model.input_cache import Clip
from audio_model.windows import Spectra
from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS, native_label_set
from fusion.evaluation.lyrics import LyricTask
from fusion.studies import published_words
from fusion.studies.published_words import SADNESS, assign, fitting_share, read_pool

JOY, TENSION, CALM, _, ANGER, NEUTRAL = range(6)
POOL = np.repeat(np.arange(6), 5)  # five texts of each emotion


def clip(dataset: str, shares: list[float], number: int = 0) -> Clip:
    spectra = Spectra.without_notes(np.zeros((48, 4), dtype=np.float16))
    return Clip(dataset, str(number), "g", np.array(shares, dtype=np.float32), spectra)


def quadrants(quadrant: int, n: int) -> list[Clip]:
    return [clip("emopia", np.eye(4)[quadrant].tolist(), i) for i in range(n)]


def sung(emotion: str, n: int) -> list[Clip]:
    labels = native_label_set("ravdess_song").labels
    return [clip("ravdess_song", np.eye(6)[labels.index(emotion)].tolist(), i) for i in range(n)]


def given(clips: list[Clip], sad_share: float, pool: np.ndarray = POOL, seed: int = 0) -> list[int]:
    return pool[assign(clips, pool, sad_share=sad_share, seed=seed)].tolist()


def test_the_share_of_sad_words_is_exact_whatever_the_sound_is() -> None:
    clips = sung("happy", 60) + sung("sad", 20) + quadrants(1, 20)
    for share, wanted in ((0.784, 78), (0.5, 50), (1.0, 100)):
        assert Counter(given(clips, share))[SADNESS] == wanted
    # the twenty that sound sad have sad words among the others too
    assert Counter(given(clips, 0.0)) == {SADNESS: 20, JOY: 60} | {
        key: n for key, n in Counter(given(clips, 0.0)).items() if key in (TENSION, ANGER)
    }


def test_other_words_fit_the_sound_and_unions_give_either() -> None:
    assert set(given(quadrants(1, 40), 0.0)) == {TENSION, ANGER}
    assert set(given(quadrants(3, 10), 0.0)) == {CALM}
    assert set(given(sung("fearful", 10), 0.0)) == {TENSION}
    assert set(given(sung("neutral", 10), 0.0)) == {NEUTRAL}
    # without a text of tension anger is left; without either, anything but sadness
    assert set(given(quadrants(1, 20), 0.0, POOL[POOL != TENSION])) == {ANGER}
    neither = POOL[(POOL != TENSION) & (POOL != ANGER)]
    assert set(given(quadrants(1, 60), 0.0, neither)) == {JOY, CALM, NEUTRAL}


def test_soft_labels_are_drawn_by_their_shares() -> None:
    labels = native_label_set("emotify").labels
    shares = [0.0] * 9
    shares[labels.index("calmness")] = 0.6
    shares[labels.index("tension")] = 0.2
    drawn = Counter(given([clip("emotify", shares, i) for i in range(2_000)], 0.0))
    assert set(drawn) == {CALM, TENSION, ANGER}
    assert drawn[CALM] / 2_000 == pytest.approx(0.75, abs=0.04)
    assert drawn[TENSION] / drawn[ANGER] == pytest.approx(1.0, abs=0.3)
    # nobody heard anything: any words but sad ones
    assert SADNESS not in given([clip("emotify", [0.0] * 9, i) for i in range(50)], 0.0)


def test_texts_are_used_as_rarely_as_possible_and_seeds_differ() -> None:
    clips = sung("happy", 12)
    first = assign(clips, POOL, sad_share=0.0, seed=1)
    assert sorted(Counter(first.tolist()).values()) == [2, 2, 2, 3, 3]
    np.testing.assert_array_equal(first, assign(clips, POOL, sad_share=0.0, seed=1))
    assert first.tolist() != assign(clips, POOL, sad_share=0.0, seed=2).tolist()


def test_how_often_words_fit() -> None:
    clips = [*sung("happy", 1), *quadrants(1, 2)]
    assert fitting_share(clips, np.array([JOY, ANGER, SADNESS])) == pytest.approx(2 / 3)


class Reader:
    """Answers the emotion whose name a text holds; it takes "calm" for neutral."""

    model_hash = "reader"

    def __init__(self) -> None:
        self.read = 0

    def distributions(self, texts: list[str]) -> np.ndarray:
        self.read += len(texts)
        six = np.full((len(texts), 6), 0.1, dtype=np.float32)
        for row, text in zip(six, texts, strict=True):
            said = next(i for i, name in enumerate(EMOTIONS) if name in text)
            row[NEUTRAL if said == CALM else said] = 0.5
        return six


def tasks_of(emotions: list[int]) -> list[LyricTask]:
    texts = [f"{EMOTIONS[e]} {i}" for i, e in enumerate(emotions)]
    reference = np.eye(6, dtype=np.float32)[emotions]
    return [LyricTask("toy", texts, np.array(emotions), reference, 0, "toy")]


def test_only_texts_are_used_that_the_model_reads_as_people_do(tmp_path, monkeypatch) -> None:
    tasks = tasks_of([JOY, SADNESS, CALM, SADNESS, CALM])
    asked = []
    monkeypatch.setattr(published_words, "lyric_tasks", lambda moods: asked.append(moods) or tasks)
    lines: list[str] = []
    reader = Reader()
    pool = read_pool(reader, tmp_path / "new", say=lines.append)
    assert pool.texts == ("joy 0", "sadness 1", "sadness 3")
    assert pool.emotions.tolist() == [JOY, SADNESS, SADNESS]
    assert pool.answers.argmax(axis=1).tolist() == pool.emotions.tolist()
    assert pool.read.tolist() == [1, 0, 2, 2, 0, 0]
    assert lines == ["5 of 5 texts read, 0 s left"]
    assert not asked[0].exists(), "sentences about moods are left out"
    again = read_pool(reader, tmp_path / "new", say=lines.append)
    assert (reader.read, again.texts, len(lines)) == (5, pool.texts, 1)


@pytest.mark.parametrize("emotions", [[JOY, ANGER], [SADNESS, CALM], [CALM]])
def test_texts_of_sadness_and_of_something_else_are_needed(tmp_path, monkeypatch, emotions) -> None:
    monkeypatch.setattr(published_words, "lyric_tasks", lambda moods: tasks_of(emotions))
    with pytest.raises(InputError, match="texts of sadness and of another emotion"):
        read_pool(Reader(), tmp_path, say=lambda line: None)
