"""The web page: songs for a mood, the emotions of a song, and a map of the catalogue.

Everything stays on the machine: telemetry, run history and monitoring are off,
fonts and scripts come from this server alone, and a content security policy
forbids the browser any other address. Two endpoints are public, ``recommend``
and ``analyse``; they answer with the JSON that the command line prints.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

# Gradio reads these while it is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import gradio as gr
from gradio.events import api
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware

from app.page.answers import Answer, Answers, SearchOptions
from app.page.cards import busy_card, empty_state, query_card, reading_card, song_cards
from app.page.charts import MOST_POINTS, emotion_map
from app.page.markup import escaped
from app.page.problems import PageError, problem, without_folders
from app.page.style import HEAD, MARK, style_sheet, theme
from app.page.texts import (
    EXAMPLES,
    LANGUAGES,
    Language,
    as_language,
    emotion_name,
    language_of,
    text,
)
from data_prep.errors import InputError, MaeumError
from data_prep.taxonomy import EMOTIONS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fusion.analysis import SongAnalyser

MAX_UPLOAD_MB: Final = 200
DEFAULT_COUNT: Final = 5
MOST_SHOWN: Final = 20
WAITING: Final = 32
"""Requests that may wait before new ones are turned away."""
UPLOAD_CHECK_S: Final = 600
UPLOAD_AGE_S: Final = 1800

_LYRICS: Final[dict[str, Any]] = {"concurrency_id": "lyrics", "concurrency_limit": 2}
_AUDIO: Final[dict[str, Any]] = {"concurrency_id": "audio", "concurrency_limit": 1}
_QUIET: Final[dict[str, Any]] = {"show_progress": "hidden", "api_visibility": "private"}

_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
# Brings an answer into view where it would begin below the lower half of the window.
_TO_ANSWER: Final = """() => { const answer = document.querySelector("#%s");
  if (answer && answer.getBoundingClientRect().top > innerHeight * 0.6)
    answer.scrollIntoView({behavior: "smooth", block: "start"}); }"""
_TITLES: Final = {language: text(language, "page_title") for language in LANGUAGES}
_SET_LANGUAGE: Final = (
    "(language) => { document.documentElement.lang = language; "
    f"document.title = {json.dumps(_TITLES)}[language]; }}"
)


class SecurityHeaders:
    """ASGI middleware: the browser may fetch from this server only."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


Properties = Callable[[Language], dict[str, Any]]
"""What a component's words are in a language, as arguments of its constructor."""

_Component = TypeVar("_Component")


@dataclass(frozen=True)
class Translated:
    """A component of the page and what it says in each language."""

    component: Any
    properties: Properties

    def update(self, language: Language) -> Any:
        """What changes it into a language."""
        return gr.update(**self.properties(language))


def build_page(catalogue_url: str, *, analyser: SongAnalyser | None = None) -> gr.Blocks:
    """Build the page over a catalogue.

    Parameters
    ----------
    catalogue_url
        URL or path of the catalogue that songs come from.
    analyser
        Reads moods and songs; the embedded models if ``None``.

    Returns
    -------
    The page, to be launched with :func:`launch_options`.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be opened.
    """
    answers = Answers(catalogue_url, analyser)
    with gr.Blocks(
        title=_TITLES["ko"],
        analytics_enabled=False,
        delete_cache=(UPLOAD_CHECK_S, UPLOAD_AGE_S),
    ) as page:
        _Page(answers).build(page)
    page.queue(max_size=WAITING, api_open=True, default_concurrency_limit=2)
    built: gr.Blocks = page
    return built


