"""The reports on what playlists add: JSON and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusion.evaluation.playlist_continuation import FIGURES, MIXED, ROWS
from fusion.evaluation.result_files import summary_cell, table_head, write_results


def write_continuation(out: Path, name: str, content: Mapping[str, Any]) -> list[str]:
    """Write the evaluation of a model; gives its lines."""
    lines = [
        "# Playlists continued",
        "",
        f"{content['playlists']:,} held-out playlists of {content['playlists_file']}, half of each "
        f"given, {content['songs']:,} songs to choose from; weight of playlists "
        f"{content['weight']:g} ({content['method']}). In brackets 95% of resamplings of "
        "playlists.",
        "",
        *table_head(FIGURES, "row"),
        *(
            f"| {row} | {' | '.join(summary_cell(content['rows'][row], f) for f in FIGURES)} |"
            for row in ROWS
        ),
        "",
    ]
    for row, each in content["ndcg_differences"].items():
        low, high = each["interval"]
        way = "better than" if low > 0 else "worse than" if high < 0 else "not told apart from"
        lines.append(
            f"- {MIXED} is {way} {row}: {each['mean']:+.3f} ({low:+.3f} to {high:+.3f}) of nDCG."
        )
    write_results(out, name, content, "\n".join(lines) + "\n")
    return lines


def write_study(out: Path, name: str, content: Mapping[str, Any]) -> list[str]:
    """Write the comparison of methods and weights; gives its lines."""
    curves, best = content["curves"], content["best"]
    weights = list(next(iter(curves.values())))
    lines = [
        "# Weight of playlists beside emotion",
        "",
        f"nDCG@100 on validation playlists of {content['playlists_file']}; weight 0 is emotion "
        "alone, 1 playlists alone. No test playlist was looked at.",
        "",
        f"| weight | {' | '.join(curves)} |",
        "|---:" * (len(curves) + 1) + "|",
        *(
            f"| {weight} | {' | '.join(f'{curve[weight]:.3f}' for curve in curves.values())} |"
            for weight in weights
        ),
        "",
        f"Best: {best['method']} with weight {best['weight']:g}.",
    ]
    write_results(out, name, content, "\n".join(lines) + "\n")
    return lines
