"""Charts show the numbers they are given, in colour and in words."""

from __future__ import annotations

import re

import numpy as np
import pytest

from app.page.charts import (
    MOST_COLUMNS,
    clock,
    course,
    emotion_bar,
    in_words,
    legend,
    percents,
    timeline,
)
from data_prep.taxonomy import EMOTIONS, EMOTIONS_KO

SAD = np.array([0.05, 0.05, 0.1, 0.7, 0.1, 0.0])


def test_percents_sum_to_a_hundred_and_stay_within_one() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(6) * 0.5, size=200)
    for row in shares:
        whole = percents(row)
        assert sum(whole) == 100
        assert np.all(np.abs(np.array(whole) - 100 * row) < 1)
    assert percents(np.full(6, 1 / 6)) == [17, 17, 17, 17, 16, 16]


def test_bar_has_a_segment_per_emotion_as_wide_as_its_share() -> None:
    bar = emotion_bar(SAD, "en", name="Words", strong=True)
    widths = {
        n: float(w)
        for n, w in re.findall(r"maeum-seg maeum-(\w+)\" style=\"flex-grow:([\d.]+)", bar)
    }
    assert widths == pytest.approx(
        {name: share for name, share in zip(EMOTIONS, SAD, strict=True) if share > 0}
    )
    assert re.findall(r"<b>(\w+)</b>", bar) == ["sadness"]


def test_bar_says_in_words_what_it_shows() -> None:
    bar = emotion_bar(SAD, "ko", name="가사")
    assert f'aria-label="가사: {in_words(SAD, "ko")}"' in bar
    assert in_words(SAD, "ko").startswith("슬픔 70%, ")
    assert "슬픔 <i>70%</i>" in bar


def test_missing_bar_draws_nothing_but_says_so() -> None:
    bar = emotion_bar(None, "en", name="Sound", missing="no sound heard")
    assert "no sound heard" in bar
    assert "maeum-seg" not in bar


@pytest.mark.parametrize(("language", "names"), [("ko", EMOTIONS_KO), ("en", EMOTIONS)])
def test_legend_names_all_six(language, names) -> None:
    drawn = legend(language)
    assert [name for name in names if name in drawn] == list(names)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (187.4, "3:07"), (3723, "1:02:03"), (-1, "0:00")]
)
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def polygons(drawn: str) -> dict[str, np.ndarray]:
    found = re.findall(r'<polygon class="maeum-(\w+)" points="([^"]+)"', drawn)
    return {n: np.array([p.split(",") for p in points.split()], dtype=float) for n, points in found}


def area(points: np.ndarray) -> float:
    x, y = points.T
    return 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


def test_timeline_areas_are_the_shares_and_fill_the_chart() -> None:
    windows = np.repeat(SAD[None], 7, axis=0)
    drawn = polygons(timeline(windows, 70.0, "en"))
    areas = {name: area(points) / (1000 * 240) for name, points in drawn.items()}
    for name, share in zip(EMOTIONS, SAD, strict=True):
        assert areas[name] == pytest.approx(share, abs=2e-3)


def test_timeline_of_a_long_song_is_averaged_down() -> None:
    windows = np.random.default_rng(1).dirichlet(np.ones(6), size=1000)
    drawn = polygons(timeline(windows, 10_000.0, "ko"))
    assert len(drawn["joy"]) == 2 * (MOST_COLUMNS + 2)
    assert sum(area(points) for points in drawn.values()) == pytest.approx(240_000, rel=1e-3)


@pytest.mark.parametrize("n", [0, 1])
def test_timeline_of_hardly_any_windows(n: int) -> None:
    drawn = timeline(np.repeat(SAD[None], n, axis=0), 5.0, "en")
    assert ("<svg" in drawn) == (n > 0)


def test_course_tells_start_middle_and_end() -> None:
    joy, calm, sad = (np.eye(6)[i] for i in (0, 2, 3))
    assert "기쁨으로 시작해 평화를 지나 슬픔으로" in course(np.stack([joy, calm, sad]), "ko")
    assert course(np.stack([joy, joy, sad]), "en") == "Begins in joy and ends in sadness."
    assert course(np.stack([sad] * 5), "en") == "Stays in sadness from start to end."
    assert course(sad[None], "ko") == "처음부터 끝까지 슬픔이 이어집니다."
    assert "passes through calm" in course(np.stack([joy, calm, joy]), "en")
