"""The emotions of a song: a recording or its words in, readings and similar songs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import gradio as gr

from app.library.lyric_files import read_lyric_file
from app.page.answering import Shown, answering
from app.page.cards import empty_state, reading_card
from app.page.markup import escaped
from app.page.parts import (
    DEFAULT_COUNT,
    QUIET,
    SOUND,
    WORDS,
    Parts,
    View,
    brought_into_view,
    lead,
    plain,
)
from app.page.problems import PageError, check_words, problem
from app.page.song_cards import song_cards
from app.page.texts import Language, as_language, text
from app.service.answers import Answer, Answers, Listener
from app.service.errors import without_folders
from data_prep.errors import InputError, MaeumError
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
                f"{escaped(text(wanted, 'song_limit', size=parts.max_upload_mb))}</p>"
            ),
            min_width=0,
        )
        # Any file can be chosen: what is no text is told by a card, in the page's language.
        lyric_file = parts.component(
            gr.UploadButton,
            lambda wanted: {"label": text(wanted, "song_lyric_file")},
            min_width=0,
            elem_id="maeum-song-file",
        )
        go = parts.component(
            gr.Button,
            lambda wanted: {"value": text(wanted, "song_button")},
            variant="primary",
            elem_id="maeum-song-go",
        )
    view = partial(_song_view, files=parts.files)
    answer = plain(view(None, "ko"), elem_id="maeum-song-answer")

    def fill(path: str | None, wanted: str, heard: Answer | None) -> tuple[Any, str, Any]:
        shown_in = as_language(wanted)
        if path is None:
            return gr.skip(), view(heard, shown_in), heard
        try:
            return _words_of(Path(path)), view(heard, shown_in), heard
        except Exception as error:  # every failure becomes a card; unexpected ones are logged
            return gr.skip(), problem(error, shown_in), None

    brought_into_view(
        lyric_file.upload(
            fill, [lyric_file, language, last], [lyrics, answer, last], **WORDS, **QUIET
        ),
        answer,
    )

    def listen(
        recording: str | None,
        words: str | None,
        wanted: str,
        name: str | None,
        learns: bool | None,
    ) -> Iterator[Shown]:
        def ask(listener: Listener | None) -> Answer:
            if recording is None and not (words or "").strip():
                raise PageError("problem_empty_title", "problem_song_empty_text")
            check_words(words or "", is_needed=False)
            return parts.answers.for_song(recording, words, Wishes(DEFAULT_COUNT), listener)

        busy = "song_busy" if recording else "song_busy_lyrics"
        yield from answering(ask, view, as_language(wanted), name, learns, busy=busy)

    heard = go.click(
        listen,
        [audio, lyrics, language, parts.listener, parts.learns],
        [answer, last, parts.listener],
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


def _words_of(path: Path) -> str:
    """Lyrics of a file that was given.

    Raises
    ------
    PageError
        If it is no text, has no words, or more than can be read.
    """
    try:
        words = read_lyric_file(path)
    except InputError as error:
        body = "problem_lyric_file_text"
        raise PageError("problem_lyric_file_title", body, name=path.name) from error
    if not words.strip():
        body = "problem_lyric_file_empty_text"
        raise PageError("problem_lyric_file_title", body, name=path.name)
    check_words(words)
    return words


def _song_view(answer: Answer | None, language: Language, *, files: bool) -> str:
    if answer is None or answer.analysis is None:
        return empty_state(
            "song", text(language, "song_empty_title"), text(language, "song_empty_text")
        )
    heading = text(language, "similar_heading")
    songs = song_cards(answer, language, heading=heading, files=files)
    reading = reading_card(answer.analysis, answer.settings, language, words=answer.words)
    return reading + songs
