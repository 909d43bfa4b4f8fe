"""Songs like one that was pointed at, under whichever tab it was."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import gradio as gr

from app.page.parts import (
    DEFAULT_COUNT,
    QUIET,
    WORDS,
    Parts,
    View,
    brought_into_view,
    listener_of,
    plain,
)
from app.page.problems import problem
from app.page.song_cards import song_cards
from app.page.texts import Language, as_language, text
from app.service.answers import Answer
from fusion.recommendation import Wishes

_LEND: Final = "window.maeumLike = (song) => trigger('click', {song: song});"


def similar_songs(parts: Parts, language: gr.Radio) -> View:
    """The place for them, and the way by which the page's script asks for them."""
    last = gr.State(None)
    # lends the page's script the way to ask for an event
    asked = gr.HTML("", js_on_load=_LEND, apply_default_css=False, elem_id="maeum-like")
    view = partial(_view, files=parts.files)
    answer = plain("", elem_id="maeum-similar-answer")

    def find_similar(
        wanted: str, name: str | None, learns: bool | None, event: gr.EventData
    ) -> tuple[str, Answer | None]:
        shown_in = as_language(wanted)
        try:
            song_id = str(getattr(event, "song", ""))
            listener = listener_of(name, learns)
            found = parts.answers.similar(song_id, Wishes(DEFAULT_COUNT), listener)
        except Exception as error:  # every failure becomes a card; unexpected ones are logged
            return problem(error, shown_in), None
        return view(found, shown_in), found

    given: list[Any] = [language, parts.listener, parts.learns]
    brought_into_view(asked.click(find_similar, given, [answer, last], **WORDS, **QUIET), answer)
    return View(answer, last, view)


def _view(answer: Answer | None, language: Language, *, files: bool) -> str:
    if answer is None or answer.like is None:
        return ""
    title = answer.like.title or text(language, "untitled")
    heading = text(language, "similar_of", title=title)
    return song_cards(answer, language, heading=heading, files=files)
