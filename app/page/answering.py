"""How a tab answers: a card that says wait, then the songs, or a card that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.page.cards import busy_card
from app.page.parts import known_or_new, listener_of
from app.page.problems import problem
from app.page.texts import Language, text
from app.service.answers import Answer, Listener

Shown = tuple[str, Answer | None, str]
"""Markup, what it was drawn from, and the random name of who asks."""


def answering(
    ask: Callable[[Listener | None], Answer],
    draw: Callable[[Answer | None, Language], str],
    language: Language,
    name: str | None,
    learns: bool | None,
    *,
    busy: str,
) -> Iterator[Shown]:
    """What is shown one after the other.

    Parameters
    ----------
    ask
        Finds the answer for who asks; what it raises becomes a card.
    draw
        Markup of the answer.
    name, learns
        What the browser keeps of who asks; a new name if there is none.
    busy
        Key of what is said meanwhile.
    """
    known = known_or_new(name)
    yield busy_card(text(language, busy)), None, known
    try:
        found = ask(listener_of(known, learns))
    except Exception as error:  # every failure becomes a card; unexpected ones are logged
        yield problem(error, language), None, known
        return
    yield draw(found, language), found, known
