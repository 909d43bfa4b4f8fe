"""The page in a real browser: every tab in both languages, on a phone and on a desk."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.service.answers import Answers
from tests.app.page.browser.conftest import SIZES, Looked, Open

Shot = Callable[[Looked, str], None]

WAYS = pytest.mark.parametrize(
    ("language", "size"), [("ko", "desk"), ("ko", "phone"), ("en", "desk"), ("en", "phone")]
)
MOODS = {"ko": "오늘 너무 우울해", "en": "so happy I could dance"}


@WAYS
def test_a_mood_finds_songs(open_page: Open, shot: Shot, language: str, size: str) -> None:
    with open_page(language, size) as looked:
        looked.ask(MOODS[language])
        page = looked.page
        assert page.locator("#maeum-mood-answer .maeum-card[data-song]").count() == 5
        assert page.locator("#maeum-mood-answer .maeum-judge").count() == 10
        assert looked.width() <= SIZES[size][0]
        shot(looked, f"mood-{language}-{size}")


@WAYS
def test_a_song_is_read(
    open_page: Open, shot: Shot, recording: Path, language: str, size: str
) -> None:
    with open_page(language, size) as looked:
        looked.tab(1)
        page = looked.page
        page.set_input_files("#maeum-song-audio input[type=file]", str(recording))
        page.locator("#maeum-song-audio audio, #maeum-song-audio canvas, #waveform").first.wait_for(
            state="attached"
        )
        words = "비가 오는 밤이면\n네가 그리워 잠 못 드네\n\n창밖에 별이\n하나 둘 켜지고"
        page.fill("#maeum-song-lyrics textarea", words)
        page.click("#maeum-song-go")
        page.locator("#maeum-song-answer .maeum-reading").wait_for(timeout=40_000)
        assert page.locator("#maeum-song-answer .maeum-timeline").count() == 1
        assert page.locator("#maeum-song-answer .maeum-agreement").count() == 1
        assert page.locator("#maeum-song-answer .maeum-card[data-song]").count() == 5
        assert looked.width() <= SIZES[size][0]
        shot(looked, f"song-{language}-{size}")


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_a_lyric_file_is_read_with_its_times(
    open_page: Open, shot: Shot, tmp_path: Path, size: str
) -> None:
    words = [
        "비가 오는 밤이면",
        "네가 그리워 잠 못 드네",
        "창밖에 별이",
        "하나 둘 켜지고",
        "다시 봄이 와",
    ]
    lyrics = "\n".join(f"[00:{9 + 10 * i}.50]{line}" for i, line in enumerate(words))
    (tmp_path / "밤.lrc").write_bytes(lyrics.encode("cp949"))
    (tmp_path / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00")
    with open_page("ko", size) as looked:
        looked.tab(1)
        page = looked.page
        # Gradio's button keeps its input beside it.
        chooser = page.locator("#maeum-song-row input[type=file]")
        chooser.set_input_files(str(tmp_path / "cover.jpg"))
        card = page.locator("#maeum-song-answer .maeum-problem")
        card.wait_for()
        assert "cover.jpg" in card.inner_text()
        shot(looked, f"lyric-file-problem-{size}")
        chooser.set_input_files(str(tmp_path / "밤.lrc"))
        page.wait_for_function(
            "words => document.querySelector('#maeum-song-lyrics textarea').value === words",
            arg=lyrics,
        )
        card.wait_for(state="detached")
        page.click("#maeum-song-go")
        page.locator("#maeum-song-answer .maeum-reading").wait_for(timeout=20_000)
        assert page.locator(".maeum-begins").all_inner_texts() == ["0:09", "0:49"]
        assert looked.width() <= SIZES[size][0]
        shot(looked, f"lyric-file-{size}")


@WAYS
def test_the_map_is_drawn_and_a_point_finds_similar_songs(
    open_page: Open, shot: Shot, language: str, size: str
) -> None:
    with open_page(language, size) as looked:
        page = looked.page
        looked.tab(2)
        page.locator(".maeum-map-box[data-filled='2']").wait_for(timeout=15_000)
        drawn = page.evaluate(
            "() => { const c = document.querySelector('.maeum-map-stage canvas');"
            " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            " let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"
        )
        assert drawn > 500
        x, y = page.evaluate("() => document.querySelector('.maeum-map-box').emotionMap.on(3)")
        page.locator(".maeum-map-stage canvas").hover(position={"x": x, "y": y})
        tip = page.locator(".maeum-map-tip")
        tip.wait_for()
        assert "가수" in tip.inner_text()
        shot(looked, f"map-{language}-{size}")
        page.locator(".maeum-map-stage canvas").click(position={"x": x, "y": y})
        page.locator("#maeum-similar-answer .maeum-card[data-song]").first.wait_for()
        assert looked.width() <= SIZES[size][0]


@WAYS
def test_the_laboratory_follows_the_slider(
    open_page: Open, shot: Shot, language: str, size: str
) -> None:
    with open_page(language, size) as looked:
        page = looked.page
        looked.tab(3)
        first = page.locator(".maeum-lab-list").nth(1)
        first.wait_for(timeout=15_000)
        number = page.locator("#maeum-lab-weight input[type=number]")
        number.fill("0")
        number.press("Enter")
        page.wait_for_function(
            '() => /"lyrics_weight": 0(\\.0)?\\b/.test('
            "document.querySelector('#maeum-lab-answer .maeum-code')?.textContent)"
        )
        assert page.locator(".maeum-move").count() == 10
        assert page.locator(".maeum-figure").count() > 15
        assert looked.width() <= SIZES[size][0]
        shot(looked, f"lab-{language}-{size}")


def test_the_language_is_switched_and_results_stay(open_page: Open) -> None:
    with open_page("ko") as looked:
        looked.ask(MOODS["ko"])
        page = looked.page
        titles = page.locator(".maeum-card h3").all_inner_texts()
        page.get_by_text("English", exact=True).click()
        page.get_by_role("heading", name="How are you feeling?").wait_for()
        assert page.locator(".maeum-card h3").all_inner_texts() == titles
        assert page.get_by_role("heading", name="Songs that feel like this").count() == 1
        assert page.evaluate("document.documentElement.lang") == "en"
        page.reload()
        page.get_by_role("heading", name="How are you feeling?").wait_for()


def test_judgements_are_kept_and_taken_back(open_page: Open, answers: Answers) -> None:
    with open_page("en") as looked:
        looked.ask("I miss her so much")
        page = looked.page
        card = page.locator("#maeum-mood-answer .maeum-card[data-song]").nth(1)
        song = card.get_attribute("data-song")
        like, dislike = card.locator(".maeum-judge").nth(0), card.locator(".maeum-judge").nth(1)
        like.click()
        page.locator(".maeum-said.is-shown", has_text="Thank you").wait_for(state="attached")
        assert like.get_attribute("aria-pressed") == "true"
        (kept,) = [row for row in answers.feedback.rows() if row["song"] == song]
        assert (kept["verdict"], kept["rank"], kept["kind"]) == (1, 2, "mood")
        dislike.click()
        page.wait_for_function(
            "() => document.querySelectorAll('.maeum-judge[aria-pressed=true]').length === 1"
        )
        page.wait_for_timeout(300)
        (kept,) = [row for row in answers.feedback.rows() if row["song"] == song]
        assert kept["verdict"] == -1
        looked.ask("I really miss her so much")
        songs = [
            each.get_attribute("data-song")
            for each in page.locator("#maeum-mood-answer .maeum-card[data-song]").all()
        ]
        assert song not in songs, "what was disliked does not come again"
        page.locator("#maeum-options > button").click()
        page.locator("#maeum-forget").click()
        page.get_by_text("1 judgements deleted").wait_for()
        assert [row for row in answers.feedback.rows() if row["song"] == song] == []


def test_a_judgement_that_cannot_be_kept_is_put_back(open_page: Open) -> None:
    with open_page("en") as looked:
        looked.ask("so angry I could scream")
        page = looked.page
        page.route("**/api/v1/feedback", lambda route: route.abort())
        button = page.locator("#maeum-mood-answer .maeum-judge").first
        button.click()
        page.locator(".maeum-said", has_text="could not be kept").wait_for(state="attached")
        assert button.get_attribute("aria-pressed") == "false"
        assert any("ERR_FAILED" in problem for problem in looked.problems)
        looked.problems.clear()


@pytest.mark.parametrize("form", ["m3u8", "csv"])
def test_the_list_is_downloaded(open_page: Open, form: str, recording: Path) -> None:
    with open_page("ko") as looked:
        looked.ask("슬프고 외로운 밤")
        page = looked.page
        titles = page.locator("#maeum-mood-answer .maeum-card h3").all_inner_texts()
        with page.expect_download() as waited:
            page.locator(f"#maeum-mood-answer a[download='maeum.{form}']").click()
        content = Path(waited.value.path()).read_text(encoding="utf-8")
        if form == "csv":
            assert [row["title"] for row in csv.DictReader(io.StringIO(content))] == titles
        else:
            lines = content.splitlines()
            assert lines[0] == "#EXTM3U"
            assert [line.split(" - ")[1] for line in lines if line.startswith("#EXTINF")] == titles


def test_a_recording_of_the_catalogue_is_played(open_page: Open, address: str) -> None:
    with open_page("en") as looked:
        page = looked.page
        page.evaluate("window.maeumLike('song-9')")
        page.locator("#maeum-similar-answer .maeum-card[data-song='song-3'] audio").wait_for()
        seconds = page.evaluate(
            "() => new Promise((done, fail) => {"
            " const audio = document.querySelector('#maeum-similar-answer audio');"
            " audio.onloadedmetadata = () => done(audio.duration); audio.onerror = fail;"
            " audio.load(); audio.preload = 'metadata'; audio.load(); })"
        )
        assert seconds == pytest.approx(12.0, abs=0.1)


def test_a_refused_microphone_is_no_dead_end(open_page: Open) -> None:
    with open_page("en", permissions=[]) as looked:
        page = looked.page
        looked.tab(1)
        page.locator("#maeum-song-audio").get_by_label("Record audio").or_(
            page.locator("#maeum-song-audio button[aria-label*='icrophone']")
        ).first.click()
        page.wait_for_timeout(1500)
        page.fill("#maeum-song-lyrics textarea", "I am so happy today\nand I sing")
        page.press("#maeum-song-lyrics textarea", "Control+Enter")
        page.locator("#maeum-song-answer .maeum-reading").wait_for(timeout=20_000)
        looked.problems.clear()  # browsers tell a refused microphone as an error


def test_the_keyboard_alone_is_enough(open_page: Open, answers: Answers) -> None:
    with open_page("en") as looked:
        page = looked.page
        page.keyboard.press("Tab")
        for _ in range(60):
            if page.evaluate("document.activeElement.closest('#maeum-mood-text') !== null"):
                break
            page.keyboard.press("Tab")
        page.keyboard.type("quiet evening, warm tea")
        page.keyboard.press("Enter")
        page.locator("#maeum-mood-answer .maeum-card[data-song]").first.wait_for(timeout=20_000)
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('.maeum-judge')"):
                break
        page.keyboard.press("Enter")
        page.locator(".maeum-judge[aria-pressed=true]").wait_for()
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('[data-like]')"):
                break
        page.keyboard.press("Enter")
        page.locator("#maeum-similar-answer .maeum-card[data-song]").first.wait_for()


def test_the_map_is_walked_by_keys(open_page: Open) -> None:
    with open_page("ko") as looked:
        page = looked.page
        looked.tab(2)
        page.locator(".maeum-map-box[data-filled='2']").wait_for(timeout=15_000)
        page.locator(".maeum-map-stage canvas").focus()
        page.keyboard.press("ArrowRight")
        page.locator(".maeum-map-tip").wait_for()
        page.keyboard.press("Enter")
        page.locator("#maeum-similar-answer .maeum-card[data-song]").first.wait_for()


def test_dark_mode_is_dark(open_page: Open, shot: Shot) -> None:
    with open_page("ko", color_scheme="dark") as looked:
        looked.ask(MOODS["ko"])
        ground = looked.page.evaluate(
            "getComputedStyle(document.querySelector('.maeum-card')).backgroundColor"
        )
        red, green, blue = map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))
        assert max(red, green, blue) < 80
        shot(looked, "mood-ko-dark")


@pytest.mark.parametrize(("mood", "says"), [("", "아직 비어 있어요"), ("123", "읽지 못했어요")])
def test_what_cannot_be_read_gets_a_card(open_page: Open, mood: str, says: str) -> None:
    with open_page("ko") as looked:
        page = looked.page
        page.fill("#maeum-mood-text textarea", mood)
        page.click("#maeum-mood-go")
        page.get_by_role("alert").get_by_text(says).wait_for()


def test_the_interface_is_described(address: str, browser: Any) -> None:
    page = browser.new_page()
    described = json.loads(page.request.get(f"{address}/openapi.json").text())
    assert "/api/v1/recommend" in described["paths"]
    page.close()
