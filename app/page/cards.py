"""Cards of the web page: a reading of emotions, and states without any result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.page.charts import clock, emotion_bar, legend, percents, timeline
from app.page.markup import escaped
from app.page.texts import Language, as_sentence, emotion_name, text, translated
from data_prep.segment_times import segment_times
from fusion.analysis import Analysis
from fusion.calibration import calibrate
from fusion.combination import Fused
from fusion.reasons import ADJECTIVES, ADJECTIVES_KO, DIFFER_FROM
from fusion.settings import FusionSettings

AGREE_UNTIL: Final = 0.1
SEGMENTS_SHOWN: Final = 8

_ICONS: Final = {
    "mood": '<path d="M24 41S6 30 6 17.5C6 11 11 7 16 7c3.5 0 6.5 2 8 5 1.5-3 4.5-5 8-5 '
    '5 0 10 4 10 10.5C42 30 24 41 24 41z"/><path d="M13 22h5l3-6 5 12 3-6h6"/>',
    "song": '<circle cx="14" cy="36" r="5"/><circle cx="36" cy="31" r="5"/>'
    '<path d="M19 36V12l22-5v24M19 19l22-5"/>',
    "none": '<circle cx="22" cy="22" r="13"/><path d="M32 32l9 9M17 22h10"/>',
    "problem": '<circle cx="24" cy="24" r="17"/><path d="M24 15v11M24 32.5v.5"/>',
}


def empty_state(icon: str, title: str, body: str) -> str:
    """A calm card for a place where a result will be."""
    return (
        f'<div class="maeum-state">{_icon(icon)}<h3>{escaped(title)}</h3>'
        f"<p>{escaped(body)}</p></div>"
    )


def problem_card(
    title: str, body: str, *, reason: str = "", detail: str = "", language: Language
) -> str:
    """A friendly message in the page.

    ``reason`` is a sentence that stands below it; ``detail``, for those who run
    the page, is folded away.
    """
    folded = f'<p class="maeum-reason">{escaped(reason)}</p>' if reason else ""
    if detail:
        folded += (
            f"<details><summary>{escaped(text(language, 'problem_detail'))}</summary>"
            f"<code>{escaped(detail)}</code></details>"
        )
    return (
        f'<div class="maeum-state maeum-problem" role="alert">{_icon("problem")}'
        f"<h3>{escaped(title)}</h3><p>{escaped(body)}</p>{folded}</div>"
    )


def busy_card(sentence: str, *, cards: int = 3) -> str:
    """Placeholders that shimmer while the answer is on its way."""
    bones = "".join(
        '<div class="maeum-card maeum-bones"><span></span><span></span><span></span></div>'
        for _ in range(cards)
    )
    return (
        f'<div class="maeum-busy" role="status"><p><span class="maeum-spinner"></span>'
        f"{escaped(sentence)}</p>{bones}</div>"
    )


def query_card(words: str, analysis: Analysis, language: Language) -> str:
    """How a mood was understood: its words, its bar, and what to know about it."""
    notes = [text(language, "query_abstain")] if analysis.fused.abstain else []
    notes += [as_sentence(translated(note, language)) for note in analysis.notes]
    bar = emotion_bar(
        analysis.distribution, language, name=text(language, "bar_query"), strong=True
    )
    return (
        f'<section class="maeum-query"><h2>{escaped(text(language, "query_heading"))}</h2>'
        f"<blockquote>{escaped(_shortened(words, 160))}</blockquote>"
        f"{bar}{_notes(notes)}{legend(language)}</section>"
    )


def reading_card(
    analysis: Analysis, settings: FusionSettings, language: Language, *, words: str = ""
) -> str:
    """The emotions of one song: both branches, their agreement, over time and along the words.

    Windows and segments are calibrated by the settings, as the bars above them are. Where the
    ``words`` that were read have times, each segment says when it begins.
    """
    top = int(np.argmax(analysis.distribution))
    headline = text(
        language,
        "song_top",
        emotion=emotion_name(language, top),
        percent=percents(analysis.distribution)[top],
    )
    notes = [text(language, "song_abstain")] if analysis.fused.abstain else []
    notes += [as_sentence(translated(note, language)) for note in analysis.notes]
    parts = [
        f'<section class="maeum-reading"><h2>{escaped(text(language, "song_result_heading"))}</h2>'
        f'<p class="maeum-headline"><span class="maeum-dot maeum-{analysis.top}"></span>'
        f"{escaped(headline)}</p>{branch_bars(analysis.fused, language)}"
    ]
    words_and_sound = agreement(analysis.fused, language)
    if words_and_sound is not None:
        parts.append(f'<p class="maeum-agreement">{escaped(words_and_sound)}</p>')
    parts.append(_notes(notes))
    sound = analysis.audio_reading
    if sound is not None and len(sound.windows):
        parts.append(
            f"<h3>{escaped(text(language, 'timeline_heading'))}</h3>"
            f"{timeline(calibrate(sound.windows, settings.audio), sound.duration_s, language)}"
        )
    else:
        parts.append(legend(language))
    if analysis.lyric_reading is not None and analysis.lyric_reading.segments:
        segments = analysis.lyric_reading.segments
        shares = [calibrate(s.distribution, settings.lyrics) for s in segments]
        rows = _segment_rows([s.text for s in segments], shares, words, language)
        parts.append(
            f"<h3>{escaped(text(language, 'segments_heading'))}</h3>{_segments(rows, language)}"
        )
    parts.append("</section>")
    return "".join(parts)


def agreement(fused: Fused, language: Language) -> str | None:
    """What words and sound say to each other, in a sentence; ``None`` with one branch."""
    if fused.lyrics is None or fused.audio is None or fused.disagreement is None:
        return None
    words, sound = int(np.argmax(fused.lyrics)), int(np.argmax(fused.audio))
    if words == sound:
        key = "agree" if fused.disagreement < AGREE_UNTIL else "agree_loosely"
        return text(language, key, emotion=emotion_name(language, words))
    key = "disagree" if fused.disagreement >= DIFFER_FROM else "disagree_slightly"
    adjectives = ADJECTIVES_KO if language == "ko" else ADJECTIVES
    sentence = text(language, key, lyrics=adjectives[words], audio=adjectives[sound])
    return sentence[:1].upper() + sentence[1:]


def branch_bars(fused: Fused, language: Language) -> str:
    """Three bars: both together, the words, the sound."""
    rows = emotion_bar(fused.distribution, language, name=text(language, "bar_fused"), strong=True)
    for branch, shares in (("lyrics", fused.lyrics), ("audio", fused.audio)):
        rows += emotion_bar(
            shares,
            language,
            name=text(language, f"bar_{branch}"),
            missing=text(language, f"missing_{branch}"),
        )
    return f'<div class="maeum-bars">{rows}</div>'


def _segment_rows(
    segments: Sequence[str],
    shares: Sequence[NDArray[np.floating[Any]]],
    words: str,
    language: Language,
) -> list[str]:
    rows = []
    times = segment_times(words, segments)
    for segment, own, time in zip(segments, shares, times, strict=True):
        begins = f'<span class="maeum-begins">{clock(int(time))}</span>' if time is not None else ""
        lines = _shortened(" / ".join(segment.split("\n")), 140)
        rows.append(
            f"<li><p>{begins}{escaped(lines)}</p>{emotion_bar(own, language, name='')}</li>"
        )
    return rows


def _segments(rows: Sequence[str], language: Language) -> str:
    shown = f'<ol class="maeum-segments">{"".join(rows[:SEGMENTS_SHOWN])}</ol>'
    rest = rows[SEGMENTS_SHOWN:]
    if rest:
        more = escaped(text(language, "segments_more", count=len(rest)))
        shown += (
            f'<details class="maeum-more"><summary>{more}</summary>'
            f'<ol class="maeum-segments">{"".join(rest)}</ol></details>'
        )
    return shown


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return f'<ul class="maeum-notes">{"".join(f"<li>{escaped(note)}</li>" for note in notes)}</ul>'


def _icon(name: str) -> str:
    return f'<svg class="maeum-icon" viewBox="0 0 48 48" aria-hidden="true">{_ICONS[name]}</svg>'


def _shortened(words: str, most: int) -> str:
    folded = " ".join(words.split())
    return folded if len(folded) <= most else folded[: most - 1].rstrip() + "…"
