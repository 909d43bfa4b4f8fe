"""``maeum evaluate published`` on a made-up catalogue, with moods of a toy reader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import fusion.analysis
from app.cli import app
from data_prep.data_folder import VARIABLE
from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS
from fusion.evaluation import mood_texts
from fusion.settings import FusionSettings
from fusion.studies import published_catalogue, published_report
from fusion.studies.published_catalogue import OURS, PUBLISHED
from fusion.studies.published_report import MOODS, evaluate_published
from fusion.studies.published_words import SADNESS
from lyrics_model.mixture import ValidationTexts
from tests.fusion.toy_published import N_SONGS, Reader, sad_vectors, save_vectors

pytest.importorskip("matplotlib", reason="matplotlib is in the extra train")


def sentences(n: int, mark: str) -> list[str]:
    """Of every emotion, all different, some surer than others."""
    return [f"{EMOTIONS[i % 6]} {mark}{'!' * (i % 17)}" for i in range(n)]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue that is sad throughout, few moods and two draws; the folder for the report."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "data"))
    save_vectors(tmp_path / "data", sad_vectors())
    for module in (published_catalogue, published_report):
        monkeypatch.setattr(module, "N_MOODS", 100)
        monkeypatch.setattr(module, "SEEDS", (1, 2))
    validation = sentences(240, "x")
    source = ValidationTexts("toy", validation, np.zeros(len(validation), dtype=np.int64))
    monkeypatch.setattr(mood_texts, "validation_texts", lambda: [source])

    def lines(predictor: Any) -> SimpleNamespace:
        random = np.random.default_rng(0)
        noise = random.dirichlet(np.full(6, 0.5), 150)
        return SimpleNamespace(
            answers=0.5 * predictor.distributions(sentences(150, "y")) + 0.5 * noise
        )

    monkeypatch.setattr(published_report, "held_out_lines", lines)
    return tmp_path / "new" / "out"


def test_the_report_of_a_sad_catalogue(small: Path) -> None:
    said: list[str] = []
    content = evaluate_published(small, Reader(), FusionSettings(), say=said.append)
    assert sorted(path.name for path in small.iterdir()) == [
        "published.json",
        "published.md",
        "published_strongest.png",
    ]
    assert json.loads((small / "published.json").read_text(encoding="utf-8")) == content
    assert said[0] == "reading the test sentences as moods"
    assert len(said) == 8
    assert content["command"] == f"maeum evaluate published --out {small.as_posix()}"
    assert (content["moods"], content["sentences"], content["seeds"]) == (100, 150, [1, 2])
    own = {system["name"]: system for system in content["systems"]}
    before, after = own[PUBLISHED], own[OURS]
    assert before["strongest"][SADNESS] > 0.9 > 0.5 > after["strongest"][SADNESS]
    reached = [each["lists"][MOODS]["reached"]["mean"] for each in (before, after)]
    assert reached[1] > reached[0]
    assert set(before["lists"]) == {MOODS, "the same, uncalibrated", "Dirichlet(0.5)"}

    text = (small / "published.md").read_text(encoding="utf-8")
    assert f"emotion of {before['strongest'][SADNESS]:.1%} of the songs by the published" in text
    assert f"of {after['strongest'][SADNESS]:.1%} after correction" in text
    assert f"{reached[1] / reached[0]:.1f} times as many" in text
    assert f"{N_SONGS} songs; the published fused vectors" in text
    for key, name in (("model", "published audio model"), ("constant", "constant")):
        (line,) = re.findall(rf"\| {name} \| (.*) \|\n", text)
        figures = [float(cell) for cell in line.split(" | ")]
        expected = list(content["published_table"][key].values())[:7]
        assert figures == pytest.approx(expected, abs=5e-5)
    for system in content["systems"]:
        rows = [line for line in text.splitlines() if line.startswith(f"| {system['name']} | ")]
        assert len(rows) == 4
        shares = [float(cell) for cell in re.findall(r"([\d.]+)%", rows[0])][:6]
        assert shares == pytest.approx([100 * share for share in system["strongest"]], abs=0.051)
        for line, figures in zip(rows[1:], system["lists"].values(), strict=True):
            assert f"| {figures['reached']['mean']:,.0f} (" in line
            assert f"| {figures['gini']['mean']:.3f} |" in line


def test_more_moods_than_sentences_are_refused(small: Path, monkeypatch) -> None:
    monkeypatch.setattr(published_report, "N_MOODS", 200)
    with pytest.raises(InputError, match="200 moods: there are 150 sentences"):
        evaluate_published(small, Reader(), FusionSettings())
    assert not small.exists()


def run(*words: object):
    return CliRunner().invoke(app, ["evaluate", "published", *map(str, words)])


def test_the_command(small: Path, monkeypatch) -> None:
    monkeypatch.delenv("MAEUM_LYRICS_MODEL", raising=False)
    monkeypatch.setattr(fusion.analysis, "load_lyric_predictor", lambda folder: Reader())
    printed = run("--out", small)
    assert printed.exit_code == 0, printed.output
    assert printed.stdout == (small / "published.md").read_text(encoding="utf-8")
    assert "queries" in printed.stderr
    as_json = run("--out", small, "--json")
    assert json.loads(as_json.stdout) == json.loads(
        (small / "published.json").read_text(encoding="utf-8")
    )


def test_what_is_missing_is_told_in_one_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    monkeypatch.setattr(fusion.analysis, "load_lyric_predictor", lambda folder: Reader())
    result = run("--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "published_vectors" in result.stderr
    assert "Traceback" not in result.output
    wrong = run("--out", tmp_path / "out", "--model-lyrics", tmp_path)
    assert wrong.exit_code == 2
    assert "model.json" in wrong.stderr
    assert not (tmp_path / "out").exists()
