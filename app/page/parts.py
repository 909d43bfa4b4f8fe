"""What the tabs of the page are made of: components that speak both languages.

A tab lays out its components through :class:`Parts` and gives back its :class:`View`: the
place of its answer, the state that it is drawn from, and how it is drawn. The page draws all
of them again when the language is switched.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

# Gradio reads these while it is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import gradio as gr

from app.feedback.shown_list import LISTENER
from app.page.markup import escaped
from app.page.texts import Language, text
from app.service.answers import Answers, Listener
from app.service.options import MAX_UPLOAD_MB
from app.service.speech import SpeechReader

DEFAULT_COUNT: Final = 5
MOST_SHOWN: Final = 20

WORDS: Final[dict[str, Any]] = {"concurrency_id": "lyrics", "concurrency_limit": 2}
SOUND: Final[dict[str, Any]] = {"concurrency_id": "audio", "concurrency_limit": 1}
QUIET: Final[dict[str, Any]] = {"show_progress": "hidden", "api_visibility": "private"}

# Brings an answer into view where it would begin below the lower half of the window.
_TO_ANSWER: Final = """() => { const answer = document.querySelector("#%s");
  if (answer && answer.getBoundingClientRect().top > innerHeight * 0.6)
    answer.scrollIntoView({behavior: "smooth", block: "start"}); }"""

Properties = Callable[[Language], dict[str, Any]]
"""What a component's words are in a language, as arguments of its constructor."""

_Component = TypeVar("_Component")


class Asked(Protocol):
    """An event of a component; more may follow it."""

    def then(self, fn: Any, inputs: Any = None, outputs: Any = None, **settings: Any) -> Any:
        """What follows."""


@dataclass(frozen=True)
class Translated:
    """A component of the page and what it says in each language."""

    component: Any
    properties: Properties

    def update(self, language: Language) -> Any:
        """What changes it into a language."""
        return gr.update(**self.properties(language))


@dataclass(frozen=True)
class View:
    """A part of a tab that is drawn anew in another language.

    Attributes
    ----------
    component
        Where it is shown.
    state
        What it is drawn from; ``None`` at first.
    draw
        Value of the component, of the state's value and a language.
    """

    component: gr.HTML
    state: gr.State
    draw: Callable[[Any, Language], Any]


class Parts:
    """Makes the components of one page.

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

    Attributes
    ----------
    listener
        Random name of who looks at the page, kept by the browser.
    learns
        Whether judgements change what is found, kept by the browser.
    translated
        Every component that speaks, in the order they were made.
    """

    def __init__(
        self,
        answers: Answers,
        *,
        files: bool = False,
        speech: SpeechReader | None = None,
        max_upload_mb: int = MAX_UPLOAD_MB,
    ) -> None:
        self.answers = answers
        self.files = files
        self.speech = speech
        self.max_upload_mb = max_upload_mb
        self.listener = gr.BrowserState("", storage_key="maeum-listener", secret="maeum")
        self.learns = gr.BrowserState(True, storage_key="maeum-learns", secret="maeum")
        self.translated: list[Translated] = []

    def tab(self, name: str) -> gr.Tab:
        """A tab, called by the text ``tab_NAME``."""
        return self.component(
            gr.Tab, lambda language: {"label": text(language, f"tab_{name}")}, id=name
        )

    def html(self, markup: Callable[[Language], str], **settings: Any) -> None:
        """Markup in either language."""
        self.component(
            gr.HTML,
            lambda language: {"value": markup(language)},
            apply_default_css=False,
            js_on_load=None,
            **settings,
        )

    def component(
        self, make: Callable[..., _Component], properties: Properties, **settings: Any
    ) -> _Component:
        """Make a component, in Korean at first, and register what it says in each language."""
        component = make(**settings, **properties("ko"))
        self.translated.append(Translated(component, properties))
        return component


def listener_of(name: str | None, learns: bool | None) -> Listener | None:
    """Who asks; ``None`` if the browser has no name for them."""
    return Listener(name, learns is not False) if name and LISTENER.fullmatch(name) else None


def known_or_new(name: str | None) -> str:
    """The random name that the browser keeps, or a new one for it to keep."""
    return name if name and LISTENER.fullmatch(name) else secrets.token_urlsafe(16)


def plain(markup: str, **settings: Any) -> gr.HTML:
    """HTML that is styled by the page alone."""
    return gr.HTML(markup, apply_default_css=False, js_on_load=None, **settings)


def lead(heading: str, body: str | None, language: Language) -> str:
    """Heading of a tab, and a sentence under it."""
    more = f"<p>{escaped(text(language, body))}</p>" if body is not None else ""
    return f'<div class="maeum-lead"><h2>{escaped(text(language, heading))}</h2>{more}</div>'


def brought_into_view(event: Asked, answer: gr.HTML) -> None:
    """Scroll to an answer after an event, where it would not be seen."""
    event.then(None, js=_TO_ANSWER % answer.elem_id, **QUIET)
