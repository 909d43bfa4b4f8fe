"""The page as it is served: built, private, offline, and answering through its endpoints."""

from __future__ import annotations

import inspect
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.page.texts import ENGLISH, EXAMPLES, KOREAN
from data_prep.catalogue import Catalogue, Song, StageVector
from data_prep.errors import CatalogueError, InputError
from data_prep.taxonomy import EMOTIONS

N_SONGS = 18
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
def page(catalogue: str, analyser) -> Any:
    from app.page.page import build_page

    return build_page(catalogue, analyser=analyser)


@pytest.fixture
def served(page) -> Iterator[str]:
    from app.page.serving import launch_options

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page.launch(
        server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, **launch_options()
    )
    yield f"http://127.0.0.1:{port}"
    page.close()


def event(page: Any, name: str) -> Any:
    """The function behind an event of the page."""
    return next(fn.fn for fn in page.fns.values() if getattr(fn.fn, "__name__", "") == name)


def test_a_missing_catalogue_is_refused_at_once(tmp_path: Path, analyser) -> None:
    from app.page.page import build_page

    with pytest.raises(CatalogueError):
        build_page(str(tmp_path / "none.db"), analyser=analyser)


def test_launch_options_are_options_of_launch() -> None:
    from app.page.serving import launch_options

    options = launch_options()
    assert options.keys() <= inspect.signature(gradio.Blocks.launch).parameters.keys()
    assert options["max_file_size"]
    assert options["footer_links"] == ["api"]
    for off in ("run_history", "enable_monitoring", "mcp_server", "pwa", "share", "ssr_mode"):
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
    in_english = event(page, "switch")("en", None, None, True)
    in_korean = event(page, "switch")("ko", None, None, True)
    assert len(in_english) == len(in_korean)
    assert in_english[0] == "en"
    english, korean = str(in_english[1:]), str(in_korean[1:])
    for key in ("mood_heading", "mood_button", "song_button", "options", "footer_privacy"):
        assert ENGLISH[key] in english
        assert KOREAN[key] in korean
    # Between the parts that are the same in both, the mark and the songs, nothing Korean is left.
    assert set(re.findall("[가-힣]+", english)) <= {"마음"}


def test_a_mood_is_answered_with_a_placeholder_and_then_songs(page) -> None:
    busy, answer = event(page, "find")("오늘 너무 우울해", 4, "", "", "", "", "ko")
    assert busy[1] is None
    assert KOREAN["mood_busy"] in busy[0]
    markup, found = answer
    assert markup.count("maeum-rank") == 4
    assert len(found.recommendations) == 4
    assert "Song &lt;" in markup
    assert "javascript" not in markup
    again = event(page, "switch")("en", found, None, False)
    assert any("Songs that feel like this" in str(part) for part in again)


def test_years_and_genre_restrict_and_toward_leads(page) -> None:
    *_, (_, found) = event(page, "find")("sad", 20, "1995", "2000년", "Rock", "", "en")
    years = [r.song.year for r in found.recommendations]
    assert years
    assert all(1995 <= year <= 2000 for year in years)
    assert all(r.song.genre == "Rock" for r in found.recommendations)
    *_, (_, led) = event(page, "find")("sad", 5, None, None, "", "joy", "en")
    joys = [float(r.fused.distribution[0]) for r in led.recommendations]
    assert joys[-1] > joys[0]


def test_problems_are_cards(page) -> None:
    find = event(page, "find")
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
            *_, (markup, found) = find(mood, 5, year, "2020", "", "", language)
            assert found is None
            assert 'role="alert"' in markup
            assert texts[says] in markup


def test_a_song_is_read(page, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"SOUND calm")
    *_, (markup, heard) = event(page, "listen")(str(song), "슬픔의 노래\n둘째 줄", "ko")
    assert "슬픈 말, 잔잔한 소리" in markup
    assert heard.recommendations
    *_, (markup, _) = event(page, "listen")(None, None, "en")
    assert ENGLISH["problem_song_empty_text"] in markup
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"MZ\x90")
    *_, (markup, _) = event(page, "listen")(str(broken), "", "en")
    assert "broken.mp3 cannot be decoded" in markup
    assert str(tmp_path) not in markup


def test_map_has_a_dot_for_every_song(page) -> None:
    assert event(page, "show_map")("ko")[0].count("maeum-point") == N_SONGS


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
    with pytest.raises(AppError, match="one line"):
        client.predict("  ", api_name="/recommend")
    local = {"path": str(Path(__file__)), "meta": {"_type": "gradio.FileData"}}
    refused = httpx.post(f"{served}/gradio_api/call/analyse", json={"data": [local, ""]})
    if refused.status_code == 200:
        events = f"{served}/gradio_api/call/analyse/{refused.json()['event_id']}"
        assert "event: error" in httpx.get(events, timeout=30).text


def test_a_taken_port_is_an_input_error(catalogue: str, monkeypatch) -> None:
    from app.page.serving import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="choose another"):
            serve(catalogue, "127.0.0.1", taken.getsockname()[1])
