"""The progress line."""

import io

import pytest

from app.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_the_rate_does_not_count_what_was_done_before():
    progress = Progress(100, "rows", done=40, stream=io.StringIO())
    for _ in range(10):
        progress.advance(failed=False)
    progress.advance(failed=True)
    assert progress.line(11.0) == "51/100 rows · 1.0 rows/s · 49 s left · 1 failed"


def test_several_may_be_counted_at_once():
    progress = Progress(1_000_000, "songs", stream=io.StringIO())
    progress.advance(400_000)
    progress.advance(100_000)
    assert progress.line(2.0) == "500,000/1,000,000 songs · 250,000.0 songs/s · 2 s left"


def test_nothing_is_shown_where_nobody_looks():
    stream = io.StringIO()
    progress = Progress(2, "songs", stream=stream)
    progress.advance()
    progress.close()
    assert stream.getvalue() == ""


def test_a_terminal_sees_the_line_and_then_a_clean_one():
    stream = Terminal()
    progress = Progress(1, "songs", stream=stream)
    progress.advance()
    assert "1/1 songs" in stream.getvalue()
    progress.close()
    assert stream.getvalue().endswith("\r")
    assert stream.getvalue().split("\r")[-2].strip() == ""
