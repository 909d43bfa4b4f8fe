"""The laboratory: words and sound mixed another way, live; how often it is right; model cards."""

from __future__ import annotations

import json
from typing import Any, Final

import gradio as gr
import numpy as np

from app.page.cards import empty_state
from app.page.charts import percents
from app.page.lab_figures import measured_section
from app.page.markup import escaped
from app.page.parts import QUIET, Parts, View, lead, plain
from app.page.problems import check_words, problem
from app.page.texts import EXAMPLES, Language, as_language, emotion_name, text
from app.service.laboratory import SHOWN, Laboratory, Trial
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from fusion.recommendation import Wishes
from fusion.rules import EmotionMean, FusionRule, Gate, Mean, Product

METHODS: Final = ("mean", "emotion-mean", "product", "gate")

_LIVE: Final[dict[str, Any]] = {"queue": False, "trigger_mode": "always_last"}


def lab_tab(parts: Parts, language: gr.Radio, tab: gr.Tab) -> View:
    """Lay out the tab, connect it, and give its answer's view."""
    laboratory = Laboratory(parts.answers.songs)
    last = gr.State(None)
    query = gr.State(None)
    parts.html(lambda wanted: lead("lab_heading", "lab_intro", wanted))
    with gr.Row(elem_id="maeum-lab"):
        with gr.Column(min_width=280, scale=2):
            mood = parts.component(
                gr.Textbox,
                lambda wanted: {"label": text(wanted, "lab_mood")},
                value=EXAMPLES[0],
                max_lines=1,
                elem_id="maeum-lab-mood",
            )
            method = parts.component(
                gr.Dropdown,
                lambda wanted: {
                    "choices": [(text(wanted, f"lab_method_{name}"), name) for name in METHODS],
                    "label": text(wanted, "lab_method"),
                },
                value="mean",
                elem_id="maeum-lab-method",
            )
            weight = _slider(parts, "lab_weight", 0, 100, 50, elem_id="maeum-lab-weight")
            with gr.Group(visible=False) as of_emotions:
                weights = [_of_emotion(parts, i) for i in range(N_EMOTIONS)]
            with gr.Group(visible=False) as of_gate:
                bias = _slider(parts, "lab_gate_bias", -3, 3, 0, step=0.1)
                certainty = _slider(parts, "lab_gate_certainty", 0, 10, 3, step=0.1)
        with gr.Column(min_width=280, scale=3):
            answer = plain("", elem_id="maeum-lab-answer")
    parts.html(measured_section)
    sliders = [weight, *weights, bias, certainty]

    def mixed(
        wanted: str, words: str, kept: tuple[str, Any] | None, name: str, *values: float
    ) -> tuple[str, Any, Any]:
        shown_in = as_language(wanted)
        try:
            check_words(words)
            if kept is None or kept[0] != words:
                asked = parts.answers.for_mood(words, Wishes(1))
                kept = (words, np.asarray(asked.query))
            trial = laboratory.trial(_rule(name, values), kept[1])
        except Exception as error:  # every failure becomes a card; unexpected ones are logged
            return problem(error, shown_in), None, None
        return _view(trial, shown_in), trial, kept

    def shown(name: str) -> list[Any]:
        return [
            gr.update(visible=name in ("mean", "product")),
            gr.update(visible=name == "emotion-mean"),
            gr.update(visible=name == "gate"),
        ]

    asked: dict[str, Any] = {
        "fn": mixed,
        "inputs": [language, mood, query, method, *sliders],
        "outputs": [answer, last, query],
        **_LIVE,
        **QUIET,
    }
    method.change(shown, [method], [weight, of_emotions, of_gate], queue=False, **QUIET)
    method.change(**asked)
    for slider in sliders:
        slider.change(**asked)
    mood.submit(**asked)
    mood.blur(**asked)
    tab.select(**asked)
    return View(answer, last, _view)


def _slider(
    parts: Parts, key: str, least: float, most: float, value: float, **settings: Any
) -> gr.Slider:
    return parts.component(
        gr.Slider,
        lambda wanted: {"label": text(wanted, key)},
        minimum=least,
        maximum=most,
        value=value,
        step=settings.pop("step", 1),
        buttons=[],
        **settings,
    )


