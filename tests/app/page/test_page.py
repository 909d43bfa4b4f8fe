"""The page as it is served: built, private, offline, and answering through its endpoints."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.page.texts import ENGLISH, EXAMPLES, KOREAN
from app.service.answers import Answers
from app.service.options import ServiceOptions
from data_prep.catalogue import Catalogue, Song, StageVector
from data_prep.taxonomy import EMOTIONS
from tests.app.service.serving import serving

N_SONGS = 18
LISTENER = "a" * 16
gradio = pytest.importorskip("gradio")


def leaning(emotion: int, strength: float) -> StageVector:
    vector = np.full(6, (1 - strength) / 5, dtype=np.float32)
    vector[emotion] = strength
    return StageVector(vector, "test")


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    songs = [
        Song(
            id=str(i),
            title=f"Song <{i}> ${{x}}",
            artist=f"Band {i}",
            year=1990 + i,
            genre="Rock" if i % 2 else "Pop;Folk",
            link="https://example.org/1" if i % 2 else "javascript:alert(1)",
            lyrics=leaning(i % 6, 0.6 + i / 100) if i % 3 else None,
            audio=leaning(i % 6, 0.5 + i / 100),
        )
        for i in range(N_SONGS)
    ]
    path = tmp_path / "catalogue.db"
    with Catalogue.open(path, create=True) as opened:
        opened.upsert(songs)
    return str(path)


@pytest.fixture
def answers(catalogue: str, analyser) -> Iterator[Answers]:
    opened = Answers(catalogue, analyser, analyser.settings)
    yield opened
    opened.close()


@pytest.fixture
def page(answers: Answers) -> Any:
    from app.page.page import build_page

    return build_page(answers)


@pytest.fixture
def served(answers: Answers) -> Iterator[str]:
    with serving(answers, ServiceOptions()) as address:
        yield address


def find(page: Any, mood: str, language: str, **chosen: Any) -> list[Any]:
    """What the page shows for a mood, one after the other."""
    options = {
        "count": 5, "toward": "", "year_from": "", "year_to": "", "genre": "", "artist": "",
        "spoken": "", "read": "",
    }  # fmt: skip
    return list(event(page, "find")(mood, language, LISTENER, True, *(options | chosen).values()))


def event(page: Any, name: str) -> Any:
    """The function behind an event of the page."""
    return next(fn.fn for fn in page.fns.values() if getattr(fn.fn, "__name__", "") == name)


def test_mount_options_are_options_of_mounting() -> None:
    from app.page.mounting import mount_options

    options = mount_options(ServiceOptions())
    assert options.keys() <= inspect.signature(gradio.mount_gradio_app).parameters.keys()
    assert options["max_file_size"]
    assert options["allowed_paths"] == []
    assert options["footer_links"] == ["api"]
    for off in ("run_history", "enable_monitoring", "mcp_server", "pwa", "ssr_mode"):
        assert options[off] is False


def test_telemetry_is_off_and_uploads_are_deleted(page) -> None:
    assert page.analytics_enabled is False
    assert page.delete_cache is not None
    assert max(page.delete_cache) <= 3600
    assert page._queue.max_size is not None


def test_only_two_endpoints_are_public(page) -> None:
    public = {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}
    assert public == {"recommend", "analyse"}
    for fn in page.fns.values():
        if fn.api_visibility == "public":
            assert fn.api_description
            assert fn.concurrency_id in ("lyrics", "audio")


def test_every_word_changes_with_the_language(page) -> None:
    in_english = event(page, "switch")("en", None, None, True, None, None)
    in_korean = event(page, "switch")("ko", None, None, True, None, None)
    assert len(in_english) == len(in_korean)
    assert in_english[0] == "en"
    english, korean = str(in_english[1:]), str(in_korean[1:])
    for key in ("mood_heading", "mood_button", "song_button", "options", "footer_privacy"):
        assert ENGLISH[key] in english
        assert KOREAN[key] in korean
    # Between the parts that are the same in both, the mark and the songs, nothing Korean is left.
    assert set(re.findall("[가-힣]+", english)) <= {"마음", "한용운"}  # the poet of a test


def test_a_mood_is_answered_with_a_placeholder_and_then_songs(page) -> None:
    busy, answer = find(page, "오늘 너무 우울해", "ko", count=4)
    assert busy[1] is None
    assert KOREAN["mood_busy"] in busy[0]
    markup, found = answer
    assert markup.count("maeum-rank") == 4
    assert len(found.recommendations) == 4
    assert "Song &lt;" in markup
    assert "javascript" not in markup
    again = event(page, "switch")("en", found, None, None, None, None)
    assert any("Songs that feel like this" in str(part) for part in again)


def test_years_and_genre_restrict_and_toward_leads(page) -> None:
    chosen = {"year_from": "1995", "year_to": "2000년", "genre": "Rock"}
    *_, (_, found) = find(page, "sad", "en", count=20, **chosen)
    years = [r.song.year for r in found.recommendations]
    assert years
    assert all(1995 <= year <= 2000 for year in years)
    assert all(r.song.genre == "Rock" for r in found.recommendations)
    *_, (_, led) = find(page, "sad", "en", toward="joy")
    joys = [float(r.fused.distribution[0]) for r in led.recommendations]
    assert joys[-1] > joys[0]


def test_problems_are_cards(page) -> None:
    for mood, year, says in (
        ("", "", "problem_empty_text"),
        ("   \n", "", "problem_empty_text"),
        ("sad", "soon", "problem_option_title"),
        ("sad", "3000", "problem_option_title"),
        ("x" * 200_000, "", "problem_long_title"),
        ("😀😀", "", "problem_unread_title"),
        ("bug", "", "problem_unexpected_title"),
    ):
        for language, texts in (("ko", KOREAN), ("en", ENGLISH)):
            *_, (markup, found) = find(page, mood, language, year_from=year, year_to="2020")
            assert found is None
            assert 'role="alert"' in markup
            assert texts[says] in markup


def test_a_song_is_read(page, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"SOUND calm")
    *_, (markup, heard) = event(page, "listen")(
        str(song), "슬픔의 노래\n둘째 줄", "ko", LISTENER, True
    )
    assert "슬픈 말, 잔잔한 소리" in markup
    assert heard.recommendations
    *_, (markup, _) = event(page, "listen")(None, None, "en", None, None)
    assert ENGLISH["problem_song_empty_text"] in markup
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"MZ\x90")
    *_, (markup, _) = event(page, "listen")(str(broken), "", "en", None, None)
    assert "broken.mp3 cannot be decoded" in markup
    assert str(tmp_path) not in markup


def test_the_map_is_drawn_by_the_browser_in_both_languages(page) -> None:
    for language, texts in (("ko", KOREAN), ("en", ENGLISH)):
        frame = event(page, "show_map")(language)[0]
        assert "<canvas" in frame
        assert texts["map_label"] in frame
        assert frame.count("maeum-key") >= len(EMOTIONS)


def test_similar_songs_are_shown_below(page) -> None:
    similar = event(page, "find_similar")
    markup, found = similar('["3", 1]', "en", LISTENER, True)
    assert ENGLISH["similar_of"].format(title="Song &lt;3&gt; &#36;&#123;x&#125;") in markup
    assert "3" not in [each.song.id for each in found.recommendations]
    for wish in ('["none", 1]', "nonsense", "[]"):
        markup, found = similar(wish, "ko", None, None)
        assert found is None
        assert 'role="alert"' in markup


def test_the_laboratory_mixes_live(page) -> None:
    mixed = event(page, "mixed")
    values = [50.0, *[50.0] * 6, 0.0, 3.0]
    markup, trial, kept = mixed("en", "sad", None, "mean", *values)
    assert trial.changed == 0
    assert KOREAN["lab_then"] not in markup
    for method, moved in (("mean", 0.0), ("product", 10.0), ("emotion-mean", 50.0), ("gate", 50.0)):
        values[0] = moved
        markup, trial, kept = mixed("ko", "sad", kept, method, *values)
        assert trial.settings.rule.method == method
        assert "lyrics" in markup
    markup, trial, _ = mixed("ko", "", None, "mean", *values)
    assert trial is None
    assert 'role="alert"' in markup


def test_judgements_are_forgotten(page, answers: Answers) -> None:
    *_, (_, found) = find(page, "sad", "en")
    answers.judge(found.token, found.recommendations[0].song.id, 1)
    assert answers.feedback.count(LISTENER) == 1
    event(page, "forgotten")(LISTENER, "en")
    assert answers.feedback.count(LISTENER) == 0


def test_served_page(served: str, tmp_path: Path) -> None:
    """One server for all that needs one: it takes a second to start."""
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    response = httpx.get(served)
    assert response.status_code == 200
    assert "connect-src 'self'" in response.headers["content-security-policy"]
    assert response.headers["referrer-policy"] == "no-referrer"
    loads = r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"'](?:https?:)?//"
    assert not re.search(loads, response.text)
    assert "fonts.googleapis" not in response.text
    theme = httpx.get(f"{served}/theme.css").text
    assert not re.search(r"url\((?![\"']?data:)", theme)
    assert "@font-face" not in theme
    buttons = [
        component["props"].get("value")
        for component in httpx.get(f"{served}/config").json()["components"]
        if component["type"] == "button"
    ]
    assert set(EXAMPLES) <= set(buttons)

    client = Client(served, verbose=False, analytics_enabled=False)
    answer = client.predict("오늘 너무 우울해", 3, None, None, None, None, api_name="/recommend")
    assert answer["query"]["top"] == "sadness"
    assert [result["rank"] for result in answer["results"]] == [1, 2, 3]
    assert answer["results"][0].keys() == {
        *("rank", "id", "title", "artist", "year", "link", "score"),
        *("fused", "lyrics", "audio", "why"),
    }
    assert client.predict(text="joy", count=2, toward="calm", api_name="/recommend")["results"]

    song = tmp_path / "song.wav"
    song.write_bytes(b"SOUND calm")
    analysis = client.predict(handle_file(str(song)), "", api_name="/analyse")
    assert analysis["top"] == "calm"
    assert analysis["lyrics"] is None
    assert analysis["fused"].keys() == set(EMOTIONS)
    assert sum(analysis["fused"].values()) == pytest.approx(1.0, abs=1e-5)

    with pytest.raises(AppError, match="unknown emotion"):
        client.predict("joy", 5, None, None, None, "boredom", api_name="/recommend")
    with pytest.raises(AppError, match="text is empty"):
        client.predict("  ", api_name="/recommend")
    local = {"path": str(Path(__file__)), "meta": {"_type": "gradio.FileData"}}
    refused = httpx.post(f"{served}/gradio_api/call/analyse", json={"data": [local, ""]})
    if refused.status_code == 200:
        events = f"{served}/gradio_api/call/analyse/{refused.json()['event_id']}"
        assert "event: error" in httpx.get(events, timeout=30).text
