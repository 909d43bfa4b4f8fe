"""Lyric files on the song tab, and a mood that is spoken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.page.texts import ENGLISH, KOREAN
from app.service.answers import Answers
from data_prep.catalogue import Catalogue
from data_prep.errors import InputError

gradio = pytest.importorskip("gradio")

LRC = "[00:07.00]슬픔의 노래\n[00:12.00]둘째 줄\n"


@pytest.fixture
def answers(tmp_path: Path, analyser) -> Iterator[Answers]:
    path = tmp_path / "catalogue.db"
    Catalogue.open(path, create=True).close()
    opened = Answers(str(path), analyser, analyser.settings)
    yield opened
    opened.close()


class SpeechStandIn:
    """Hears what the file says."""

    def text(self, path: Path) -> str:
        said = path.read_text(encoding="utf-8")
        if not said:
            raise InputError("nothing was said in the recording")
        return said


def built(answers: Answers, **settings: Any) -> Any:
    from app.page.page import build_page

    return build_page(answers, **settings)


def event(page: Any, name: str) -> Any:
    """The event of the page whose function is called so."""
    return next(fn for fn in page.fns.values() if getattr(fn.fn, "__name__", "") == name)


def ids(page: Any) -> set[str | None]:
    return {block.elem_id for block in page.blocks.values()}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_a_lyric_file_fills_the_lyrics(answers: Answers, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "노래.lrc"
    file.write_bytes(LRC.encode(encoding))
    fill = event(built(answers), "fill")
    assert [block.elem_id for block in fill.outputs][:2] == [
        "maeum-song-lyrics",
        "maeum-song-answer",
    ]
    words, markup, last = fill.fn(str(file), "ko", None)
    assert words == LRC
    assert KOREAN["song_empty_title"] in markup
    assert last is None


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"ID3\x04\x00\x00\xff\xfb\x90\x00", "problem_lyric_file_title"),
        (b"\xff\xd8\xff\xe0 picture", "problem_lyric_file_title"),
        (b" \r\n", "problem_lyric_file_title"),
        (b"la " * 50_000, "problem_long_title"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_card(
    answers: Answers, tmp_path: Path, content: bytes, key: str
) -> None:
    file = tmp_path / "a song <1>.lrc"
    file.write_bytes(content)
    fill = event(built(answers), "fill").fn
    for language, texts in (("ko", KOREAN), ("en", ENGLISH)):
        words, markup, last = fill(str(file), language, None)
        assert words == gradio.skip()
        assert last is None
        assert 'role="alert"' in markup
        assert texts[key] in markup
        assert "<1>" not in markup
        assert str(tmp_path) not in markup


def test_a_microphone_is_there_only_with_a_speech_reader(answers: Answers) -> None:
    assert "maeum-voice" not in ids(built(answers))
    assert "maeum-voice" in ids(built(answers, speech=SpeechStandIn()))


def test_what_is_said_fills_the_mood(answers: Answers, tmp_path: Path) -> None:
    heard = event(built(answers, speech=SpeechStandIn()), "heard")
    assert [block.elem_id for block in heard.outputs] == ["maeum-mood-text"]
    recording = tmp_path / "said.wav"
    recording.write_text("오늘 너무 우울해", encoding="utf-8")
    assert heard.fn(str(recording), "ko") == "오늘 너무 우울해"
    assert heard.fn(None, "ko") == gradio.skip()
    recording.write_bytes(b"")
    with pytest.raises(gradio.Error, match="Nothing was said"):
        heard.fn(str(recording), "en")
