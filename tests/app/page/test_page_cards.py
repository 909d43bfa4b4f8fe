"""Cards say what was found, escape what others wrote, and are friendly when nothing was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from app.page.cards import (
    SEGMENTS_SHOWN,
    agreement,
    busy_card,
    empty_state,
    problem_card,
    query_card,
    reading_card,
)
from app.page.problems import PageError, problem
from app.page.song_cards import song_cards
from app.service.answers import Answer
from app.service.errors import without_folders
from data_prep.catalogue import Song
from data_prep.errors import CatalogueError, InputError, ModelFolderError
from fusion.analysis import Analysis, SongAnalyser
from fusion.combination import fuse
from fusion.recommendation import Recommendation
from fusion.settings import FusionSettings

PLAIN = FusionSettings()
NASTY = "<img src=x onerror=alert(1)> ${x} {{y}}"


def leaning(emotion: int, strength: float = 0.9) -> np.ndarray:
    vector = np.full(6, (1 - strength) / 5, dtype=np.float32)
    vector[emotion] = strength
    return vector


@dataclass
class Segment:
    text: str
    distribution: np.ndarray
    weight: float = 1.0


@dataclass
class Words:
    segments: tuple[Segment, ...]


@dataclass
class Sound:
    windows: np.ndarray
    duration_s: float


def analysis(words=None, sound=None, *, n_segments=2, notes=()) -> Analysis:
    segments = tuple(Segment(f"line {i}\nnext", leaning(3)) for i in range(n_segments))
    return Analysis(
        fused=fuse(words, sound, PLAIN),
        lyric_reading=None if words is None else Words(segments),
        audio_reading=None if sound is None else Sound(np.stack([sound] * 4), 40.0),
        language=None,
        notes=notes,
    )


def recommendation(**facts) -> Recommendation:
    fused = fuse(leaning(3), leaning(0), PLAIN)
    return Recommendation(1, Song("1<", **facts), 0.987, fused, "why", leaning(3))


def cards(language="en", *found: Recommendation, token: str | None = None, files=False) -> str:
    answer = Answer("mood", "", None, None, leaning(3), list(found), PLAIN, token)
    return song_cards(answer, language, heading="Songs <", files=files)


def test_song_card_shows_facts_bars_reason_and_link() -> None:
    found = recommendation(
        title="Song", artist="Band", year=1999, genre="Rock;Folk", link="https://example.org/1"
    )
    card = cards("en", found)
    assert "Band · 1999 · Rock, Folk" in card
    assert "99% match" in card
    assert found.why_in("en") in card
    assert found.why_in("ko") in cards("ko", found)
    assert 'href="https://example.org/1"' in card
    assert 'rel="noopener noreferrer"' in card
    for name in ("Both", "Words", "Sound"):
        assert f'aria-label="{name}: ' in card


def test_song_card_escapes_everything_of_the_catalogue() -> None:
    found = recommendation(title=NASTY, artist=NASTY, genre=NASTY, link="javascript:alert(1)")
    card = cards("ko", found, token=NASTY)
    for mark in ("<img", "${", "{{", "javascript", "Songs <", '"1<"'):
        assert mark not in card


def test_song_card_without_facts() -> None:
    card = cards("ko", recommendation())
    assert "제목 없음" in card
    assert "알 수 없는 음악가" in card
    assert 'target="_blank"' not in card


def test_songs_are_judged_only_where_somebody_is_named() -> None:
    assert "maeum-judge" not in cards("en", recommendation())
    card = cards("en", recommendation(title="Song"), token="token")
    assert card.count('aria-pressed="false"') == 2
    assert 'data-list="token"' in card
    assert 'aria-label="I like it: Song"' in card


def test_recordings_are_played_only_where_files_are_served() -> None:
    found = recommendation(path="/music/secret.mp3", link="https://example.org/1")
    assert "<audio" not in cards("en", found)
    card = cards("en", found, files=True)
    assert 'src="api/v1/audio?id=1%3C"' in card
    assert "secret" not in card


def test_the_list_is_saved_with_all_its_songs() -> None:
    card = cards("en", recommendation(), recommendation())
    assert "api/v1/playlist?format=m3u8&amp;id=1%3C&amp;id=1%3C" in card
    assert 'download="maeum.csv"' in card


def test_no_songs_is_a_card_of_its_own() -> None:
    assert "No song fits" in cards("en")


@pytest.mark.parametrize(
    ("words", "sound", "sentence"),
    [
        (leaning(3), leaning(3), "Words and sound both say sadness."),
        (leaning(3, 0.95), leaning(3, 0.4), "both lean to sadness"),
        (leaning(3), leaning(0), "Sad words, bright sound: the two tell different stories."),
        (leaning(3, 0.3), leaning(0, 0.3), "Sad words, bright sound: a slight difference."),
    ],
)
def test_agreement_in_words(words, sound, sentence: str) -> None:
    assert sentence in (agreement(fuse(words, sound, PLAIN), "en") or "")


def test_agreement_needs_both_branches() -> None:
    assert agreement(fuse(leaning(3), None, PLAIN), "ko") is None


def test_reading_shows_branches_time_and_segments() -> None:
    card = reading_card(analysis(leaning(3), leaning(0)), PLAIN, "ko")
    for part in ("슬픈 말, 밝은 소리", "시간에 따라", "0:40", "가사를 따라", "line 1 / next"):
        assert part in card
    words_only = reading_card(analysis(leaning(3)), PLAIN, "en")
    assert "no sound heard" in words_only
    assert "Over time" not in words_only
    sound_only = reading_card(analysis(None, leaning(0)), PLAIN, "en")
    assert "no words read" in sound_only
    assert "Along the lyrics" not in sound_only


def test_one_segment_is_shown_with_its_words() -> None:
    card = reading_card(analysis(leaning(3), n_segments=1), PLAIN, "en")
    assert "Along the lyrics" in card
    assert "line 0 / next" in card


def test_segments_of_timed_lyrics_say_when_they_begin() -> None:
    words = "[00:07.90]line 0\n[00:20]next\n[01:05.00]line 1\n[01:09]next"
    card = reading_card(analysis(leaning(3)), PLAIN, "ko", words=words)
    assert '<span class="maeum-begins">0:07</span>line 0 / next' in card
    assert '<span class="maeum-begins">1:05</span>line 1 / next' in card
    assert "maeum-begins" not in reading_card(analysis(leaning(3)), PLAIN, "ko", words="line 0")


def test_long_lyrics_are_folded() -> None:
    card = reading_card(analysis(leaning(3), n_segments=SEGMENTS_SHOWN + 5), PLAIN, "en")
    assert "5 more" in card
    assert card.count("/ next") == SEGMENTS_SHOWN + 5


def test_abstaining_and_notes_are_said() -> None:
    unsure = analysis(leaning(3, 0.2), notes=("the words say nothing: no words",))
    card = reading_card(unsure, PLAIN, "ko")
    assert "또렷하지 않아" in card
    assert "글에서 읽은 감정이 없습니다: 낱말이 없습니다" in card
    assert "No single emotion" in query_card("hm", unsure, "en")


def test_query_card_escapes_and_shortens_the_mood() -> None:
    card = query_card(NASTY + "말 " * 500, analysis(leaning(3)), "ko")
    assert "<img" not in card
    assert "…" in card
    assert len(card) < 6000


def test_states_are_announced() -> None:
    assert 'role="status"' in busy_card("wait")
    assert 'role="alert"' in problem_card("t", "b", language="en")
    assert "<h3>t</h3>" in empty_state("none", "t", "b")


@pytest.mark.parametrize("language", ["ko", "en"])
def test_expected_problems_are_friendly(language) -> None:
    cards = {
        problem(error, language)
        for error in (
            PageError("problem_empty_title", "problem_empty_text"),
            InputError("/tmp/gradio/0a1b/song.mp3 cannot be decoded"),
            CatalogueError("/srv/private/catalogue.db is not a catalogue"),
            ModelFolderError("/srv/model: labels do not fit"),
        )
    }
    assert len(cards) == 4
    for card in cards:
        assert "Traceback" not in card
        assert "/tmp" not in card
        assert "/srv" not in card


def test_unexpected_problem_is_logged_and_tells_nothing(caplog) -> None:
    card = problem(RuntimeError("secret"), "en")
    assert "Something unexpected" in card
    assert "secret" not in card
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/tmp/gradio/ab12/my song.mp3 is empty", "my song.mp3 is empty"),
        (r"C:\Users\x\song.mp3 is empty", "song.mp3 is empty"),
        ("see https://example.org/a/b and wav/flac", "see https://example.org/a/b and wav/flac"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_folders_are_cut_from_messages(message: str, shown: str) -> None:
    assert without_folders(message) == shown


def test_emoji_only_says_why(analyser: SongAnalyser) -> None:
    with pytest.raises(InputError) as caught:
        analyser.analyse(text="😀", as_mood=True)
    assert "The words say nothing: no words." in problem(caught.value, "en")
    assert "글에서 읽은 감정이 없습니다: 낱말이 없습니다." in problem(caught.value, "ko")