class _Page:
    """Layout and events over one :class:`Answers`."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._translated: list[Translated] = []

    def build(self, page: gr.Blocks) -> None:
        """Lay out the components and connect them."""
        saved = gr.BrowserState("", storage_key="maeum-language", secret="maeum")
        with gr.Row(elem_id="maeum-head"):
            self._html(_brand, min_width=0)
            language = gr.Radio(
                [("한국어", "ko"), ("English", "en")],
                value="ko",
                show_label=False,
                container=False,
                min_width=0,
                elem_id="maeum-language",
            )
        with gr.Tabs():
            with self._tab("mood"):
                mood_answer, last_mood = self._mood_tab(language)
            with self._tab("song"):
                song_answer, last_song = self._song_tab(language)
            with self._tab("map") as map_tab:
                self._html(lambda wanted: _lead("map_heading", "map_intro", wanted))
                map_view = _plain("")
        self._html(self._foot)
        map_shown = gr.State(False)

        def show_map(wanted: str) -> tuple[str, bool]:
            return self._map(wanted), True

        map_tab.select(show_map, [language], [map_view, map_shown], queue=False, **_QUIET)

        shown = [*(item.component for item in self._translated), mood_answer, song_answer, map_view]

        def in_language(
            wanted: Language, mood: Answer | None, song: Answer | None, with_map: bool
        ) -> list[Any]:
            return [
                *(item.update(wanted) for item in self._translated),
                _mood_view(mood, wanted),
                _song_view(song, wanted),
                self._map(wanted) if with_map else "",
            ]

        def start(saved_language: str, request: gr.Request) -> list[Any]:
            asked = request.query_params.get("lang") or saved_language
            wanted = as_language(asked or language_of(request.headers.get("accept-language")))
            return [wanted, *in_language(wanted, None, None, False)]

        def switch(
            wanted: str, mood: Answer | None, song: Answer | None, with_map: bool
        ) -> list[Any]:
            return [wanted, *in_language(as_language(wanted), mood, song, with_map)]

        page.load(start, [saved], [language, *shown], queue=False, **_QUIET).then(
            None, [language], None, js=_SET_LANGUAGE, api_visibility="private"
        )
        language.input(
            switch,
            [language, last_mood, last_song, map_shown],
            [saved, *shown],
            queue=False,
            **_QUIET,
        ).then(None, [language], None, js=_SET_LANGUAGE, api_visibility="private")

    def _mood_tab(self, language: gr.Radio) -> tuple[gr.HTML, gr.State]:
        last = gr.State(None)
        self._html(lambda wanted: _lead("mood_heading", None, wanted))
        words = self._component(
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
            go = self._component(
                gr.Button,
                lambda wanted: {"value": text(wanted, "mood_button")},
                variant="primary",
                elem_id="maeum-mood-go",
            )
        options_in = self._component(
            gr.Accordion,
            lambda wanted: {"label": text(wanted, "options")},
            open=False,
            elem_id="maeum-options",
        )
        with options_in:
            options = self._options()
        answer = _plain(_mood_view(None, "ko"), elem_id="maeum-mood-answer")

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
                found = self._answers.for_mood(mood, search)
            except Exception as error:  # every failure becomes a card; unexpected ones are logged
                yield problem(error, shown_in), None
                return
            yield _mood_view(found, shown_in), found

        asked: dict[str, Any] = {
            "fn": find,
            "inputs": [words, *options, language],
            "outputs": [answer, last],
            **_LYRICS,
            **_QUIET,
        }
        to_answer: dict[str, Any] = {"fn": None, "js": _TO_ANSWER % answer.elem_id, **_QUIET}
        go.click(**asked).then(**to_answer)
        for chip, example in zip(chips, EXAMPLES, strict=True):
            filled = chip.click(lambda phrase=example: phrase, None, [words], queue=False, **_QUIET)
            filled.then(**asked).then(**to_answer)
        api(
            self._recommend,
            api_name="recommend",
            api_description=_RECOMMEND_DESCRIPTION,
            **_LYRICS,
        )
        return answer, last

    def _options(self) -> list[Any]:
        """Components for count, first year, last year, genre and the emotion to lead to."""
        genres = self._answers.songs.genres()
        with gr.Row():
            count = self._component(
                gr.Slider,
                lambda wanted: {"label": text(wanted, "option_count")},
                minimum=1,
                maximum=MOST_SHOWN,
                value=DEFAULT_COUNT,
                step=1,
                buttons=[],
                min_width=240,
            )
            toward = self._component(
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
                self._component(
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
            genre = self._component(
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

    def _song_tab(self, language: gr.Radio) -> tuple[gr.HTML, gr.State]:
        last = gr.State(None)
        self._html(lambda wanted: _lead("song_heading", "song_intro", wanted))
        with gr.Row(equal_height=True):
            audio = self._component(
                gr.Audio,
                lambda wanted: {"label": text(wanted, "song_audio")},
                sources=["upload", "microphone"],
                type="filepath",
                format=None,
                editable=False,
                buttons=[],
                waveform_options=gr.WaveformOptions(show_recording_waveform=False),
                min_width=280,
                elem_id="maeum-song-audio",
            )
            lyrics = self._component(
                gr.Textbox,
                lambda wanted: {
                    "label": text(wanted, "song_lyrics"),
                    "placeholder": text(wanted, "song_lyrics_placeholder"),
                },
                lines=8,
                max_lines=14,
                min_width=280,
                elem_id="maeum-song-lyrics",
            )
        with gr.Row(elem_id="maeum-song-row"):
            self._html(
                lambda wanted: (
                    '<p class="maeum-hint">'
                    f"{escaped(text(wanted, 'song_limit', size=MAX_UPLOAD_MB))}</p>"
                ),
                min_width=0,
            )
            go = self._component(
                gr.Button,
                lambda wanted: {"value": text(wanted, "song_button")},
                variant="primary",
                elem_id="maeum-song-go",
            )
        answer = _plain(_song_view(None, "ko"), elem_id="maeum-song-answer")

        def listen(
            recording: str | None, words: str | None, wanted: str
        ) -> Iterator[tuple[str, Answer | None]]:
            shown_in = as_language(wanted)
            busy = "song_busy" if recording else "song_busy_lyrics"
            yield busy_card(text(shown_in, busy)), None
            try:
                heard = self._answers.for_song(recording, words, SearchOptions(DEFAULT_COUNT))
            except Exception as error:  # every failure becomes a card; unexpected ones are logged
                yield problem(error, shown_in), None
                return
            yield _song_view(heard, shown_in), heard

        go.click(listen, [audio, lyrics, language], [answer, last], **_AUDIO, **_QUIET).then(
            None, js=_TO_ANSWER % answer.elem_id, **_QUIET
        )
        # The endpoint takes the recording through a real component, which accepts
        # only files that were uploaded, never a path of this machine.
        gr.Button(visible=False).click(
            self._analyse,
            [audio, lyrics],
            [gr.JSON(visible=False, label="analysis")],
            api_name="analyse",
            api_description=_ANALYSE_DESCRIPTION,
            show_progress="hidden",
            **_AUDIO,
        )
        return answer, last

    def _map(self, language: str) -> str:
        wanted = as_language(language)
        try:
            points = self._answers.songs.map_points(MOST_POINTS)
            count = self._answers.songs.count()
        except Exception as error:  # every failure becomes a card; unexpected ones are logged
            return problem(error, wanted)
        if not points:
            return empty_state("none", text(wanted, "map_empty"), "")
        note = ""
        if len(points) < count:
            shown = text(wanted, "map_shown", shown=f"{len(points):,}", count=f"{count:,}")
            note = f'<p class="maeum-hint">{escaped(shown)}</p>'
        return f"{emotion_map(points, wanted)}{note}"

    def _foot(self, language: Language) -> str:
        facts = [
            text(language, "footer_catalogue", count=f"{self._answers.songs.count():,}"),
            text(language, "footer_licence"),
        ]
        return (
            f'<footer class="maeum-foot"><p>{escaped(text(language, "footer_privacy"))}</p>'
            f'<p>{escaped(" · ".join(facts))} · <a id="maeum-api" href="?view=api">'
            f"{escaped(text(language, 'footer_api'))}</a></p></footer>"
        )

    def _recommend(
        self,
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
            answer = self._answers.for_mood(str(text), search)
        except (MaeumError, TypeError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {
            "query": answer.analysis.to_json(),
            "results": [found.to_json() for found in answer.recommendations],
        }

    def _analyse(self, audio: str | None = None, lyrics: str | None = None) -> dict[str, Any]:
        try:
            return self._answers.reading(audio, lyrics).to_json()
        except MaeumError as error:
            raise gr.Error(without_folders(str(error)), print_exception=False) from error

    def _tab(self, name: str) -> gr.Tab:
        return self._component(
            gr.Tab, lambda language: {"label": text(language, f"tab_{name}")}, id=name
        )

    def _html(self, markup: Callable[[Language], str], **settings: Any) -> None:
        self._component(
            gr.HTML,
            lambda language: {"value": markup(language)},
            apply_default_css=False,
            js_on_load=None,
            **settings,
        )

    def _component(
        self, make: Callable[..., _Component], properties: Properties, **settings: Any
    ) -> _Component:
        """Make a component, in Korean at first, and register what it says in each language."""
        component = make(**settings, **properties("ko"))
        self._translated.append(Translated(component, properties))
        return component


_RECOMMEND_DESCRIPTION: Final = """Songs whose emotion fits a mood.

