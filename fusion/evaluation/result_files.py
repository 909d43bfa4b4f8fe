"""Results of an evaluation as two files: all of it as JSON, its tables as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_prep.errors import InputError


def write_results(out: Path, name: str, results: Mapping[str, Any], markdown: str) -> None:
    """Write ``out/name.json`` and ``out/name.md``; the folder is made if it is not there.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    text = json.dumps(results, ensure_ascii=False, indent=1)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        (out / f"{name}.md").write_text(markdown, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}") from error


def figure_cell(figures: Mapping[str, Any], name: str) -> str:
    """A figure with its interval, where it has one; empty where there is no such figure."""
    if name not in figures:
        return ""
    value = f"{figures[name]:.3f}"
    if f"{name}_interval" in figures:
        low, high = figures[f"{name}_interval"]
        value += f" ({low:.3f} to {high:.3f})"
    return value


def table_head(figures: Mapping[str, str], first: str) -> list[str]:
    """The head of a table of figures by row, in Markdown."""
    names = [first, *figures.values()]
    return [f"| {' | '.join(names)} |", "|---" + "|---:" * len(figures) + "|"]


def summary_cell(row: Mapping[str, Any], figure: str) -> str:
    """A figure's ``mean`` with its interval, where it has one; empty without the figure."""
    if figure not in row:
        return ""
    cell = f"{row[figure]['mean']:.3f}"
    if "interval" in row[figure]:
        low, high = row[figure]["interval"]
        cell += f" ({low:.3f} to {high:.3f})"
    return cell
