"""The guide to the HTTP interface: every command of it, in its order, against a live service."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.demo import DEMO_CATALOGUE
from app.service.answers import Answers
from app.service.errors import STATUS
from app.service.http import PREFIX
from app.service.options import ServiceOptions
from data_prep.catalogue import Catalogue, Song, SongFile
from fusion.analysis import SongAnalyser
from tests.app.library.sound_files import sine
from tests.app.service.serving import serving

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs/http-api.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:7860"

pytest.importorskip("gradio")
pytestmark = [
    pytest.mark.skipif(not DEMO_CATALOGUE.is_file(), reason="there is no demo catalogue"),
    pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl"),
]


def blocks(kind: str, text: str = GUIDE) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL)


def section(heading: str) -> str:
    return GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.fixture
def answers(own_home, tmp_path: Path, monkeypatch) -> Iterator[Answers]:
    """The demo songs and one that can be heard, with files of the names that the guide has."""
    monkeypatch.chdir(tmp_path)
    sound = sine(tmp_path / "song.mp3")
    (tmp_path / "lyrics.txt").write_text("비가 오는 밤이면\n네가 그리워", encoding="utf-8")
    catalogue = tmp_path / "songs.db"
    shutil.copyfile(DEMO_CATALOGUE, catalogue)
    status = sound.stat()
    with Catalogue.open(catalogue) as opened:
        opened.upsert([Song(id="SONG-ID", path=str(sound))])
        opened.keep_files([SongFile("SONG-ID", size=status.st_size, mtime_ns=status.st_mtime_ns)])
    opened_answers = Answers(str(catalogue), SongAnalyser(threads=1))
    yield opened_answers
    opened_answers.close()


def run(script: str, address: str) -> subprocess.CompletedProcess[str]:
    """Commands one after the other; the first that is refused ends them."""
    strict = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@" && echo; }\n'
    return subprocess.run(
        ["bash", "-c", strict + script.replace(ADDRESS, address)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def within(told: Any, real: Any) -> bool:
    """Whether all that is told is so; objects and lists may be shortened at the end."""
    if isinstance(told, dict):
        return all(name in real and within(value, real[name]) for name, value in told.items())
    if isinstance(told, list) and told:
        return all(within(*pair) for pair in zip(told, real[: len(told)], strict=True))
    return told == real


def test_every_command_of_the_guide_is_answered(answers: Answers, tmp_path: Path) -> None:
    with serving(answers, ServiceOptions(files=True)) as address:
        done = run("\n".join(blocks("sh")), address)
    assert done.returncode == 0, (done.stdout[-500:], done.stderr)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    first = json.loads(lines[0])
    assert within(json.loads(blocks("json")[0]), first)
    assert '{"song":"poems-sowol-jeopdongsae","verdict":1}' in lines
    assert '{"deleted":1}' in lines
    assert "maeum_requests_total" in done.stdout
    assert (tmp_path / "list.csv").read_text(encoding="utf-8").count("poems-sowol-") == 2
    assert json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))["shown"] > 400
    whole = (tmp_path / "song.mp3").read_bytes()
    assert (tmp_path / "beginning.part").read_bytes().rstrip(b"\n") == whole[:65_536].rstrip(b"\n")


def test_failures_are_as_the_guide_has_them(answers: Answers) -> None:
    with serving(answers, ServiceOptions()) as address:
        answer = httpx.get(f"{address}{PREFIX}/song", params={"id": "nothing"})
    assert answer.status_code == 404
    assert answer.json() == json.loads(blocks("json")[1])
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", section("When it cannot answer"), re.MULTILINE)
    assert {code: int(status) for code, status in rows} == STATUS


def test_passwords_are_asked_for(answers: Answers) -> None:
    (command,) = blocks("sh", section("Passwords"))
    (is_there, *others) = blocks("sh", section("Is it there?"))[0].splitlines()
    with serving(answers, ServiceOptions(passwords=(("mina", "secret"),))) as address:
        assert run(command, address).returncode == 0
        assert run(is_there, address).returncode == 0
        for without in (command.replace("-u mina:secret", ""), *others):
            done = run(without, address)
            assert done.returncode == 22, without
            assert json.loads(done.stdout)["error"]["code"] == "unauthorised"


def test_the_client_of_the_page(answers: Answers) -> None:
    (script,) = blocks("python")
    names: dict[str, Any] = {}
    with serving(answers, ServiceOptions()) as address:
        exec(script.replace(ADDRESS, address), names)
    assert names["found"]["results"][0]["id"] == "poems-sowol-jeopdongsae"
    assert len(names["found"]["results"]) == 3
    assert names["heard"]["audio"] is not None


def test_the_guide_names_every_address_and_every_field(answers: Answers) -> None:
    from app.service.http import create_api
    from app.service.models import RecommendationRequest

    listed = create_api(answers, ServiceOptions()).openapi()["paths"]
    asked = " ".join(" ".join(shlex.split(block)) for block in blocks("sh"))
    for path in listed:
        assert re.search(rf"{re.escape(ADDRESS + path)}(?![\w/])", asked), path
    for name in RecommendationRequest.model_fields:
        assert f"`{name}`" in section("Songs for a mood"), name
