"""What the page says when something is not right: one friendly card, never a traceback."""

from __future__ import annotations

import logging
import re
from typing import Final

from app.page.cards import problem_card
from app.page.texts import Language, as_sentence, text, translated
from app.service.errors import without_folders
from data_prep.errors import CatalogueError, InputError, MaeumError, ModelFolderError
from lyrics_model.predictor import MAX_CHARACTERS

_log = logging.getLogger(__name__)

_KINDS: Final[tuple[tuple[type[MaeumError], str], ...]] = (
    (CatalogueError, "catalogue"),
    (ModelFolderError, "model"),
)
_SAID_BY_THE_TITLE: Final = "no emotion could be read: "
# What the operating system or FFmpeg adds in brackets means nothing to a listener.
_SYSTEM: Final = re.compile(r" \(\[Errno[^)]*\)")


class PageError(InputError):
    """A problem that the page has its own words for.

    Parameters
    ----------
    title, body
        Keys of the page's texts.
    places
        What fills the body's places.
    """

    def __init__(self, title: str, body: str, **places: object) -> None:
        self.title = title
        self.body = body
        self.places = places
        super().__init__(text("en", body, **places))


def problem(error: Exception, language: Language) -> str:
    """Markup of the card for an error; one that is not expected is logged with its traceback."""
    if isinstance(error, PageError):
        return problem_card(
            text(language, error.title),
            text(language, error.body, **error.places),
            language=language,
        )
    if isinstance(error, InputError):
        return problem_card(
            text(language, "problem_unread_title"),
            text(language, "problem_unread_text"),
            reason=as_sentence(translated(_told(error), language)),
            language=language,
        )
    for kind, key in _KINDS:
        if isinstance(error, kind):
            return problem_card(
                text(language, f"problem_{key}_title"),
                text(language, f"problem_{key}_text"),
                detail=without_folders(str(error)),
                language=language,
            )
    _log.error("the page could not answer", exc_info=error)
    return problem_card(
        text(language, "problem_unexpected_title"),
        text(language, "problem_unexpected_text"),
        language=language,
    )


def _told(error: InputError) -> str:
    return _SYSTEM.sub("", without_folders(str(error)).removeprefix(_SAID_BY_THE_TITLE))


def check_words(words: str, *, is_needed: bool = True) -> None:
    """See that there are words, and not too many.

    Raises
    ------
    PageError
        If there are none where they are needed, or more than can be read.
    """
    if is_needed and not words.strip():
        raise PageError("problem_empty_title", "problem_empty_text")
    if len(words) > MAX_CHARACTERS:
        raise PageError(
            "problem_long_title",
            "problem_long_text",
            limit=f"{MAX_CHARACTERS:,}",
            length=f"{len(words):,}",
        )
