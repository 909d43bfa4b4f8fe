"""Songs like one that was pointed at, under whichever tab it was."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

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


def similar_songs(parts: Parts, language: gr.Radio) -> View:
    """The place for them, and the hidden box that the page's script asks through."""
    last = gr.State(None)
    asked = gr.Textbox(visible="hidden", elem_id="maeum-like", show_label=False)
    view = partial(_view, files=parts.files)
    answer = plain("", elem_id="maeum-similar-answer")

    def find_similar(
        wish: str, wanted: str, name: str | None, learns: bool | None
    ) -> tuple[str, Answer | None]:
        shown_in = as_language(wanted)
        try:
            song_id = str(json.loads(wish)[0])
            listener = listener_of(name, learns)
            found = parts.answers.similar(song_id, Wishes(DEFAULT_COUNT), listener)
        except Exception as error:  # every failure becomes a card; unexpected ones are logged
            return problem(error, shown_in), None
        return view(found, shown_in), found

    wishes: list[Any] = [asked, language, parts.listener, parts.learns]
    event = asked.input(find_similar, wishes, [answer, last], **WORDS, **QUIET)
    brought_into_view(event, answer)
    return View(answer, last, view)


def _view(answer: Answer | None, language: Language, *, files: bool) -> str:
    if answer is None or answer.like is None:
        return ""
    title = answer.like.title or text(language, "untitled")
    heading = text(language, "similar_of", title=title)
    return song_cards(answer, language, heading=heading, files=files)
