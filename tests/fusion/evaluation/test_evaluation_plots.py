"""Plots are drawn, the same each time, with letters that every font has."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.metrics import reliability
from data_prep.readers.labelled_table import label_set_of
from fusion.evaluation import plots as evaluation_plots

pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")

PNG = b"\x89PNG\r\n"


@pytest.fixture(autouse=True)
def _every_warning_fails():
    """matplotlib warns of letters that its font lacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


@pytest.mark.parametrize("name", ["six", "kote", "goemotions", "aihub-60", "quadrants"])
def test_names_are_ascii_and_tell_labels_apart(name: str) -> None:
    label_set = label_set_of(name)
    names = evaluation_plots.axis_names(label_set)
    assert len(set(names)) == len(label_set.labels)
    assert all(each.isascii() for each in names)


def test_names_say_the_emotion_of_a_korean_label() -> None:
    label_set = label_set_of("kote")
    names = evaluation_plots.axis_names(label_set)
    assert names[label_set.labels.index("슬픔")] == "5 sadness"
    assert evaluation_plots.axis_names(label_set_of("six"))[0] == "joy"


def test_titles_lose_other_letters() -> None:
    assert evaluation_plots.in_ascii("KPoEM 한용운, lines", "x") == "KPoEM , lines"
    assert evaluation_plots.in_ascii("한용운", "x") == "x"


class Drawn:
    """Keeps the figures that are drawn in place of writing them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.axes: list[Any] = []
        monkeypatch.setattr(
            evaluation_plots, "_save", lambda figure, path: self.axes.append(figure.axes[0])
        )


def test_a_curve_has_its_band_and_level_lines(monkeypatch) -> None:
    drawn = Drawn(monkeypatch)
    ends = [[0.1, 0.3], [0.3, 0.5]]
    lines = {"fixed mean": 0.25, "다른 것": 0.125}
    evaluation_plots.plot_curve(Path("x"), [0, 1], [0.2, 0.4], ends, lines, "mean", "w", "F1")
    (axes,) = drawn.axes
    curve, *levels = axes.lines
    assert curve.get_ydata().tolist() == [0.2, 0.4]
    assert [set(line.get_ydata()) for line in levels] == [{0.25}, {0.125}]
    (band,) = axes.collections
    assert {tuple(point) for point in band.get_paths()[0].vertices} == {
        (0, 0.1),
        (0, 0.3),
        (1, 0.3),
        (1, 0.5),
    }
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert told == ["mean", "fixed mean 0.250", "line 2 0.125"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("w", "F1")


def test_a_grid_has_a_number_in_every_cell_that_has_one(monkeypatch) -> None:
    drawn = Drawn(monkeypatch)
    values = np.array([[np.nan, 0.5], [0.25, 1.0]])
    evaluation_plots.plot_grid(Path("x"), [0, 1.5], values, "grid", ("words", "sound"))
    (axes,) = drawn.axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(1, 0): "0.50", (0, 1): "0.25", (1, 1): "1.00"}  # (column, row)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("sound", "words")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1.5"]


def test_plots_are_drawn_the_same_each_time(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    confidence, right = generator.random(200), generator.random(200) < 0.5
    bins = {
        "우리": reliability(confidence, right),
        "constant": reliability(confidence[:5], right[:5]),
    }
    counts = generator.integers(0, 50, (6, 6))
    counts[2] = 0  # a class without rows
    labels = label_set_of("kote")
    matrix = np.eye(44)

    def draw(folder: Path) -> list[bytes]:
        folder.mkdir()
        evaluation_plots.plot_reliability(folder / "r.png", bins, "한글")
        names = evaluation_plots.axis_names(label_set_of("six"))
        evaluation_plots.plot_confusion(folder / "c.png", counts, names, "six 감정")
        evaluation_plots.plot_similarity(
            folder / "s.png", matrix, evaluation_plots.axis_names(labels), "kote"
        )
        bars = {"우리": [0.5, 0.4], "constant": [0.2, 0.1]}
        ends = {name: [[v - 0.1, v + 0.1] for v in own] for name, own in bars.items()}
        evaluation_plots.plot_bars(folder / "b.png", ["one", "two"], bars, "막대", "share")
        evaluation_plots.plot_bars(folder / "i.png", ["one", "two"], bars, "bars", "share", ends)
        places, lines = [0.0, 0.5, 1.0], {"선": 0.4, "b": 0.3, "c": 0.2, "d": 0.1, "e": 0.05}
        ends = [[0.1, 0.3], [0.3, 0.5], [0.2, 0.2]]
        evaluation_plots.plot_curve(
            folder / "l.png", places, [0.2, 0.4, 0.2], ends, lines, "곡선", "weight", "macro-F1"
        )
        grid = np.array([[np.nan, 0.5], [0.25, 1.0]])
        evaluation_plots.plot_grid(folder / "g.png", [0, 0.25], grid, "격자", ("words", "sound"))
        return [path.read_bytes() for path in sorted(folder.iterdir())]

    first, second = draw(tmp_path / "1"), draw(tmp_path / "2")
    assert len(first) == 7
    assert all(content.startswith(PNG) for content in first)
    assert first == second
