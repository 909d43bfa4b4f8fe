"""Kakao Arena's mels song by song, from tars and folders as they were downloaded.

Where each song lies is found once, without reading any; a song is read from its place when it
is asked for. The files are those of :mod:`data_prep.readers.kakao_mels`.
"""

from __future__ import annotations

import tarfile
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.left_out import UnusableSongError
from data_prep.mel_values import DECIDED_OVER, DecidedRange, decide, extremes, to_decibels
from data_prep.readers.kakao_mels import N_FRAMES, SONG, parse_mel

_WHOLE_FILE: Final = -1


class PlacedMels:
    """Mels in tars and in unpacked folders.

    Parameters
    ----------
    tars
        Not compressed: within a compressed one there are no places to go to.
    folders
        Folders ``{id // 1000}``.

    Attributes
    ----------
    ids
        Numbers (n,) int64 of the songs, ascending.
    values
        What the numbers mean, told by the first songs.

    Raises
    ------
    InputError
        If a tar is compressed or damaged, there is no usable song, or its values are none
        that are known.
    """

    def __init__(self, tars: Sequence[Path], folders: Sequence[Path]) -> None:
        self._containers = [*tars, *folders]
        places = _Places()
        for number, tar in enumerate(tars):
            places.add_tar(number, tar)
        for number, folder in enumerate(folders, len(tars)):
            places.add_folder(number, folder)
        ids = np.array(places.ids, dtype=np.int64)
        self.ids: NDArray[np.int64]
        self.ids, first = np.unique(ids, return_index=True)
        self._numbers = np.array(places.containers, dtype=np.int64)[first]
        self._starts = np.array(places.starts, dtype=np.int64)[first]
        self._sizes = np.array(places.sizes, dtype=np.int64)[first]
        self.values: DecidedRange = decide(self._first_extremes())

    def log_mel(self, song_id: str) -> NDArray[np.float32]:
        """Spectrogram (48, at most 1,876) in dB of a song.

        Raises
        ------
        KeyError
            If there is no such song.
        InputError
            If it cannot be used.
        """
        mel = parse_mel(self._content(int(song_id)))
        return to_decibels(mel[:, :N_FRAMES], self.values.range)

    def _content(self, song_id: int) -> bytes:
        place = int(np.searchsorted(self.ids, song_id))
        if place == len(self.ids) or self.ids[place] != song_id:
            raise KeyError(song_id)
        path, start = self._containers[int(self._numbers[place])], int(self._starts[place])
        if start == _WHOLE_FILE:
            path = path / f"{song_id}.npy"
        try:
            with path.open("rb") as file:
                if start != _WHOLE_FILE:
                    file.seek(start)
                    return file.read(int(self._sizes[place]))
                return file.read()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error

    def _first_extremes(self) -> Iterable[tuple[float, float]]:
        for song_id in self.ids[:DECIDED_OVER]:
            try:
                yield extremes(parse_mel(self._content(int(song_id))))
            except UnusableSongError:
                continue  # told when it is asked for


class _Places:
    """Where songs lie: numbers of songs and of containers, first byte and size."""

    def __init__(self) -> None:
        self.ids, self.containers = array("q"), array("q")
        self.starts, self.sizes = array("q"), array("q")

    def add_tar(self, number: int, path: Path) -> None:
        try:
            with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # or all headers are kept
                    if member.isreg():
                        self._add(member.name, number, member.offset_data, member.size)
        except (tarfile.TarError, EOFError, OSError) as error:
            why = getattr(error, "strerror", None) or error
            raise InputError(
                f"{path} is compressed, damaged or cut off ({why}): make a store of it with "
                "`maeum prepare mels`"
            ) from error

    def add_folder(self, number: int, folder: Path) -> None:
        try:
            for path in folder.iterdir():
                self._add(f"{folder.name}/{path.name}", number, _WHOLE_FILE, 0)
        except OSError as error:
            raise InputError(f"{folder} cannot be read: {error.strerror or error}") from error

    def _add(self, name: str, number: int, start: int, size: int) -> None:
        match = SONG.search(name)
        if match is not None and int(match[1]) == int(match[2]) // 1000:
            self.ids.append(int(match[2]))
            self.containers.append(number)
            self.starts.append(start)
            self.sizes.append(size)
