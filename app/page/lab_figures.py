"""How often the models are right, and their cards, as the laboratory shows them.

The figures are those of the project's own measurements (``measured.json``, written by
``python -m benchmarks.figures`` with the README).
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from app.page.lab_plots import reliability, weight_curve
from app.page.markup import escaped
from app.page.texts import Language, text

BRANCHES: Final = ("lyrics", "audio")
_COMMANDS: Final = {
    "fusion": "maeum study fusion-weights",
    "lyrics": "maeum evaluate lyrics",
    "audio": "maeum evaluate audio",
}
_RULES: Final = (
    "constant", "words, scaled", "sound, scaled", "fixed mean", "mean", "emotion-mean", "product",
    "gate", "stacking", "as served",
)  # fmt: skip


def measured_section(language: Language) -> str:
    """Figures beside the constant and the best simple model, and the models' cards."""
    figures = measured()
    parts = [f"<h2>{escaped(text(language, 'lab_measured'))}</h2>"]
    rows = [row for name in _RULES for row in figures["fusion"] if row["rule"] == name]
    parts.append(
        _chart("lab_rules", "fusion", [_bar(row["rule"], row, language) for row in rows], language)
    )
    parts.append(
        f'<div class="maeum-plots">'
        f"{_figure('lab_curve', weight_curve(figures['curve'], language), language)}"
        f"{_figure('lab_reliability', reliability(figures['reliability'], language), language)}"
        "</div>"
    )
    for branch in BRANCHES:
        bars = [_bar(row["test"], row, language) for row in figures[branch]]
        heading = f"lab_{branch}"
        parts.append(_chart(heading, branch, bars, language))
    cards = "".join(_card(branch, language) for branch in BRANCHES)
    return (
        f'<section class="maeum-measured">{"".join(parts)}'
        f"<h2>{escaped(text(language, 'lab_cards'))}</h2>{cards}</section>"
    )


@cache
def measured() -> dict[str, Any]:
    """What was measured, as the package carries it."""
    content: dict[str, Any] = json.loads(
        files("app.page").joinpath("measured.json").read_text(encoding="utf-8")
    )
    return content


@cache
def card_of(branch: str) -> dict[str, Any]:
    """The card of an embedded model."""
    house = {"lyrics": "lyrics_model", "audio": "audio_model"}[branch]
    place = files(house).joinpath("embedded").joinpath("model.json")
    content: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return content


def _chart(heading: str, command: str, bars: list[str], language: Language) -> str:
    note = text(language, "lab_measured_note", command=_COMMANDS[command])
    return (
        f'<figure class="maeum-figures"><figcaption><h3>{escaped(text(language, heading))}</h3>'
        f'<p class="maeum-hint">{escaped(note)}</p></figcaption><ul>{"".join(bars)}</ul></figure>'
    )


def _figure(heading: str, plot: str, language: Language) -> str:
    return (
        f'<figure class="maeum-figures"><figcaption><h3>{escaped(text(language, heading))}</h3>'
        f"</figcaption>{plot}</figure>"
    )


def _bar(name: str, row: dict[str, Any], language: Language) -> str:
    """One figure: a bar with its interval, and marks for the constant and the simple model."""
    low, high = row["interval"]
    told = f"{row['maeum']:.3f} ({low:.3f} – {high:.3f})"
    marks = ""
    for kind in ("constant", "simple"):
        value = row.get(kind)
        if value is not None:
            marks += f'<i class="maeum-mark is-{kind}" style="left:{100 * value:.1f}%"></i>'
            told += f" · {text(language, f'lab_{kind}')} {value:.3f}"
    figure = f"{row['figure']} " if "figure" in row else ""
    return (
        f'<li><span class="maeum-figure-name">{escaped(name)}</span>'
        f'<span class="maeum-figure" role="img" aria-label="{escaped(f"{name}: {figure}{told}")}">'
        f'<i class="maeum-figure-bar" style="width:{100 * row["maeum"]:.1f}%"></i>'
        f'<i class="maeum-whisker" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%">'
        f'</i>{marks}</span><span class="maeum-figure-value">{escaped(figure + told)}</span></li>'
    )


def _card(branch: str, language: Language) -> str:
    card = card_of(branch)
    rows = "".join(
        f"<tr><td>{escaped(each['name'])}</td><td>{escaped(each['licence'])}</td>"
        f"<td>{escaped(each.get('use', ''))}</td></tr>"
        for each in card["training_data"]
    )
    return (
        f'<details class="maeum-more"><summary>{escaped(text(language, f"lab_{branch}"))}: '
        f'{escaped(card["name"])}</summary><table class="maeum-table"><thead><tr>'
        f"<th>{escaped(text(language, 'lab_card_data'))}</th>"
        f"<th>{escaped(text(language, 'lab_card_licence'))}</th>"
        f"<th>{escaped(text(language, 'lab_card_use'))}</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></details>"
    )
