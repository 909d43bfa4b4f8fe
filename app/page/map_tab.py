"""The catalogue as a map of emotions."""

from __future__ import annotations

import gradio as gr

from app.page.answers import Answers
from app.page.cards import empty_state
from app.page.charts import MOST_POINTS, emotion_map
from app.page.markup import escaped
from app.page.parts import QUIET, Parts, View, lead, plain
from app.page.problems import problem
from app.page.texts import Language, as_language, text


def map_tab(parts: Parts, language: gr.Radio, tab: gr.Tab) -> View:
    """Lay out the tab, draw the map when it is first looked at, and give its view."""
    parts.html(lambda wanted: lead("map_heading", "map_intro", wanted))
    shown = gr.State(None)
    view = plain("")

    def draw(is_shown: bool | None, wanted: Language) -> str:
        return _drawn(parts.answers, wanted) if is_shown else ""

    def show_map(wanted: str) -> tuple[str, bool]:
        return draw(True, as_language(wanted)), True

    tab.select(show_map, [language], [view, shown], queue=False, **QUIET)
    return View(view, shown, draw)


def _drawn(answers: Answers, language: Language) -> str:
    try:
        points = answers.songs.map_points(MOST_POINTS)
        count = answers.songs.count()
    except Exception as error:  # every failure becomes a card; unexpected ones are logged
        return problem(error, language)
    if not points:
        return empty_state("none", text(language, "map_empty"), "")
    note = ""
    if len(points) < count:
        shown = text(language, "map_shown", shown=f"{len(points):,}", count=f"{count:,}")
        note = f'<p class="maeum-hint">{escaped(shown)}</p>'
    return f"{emotion_map(points, language)}{note}"
