"""Kakao Arena's songs to index: facts from its list, words from a table, sound from its mels.

A folder of the set holds ``song_meta.json`` and ``genre_gn_all.json``
(:mod:`data_prep.readers.kakao_arena`), lyrics of the user's own
(:mod:`data_prep.readers.kakao_lyrics`), and mels: a store that ``maeum prepare mels`` made, or
the ``arena_mel`` tars, or what was unpacked from them. A song that has neither words nor a mel
that can be read is left out, and counted. Nothing of a song is held before it is asked for.

The set has no recordings. A sound model that hears more of a recording than its log-mel, as the
embedded one does, cannot read it; one that was trained on mels alone can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from app.library.song_material import SongMaterial, SongSource, search_link
from app.library.source_list import SourceList
from data_prep.errors import InputError
from data_prep.readers.kakao_arena import GENRES_NAME, SONGS_NAME, ArenaSongs
from data_prep.readers.kakao_lyrics import ArenaLyrics, lyrics_table
from data_prep.song import Song

if TYPE_CHECKING:
    from audio_model.log_mel import MelConfiguration

STORE_SUFFIXES: Final = (".h5", ".hdf5")


@dataclass(frozen=True)
class KakaoMels:
    """Where mels lie, and who is to read them.

    Attributes
    ----------
    place
        A store, a tar, or a folder of them; the set's folder if ``None``.
    audio_model
        Model folder for sound; the embedded one if ``None``.
    """

    place: Path | None = None
    audio_model: Path | None = None


class _Mels(Protocol):
    """Mels by the ids of songs."""

    def log_mel(self, song_id: str, /) -> NDArray[Any]:
        """Spectrogram (n_mels, n_frames) in dB."""


class KakaoSources(SourceList):
    """The songs of a folder that can be analysed; make one with :func:`kakao_sources`."""

    def __init__(
        self,
        songs: ArenaSongs,
        source: str,
        lyrics: ArenaLyrics | None,
        mels: _Mels | None,
        with_mel: NDArray[np.bool_],
        places: NDArray[np.int64],
    ) -> None:
        self._songs = songs
        self._source = source
        self._lyrics = lyrics
        self._mels = mels
        self._with_mel = with_mel
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def source(self, place: int) -> SongSource:
        """The song at a place from 0 on."""
        record = int(self._places[place])
        song_id = str(self._songs.ids[record])
        return SongSource(
            f"{self._songs.path}, song {song_id}", song_id, partial(self._load, record)
        )

    def _load(self, record: int) -> SongMaterial:
        found = self._songs.song(record)
        song = Song(
            id=found.id,
            title=found.title,
            artist=found.artist,
            album=found.album,
            year=found.year,
            genre=found.genre,
            link=search_link(found.title, found.artist),
            source=self._source,
        )
        words = self._lyrics.words(int(found.id)) if self._lyrics is not None else None
        log_mel = None
        if self._mels is not None and self._with_mel[record]:
            log_mel = partial(self._mels.log_mel, found.id)
        return SongMaterial(song, words, None, log_mel)


def is_kakao_arena(folder: Path) -> bool:
    """Whether a folder holds Kakao Arena's list of songs."""
    return (folder / SONGS_NAME).is_file()


