"""Rescoring: fused vectors of stored songs, from their branch vectors, without a model.

A catalogue may carry fusion settings of its own, as JSON under ``fusion_settings``
in its meta data; without them the settings of the embedded models hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import CatalogueError, InputError
from data_prep.song import STAGES, Stage, StageVector
from data_prep.taxonomy import N_EMOTIONS
from fusion.combination import Fused, FusedMany, fuse, fuse_many
from fusion.settings import FusionSettings

if TYPE_CHECKING:
    from data_prep.catalogue import Catalogue, Song

SETTINGS_KEY: Final = "fusion_settings"


def catalogue_settings(catalogue: Catalogue) -> FusionSettings:
    """The settings a catalogue carries, or those of the embedded models.

    Raises
    ------
    InputError
        If it carries something else.
    CatalogueError
        If the catalogue cannot be read.
    """
    stored = catalogue.fact(SETTINGS_KEY)
    if not stored:
        return FusionSettings.load()
    where = f"the fusion settings kept in {catalogue.name}"
    try:
        return FusionSettings.from_dict(json.loads(stored), where)
    except json.JSONDecodeError as error:
        raise CatalogueError(f"{where} are not JSON: run `maeum rescore`") from error


def keep_settings(catalogue: Catalogue, settings: FusionSettings) -> None:
    """Have a catalogue carry settings; those of the embedded models need not be carried."""
    carried = "" if settings == FusionSettings.load() else json.dumps(settings.to_dict())
    if carried != (catalogue.fact(SETTINGS_KEY) or ""):
        catalogue.set_meta(SETTINGS_KEY, carried)


def rescore(
    catalogue: Catalogue,
    settings: FusionSettings,
    *,
    only_stale: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> int:
    """Recompute the fused vectors of a catalogue in one transaction, and keep the settings.

    Whoever reads meanwhile sees the old vectors with the old settings, and so does
    everybody if this is broken off.

    Parameters
    ----------
    catalogue
        Open for writing.
    settings
        What to fuse with.
    only_stale
        Leave songs alone whose fused vector was made with these settings.
    advance
        Told how many more songs of the catalogue are done.

    Returns
    -------
    Number of songs rescored.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be read or written.
    """
    made_by = settings.hash
    stages: tuple[Stage, ...] = STAGES if only_stale else ("lyrics", "audio")
    rescored = 0
    with catalogue.transaction():
        for songs in catalogue.vector_blocks(made_by, stages=stages):
            answered = ~(np.isnan(songs.lyrics[:, 0]) & np.isnan(songs.audio[:, 0]))
            rows = np.flatnonzero(answered & ~songs.current)
            fused = fuse_many(songs.lyrics[rows], songs.audio[rows], settings).distribution
            rescored += catalogue.replace_fused(songs.numbers[rows], fused, made_by)
            advance(len(songs))
        keep_settings(catalogue, settings)
    return rescored


def with_fused(songs: Sequence[Song], settings: FusionSettings) -> list[Song]:
    """The songs with fused vectors made by these settings; each has at least one branch."""
    fused = fuse_songs(songs, settings).distribution
    made_by = settings.hash
    return [
        replace(song, fused=StageVector(vector, made_by))
        for song, vector in zip(songs, fused, strict=True)
    ]


def branch_vectors(
    songs: Sequence[Song],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Raw lyric and audio answers of songs, both (n, 6), NaN where there is none."""
    lyrics = np.full((len(songs), N_EMOTIONS), np.nan, dtype=np.float32)
    audio = np.full((len(songs), N_EMOTIONS), np.nan, dtype=np.float32)
    for row, song in enumerate(songs):
        if song.lyrics is not None:
            lyrics[row] = song.lyrics.distribution
        if song.audio is not None:
            audio[row] = song.audio.distribution
    return lyrics, audio


def fuse_songs(songs: Sequence[Song], settings: FusionSettings) -> FusedMany:
    """Fuse the stored branch answers of songs, in their order."""
    return fuse_many(*branch_vectors(songs), settings)


def fused_song(song: Song, settings: FusionSettings) -> Fused:
    """Fuse the stored branch answers of one song.

    Raises
    ------
    InputError
        If it has neither.
    """
    return fuse(
        song.lyrics.distribution if song.lyrics is not None else None,
        song.audio.distribution if song.audio is not None else None,
        settings,
    )


def fused_songs(songs: Sequence[Song], settings: FusionSettings) -> list[Fused]:
    """Fuse the stored branch answers of songs, all of them at once; as :func:`fused_song`."""
    if not songs:
        return []
    branches = np.full((2, len(songs), N_EMOTIONS), np.nan, dtype=np.float32)
    for row, song in enumerate(songs):
        if song.lyrics is None and song.audio is None:
            raise InputError(f"nothing is known of the emotion of the song {song.id!r}")
        for branch, stage in enumerate((song.lyrics, song.audio)):
            if stage is not None:
                branches[branch, row] = stage.distribution
    many = fuse_many(branches[0], branches[1], settings)
    return [many.song(row) for row in range(len(songs))]


def song_vectors(songs: Sequence[Song], settings: FusionSettings) -> NDArray[np.float32]:
    """Fused vectors of songs (n, 6) under these settings; NaN for a song with no answer."""
    vectors = np.full((len(songs), N_EMOTIONS), np.nan, dtype=np.float32)
    stale: list[int] = []
    made_by = settings.hash
    for row, song in enumerate(songs):
        if song.fused is not None and song.fused.made_by == made_by:
            vectors[row] = song.fused.distribution
        else:
            stale.append(row)
    if stale:
        vectors[stale] = fuse_songs([songs[row] for row in stale], settings).distribution
    return vectors
