"""The report of the study: sentences follow the numbers, and tables are those of the JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.taxonomy import EMOTIONS
from fusion.rules import METHODS
from fusion.settings import FusionSettings
from fusion.studies.weight_report import MEANINGS, NAME, write_report
from fusion.studies.weight_rows import FIXED, ROWS
from fusion.studies.weight_study import WeightStudy, study
from tests.fusion.toy_songs import FIRST_HALF, SECOND_HALF, made_songs

pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")

PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def found() -> WeightStudy:
    songs = made_songs(180, FIRST_HALF, SECOND_HALF, seed=1)
    return study([songs], served=FusionSettings())


@pytest.fixture(scope="module")
def out(found, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "new" / "out"
    more = {"rows_of_table": 180}
    write_report(folder, found, command="maeum study", about=["Songs.", "Again."], more=more)
    return folder


def text_of(out: Path) -> str:
    return (out / f"{NAME}.md").read_text(encoding="utf-8")


def test_what_is_written(found, out) -> None:
    names = (
        "curve",
        "exponents",
        "reliability",
        "reliability_branches",
        "confusion_branch",
        "confusion_best",
    )
    assert {path.name for path in out.iterdir()} == {
        f"{NAME}.json",
        f"{NAME}.md",
        *(f"{NAME}_{name}.png" for name in names),
    }
    for path in out.glob("*.png"):
        assert path.read_bytes().startswith(PNG)
        assert f"]({path.name})" in text_of(out)
    content = json.loads((out / f"{NAME}.json").read_text(encoding="utf-8"))
    assert (content["command"], content["rows_of_table"]) == ("maeum study", 180)
    assert content["rows"] == found.content["rows"]
    assert "Songs.\n\nAgain.\n" in text_of(out)


def cells_of(out: Path, first: str) -> list[list[str]]:
    """Cells of the lines of tables that begin so."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text_of(out).splitlines()
        if line.startswith(f"| {first} |")
    ]


@pytest.mark.parametrize("row", [*ROWS, "as served"])
def test_figures_of_the_table_are_those_of_the_json(found, out, row) -> None:
    own = cells_of(out, row)[0]
    assert own[1] == MEANINGS[row]
    figures = found.content["rows"][row]
    for cell, name in zip(own[2:], ("macro_f1", "accuracy", "ece", "nll"), strict=True):
        numbers = [float(number) for number in re.findall(r"\d+\.\d+", cell)]
        assert numbers == pytest.approx([figures[name], *figures[f"{name}_interval"]], abs=5e-4)


def test_tables_of_missing_branches_and_of_sources(found, out) -> None:
    for row in ("words", "sound", FIXED, *METHODS):
        cell = cells_of(out, row)[1][1]
        assert float(cell.split()[0]) == pytest.approx(
            found.content["missing"][row]["macro_f1"], abs=5e-4
        )
    for each in found.content["across"]:
        (own,) = cells_of(out, f"{each['branch']}: {each['source']}")
        assert int(own[1]) == each["songs"]
        expected = [each["macro_f1"][name] for name in ("words", "sound", FIXED, *METHODS)]
        assert [float(cell) for cell in own[2:]] == pytest.approx(expected, abs=5e-4)
    gain = np.mean([t["macro_f1"]["gate"] - t["macro_f1"][FIXED] for t in found.content["across"]])
    assert f"gate {gain:+.3f}" in text_of(out)


def test_the_weight_of_each_emotion_is_told(found, out) -> None:
    _, _, rest = text_of(out).partition(f"| {' | '.join(EMOTIONS)} |\n")
    told = [float(v) for v in re.findall(r"(\d\.\d\d) ±", rest)]
    learned = found.content["learned"]
    weights = [rule["lyrics_weights_of"] for rule in learned["emotion-mean"]]
    assert told == pytest.approx(np.mean(weights, axis=0), abs=5e-3)
    assert f"gate: bias {np.mean([rule['bias'] for rule in learned['gate']]):.2f}" in rest


def changed(found: WeightStudy, **parts: Any) -> WeightStudy:
    return WeightStudy(found.content | parts, found.songs, found.answers)


@pytest.mark.parametrize(
    ("interval", "way"),
    [
        ((0.01, 0.2), "is better than"),
        ((-0.2, -0.01), "is worse than"),
        ((-0.1, 0.1), "cannot be told from"),
    ],
)
def test_sentences_follow_the_intervals(found, tmp_path, monkeypatch, interval, way) -> None:
    monkeypatch.setattr("fusion.studies.weight_report._plots", lambda out, found: {})
    difference = {
        "row": "gate",
        "base": "words",
        "figure": "macro_f1",
        "mean": 0.05,
        "interval": list(interval),
    }
    one = changed(found, differences=[difference])
    write_report(tmp_path, one, command="x", about=[])
    low, high = interval
    said = f"**gate** {way} *words*: +0.050 ({low:+.3f} to {high:+.3f}) of macro-F1."
    assert said in text_of(tmp_path)


def test_what_was_not_studied_has_no_section(found, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("fusion.studies.weight_report._plots", lambda out, found: {})
    assert "## Sources held out" in _written(tmp_path, found)
    assert "is left out" not in _written(tmp_path, found)
    missing = found.content["missing"] | {"same_as_the_branch_left": False}
    other = changed(found, across=[], missing=missing, left_out={"stacking": "too few songs"})
    text = _written(tmp_path, other)
    assert "## Sources held out" not in text
    assert "answers it" not in text
    assert "**stacking** is left out: too few songs." in text


def _written(folder: Path, found: WeightStudy) -> str:
    write_report(folder, found, command="x", about=[])
    return text_of(folder)


def test_the_height_of_the_curve_is_told(found, out) -> None:
    curve = found.content["curve"]
    top = int(np.argmax(curve["macro_f1"]))
    said = f"highest at {curve['weights'][top]:g} for the words ({curve['macro_f1'][top]:.3f})"
    assert said in text_of(out)
