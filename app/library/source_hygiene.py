"""The published hygiene before indexing: songs that nobody wants twice, or at all, left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.library.song_material import SongSource
from app.library.source_list import Chosen
from data_prep.errors import explain
from fusion.hygiene import Hygiene, SongName, hygiene_of


def without_unwanted(sources: Sequence[SongSource]) -> tuple[Chosen, Hygiene]:
    """The songs that stay, in their order, and an account of those that do not.

    Titles, artists and albums are read for it. A song that cannot be read stays: indexing says
    what is wrong with it. What is in a catalogue already is not looked at, nor taken out.
    """
    hygiene = hygiene_of([_name(source) for source in sources])
    return Chosen(sources, np.flatnonzero(hygiene.kept).tolist()), hygiene


def _name(source: SongSource) -> SongName:
    try:
        song = source.load().song
    except Exception as error:  # one bad song must not stop the others
        explain(error)
        return SongName(None, None, None)
    return SongName(song.title, song.artist, song.album)
