"""Words of several rows, read together in few runs of the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from app.failures import explain

if TYPE_CHECKING:
    from fusion.analysis import SongAnalyser
    from lyrics_model.predictor import LyricReading


@runtime_checkable
class _ReadsMany(Protocol):
    """A lyric predictor that reads several texts in few network runs."""

    def read_many(self, texts: Sequence[str], *, as_mood: bool = False) -> list[LyricReading]:
        """One reading per text; raises if any of them cannot be read."""


def read_window(
    analyser: SongAnalyser, texts: list[tuple[str, bool]], done: int = 0
) -> list[LyricReading | Exception | None]:
    """As :func:`each_of_window`, all of them."""
    return list(each_of_window(analyser, texts, done))


def each_of_window(
    analyser: SongAnalyser, texts: list[tuple[str, bool]], done: int = 0
) -> Iterator[LyricReading | Exception | None]:
    """Readings in order, or what is wrong with a text.

    Parameters
    ----------
    texts
        Each with whether it is read as a mood.
    done
        So many of the first are not asked for, and read only where the others' answers depend
        on what they are read with; ``None`` comes for them.

    Raises
    ------
    MaeumError
        What concerns the whole run: a model that cannot be used.
    """
    predictor: object = analyser.lyric_predictor
    yield from [None] * done
    if not isinstance(predictor, _ReadsMany):
        for text, as_mood in texts[done:]:
            yield _alone(analyser, text, as_mood)
        return
    found: dict[int, LyricReading | Exception] = {}
    for kind in (False, True):
        places = [place for place, (_, as_mood) in enumerate(texts) if as_mood == kind]
        alike = [_encodable(texts[place][0]) for place in places]
        found |= dict(zip(places, _together(predictor, alike, kind), strict=True))
    yield from (found[place] for place in range(done, len(texts)))


def _together(
    predictor: _ReadsMany, texts: list[str], as_mood: bool
) -> list[LyricReading | Exception]:
    """Readings in order; a text that cannot be read does not spoil the others.

    A part with such a text is halved until the text stands alone. What it costs
    is small, since texts are refused before the network runs.
    """
    if not texts:
        return []
    try:
        return list(predictor.read_many(texts, as_mood=as_mood))
    except Exception as error:
        if len(texts) == 1:
            return [error]
        explain(error)  # lets pass what concerns the whole run
    half = len(texts) // 2
    return [
        *_together(predictor, texts[:half], as_mood),
        *_together(predictor, texts[half:], as_mood),
    ]


def _alone(analyser: SongAnalyser, text: str, as_mood: bool) -> LyricReading | Exception:
    try:
        return analyser.read_words(text, as_mood=as_mood)
    except Exception as error:
        return error


def _encodable(text: str) -> str:
    """Text without lone surrogates, as ``SongAnalyser.read_words`` reads it."""
    return text.encode("utf-8", "replace").decode("utf-8")
