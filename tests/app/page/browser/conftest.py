"""A service with its page, and a browser that looks at it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from app.page.texts import Language, text
from app.reading_pool import PooledSound, ReadingPool
from app.service.answers import Answers
from app.service.options import ServiceOptions
from data_prep.catalogue import Catalogue, Song, SongFile, StageVector
from fusion.analysis import SongAnalyser
from tests.app.service.serving import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
N_SONGS = 24
SIZES = {"phone": (390, 844), "desk": (1440, 900)}


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(2)
    t = np.arange(12 * 16_000) / 16_000
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 261.6, 329.6))
    path = tmp_path_factory.mktemp("sound") / "노래 하나.wav"
    wave = 0.1 * chord * (1 + np.sin(2 * np.pi * 2 * t)) + 0.01 * rng.normal(size=t.size)
    soundfile.write(path, wave.astype(np.float32), 16_000)
    return path


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> str:
    """Songs around all six emotions; one of them has a recording of its own."""
    rng = np.random.default_rng(1)

    def stage(emotion: int) -> StageVector:
        weights = np.full(6, 0.4)
        weights[emotion] = 4.0
        return StageVector(rng.dirichlet(weights).astype(np.float32), "test")

    songs = [
        Song(
            f"song-{i}",
            title=f"{('봄날', 'Rain', '긴 밤')[i % 3]} {i}",
            artist=f"가수 {i % 5}",
            year=1980 + 2 * i,
            genre=("발라드", "Rock", "Jazz")[i % 3],
            language="ko" if i % 2 else "en",
            link=f"https://example.org/{i}",
            path=str(recording) if i == 3 else None,
            lyrics=stage(i % 6) if i % 4 else None,
            audio=stage(i % 6 if i % 5 else (i + 3) % 6),
        )
        for i in range(N_SONGS)
    ]
    path = tmp_path_factory.mktemp("catalogue") / "songs.db"
    status = recording.stat()
    with Catalogue.open(path, create=True) as opened:
        opened.upsert(songs)
        file = SongFile("song-3", size=status.st_size, mtime_ns=status.st_mtime_ns, content="x")
        opened.keep_files([file])
    return str(path)


@pytest.fixture(scope="session")
def answers(catalogue: str) -> Iterator[Answers]:
    with ReadingPool(1, timeout_s=60.0) as pool:
        analyser = SongAnalyser(audio_predictor=PooledSound(pool, "sound"), threads=1)
        opened = Answers(catalogue, analyser)
        opened.warm_up()
        yield opened


@pytest.fixture(scope="session")
def address(answers: Answers) -> Iterator[str]:
    with serving(answers, ServiceOptions(files=True)) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Ends with its tests: while it runs, this thread has a loop that others must not find."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Looked:
    """A page that was opened, and what went wrong on it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", self._said)
        page.on("request", lambda request: self._asked(request.url, address))

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text}")

    def _asked(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.problems.append(f"asked elsewhere: {url}")

    def tab(self, number: int) -> None:
        """Go to a tab by its place."""
        self.page.locator("button[role=tab]").nth(number).click()

    def ask(self, mood: str) -> None:
        """Ask for a mood and wait for the songs."""
        self.page.fill("#maeum-mood-text textarea", mood)
        self.page.press("#maeum-mood-text textarea", "Enter")
        self.page.wait_for_function(
            "mood => document.querySelector('.maeum-query blockquote')?.innerText === mood"
            " && document.querySelectorAll('#maeum-mood-answer .maeum-card[data-song]').length",
            arg=mood,
            timeout=20_000,
        )

    def width(self) -> int:
        """Width of all that can be scrolled to."""
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, address: str) -> Open:
    """Opens the page: ``with open_page("ko", "phone") as looked``; problems fail the test."""

    @contextmanager
    def opened(language: Language, size: str = "desk", **settings: Any) -> Iterator[Looked]:
        width, height = SIZES[size]
        locale = {"ko": "ko-KR", "en": "en-US"}[language]
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale=locale, **settings
        )
        looked = Looked(context.new_page(), address)
        looked.page.set_default_timeout(10_000)
        looked.page.goto(address)
        heading = text(language, "mood_heading")
        looked.page.get_by_role("heading", name=heading).wait_for(timeout=30_000)
        looked.page.wait_for_function(
            "([language, title]) => document.documentElement.lang === language"
            " && document.title === title && localStorage.getItem('maeum-listener') !== null",
            arg=[language, text(language, "page_title")],
        )
        yield looked
        context.close()
        assert looked.problems == []

    return opened


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Callable[[Looked, str], None]:
    """Keeps a picture of the page where ``--screenshots DIR`` asks for it."""
    folder = request.config.getoption("--screenshots")

    def keep(looked: Looked, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            looked.page.wait_for_timeout(900)  # what moves has come to rest
            looked.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)

    return keep