def _of_emotion(parts: Parts, index: int) -> gr.Slider:
    return parts.component(
        gr.Slider,
        lambda wanted: {
            "label": text(wanted, "lab_weight_of", emotion=emotion_name(wanted, index))
        },
        minimum=0,
        maximum=100,
        value=50,
        step=1,
        buttons=[],
    )


def _rule(method: str, values: tuple[float, ...]) -> FusionRule:
    weight, *rest = values
    if method == "product":
        return Product.of_weight(weight / 100.0)
    if method == "emotion-mean":
        return EmotionMean(tuple(value / 100.0 for value in rest[:N_EMOTIONS]))
    if method == "gate":
        bias, certainty = rest[N_EMOTIONS:]
        return Gate(bias, certainty, certainty)
    return Mean(weight / 100.0)


def _view(trial: Trial | None, language: Language) -> str:
    if trial is None:
        return ""
    if not trial.after:
        return empty_state("none", text(language, "map_empty"), "")
    changed = text(language, "lab_changed", count=len(trial.after), changed=trial.changed)
    if trial.tried < trial.songs:
        counts = {"tried": f"{trial.tried:,}", "songs": f"{trial.songs:,}"}
        changed = f"{changed} {text(language, 'lab_sample', **counts)}"
    settings = json.dumps(trial.settings.to_dict(), ensure_ascii=False, indent=1)
    tops = "".join(
        _tops_row(shares, text(language, key), language)
        for shares, key in ((trial.tops_before, "lab_now"), (trial.tops_after, "lab_then"))
    )
    count = max(len(trial.after), SHOWN)
    return (
        f'<section class="maeum-lab"><h3>{escaped(text(language, "lab_top"))}</h3>{tops}'
        f"<h3>{escaped(text(language, 'lab_list', count=count))}</h3>"
        f'<p class="maeum-hint" role="status">{escaped(changed)}</p><div class="maeum-lab-lists">'
        f"{_list(trial.before, language, 'lab_now', is_new=False)}"
        f"{_list(trial.after, language, 'lab_then', is_new=True)}</div>"
        f'<details class="maeum-more"><summary>{escaped(text(language, "lab_settings"))}</summary>'
        f'<p class="maeum-hint">{escaped(text(language, "lab_settings_note"))}</p>'
        f'<pre class="maeum-code">{escaped(settings)}</pre></details></section>'
    )


def _tops_row(shares: Any, name: str, language: Language) -> str:
    whole = percents(shares) if np.sum(shares) > 0 else [0] * N_EMOTIONS
    told = ", ".join(f"{emotion_name(language, i)} {whole[i]}%" for i in range(N_EMOTIONS))
    segments = "".join(
        f'<span class="maeum-seg maeum-{EMOTIONS[i]}" style="flex-grow:{share:.4f}" '
        f'title="{escaped(emotion_name(language, i))} {whole[i]}%">'
        f"{f'<b>{escaped(emotion_name(language, i))} {whole[i]}%</b>' if share > 0.17 else ''}"
        "</span>"
        for i, share in enumerate(shares)
        if share > 0
    )
    return (
        f'<div class="maeum-bar-row"><span class="maeum-bar-name">{escaped(name)}</span>'
        f'<span class="maeum-bar maeum-bar-strong" role="img" '
        f'aria-label="{escaped(f"{name}: {told}")}">{segments}</span></div>'
    )


def _list(songs: list[Any], language: Language, key: str, *, is_new: bool) -> str:
    rows = []
    for place, (song, other) in enumerate(songs):
        if not is_new:
            mark = ""
        elif other is None:
            mark = f'<span class="maeum-move is-new">{escaped(text(language, "lab_new"))}</span>'
        elif other == place:
            mark = f'<span class="maeum-move">{escaped(text(language, "lab_same"))}</span>'
        else:
            arrow = "▲" if other > place else "▼"
            mark = f'<span class="maeum-move">{arrow} {abs(other - place)}</span>'
        title = escaped(song.title or text(language, "untitled"))
        artist = escaped(song.artist or text(language, "unknown_artist"))
        rows.append(f"<li><span><b>{title}</b> {artist}</span>{mark}</li>")
    heading = escaped(text(language, key))
    return f'<div><h4>{heading}</h4><ol class="maeum-lab-list">{"".join(rows)}</ol></div>'
