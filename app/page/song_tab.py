"""The emotions of a song: a recording or its words in, readings and similar songs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import gradio as gr

from app.page.cards import busy_card, empty_state, reading_card
from app.page.markup import escaped
from app.page.parts import (
    DEFAULT_COUNT,
    MAX_UPLOAD_MB,
    QUIET,
    SOUND,
    Parts,
    View,
    brought_into_view,
    lead,
    listener_of,
    plain,
)
from app.page.problems import PageError, check_words, problem
from app.page.song_cards import song_cards
from app.page.texts import Language, as_language, text
from app.service.answers import Answer, Answers
from app.service.errors import without_folders
from data_prep.errors import MaeumError
from fusion.recommendation import Wishes

_ANALYSE_DESCRIPTION: Final = """Emotions of a recording, of lyrics, or of both.

audio: a sound file; null if there is none.
lyrics: words with their line breaks; null or empty if there are none.
Returns {"lyrics", "audio", "fused", "top", "confidence", "abstain", "language", "notes"}; the
first three are {"joy", "tension", "calm", "sadness", "anger", "neutral"} that sum to one, or null.
"""


def song_tab(parts: Parts, language: gr.Radio) -> View:
    """Lay out the tab, connect it, and give its answer's view."""
    last = gr.State(None)
    parts.html(lambda wanted: lead("song_heading", "song_intro", wanted))
    with gr.Row(equal_height=True):
        audio = parts.component(
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
        lyrics = parts.component(
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
        parts.html(
            lambda wanted: (
                '<p class="maeum-hint">'
                f"{escaped(text(wanted, 'song_limit', size=MAX_UPLOAD_MB))}</p>"
            ),
            min_width=0,
        )
        go = parts.component(
            gr.Button,
            lambda wanted: {"value": text(wanted, "song_button")},
            variant="primary",
            elem_id="maeum-song-go",
        )
    view = partial(_song_view, files=parts.files)
    answer = plain(view(None, "ko"), elem_id="maeum-song-answer")

    def listen(
        recording: str | None,
        words: str | None,
        wanted: str,
        name: str | None,
        learns: bool | None,
    ) -> Iterator[tuple[str, Answer | None]]:
        shown_in = as_language(wanted)
        busy = "song_busy" if recording else "song_busy_lyrics"
        yield busy_card(text(shown_in, busy)), None
        try:
            if recording is None and not (words or "").strip():
                raise PageError("problem_empty_title", "problem_song_empty_text")
            check_words(words or "", is_needed=False)
            listener = listener_of(name, learns)
            found = parts.answers.for_song(recording, words, Wishes(DEFAULT_COUNT), listener)
        except Exception as error:  # every failure becomes a card; unexpected ones are logged
            yield problem(error, shown_in), None
            return
        yield view(found, shown_in), found

    heard = go.click(
        listen,
        [audio, lyrics, language, parts.listener, parts.learns],
        [answer, last],
        **SOUND,
        **QUIET,
    )
    brought_into_view(heard, answer)
    # The endpoint takes the recording through a real component, which accepts
    # only files that were uploaded, never a path of this machine.
    gr.Button(visible=False).click(
        _analyse_endpoint(parts.answers),
        [audio, lyrics],
        [gr.JSON(visible=False, label="analysis")],
        api_name="analyse",
        api_description=_ANALYSE_DESCRIPTION,
        show_progress="hidden",
        **SOUND,
    )
    return View(answer, last, view)


def _analyse_endpoint(answers: Answers) -> Callable[..., dict[str, Any]]:
    """The public endpoint; its name and arguments are those of the function."""

    def analyse(audio: str | None = None, lyrics: str | None = None) -> dict[str, Any]:
        try:
            return answers.reading(audio, lyrics).to_json()
        except MaeumError as error:
            raise gr.Error(without_folders(str(error)), print_exception=False) from error

    return analyse


def _song_view(answer: Answer | None, language: Language, *, files: bool) -> str:
    if answer is None or answer.analysis is None:
        return empty_state(
            "song", text(language, "song_empty_title"), text(language, "song_empty_text")
        )
    heading = text(language, "similar_heading")
    songs = song_cards(answer, language, heading=heading, files=files)
    return reading_card(answer.analysis, answer.settings, language) + songs
