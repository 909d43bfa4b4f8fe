"""Songs for a mood: a sentence in, songs with their reasons out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import gradio as gr
from gradio.events import api

from app.page.answering import Shown, answering
from app.page.cards import empty_state, query_card
from app.page.markup import escaped
from app.page.parts import (
    DEFAULT_COUNT,
    MOST_SHOWN,
    QUIET,
    SOUND,
    WORDS,
    Parts,
    View,
    brought_into_view,
    lead,
    listener_of,
    plain,
)
from app.page.problems import PageError, check_words
from app.page.song_cards import song_cards
from app.page.texts import (
    EXAMPLES,
    Language,
    as_language,
    as_sentence,
    emotion_name,
    text,
    translated,
)
from app.service.answers import MOST_SONGS, Answer, Answers, Listener
from app.service.speech import SpeechReader
from data_prep.catalogue import SongFilter
from data_prep.errors import InputError, MaeumError
from data_prep.taxonomy import EMOTIONS
from fusion.recommendation import Wishes

_RECOMMEND_DESCRIPTION: Final = """Songs whose emotion fits a mood.

text: how you feel, in Korean or English, at most 100,000 characters.
count: number of songs, 1 to 50.
year_from, year_to: years of release, inclusive; null is no limit.
genre: a genre of the catalogue; null is any.
toward: joy, tension, calm, sadness, anger or neutral; songs then lead there step by step.
Returns {"query": analysis, "results": [{"rank", "id", "title", "artist", "year", "link", "score",
"fused", "lyrics", "audio", "why"}]}.
"""


def mood_tab(parts: Parts, language: gr.Radio) -> tuple[View, gr.Checkbox]:
    """Lay out the tab and connect it; gives its answer's view, and the switch for learning."""
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
    if parts.speech is not None:
        _voice(parts, parts.speech, words, language)
    options_in = parts.component(
        gr.Accordion,
        lambda wanted: {"label": text(wanted, "options")},
        open=False,
        elem_id="maeum-options",
    )
    with options_in:
        options = _options(parts)
        switch = _judgements(parts, language)
        if parts.speech is None:
            parts.html(_voice_is_missing)
    view = partial(_mood_view, files=parts.files)
    answer = plain(view(None, "ko"), elem_id="maeum-mood-answer")

    def find(
        mood: str,
        wanted: str,
        name: str | None,
        learns: bool | None,
        *chosen: Any,
    ) -> Iterator[Shown]:
        def ask(listener: Listener | None) -> Answer:
            check_words(mood)
            return parts.answers.for_mood(mood, _wishes(*chosen), listener)

        yield from answering(ask, view, as_language(wanted), name, learns, busy="mood_busy")

    asked: dict[str, Any] = {
        "fn": find,
        "inputs": [words, language, parts.listener, parts.learns, *options],
        "outputs": [answer, last, parts.listener],
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
    return View(answer, last, view), switch


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
    with gr.Row():
        artist = parts.component(
            gr.Textbox,
            lambda wanted: {
                "label": text(wanted, "option_artist"),
                "placeholder": text(wanted, "option_artist_hint"),
            },
            max_lines=1,
            max_length=200,
            min_width=160,
        )
        spoken = _choice(parts, "option_language", ("ko", "en"))
        read = _choice(parts, "option_parts", ("lyrics", "audio"))
    return [count, toward, year_from, year_to, genre, artist, spoken, read]


def _voice(parts: Parts, speech: SpeechReader, words: gr.Textbox, language: gr.Radio) -> None:
    """A microphone whose words become the mood's."""
    spoken = parts.component(
        gr.Audio,
        lambda wanted: {"label": text(wanted, "voice")},
        sources=["microphone"],
        type="filepath",
        format="wav",
        editable=False,
        buttons=[],
        elem_id="maeum-voice",
    )

    def heard(path: str | None, wanted: str) -> Any:
        if path is None:
            return gr.skip()
        try:
            return speech.text(Path(path))
        except InputError as error:
            raise gr.Error(as_sentence(translated(str(error), as_language(wanted)))) from error

    spoken.stop_recording(heard, [spoken, language], [words], **SOUND, **QUIET)


def _voice_is_missing(language: Language) -> str:
    return f'<p class="maeum-hint">{escaped(text(language, "voice_missing"))}</p>'


def _choice(parts: Parts, key: str, values: tuple[str, ...]) -> gr.Dropdown:
    return parts.component(
        gr.Dropdown,
        lambda wanted: {
            "choices": [
                (text(wanted, f"{key}_any"), ""),
                *((text(wanted, f"{key}_{value}"), value) for value in values),
            ],
            "label": text(wanted, key),
        },
        value="",
        min_width=160,
    )


def _judgements(parts: Parts, language: gr.Radio) -> gr.Checkbox:
    """The switch for learning, which is given, and the button that forgets."""
    with gr.Row(elem_id="maeum-learning"):
        learns = parts.component(
            gr.Checkbox,
            lambda wanted: {"label": text(wanted, "learn"), "info": text(wanted, "learn_info")},
            value=True,
            min_width=240,
            elem_id="maeum-learn",
        )
        forget = parts.component(
            gr.Button,
            lambda wanted: {"value": text(wanted, "forget")},
            size="sm",
            min_width=160,
            elem_id="maeum-forget",
        )

    def forgotten(name: str | None, wanted: str) -> None:
        listener = listener_of(name, True)
        deleted = parts.answers.forget(listener.name) if listener is not None else 0
        gr.Info(text(as_language(wanted), "forgotten", count=deleted))

    learns.input(lambda chosen: chosen, [learns], [parts.learns], queue=False, **QUIET)
    # gr.Info comes through the queue
    forget.click(forgotten, [parts.listener, language], None, **QUIET)
    return learns


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
            if not 1 <= int(count) <= MOST_SONGS:
                raise InputError(f"number of songs {count}: expected 1 to {MOST_SONGS}")
            where = SongFilter(
                year_from=None if year_from is None else int(year_from),
                year_to=None if year_to is None else int(year_to),
                genre=genre or None,
            )
            wishes = Wishes(int(count), where, toward or None)
            answer = answers.for_mood(str(text), wishes)
            assert answer.analysis is not None, "a mood is analysed"
        except (MaeumError, TypeError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {
            "query": answer.analysis.to_json(),
            "results": [found.to_json() for found in answer.recommendations],
        }

    return recommend


def _wishes(
    count: float,
    toward: str,
    year_from: str | None,
    year_to: str | None,
    genre: str,
    artist: str | None,
    spoken: str,
    read: str,
) -> Wishes:
    """What was chosen, in the order of the components."""
    first, last = _year(year_from), _year(year_to)
    if first and last and first > last:
        raise PageError("problem_option_title", "problem_years_text", year_from=first, year_to=last)
    where = SongFilter(
        year_from=first,
        year_to=last,
        genre=genre or None,
        artist=(artist or "").strip() or None,
        language=spoken or None,
        has_lyrics=True if read == "lyrics" else None,
        has_audio=True if read == "audio" else None,
    )
    return Wishes(int(count), where, toward or None)


def _year(typed: str | None) -> int | None:
    """A year as a user typed it; ``None`` for an empty box."""
    if not typed or not typed.strip():
        return None
    digits = re.fullmatch(r"\s*(\d{1,4})\s*년?\s*", typed)
    if digits is None:
        raise PageError("problem_option_title", "problem_year_text", year=typed.strip())
    return int(digits[1])


def _mood_view(answer: Answer | None, language: Language, *, files: bool) -> str:
    if answer is None or answer.analysis is None:
        return empty_state(
            "mood", text(language, "mood_empty_title"), text(language, "mood_empty_text")
        )
    heading = text(language, "results_heading")
    songs = song_cards(answer, language, heading=heading, files=files)
    return query_card(answer.words, answer.analysis, language) + songs
