"""A listener's taste, from the judgements that are kept and the songs as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.feedback.store import FeedbackStore
from fusion.taste import Judged, Taste

if TYPE_CHECKING:
    from fusion.shelf import Shelf


def taste_of(store: FeedbackStore, listener: str, shelf: Shelf) -> Taste:
    """What a listener likes; of several judgements of a song the last counts.

    Raises
    ------
    CatalogueError
        If store or catalogue cannot be read.
    """
    last = {verdict.song: verdict for verdict in store.verdicts(listener)}
    vectors = shelf.vectors_of(list(last))
    judged = [
        Judged(vectors[song], verdict.query, verdict.sign > 0)
        for song, verdict in last.items()
        if song in vectors
    ]
    return Taste(judged, frozenset(song for song, verdict in last.items() if verdict.sign < 0))
