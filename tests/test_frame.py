"""The frame of the repository: pinned versions, the README's commands, no machine's paths."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = sorted((ROOT / "constraints").glob("*.txt"))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    return dict(line.split("==") for line in path.read_text(encoding="utf-8").splitlines())


@cache
def tracked_text() -> dict[str, str]:
    """Every tracked file that is text, by its path inside the repository."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout, so what is tracked is not known")
    texts = {}
    for name in listing.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.stat().st_size < 2_000_000:
            try:
                texts[name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return texts


def test_there_are_two_constraint_files() -> None:
    assert [path.name for path in CONSTRAINTS] == ["serve.txt", "train.txt"]


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.name)
def test_constraints_are_names_and_versions_only(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[0-9][0-9A-Za-z.]*", line), line
    assert lines == sorted(set(lines))


def test_every_direct_requirement_is_pinned_where_it_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = project["dependencies"]
    extras = project["optional-dependencies"]
    for path, requirements in (
        (ROOT / "constraints/serve.txt", core),
        (ROOT / "constraints/train.txt", [*core, *extras["train"], *extras["dev"]]),
    ):
        pinned = {canonical(name) for name in pins(path)}
        for requirement in requirements:
            name = re.match(r"[A-Za-z0-9._-]+", requirement)
            assert name is not None
            assert canonical(name[0]) in pinned, f"{requirement} is not pinned in {path.name}"


def test_serving_pins_no_training_library_and_agrees_with_training() -> None:
    serve, train = pins(ROOT / "constraints/serve.txt"), pins(ROOT / "constraints/train.txt")
    assert not {"torch", "transformers", "librosa", "scikit-learn", "matplotlib"} & set(serve)
    assert serve.items() <= train.items()


def test_no_path_of_one_machine_is_written_in_a_tracked_file() -> None:
    home = re.compile(r"(?<![\w.])/(?:home|Users|root|work)/[A-Za-z0-9]")
    here = str(ROOT)
    for name, text in tracked_text().items():
        assert here not in text, f"{name} holds the path of this checkout"
        found = home.search(text)
        assert found is None, f"{name} holds {text[found.start() : found.end() + 20]!r}"


def readme_commands() -> list[list[str]]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = []
    for block in re.findall(r"```sh\n(.*?)```", readme, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                commands.append(words)
    return commands


def test_readme_names_only_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    named = {words[1] for words in readme_commands() if words[0] == "make"}
    assert {"serve", "test"} <= named <= targets


def test_make_has_the_targets_of_the_frame() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("serve", "test", "check", "bench", "clean", "help"):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_continuous_integration_checks_before_it_tests() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in script
    assert script.index("make check") < script.index("make test")


def test_figures_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    from benchmarks.figures import (
        BEGIN,
        END,
        MEASURED,
        PAGE,
        README,
        figures,
        page_figures,
        with_figures,
    )

    readme = README.read_text(encoding="utf-8")
    head, _, rest = readme.partition(BEGIN)
    foot = rest.partition(END)[2]
    written = with_figures(readme, "one \\1 two")
    assert written == f"{head}{BEGIN}\n\none \\1 two\n\n{END}{foot}"
    with pytest.raises(ValueError, match="once each"):
        with_figures("no marks", "x")

    with pytest.raises(FileNotFoundError):
        figures(tmp_path)
    models = {
        "always joy": {"macro_f1": 0.1},
        "constant (a)": {"macro_f1": 0.05},
        "linear (a)": {"macro_f1": 0.3},
        "linear (b)": {"macro_f1": 0.4},
        "ours": {"macro_f1": 0.5, "macro_f1_interval": [0.45, 0.55]},
    }
    results = {"model": "ours", "tests": [{"name": "Test", "n": 1200, "models": models}]}
    (tmp_path / "lyrics.json").write_text(json.dumps(results), encoding="utf-8")
    timed = {"what": "a", "reference": "b", "ratio": 2.5, "least_ratio": 2.0}
    speed = {"machine": "a machine", "measurements": [timed, timed | {"least_ratio": None}]}
    (tmp_path / "speed.json").write_text(json.dumps(speed), encoding="utf-8")
    written = figures(tmp_path)
    row = "| Test (n = 1,200) | macro-F1 | 0.100 | 0.400 | 0.500 (0.450 to 0.550) |"
    assert row in written.splitlines()
    assert written.splitlines()[-1] == "| a | b | 2.5 | 2 |"
    assert json.loads(PAGE.read_text(encoding="utf-8")) == page_figures(MEASURED)


def test_outputs_of_the_readme_are_those_of_its_commands() -> None:
    from benchmarks.figures import README, with_outputs

    asked: list[list[str]] = []

    def run(words: Sequence[str]) -> str:
        asked.append(["maeum", *words])
        return f"answer {len(asked)}\n"

    readme = README.read_text(encoding="utf-8")
    written = with_outputs(readme, run)
    assert len(asked) == readme.count("<!-- output: ") >= 2
    for number, words in enumerate(asked, start=1):
        assert words in readme_commands()
        assert f"\nanswer {number}\n```\n" in written
    assert with_outputs(written, lambda words: "") == with_outputs(readme, lambda words: "")


def test_speed_report_has_ratios_and_limits() -> None:
    from benchmarks.run import Measurement, report

    lines = report(
        [
            Measurement("search", 2.0, "other", 30.0),
            Measurement("cold start", 612.0, limit_ms=1000.0),
            Measurement("texts", 500.0, "other", 2000.0, least_ratio=2.0, texts=100),
            Measurement("late", 2.0, "other", 3.0, p95_ms=4.0, reference_p95_ms=50.0),
        ]
    ).splitlines()
    assert lines[2] == "| search | 2.00 ms | other 30 ms | 15.0 |  |"
    assert lines[3] == "| cold start | 612 ms |  |  | at most 1.00 s |"
    assert lines[4] == (
        "| texts | 500 ms (200 a second) | other 2.00 s (50 a second) | 4.0 "
        "| at least 2 times faster |"
    )
    assert lines[5] == "| late | 2.00 ms (95%: 4.00 ms) | other 3.00 ms (95%: 50 ms) | 1.5 |  |"


def test_texts_of_the_speed_test_are_the_same_each_time_and_mixed() -> None:
    from benchmarks.twins import texts

    made = texts(100)
    assert made == texts(100)
    assert len(set(made)) == len(made)
    words = sorted(len(text.split()) for text in made)
    assert words[0] <= 5
    assert words[-1] > 100
    assert sum(text.isascii() for text in made) == 50


@pytest.mark.parametrize(
    "words",
    [words[1:] for words in readme_commands() if words[0] == "maeum"],
    ids=lambda words: " ".join(words[:3]),
)
def test_readme_commands_are_commands_of_the_command_line(words: list[str]) -> None:
    from typer.main import get_command

    from app.cli import app

    command = get_command(app)
    context = command.make_context("maeum", [], resilient_parsing=True)
    while hasattr(command, "get_command"):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, f"no command {name!r}"
        command = found
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
    known = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if re.match(r"--?[a-z]", word):
            assert word in known, f"{command.name} has no option {word}"
