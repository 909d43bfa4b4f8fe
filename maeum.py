"""maeum (마음): reads the emotion of songs from words and sound, and finds songs for a mood.

The names of the Python interface, gathered from the packages that define them. Nothing is
imported before it is used, so that ``import maeum`` costs nothing.

    >>> import maeum
    >>> maeum.analyse("오늘 너무 우울해").top
    'sadness'
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.library.indexing import IndexReport
    from data_prep.catalogue import Catalogue, Song, SongFilter
    from data_prep.errors import InputError, MaeumError
    from data_prep.taxonomy import EMOTIONS
    from fusion.analysis import Analysis, SongAnalyser
    from fusion.recommendation import Recommendation, Recommender, Wishes
    from fusion.settings import FusionSettings

__all__ = [
    "EMOTIONS",
    "Analysis",
    "Catalogue",
    "FusionSettings",
    "InputError",
    "MaeumError",
    "Recommendation",
    "Recommender",
    "Song",
    "SongAnalyser",
    "SongFilter",
    "Wishes",
    "analyse",
    "index",
    "recommend",
    "similar",
]

_HOMES: Final = {
    "EMOTIONS": "data_prep.taxonomy",
    "Analysis": "fusion.analysis",
    "Catalogue": "data_prep.catalogue",
    "FusionSettings": "fusion.settings",
    "InputError": "data_prep.errors",
    "MaeumError": "data_prep.errors",
    "Recommendation": "fusion.recommendation",
    "Recommender": "fusion.recommendation",
    "Song": "data_prep.catalogue",
    "SongAnalyser": "fusion.analysis",
    "SongFilter": "data_prep.catalogue",
    "Wishes": "fusion.recommendation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'maeum' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def analyse(text: str | None = None, audio: Path | str | None = None) -> Analysis:
    """Read the emotions of a mood, of lyrics, of a recording, or of lyrics and recording.

    Parameters
    ----------
    text
        A mood (a single sentence, without a recording) or lyrics with their line breaks.
    audio
        Path of a recording.

    Raises
    ------
    InputError
        If nothing is given, or nothing of it can be read.
    """
    from app.tables.table import is_mood

    return _analyser().analyse(text, audio, as_mood=is_mood(text, audio))


def recommend(
    mood: str | Analysis,
    k: int = 5,
    *,
    catalogue: Path | str | None = None,
    wishes: Wishes | None = None,
) -> list[Recommendation]:
    """Songs whose emotion fits, the best first.

    Parameters
    ----------
    mood
        Everyday words in Korean or English, or what :func:`analyse` found in a song.
    k
        How many songs; ``wishes`` has its own number.
    catalogue
        Path or URL; ``None`` is what ``maeum recommend`` would read.
    wishes
        Filters, variety, a path to another emotion, and more.

    Raises
    ------
    InputError
        If the mood cannot be read.
    CatalogueError
        If the catalogue cannot be read.
    """
    from fusion.recommendation import Wishes as Wanted

    analysis = _analyser().analyse(mood, as_mood=True) if isinstance(mood, str) else mood
    with _opened(catalogue) as songs:
        return _recommender(songs).recommend(analysis, wishes or Wanted(k))


def similar(
    song_id: str,
    k: int = 5,
    *,
    catalogue: Path | str | None = None,
    wishes: Wishes | None = None,
) -> list[Recommendation]:
    """Songs like one of the catalogue, itself left out; as :func:`recommend`.

    Raises
    ------
    InputError
        If there is no such song.
    CatalogueError
        If the catalogue cannot be read.
    """
    from fusion.recommendation import Wishes as Wanted

    with _opened(catalogue) as songs:
        return _recommender(songs).like(song_id, wishes or Wanted(k))


def index(
    paths: Path | str | Sequence[Path | str], *, catalogue: Path | str | None = None
) -> IndexReport:
    """Bring a catalogue up to date with folders of music, recordings, or tables of songs.

    Parameters
    ----------
    paths
        What to index.
    catalogue
        Path or URL; ``None`` is the user's own.

    Raises
    ------
    InputError
        If there is no such path, or nothing to index in it.
    CatalogueError
        If the catalogue cannot be written.
    """
    from pathlib import Path

    from app.demo import catalogue_to_write
    from app.library.indexing import index_songs
    from app.library.song_sources import song_sources
    from data_prep.catalogue import Catalogue
    from fusion.analysis import SongAnalyser
    from fusion.rescoring import catalogue_settings

    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    sources = [one for path in listed for one in song_sources(Path(path))]
    url = catalogue_to_write(None if catalogue is None else str(catalogue))
    with Catalogue.open(url, create=True) as songs:
        return index_songs(songs, sources, SongAnalyser(settings=catalogue_settings(songs)))


@cache
def _analyser() -> SongAnalyser:
    from fusion.analysis import SongAnalyser

    return SongAnalyser()


def _opened(catalogue: Path | str | None) -> Catalogue:
    from app.demo import catalogue_to_read
    from data_prep.catalogue import Catalogue

    url = catalogue_to_read(None if catalogue is None else str(catalogue))
    return Catalogue.open(url, read_only=True)


def _recommender(songs: Catalogue) -> Recommender:
    from fusion.catalogue_shelf import CatalogueShelf
    from fusion.recommendation import Recommender
    from fusion.rescoring import catalogue_settings

    return Recommender(CatalogueShelf(songs, catalogue_settings(songs)))
