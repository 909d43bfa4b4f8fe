"""``import maeum``: its names, its examples, and what importing it costs."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import maeum

ROOT = Path(__file__).resolve().parents[1]


def test_every_name_is_there_and_documented() -> None:
    guide = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    for name in maeum.__all__:
        assert getattr(maeum, name) is not None
        assert f"`{name}`" in guide, name
    assert dir(maeum) == sorted(maeum.__all__)
    with pytest.raises(AttributeError, match="anything"):
        maeum.anything  # noqa: B018


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import maeum; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    houses = {"numpy", "app", "fusion", "data_prep", "lyrics_model", "audio_model"}
    assert not houses & {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.usefixtures("_own_home")
def test_the_examples_of_the_guide_run() -> None:
    run = doctest.testfile(str(ROOT / "docs/python.md"), module_relative=False)
    assert run.attempted > 10
    assert run.failed == 0


@pytest.mark.usefixtures("_own_home")
def test_the_example_of_the_module_runs() -> None:
    run = doctest.testmod(maeum)
    assert run.attempted > 0
    assert run.failed == 0


@pytest.mark.usefixtures("_own_home")
def test_music_is_indexed_and_found(tmp_path: Path) -> None:
    table = tmp_path / "songs.csv"
    table.write_text("id,text\na,너무 슬퍼서 눈물이 나\nb,신나고 행복한 하루\n", encoding="utf-8")
    place = tmp_path / "songs.db"
    report = maeum.index(table, catalogue=place)
    assert (report.new, len(report.failures)) == (2, 0)
    assert maeum.recommend("우울하고 슬픈 날", 1, catalogue=place)[0].song.id == "a"
    assert [found.song.id for found in maeum.similar("a", catalogue=place)] == ["b"]
    with pytest.raises(maeum.InputError, match="no song"):
        maeum.similar("c", catalogue=place)


@pytest.fixture
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("MAEUM_CATALOGUE", raising=False)