def kakao_sources(
    folder: Path, source: str, mels: KakaoMels, say: Callable[[str], None]
) -> KakaoSources:
    """The songs of a folder that have words, or a mel that the model can read.

    Parameters
    ----------
    folder
        Of the set.
    source
        Name to keep with the songs.
    mels
        Where mels lie, and who is to read them.
    say
        Receives what is to be known of the set as a whole.

    Raises
    ------
    InputError
        If a file cannot be read, or no song can be analysed.
    MissingExtraError
        If a store of mels is to be read without h5py.
    """
    songs = ArenaSongs(folder)
    if not (folder / GENRES_NAME).is_file():
        say(f"there is no {GENRES_NAME} in {folder}: the songs' genres stay unknown")
    lyrics = _lyrics(folder, songs, say)
    found, ids = _mels(folder, mels, say)
    with_mel = np.isin(songs.ids, ids)
    with_words = np.isin(songs.ids, lyrics.ids if lyrics is not None else [])
    places = np.flatnonzero(with_words | with_mel)
    say(
        f"{len(songs):,} songs in {songs.path}: {with_words.sum():,} have words, "
        f"{with_mel.sum():,} a mel that can be read, and {len(songs) - len(places):,} neither"
    )
    if not len(places):
        raise InputError(
            f"no song of {folder} has words or a mel that can be read: expected a table lyrics.csv "
            "(or .tsv, .jsonl, .parquet) with song_id and lyrics, or mels and, by --model-audio, a "
            "model that was trained on mels"
        )
    return KakaoSources(songs, source, lyrics, found, with_mel, places)


def _lyrics(folder: Path, songs: ArenaSongs, say: Callable[[str], None]) -> ArenaLyrics | None:
    path = lyrics_table(folder)
    if path is None:
        return None
    lyrics = ArenaLyrics(path)
    unknown = len(lyrics.ids) - int(np.isin(lyrics.ids, songs.ids).sum())
    counts = {**lyrics.left_out, "unknown song": unknown}
    left_out = ", ".join(f"{n:,} {reason}" for reason, n in counts.items() if n)
    if left_out:
        say(f"{path}: rows left out: {left_out}")
    return lyrics


def _mels(
    folder: Path, wanted: KakaoMels, say: Callable[[str], None]
) -> tuple[_Mels | None, NDArray[np.int64]]:
    """The mels that the model can read, and the numbers of their songs."""
    from audio_model.log_mel import KAKAO
    from audio_model.predictor import log_mels_read_by
    from data_prep.readers.kakao_mels import is_tar, song_folders_in, tars_in

    nothing = None, np.zeros(0, dtype=np.int64)
    place = wanted.place if wanted.place is not None else folder
    if not place.exists():
        raise InputError(f"{place} does not exist: expected a store of mels, or arena_mel tars")
    store = _store(place)
    tars, folders = [], []
    if store is None and place.is_dir():
        tars, folders = tars_in(place), song_folders_in(place)
    elif store is None and is_tar(place):
        tars = [place]
    if store is None and not tars and not folders:
        if wanted.place is not None:
            raise InputError(f"{place} holds no mels: expected a store, or arena_mel tars")
        return nothing
    read = log_mels_read_by(wanted.audio_model)
    if read is None:
        say(
            "the mels are not read: the sound model needs recordings; name one that was trained "
            "on mels (maeum train audio --store) by --model-audio"
        )
        return nothing
    made = _made_with(store) if store is not None else KAKAO
    if made != read:
        say(f"the mels are not read: they are of {made}, and the sound model reads {read}")
        return nothing
    if store is not None:
        from data_prep.mel_store import MelStore

        opened = MelStore(store)
        numbers = [int(one) for one in opened.ids if one.isascii() and one.isdecimal()]
        return opened, np.array(numbers, dtype=np.int64)
    from data_prep.readers.kakao_mel_places import PlacedMels

    placed = PlacedMels(tars, folders)
    say(placed.values.sentence())
    return placed, placed.ids


def _store(place: Path) -> Path | None:
    """The store that a path is or holds."""
    if place.is_file():
        return place if place.suffix.lower() in STORE_SUFFIXES else None
    found = sorted(path for path in place.iterdir() if path.suffix.lower() in STORE_SUFFIXES)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{place} holds several stores ({names}): name one of them by --mels")
    return found[0] if found else None


def _made_with(store: Path) -> MelConfiguration:
    from audio_model.log_mel import MelConfiguration
    from data_prep.mel_store import MelStore

    features = MelStore(store).features
    try:
        return MelConfiguration(**features)
    except TypeError as error:
        raise InputError(f"{store} holds log-mels that this version does not make") from error
