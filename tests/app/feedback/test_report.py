"""Satisfaction with intervals, beside statsmodels; and the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.feedback.report import Share, report_of
from app.feedback.shown_list import ShownList
from app.feedback.store import FeedbackStore
from data_prep.catalogue import Catalogue

QUERY = np.full(6, 1 / 6, dtype=np.float32)


@pytest.mark.parametrize(("liked", "judged"), [(0, 10), (34, 100), (51, 100), (3, 3), (500, 800)])
def test_intervals_are_wilsons(liked: int, judged: int) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    expected = proportion.proportion_confint(liked, judged, method="wilson")
    assert Share(liked, judged).interval == pytest.approx(expected, abs=1e-9)


def test_differences_are_newcombes() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    low, high = proportion.confint_proportions_2indep(67, 100, 51, 100, method="newcomb")
    difference, found = Share(67, 100).less(Share(51, 100))
    assert difference == pytest.approx(0.16)
    assert found == pytest.approx((low, high), abs=1e-9)


def test_nothing_says_nothing() -> None:
    assert Share(0, 0).interval == (0.0, 1.0)
    report = report_of([])
    assert report.versions == []
    assert report.to_json()["difference"] is None


def row(**facts: Any) -> dict[str, Any]:
    base = {"fusion": "old", "version": "1", "kind": "mood", "verdict": 1, "rank": 1}
    return base | {"listener": "a" * 16, "judged_at": "2026-01-01T00:00:00+00:00"} | facts


def test_versions_are_told_apart_and_compared_with_the_one_before() -> None:
    rows = [row(verdict=1 if i % 3 == 0 else -1, listener=f"{i % 40:016}") for i in range(300)]
    rows += [
        row(
            fusion="new",
            verdict=-1 if i % 3 == 0 else 1,
            listener=f"{i % 40:016}",
            judged_at="2026-02-01T00:00:00+00:00",
            rank=1 + i % 5,
        )
        for i in range(300)
    ]
    rows += [row(kind="song", judged_at="2025-01-01T00:00:00+00:00")]
    report = report_of(rows)
    assert [(each.fusion, each.kind) for each in report.versions] == [
        ("new", "mood"), ("old", "mood"), ("old", "song"),
    ]  # fmt: skip
    content = report.to_json()
    assert content["difference"]["can_be_told"]
    assert content["difference"]["difference"] == pytest.approx(1 / 3)
    assert [each["rests_on_few"] for each in content["versions"]] == [False, False, True]
    assert content["ranks"]["1"]["judged"] == 300 + 60 + 1
    text = "\n".join(report.lines())
    assert "that can be told" in text
    assert "(few)" in text
    assert "published, third version" in text


def test_one_listener_tells_nothing_of_others() -> None:
    rows = [row(verdict=-1)] * 60
    rows += [row(fusion="new", judged_at="2026-02-01T00:00:00+00:00")] * 60
    report = report_of(rows)
    found = report.to_json()["difference"]
    assert found["interval"][0] > 0.0
    assert (found["rests_on_few"], found["can_be_told"]) == (True, False)
    assert "few listeners gave most of it" in "\n".join(report.lines())
    published = report.to_json()["published"][2]
    assert published["interval"] == pytest.approx(Share(67, 100).interval)


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    path = str(tmp_path / "songs.db")
    Catalogue.open(path, create=True).close()
    return path


def run(*arguments: object, **settings: Any) -> Any:
    return CliRunner().invoke(app, ["feedback", *map(str, arguments)], **settings)


def test_the_commands(catalogue: str, tmp_path: Path) -> None:
    where = ("--catalogue", catalogue)
    empty = run("report", *where)
    assert (empty.exit_code, "no song was judged yet" in empty.output) == (0, True)
    listeners = [f"{'x' * 16}{i}" for i in range(3)]
    with FeedbackStore.open(catalogue) as store:
        for listener in listeners:
            token = store.token(ShownList(listener, "mood", QUERY, "f", ("1", "2")))
            store.judge(token, "1", 1)
            store.judge(token, "2", -1)
    told = run("report", *where, "--out", tmp_path / "out")
    assert "50.0% (18.8% to 81.2%)" in told.output
    assert (tmp_path / "out" / "feedback.md").is_file()
    content = json.loads(run("report", *where, "--json").stdout)
    assert content["versions"][0]["judged"] == 6
    for form in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"all.{form}"
        assert run("export", "--format", form, "--out", out, *where).exit_code == 0
        assert out.stat().st_size > 0
    lines = (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 6
    assert json.loads(lines[0])["query_joy"] == pytest.approx(1 / 6)
    assert run("delete", *where).exit_code == 2
    assert run("delete", "--all", "--listener", listeners[0], *where).exit_code == 2
    refused = run("delete", "--all", *where)
    assert refused.exit_code == 2
    assert "6 judgements would be deleted" in refused.output
    one = run("delete", "--listener", listeners[0], "--yes", *where)
    assert (one.exit_code, "2 judgements deleted" in one.output) == (0, True)
    assert "4 judgements" in run("delete", "--all", "--yes", *where).output
    assert "0 judgements" in run("delete", "--all", "--yes", *where).output