text: how you feel, in Korean or English, at most 100,000 characters.
count: number of songs, 1 to 50.
year_from, year_to: years of release, inclusive; null is no limit.
genre: a genre of the catalogue; null is any.
toward: joy, tension, calm, sadness, anger or neutral; songs then lead there step by step.
Returns {"query": analysis, "results": [{"rank", "id", "title", "artist", "year", "link", "score",
"fused", "lyrics", "audio", "why"}]}.
"""

_ANALYSE_DESCRIPTION: Final = """Emotions of a recording, of lyrics, or of both.

audio: a sound file; null if there is none.
lyrics: words with their line breaks; null or empty if there are none.
Returns {"lyrics", "audio", "fused", "top", "confidence", "abstain", "language", "notes"}; the
first three are {"joy", "tension", "calm", "sadness", "anger", "neutral"} that sum to one, or null.
"""


def launch_options() -> dict[str, Any]:
    """What :meth:`gradio.Blocks.launch` needs for the page to be private, offline and itself."""
    return {
        "theme": theme(),
        "css": style_sheet(),
        "head": HEAD,
        "max_file_size": f"{MAX_UPLOAD_MB}mb",
        # Its panel opens from the page's own footer; the style sheet hides Gradio's.
        "footer_links": ["api"],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "pwa": False,
        "share": False,
        "ssr_mode": False,
        "show_error": False,
        "quiet": True,
        "app_kwargs": {"middleware": [Middleware(SecurityHeaders)]},
    }


def serve(
    catalogue_url: str,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    analyser: SongAnalyser | None = None,
) -> None:
    """Serve the page until it is interrupted; parameters as :func:`build_page` has them.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be opened.
    InputError
        If the port is taken or cannot be used.
    """
    page = build_page(catalogue_url, analyser=analyser)
    try:
        page.launch(
            server_name=host, server_port=port, prevent_thread_lock=True, **launch_options()
        )
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be used ({error}): choose another with --port or --host"
        ) from error
    print(f"maeum: http://{host}:{port}  (Ctrl+C ends it)", flush=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        print("maeum: whoever can reach this machine can use the page", file=sys.stderr)
    page.block_thread()


def _plain(markup: str, **settings: Any) -> gr.HTML:
    """HTML that is styled by the page alone."""
    return gr.HTML(markup, apply_default_css=False, js_on_load=None, **settings)


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


def _song_view(answer: Answer | None, language: Language) -> str:
    if answer is None:
        return empty_state(
            "song", text(language, "song_empty_title"), text(language, "song_empty_text")
        )
    songs = song_cards(
        answer.recommendations,
        answer.reasons[language],
        language,
        heading=text(language, "similar_heading"),
    )
    return reading_card(answer.analysis, answer.settings, language) + songs


def _brand(language: Language) -> str:
    return (
        f'<header class="maeum-brand">{MARK}<div><h1>마음<small>maeum</small></h1>'
        f"<p>{escaped(text(language, 'tagline'))}</p></div></header>"
    )


def _lead(heading: str, body: str | None, language: Language) -> str:
    more = f"<p>{escaped(text(language, body))}</p>" if body is not None else ""
    return f'<div class="maeum-lead"><h2>{escaped(text(language, heading))}</h2>{more}</div>'
