"""``make figures``: writes what was measured into README.md, between its two marks.

Each figure comes from a file that a command wrote: ``maeum evaluate TASK --out
docs/measured`` and ``python -m benchmarks.run --out docs/measured``. A file that
is not there is left out; nothing is typed in by hand.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
MEASURED: Final = ROOT / "docs" / "measured"
README: Final = ROOT / "README.md"
BEGIN: Final = "<!-- figures:begin -->"
END: Final = "<!-- figures:end -->"
PARTS: Final = ("lyrics", "audio", "fusion", "speed")


def figures(folder: Path) -> str:
    """The Markdown files of a folder, one after another, their headings two levels deeper.

    Raises
    ------
    FileNotFoundError
        If there is none of them.
    """
    parts = []
    for name in PARTS:
        path = folder / f"{name}.md"
        if path.is_file():
            text = path.read_text(encoding="utf-8").strip()
            if not text.startswith("#"):
                text = f"# {name.capitalize()}\n\n{text}"
            parts.append(re.sub(r"^(#+) ", r"##\1 ", text, flags=re.MULTILINE))
    if not parts:
        raise FileNotFoundError(f"{folder} holds none of {', '.join(f'{n}.md' for n in PARTS)}")
    return "\n\n".join(parts)


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the figures of a folder into the README."""
    parser = argparse.ArgumentParser(description="Write measured figures into README.md.")
    parser.add_argument("--measured", type=Path, default=MEASURED, help="folder of the results")
    options = parser.parse_args(arguments)
    readme = README.read_text(encoding="utf-8")
    README.write_text(with_figures(readme, figures(options.measured)), encoding="utf-8")
    print(f"figures of {options.measured} written into {README.name}")


if __name__ == "__main__":
    main()
