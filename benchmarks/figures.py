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
PAGE: Final = ROOT / "app" / "page" / "measured.json"
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
    for name, (title, command, told) in TOLD.items():
        path = folder / f"{name}.json"
        if path.is_file():
            results = json.loads(path.read_text(encoding="utf-8"))
            parts.append(
                f"### {title}\n\n`{command} --out docs/measured`; all tables: "
                f"[docs/measured/{name}.md](docs/measured/{name}.md).\n\n{told(results)}"
            )
    speed = folder / "speed.json"
    if speed.is_file():
        lines = json.loads(speed.read_text(encoding="utf-8"))
        parts.append(
            "### Speed\n\n`make bench`; all lines: [docs/measured/speed.md](docs/measured/speed.md)"
            f".\n\n{speed_told(lines)}"
        )
    if not parts:
        raise FileNotFoundError(f"{folder} holds no results: run `maeum evaluate` with it as --out")
    return "\n\n".join(parts)


def fusion_told(results: dict[str, Any]) -> str:
    """Each branch alone, the fixed mean, the best rule and the one in force, side by side."""
    rows = results["rows"]
    shown = dict.fromkeys(
        ["constant", "words", "sound", results["better_branch"], "fixed mean", results["best"]]
    )
    lines = [
        f"{results['draws']} draws of {results['songs']:,} label-paired songs, cross-validated "
        "(test lines and test clips that people gave the same emotion).",
        "",
        "| answered by | macro-F1 (95%) | ECE |",
        "|---|---|---|",
    ]
    for name in [*shown, *(["as served"] if "as served" in rows else [])]:
        low, high = rows[name]["macro_f1_interval"]
        own = f"{rows[name]['macro_f1']:.3f} ({low:.3f} to {high:.3f})"
        lines.append(f"| {name} | {own} | {rows[name]['ece']:.3f} |")
    told = []
    for each in results["differences"]:
        low, high = each["interval"]
        told.append(
            f"{each['row']} less {each['base']} {each['mean']:+.3f} ({low:+.3f} to {high:+.3f})"
        )
    return "\n".join([*lines, "", f"Differences: {'; '.join(told)}."])


def published_told(results: dict[str, Any]) -> str:
    """The published rule beside the corrected catalogue."""
    before, after = results["systems"][0], results["systems"][-1]
    sadness = results["published_table"]["emotions"].index("sadness")
    reached = [each["lists"]["everyday moods"]["reached"]["mean"] for each in (before, after)]
    table = results["published_table"]
    return (
        f"The {table['songs']:,} published songs: sadness is the strongest emotion of "
        f"{before['strongest'][sadness]:.1%} by the published rule, of "
        f"{after['strongest'][sadness]:.1%} after correction ({after['name']}). Of "
        f"{results['moods']:,} everyday moods the published rule ever puts {reached[0]:,.0f} songs "
        f"among the {results['nearest']} nearest, the corrected catalogue {reached[1]:,.0f}: "
        f"{reached[1] / reached[0]:.1f} times as many. The published audio model's Top-1 of "
        f"{table['model']['top1']:.4f} stands beside {table['constant']['top1']:.4f} of a constant."
    )


def recommend_told(results: dict[str, Any]) -> str:
    """nDCG@10 of every way of placing the songs, by kind of query."""
    kinds = results["kinds"]
    heads = " | ".join(f"nDCG@10, {kind} as queries (95%)" for kind in kinds)
    lines = [
        f"| songs placed by | {heads} |",
        "|---|" + "---|" * len(kinds),
    ]
    for name in next(iter(kinds.values()))["rows"]:
        cells = []
        for kind in kinds.values():
            own = kind["rows"][name]["ndcg"]
            low, high = own["interval"]
            cells.append(f"{own['mean']:.3f} ({low:.3f} to {high:.3f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speed_told(results: dict[str, Any]) -> str:
    """What was promised as a ratio, and what it was."""
    lines = [
        f"Measured on {results['machine']}.",
        "",
        "| what | beside | times faster | promised |",
        "|---|---|---:|---:|",
    ]
    for row in results["measurements"]:
        if row["least_ratio"] is not None:
            lines.append(
                f"| {row['what']} | {row['reference']} | {row['ratio']:.1f} | "
                f"{row['least_ratio']:g} |"
            )
    return "\n".join(lines)


TOLD: Final[dict[str, tuple[str, str, Callable[[dict[str, Any]], str]]]] = {
    "fusion_weights": ("Fusion", "maeum study fusion-weights", fusion_told),
    "published": ("The published catalogue", "maeum evaluate published", published_told),
    "recommend": ("Recommendation", "maeum evaluate recommend", recommend_told),
}
"""File → title, command, and what is told of it."""


def main_figures(results: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per test and way of answering: its main figure beside simpler models.

    The main figure is the mean correlation where a test has scales, accuracy for
    quadrants, as published for them, and macro-F1 elsewhere.
    """
    rows = []
    for test in results["tests"]:
        models: dict[str, dict[str, Any]] = test["models"]
        measure = "macro_f1"
        if any("mean_r" in values for values in models.values()):
            measure = "mean_r"
        elif test["name"].startswith("emopia"):
            measure = "accuracy"

        def best(prefixes: tuple[str, ...], models: Any = models, measure: str = measure) -> Any:
            found = [v[measure] for n, v in models.items() if n.startswith(prefixes)]
            return round(max(found), 3) if found else None

        for name, values in models.items():
            if not name.startswith(results["model"]):
                continue
            way = name.removeprefix(results["model"]).strip(", ")
            rows.append(
                {
                    "test": f"{test['name']} (n = {test['n']:,}){', ' + way if way else ''}",
                    "figure": _MEASURES[measure],
                    "constant": best(("constant", "always")),
                    "simple": best(("linear", "mel statistics")),
                    "maeum": round(values[measure], 3),
                    "interval": [round(bound, 3) for bound in values[f"{measure}_interval"]],
                }
            )
    return rows


def summary(results: dict[str, Any]) -> str:
    """:func:`main_figures` as a table."""
    lines = [
        "| test | figure | constant | best simple model | maeum (95%) |",
        "|---|---|---|---|---|",
    ]
    for row in main_figures(results):
        low, high = row["interval"]
        simpler = (row["constant"], row["simple"])
        cells = [
            row["test"],
            row["figure"],
            *("" if value is None else f"{value:.3f}" for value in simpler),
            f"{row['maeum']:.3f} ({low:.3f} to {high:.3f})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page_figures(folder: Path) -> dict[str, Any]:
    """What the page shows of a folder of results."""
    found: dict[str, Any] = {}
    for name in BRANCHES:
        results = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        found[name] = main_figures(results)
    study = json.loads((folder / "fusion_weights.json").read_text(encoding="utf-8"))
    found["fusion"] = [
        {
            "rule": name,
            "maeum": round(row["macro_f1"], 3),
            "interval": [round(bound, 3) for bound in row["macro_f1_interval"]],
            "ece": round(row["ece"], 3),
        }
        for name, row in study["rows"].items()
    ]
    curve = study["curve"]
    found["curve"] = {
        "weights": curve["weights"],
        "macro_f1": [round(value, 3) for value in curve["macro_f1"]],
        "intervals": [[round(bound, 3) for bound in each] for each in curve["intervals"]],
    }
    found["reliability"] = study["reliability"]
    return found


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
    PAGE.write_text(json.dumps(page_figures(options.measured), indent=1) + "\n", encoding="utf-8")
    print(f"figures of {options.measured} written into {README.name} and {PAGE.name}")


if __name__ == "__main__":
    main()
