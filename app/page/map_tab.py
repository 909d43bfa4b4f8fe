"""The catalogue as a map of emotions.

The page lays out an empty canvas and says what it is called in each language; ``map.js`` asks
the service for the points and draws them. A click on one asks for similar songs.
"""

from __future__ import annotations

import json

import gradio as gr

from app.page.cards import busy_card
from app.page.markup import escaped
from app.page.parts import QUIET, Parts, View, lead, plain
from app.page.song_cards import API
from app.page.style import PALETTE
from app.page.texts import Language, as_language, emotion_name, text
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS

VIEWS = ("hexagon", "axes", "projection")


def map_tab(parts: Parts, language: gr.Radio, tab: gr.Tab) -> View:
    """Lay out the tab, draw the map when it is first looked at, and give its view."""
    parts.html(lambda wanted: lead("map_heading", "map_intro", wanted))
    shown = gr.State(None)
    view = plain("", elem_id="maeum-map-view")

    def draw(is_shown: bool | None, wanted: Language) -> str:
        return map_frame(wanted) if is_shown else ""

    def show_map(wanted: str) -> tuple[str, bool]:
        return draw(True, as_language(wanted)), True

    tab.select(show_map, [language], [view, shown], queue=False, **QUIET)
    return View(view, shown, draw)


def map_frame(language: Language) -> str:
    """The canvas, what steers it, and what it says, for ``map.js`` to fill."""

    def said(key: str) -> str:
        return escaped(text(language, key))

    words = {
        "emotions": [emotion_name(language, i) for i in range(N_EMOTIONS)],
        **{
            name: text(language, key)
            for name, key in (
                ("untitled", "untitled"),
                ("artist", "unknown_artist"),
                ("failed", "map_failed"),
                ("empty", "map_empty"),
            )
        },
        # filled by the script, which knows the numbers
        "shown": text(language, "map_shown", shown="%s", count="%c"),
    }
    views = _options([(name, text(language, f"map_view_{name}")) for name in VIEWS], "hexagon")
    emotions = [(name, emotion_name(language, i)) for i, name in enumerate(EMOTIONS)]
    legend = "".join(
        f'<li><button type="button" class="maeum-key" data-emotion="{i}" aria-pressed="true">'
        f'<span class="maeum-dot maeum-{name}"></span>{escaped(said_as)}</button></li>'
        for i, (name, said_as) in enumerate(emotions)
    )
    return (
        f'<div class="maeum-map-box" data-api="{API}/map" data-words="{escaped(json.dumps(words))}"'
        f' data-names="{escaped(json.dumps(list(PALETTE)))}"><div class="maeum-map-bar">'
        f'<label>{said("map_view")}<select data-map="view">{views}</select></label>'
        f'<label class="maeum-axis-choice">{said("map_across")}<select data-map="across">'
        f"{_options(emotions, 'joy')}</select></label>"
        f'<label class="maeum-axis-choice">{said("map_up")}<select data-map="up">'
        f"{_options(emotions, 'sadness')}</select></label>"
        f'<label>{said("map_search")}<input type="search" data-map="search" maxlength="99"></label>'
        f'<button type="button" class="maeum-quiet" data-map="reset">{said("map_reset")}</button>'
        '</div><div class="maeum-map-stage"><canvas tabindex="0" role="application" '
        f'aria-label="{said("map_label")}"></canvas><div class="maeum-map-tip" role="status" '
        f'aria-live="polite" hidden></div>{_wait(text(language, "map_busy"))}</div>'
        f'<ul class="maeum-legend maeum-keys" aria-label="{said("legend")}">{legend}</ul>'
        '<p class="maeum-hint maeum-map-note"></p></div>'
    )


def _options(choices: list[tuple[str, str]], chosen: str) -> str:
    return "".join(
        f'<option value="{escaped(value)}"{" selected" if value == chosen else ""}>'
        f"{escaped(label)}</option>"
        for value, label in choices
    )


def _wait(sentence: str) -> str:
    return f'<div class="maeum-map-wait">{busy_card(sentence, cards=0)}</div>'
