"""What there is of songs before their analysis, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from data_prep.remote_file import SongPath
from data_prep.song import Song

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SongMaterial:
    """What is known of a song before its analysis.

    Attributes
    ----------
    song
        Facts; no stage is filled.
    lyrics
        Its words, not cleaned; ``None`` where there are none.
    audio
        A recording of it.
    log_mel
        Reads its log-mel (n_mels, n_frames) in dB, where that is all there is of a recording;
        raises :class:`InputError` if it cannot be used.
    """

    song: Song
    lyrics: str | None
    audio: SongPath | None
    log_mel: Callable[[], NDArray[np.floating]] | None = None


@dataclass(frozen=True)
class PlacedFile:
    """A sound file of a folder.

    Attributes
    ----------
    path
        Where it is.
    source
        Name that the folder's songs are kept under.
    place
        Path inside the folder, with ``/`` and composed Hangul.
    is_of_folder
        Whether the folder was looked through as a whole.
    """

    path: SongPath
    source: str
    place: str
    is_of_folder: bool


@dataclass(frozen=True)
class SongSource:
    """Where one song comes from.

    Attributes
    ----------
    where
        File, or table and row; for messages.
    id
        The song's id; ``None`` where it has none.
    file
        Its file, where it comes from a folder.
    load
        Reads tags, lyrics and facts; raises :class:`InputError` if they cannot
        be used.
    """

    where: str
    id: str | None
    load: Callable[[], SongMaterial]
    file: PlacedFile | None = None


def search_link(title: str | None, artist: str | None) -> str | None:
    """Address of a search for a song, where no other link is known; nothing is fetched."""
    if not title or not artist:
        return None
    words = quote_plus(f"{artist} {title}".encode("utf-8", "replace"))
    return f"https://www.youtube.com/results?search_query={words}"
