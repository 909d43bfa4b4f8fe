"""Songs for a mood: a sentence in, songs with their reasons out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import gradio as gr
from gradio.events import api

from app.page.answers import Answer, Answers, SearchOptions
from app.page.cards import busy_card, empty_state, query_card, song_cards
from app.page.parts import (
    DEFAULT_COUNT,
    MOST_SHOWN,
    QUIET,
    WORDS,
    Parts,
    View,
    brought_into_view,
    lead,
    plain,
)
from app.page.problems import PageError, problem
from app.page.texts import EXAMPLES, Language, as_language, emotion_name, text
from data_prep.errors import MaeumError
from data_prep.taxonomy import EMOTIONS

_RECOMMEND_DESCRIPTION: Final = """Songs whose emotion fits a mood.

text: how you feel, in Korean or English, at most 100,000 characters.
count: number of songs, 1 to 50.
year_from, year_to: years of release, inclusive; null is no limit.
genre: a genre of the catalogue; null is any.
toward: joy, tension, calm, sadness, anger or neutral; songs then lead there step by step.
Returns {"query": analysis, "results": [{"rank", "id", "title", "artist", "year", "link", "score",
"fused", "lyrics", "audio", "why"}]}.
"""


def mood_tab(parts: Parts, language: gr.Radio) -> View:
    """Lay out the tab, connect it, and give its answer's view."""
    last = gr.State(None)
    parts.html(lambda wanted: lead("mood_heading", None, wanted))
    words = parts.component(
        gr.Textbox,
        lambda wanted: {
            "label": text(wanted, "mood_label"),
            "placeholder": text(wanted, "mood_placeholder"),
        },
        lines=2,
        max_lines=8,
        show_label=False,
        container=False,
        autofocus=True,
        elem_id="maeum-mood-text",
    )
    with gr.Row(elem_id="maeum-mood-row"):
        with gr.Row(elem_id="maeum-chips"):
            chips = [gr.Button(example, size="sm", min_width=0) for example in EXAMPLES]
        go = parts.component(
            gr.Button,
            lambda wanted: {"value": text(wanted, "mood_button")},
            variant="primary",
            elem_id="maeum-mood-go",
        )
    options_in = parts.component(
        gr.Accordion,
        lambda wanted: {"label": text(wanted, "options")},
        open=False,
        elem_id="maeum-options",
    )
    with options_in:
        options = _options(parts)
    answer = plain(_mood_view(None, "ko"), elem_id="maeum-mood-answer")

    def find(
        mood: str,
        count: float,
        year_from: str | None,
        year_to: str | None,
        genre: str,
        toward: str,
        wanted: str,
    ) -> Iterator[tuple[str, Answer | None]]:
        shown_in = as_language(wanted)
        yield busy_card(text(shown_in, "mood_busy")), None
        try:
            search = _search_options(count, year_from, year_to, genre, toward)
            found = parts.answers.for_mood(mood, search)
        except Exception as error:  # every failure becomes a card; unexpected ones are logged
            yield problem(error, shown_in), None
            return
        yield _mood_view(found, shown_in), found

    asked: dict[str, Any] = {
        "fn": find,
        "inputs": [words, *options, language],
        "outputs": [answer, last],
        **WORDS,
        **QUIET,
    }
    brought_into_view(go.click(**asked), answer)
    for chip, example in zip(chips, EXAMPLES, strict=True):
        filled = chip.click(lambda phrase=example: phrase, None, [words], queue=False, **QUIET)
        brought_into_view(filled.then(**asked), answer)
    api(
        _recommend_endpoint(parts.answers),
        api_name="recommend",
        api_description=_RECOMMEND_DESCRIPTION,
        **WORDS,
    )
    return View(answer, last, _mood_view)


def _options(parts: Parts) -> list[Any]:
    """Components for count, first year, last year, genre and the emotion to lead to."""
    genres = parts.answers.songs.genres()
    with gr.Row():
        count = parts.component(
            gr.Slider,
            lambda wanted: {"label": text(wanted, "option_count")},
            minimum=1,
            maximum=MOST_SHOWN,
            value=DEFAULT_COUNT,
            step=1,
            buttons=[],
            min_width=240,
        )
        toward = parts.component(
            gr.Dropdown,
            lambda wanted: {
                "choices": [
                    (text(wanted, "option_toward_none"), ""),
                    *((emotion_name(wanted, i), name) for i, name in enumerate(EMOTIONS)),
                ],
                "label": text(wanted, "option_toward"),
                "info": text(wanted, "option_toward_info"),
            },
            value="",
            min_width=240,
        )
    with gr.Row():
        year_from, year_to = (
            parts.component(
                gr.Textbox,
                lambda wanted, key=key, hint=hint: {  # type: ignore[misc]
                    "label": text(wanted, key),
                    "placeholder": text(wanted, "option_year_hint", year=hint),
                },
                max_lines=1,
                max_length=8,
                min_width=120,
            )
            for key, hint in (("option_year_from", 1990), ("option_year_to", 2020))
        )
        genre = parts.component(
            gr.Dropdown,
            lambda wanted: {
                "choices": [
                    (text(wanted, "option_genre_any"), ""),
                    *((name, name) for name in genres),
                ],
                "label": text(wanted, "option_genre"),
            },
            value="",
            min_width=160,
        )
    return [count, year_from, year_to, genre, toward]


def _recommend_endpoint(answers: Answers) -> Callable[..., dict[str, Any]]:
    """The public endpoint; its name and arguments are those of the function."""

    def recommend(
        text: str,
        count: int = DEFAULT_COUNT,
        year_from: int | None = None,
        year_to: int | None = None,
        genre: str | None = None,
        toward: str | None = None,
    ) -> dict[str, Any]:
        try:
            search = SearchOptions(
                int(count),
                None if year_from is None else int(year_from),
                None if year_to is None else int(year_to),
                genre or None,
                toward or None,
            )
            answer = answers.for_mood(str(text), search)
        except (MaeumError, TypeError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {
            "query": answer.analysis.to_json(),
            "results": [found.to_json() for found in answer.recommendations],
        }

    return recommend


def _search_options(
    count: float, year_from: str | None, year_to: str | None, genre: str, toward: str
) -> SearchOptions:
    return SearchOptions(
        count=int(count),
        year_from=_year(year_from),
        year_to=_year(year_to),
        genre=genre or None,
        toward=toward or None,
    )


def _year(typed: str | None) -> int | None:
    """A year as a user typed it; ``None`` for an empty box."""
    if not typed or not typed.strip():
        return None
    digits = re.fullmatch(r"\s*(\d{1,4})\s*년?\s*", typed)
    if digits is None:
        raise PageError("problem_option_title", "problem_year_text", year=typed.strip())
    return int(digits[1])


def _mood_view(answer: Answer | None, language: Language) -> str:
    if answer is None:
        return empty_state(
            "mood", text(language, "mood_empty_title"), text(language, "mood_empty_text")
        )
    songs = song_cards(
        answer.recommendations,
        answer.reasons[language],
        language,
        heading=text(language, "results_heading"),
    )
    return query_card(answer.words, answer.analysis, language) + songs
