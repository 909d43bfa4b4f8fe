"""The web page: its tabs, and the language they speak.

Two endpoints are public, ``recommend`` and ``analyse``; they answer with the JSON that the
command line prints.
"""

from __future__ import annotations

import json
from typing import Any, Final

import gradio as gr

from app.page.lab_tab import lab_tab
from app.page.map_tab import map_tab
from app.page.markup import escaped
from app.page.mood_tab import mood_tab
from app.page.parts import QUIET, Parts, known_or_new
from app.page.similar import similar_songs
from app.page.song_tab import song_tab
from app.page.style import MARK
from app.page.texts import LANGUAGES, Language, as_language, language_of, text
from app.service.answers import Answers
from app.service.options import MAX_UPLOAD_MB
from app.service.speech import SpeechReader

WAITING: Final = 32
"""Requests that may wait before new ones are turned away."""
UPLOAD_CHECK_S: Final = 600
UPLOAD_AGE_S: Final = 1800

_TITLES: Final = {language: text(language, "page_title") for language in LANGUAGES}
_SET_LANGUAGE: Final = (
    "(language) => { document.documentElement.lang = language; "
    f"document.title = {json.dumps(_TITLES)}[language]; }}"
)


def build_page(
    answers: Answers,
    *,
    files: bool = False,
    speech: SpeechReader | None = None,
    max_upload_mb: int = MAX_UPLOAD_MB,
) -> gr.Blocks:
    """Build the page over a catalogue.

    Parameters
    ----------
    answers
        What the page asks.
    files
        Whether recordings of the catalogue are played, and playlists name their paths.
    speech
        Reads a mood that is spoken; ``None`` where there is no model for it.
    max_upload_mb
        Of one upload, as it is told.

    Returns
    -------
    The page, to be served by :mod:`app.page.mounting`.
    """
    with gr.Blocks(
        title=_TITLES["ko"],
        analytics_enabled=False,
        delete_cache=(UPLOAD_CHECK_S, UPLOAD_AGE_S),
    ) as page:
        _lay_out(page, Parts(answers, files=files, speech=speech, max_upload_mb=max_upload_mb))
    page.queue(max_size=WAITING, api_open=True, default_concurrency_limit=2)
    built: gr.Blocks = page
    return built


def _lay_out(page: gr.Blocks, parts: Parts) -> None:
    """Lay out the components and connect them."""
    saved = gr.BrowserState("", storage_key="maeum-language", secret="maeum")
    parts.html(_skip)
    with gr.Row(elem_id="maeum-head"):
        parts.html(_brand, min_width=0)
        language = gr.Radio(
            [("한국어", "ko"), ("English", "en")],
            value="ko",
            show_label=False,
            container=False,
            min_width=0,
            elem_id="maeum-language",
        )
    with gr.Tabs():
        with parts.tab("mood"):
            mood, learns = mood_tab(parts, language)
        with parts.tab("song"):
            song = song_tab(parts, language)
        with parts.tab("map") as tab:
            emotion_map = map_tab(parts, language, tab)
        with parts.tab("lab") as tab:
            lab = lab_tab(parts, language, tab)
    similar = similar_songs(parts, language)
    parts.html(lambda wanted: _foot(parts.answers, wanted))

    views = [mood, song, emotion_map, lab, similar]
    states = [view.state for view in views]
    shown = [item.component for item in parts.translated] + [view.component for view in views]

    def in_language(wanted: Language, values: tuple[Any, ...]) -> list[Any]:
        return [
            *(item.update(wanted) for item in parts.translated),
            *(view.draw(value, wanted) for view, value in zip(views, values, strict=True)),
        ]

    # What is empty at first says nothing: whoever was quick keeps what came meanwhile.
    empty = [view for view in views if view.draw(None, "ko")]
    beginning = [item.component for item in parts.translated] + [v.component for v in empty]

    def start(saved_language: str, name: str, learns: bool, request: gr.Request) -> list[Any]:
        asked = request.query_params.get("lang") or saved_language
        wanted = as_language(asked or language_of(request.headers.get("accept-language")))
        listener = known_or_new(name)
        told = [item.update(wanted) for item in parts.translated]
        return [wanted, listener, learns, *told, *(v.draw(None, wanted) for v in empty)]

    def switch(wanted: str, *values: Any) -> list[Any]:
        return [wanted, *in_language(as_language(wanted), values)]

    page.load(
        start,
        [saved, parts.listener, parts.learns],
        [language, parts.listener, learns, *beginning],
        queue=False,
        **QUIET,
    ).then(None, [language], None, js=_SET_LANGUAGE, api_visibility="private")
    language.input(switch, [language, *states], [saved, *shown], queue=False, **QUIET).then(
        None, [language], None, js=_SET_LANGUAGE, api_visibility="private"
    )


def _foot(answers: Answers, language: Language) -> str:
    facts = [
        text(language, "footer_catalogue", count=f"{answers.songs.count():,}"),
        text(language, "footer_licence"),
    ]
    return (
        f'<footer class="maeum-foot"><p>{escaped(text(language, "footer_privacy"))}</p>'
        f'<p>{escaped(" · ".join(facts))} · <a id="maeum-api" href="?view=api">'
        f"{escaped(text(language, 'footer_api'))}</a></p></footer>"
    )


def _brand(language: Language) -> str:
    return (
        f'<header class="maeum-brand">{MARK}<div><h1>마음<small>maeum</small></h1>'
        f"<p>{escaped(text(language, 'tagline'))}</p></div></header>"
    )


def _skip(language: Language) -> str:
    label = escaped(text(language, "skip"))
    return f'<a id="maeum-skip" href="#maeum-mood-text">{label}</a>'
