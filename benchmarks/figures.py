"""``make figures``: writes what was measured into README.md, between its two marks.

Each figure comes from a file that a command wrote: ``maeum evaluate TASK --out
docs/measured`` and ``python -m benchmarks.run --out docs/measured``. A file that
is not there is left out; nothing is typed in by hand. The outputs of the README's
examples are written anew as well, from the demo catalogue.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
MEASURED: Final = ROOT / "docs" / "measured"
README: Final = ROOT / "README.md"
BEGIN: Final = "<!-- figures:begin -->"
END: Final = "<!-- figures:end -->"
BRANCHES: Final = ("lyrics", "audio")
_TITLES: Final = {"lyrics": "Words", "audio": "Sound"}
_MEASURES: Final = {"macro_f1": "macro-F1", "mean_r": "mean r", "accuracy": "accuracy"}
_OUTPUT: Final = re.compile(
    r"(?P<mark><!-- output: maeum (?P<command>[^\n]+) -->\n```\w+\n).*?(?P<end>```\n)", re.DOTALL
)


def figures(folder: Path) -> str:
    """The summary of a folder of results, as Markdown.

    Raises
    ------
    FileNotFoundError
        If it holds none of them.
    """
    parts = []
    for name in BRANCHES:
        path = folder / f"{name}.json"
        if path.is_file():
            results = json.loads(path.read_text(encoding="utf-8"))
            command = f"maeum evaluate {name} --out docs/measured"
            parts.append(
                f"### {_TITLES[name]}\n\n`{command}`; all tables: "
                f"[docs/measured/{name}.md](docs/measured/{name}.md).\n\n{summary(results)}"
            )
    speed = folder / "speed.md"
    if speed.is_file():
        parts.append(f"### Speed\n\n`make bench`. {speed.read_text(encoding='utf-8').strip()}")
    if not parts:
        raise FileNotFoundError(f"{folder} holds no results: run `maeum evaluate` with it as --out")
    return "\n\n".join(parts)


def summary(results: dict[str, Any]) -> str:
    """One row per test and way of answering: its main figure beside simpler models.

    The main figure is the mean correlation where a test has scales, accuracy for
    quadrants, as published for them, and macro-F1 elsewhere.
    """
    lines = [
        "| test | figure | constant | best simple model | maeum (95%) |",
        "|---|---|---|---|---|",
    ]
    for test in results["tests"]:
        models: dict[str, dict[str, Any]] = test["models"]
        measure = "macro_f1"
        if any("mean_r" in values for values in models.values()):
            measure = "mean_r"
        elif test["name"].startswith("emopia"):
            measure = "accuracy"

        def best(prefixes: tuple[str, ...], models: Any = models, measure: str = measure) -> str:
            found = [v[measure] for n, v in models.items() if n.startswith(prefixes)]
            return f"{max(found):.3f}" if found else ""

        for name, values in models.items():
            if not name.startswith(results["model"]):
                continue
            way = name.removeprefix(results["model"]).strip(", ")
            low, high = values[f"{measure}_interval"]
            cells = [
                f"{test['name']} (n = {test['n']:,}){', ' + way if way else ''}",
                _MEASURES[measure],
                best(("constant", "always")),
                best(("linear", "mel statistics")),
                f"{values[measure]:.3f} ({low:.3f} to {high:.3f})",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_figures(readme: str, content: str) -> str:
    """A README with what stands between the marks replaced.

    Raises
    ------
    ValueError
        If the two marks are not there, once each and in order.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", flags=re.DOTALL)
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or not pattern.search(readme):
        raise ValueError(f"README.md must hold {BEGIN} and {END}, once each and in this order")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{content}\n\n{END}", readme)


def with_outputs(readme: str, run: Callable[[Sequence[str]], str]) -> str:
    """A README with every block below ``<!-- output: maeum … -->`` replaced.

    Parameters
    ----------
    run
        Gives what ``maeum`` prints for the words of a command.
    """

    def replaced(match: re.Match[str]) -> str:
        printed = run(shlex.split(match["command"])).rstrip()
        return f"{match['mark']}{printed}\n{match['end']}"

    return _OUTPUT.sub(replaced, readme)


def printed_by_maeum(words: Sequence[str]) -> str:
    """What a command prints, asked of the demo catalogue.

    Raises
    ------
    subprocess.CalledProcessError
        If the command fails.
    """
    from app.demo import DEMO_CATALOGUE

    done = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *words],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"MAEUM_CATALOGUE": str(DEMO_CATALOGUE)},
    )
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the figures of a folder into the README."""
    parser = argparse.ArgumentParser(description="Write measured figures into README.md.")
    parser.add_argument("--measured", type=Path, default=MEASURED, help="folder of the results")
    options = parser.parse_args(arguments)
    readme = with_figures(README.read_text(encoding="utf-8"), figures(options.measured))
    README.write_text(with_outputs(readme, printed_by_maeum), encoding="utf-8")
    print(f"figures of {options.measured} written into {README.name}")


if __name__ == "__main__":
    main()
