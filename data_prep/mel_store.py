"""Log-mel spectrograms of many songs in one HDF5 file, read at random.

The file holds

- ``log_mel`` (n_songs, n_mels, n_frames_max) float16, in dB, uncompressed, one chunk
  per song; what is behind the end of a shorter song is -100;
- ``n_frames`` (n_songs,) int32 and ``id`` (n_songs,) UTF-8 strings of fixed length;
- ``journal``, bytes: JSON lines of what was left out, and of sources that are done;
- ``extents`` (n_extents, 2) int64: first song and byte offset of every stretch of
  songs that lie one behind the other in the file. Empty while songs are added.

Attributes: ``format`` and ``format_version``; ``features`` (JSON of the log-mel
configuration) and ``feature_hash``; ``sample_rate`` and ``hop_length``;
``provenance`` (JSON: ``content``, what all songs have in common; ``found``, how that
was found; ``sources``).

What a run adds takes effect in commits (:mod:`data_prep.committed_file`): one that is
killed at any moment loses at most the songs since the last. The reader looks up once
where each song's chunk lies and reads it from there, past the library, which takes
longer to find a chunk than the system to read it.

Needs h5py (extra ``train``).
"""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.committed_file import CommittedFile
from data_prep.errors import InputError, MissingExtraError
from data_prep.model_folder import configuration_hash

FORMAT: Final = "maeum log-mel store"
FORMAT_VERSION: Final = 1
VALUE: Final = np.dtype("<f2")
"""How a value of a spectrogram is stored."""
_SAMPLED: Final = 16  # songs that the extents are checked with


def library() -> Any:
    """h5py.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("a store of mels") from error
    return h5py


class MelStore:
    """Reads a store.

    The file is opened when the first song is read, in each process by itself; a
    store can be pickled, and used after a fork and by several threads.

    Parameters
    ----------
    path
        A file that ``maeum prepare mels`` made. One that is being written is read as
        far as it was committed when this was called.

    Attributes
    ----------
    path
        As given.
    features, feature_hash
        Log-mel configuration, and its hash.
    sample_rate, hop_length
        Of the features: in Hz, and in samples.
    n_mels, n_frames_max
        Bands, and frames of the longest song the store takes.
    provenance
        Where the songs come from, and how their values were read.
    n_frames
        Array (n_songs,) int32: frames of each song.

    Raises
    ------
    InputError
        If there is no such file, or it is not a store, of another version, or damaged.
    MissingExtraError
        If h5py is not installed.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None
        self._ids: tuple[str, ...] | None = None
        self._rows: dict[str, int] | None = None
        with _opened(self.path) as file:
            self.features: dict[str, Any] = json.loads(file.attrs["features"])
            self.feature_hash = str(file.attrs["feature_hash"])
            self.sample_rate = int(file.attrs["sample_rate"])
            self.hop_length = int(file.attrs["hop_length"])
            self.provenance: dict[str, Any] = json.loads(file.attrs["provenance"])
            if configuration_hash(self.features) != self.feature_hash:
                raise _damaged(self.path, "its features do not fit their hash")
            n_songs, self.n_mels, self.n_frames_max = file["log_mel"].shape
            self.n_frames: NDArray[np.int32] = file["n_frames"][()]
            self._n_journal = len(file["journal"])
            if len(self.n_frames) != n_songs or len(file["id"]) != n_songs:
                raise _damaged(self.path, "its parts are not of one length")
            self._offsets = self._chunk_offsets(file["log_mel"], file["extents"][()])

    def __len__(self) -> int:
        return len(self.n_frames)

    def __contains__(self, song_id: object) -> bool:
        return song_id in self._row_of_id()

    def __reduce__(self) -> tuple[type[MelStore], tuple[Path]]:
        return MelStore, (self.path,)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in the order of the songs."""
        if self._ids is None:
            with _opened(self.path) as file:
                self._ids = _decoded(file["id"][: len(self)])
        return self._ids

    def log_mel(self, song_id: str) -> NDArray[np.float16]:
        """Spectrogram (n_mels, n_frames) in dB of a song.

        Raises
        ------
        KeyError
            If there is no such song.
        InputError
            As :meth:`log_mel_at`.
        """
        return self.log_mel_at(self._row_of_id()[song_id])

    def log_mel_at(self, index: int) -> NDArray[np.float16]:
        """Spectrogram (n_mels, n_frames) in dB of the song at a place in :attr:`ids`.

        Raises
        ------
        IndexError
            If the place is not in 0 to ``len(self) - 1``.
        InputError
            If the file has become shorter, or is gone.
        """
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"song {index} of {len(self)}")
        if self._descriptor is None:
            self._descriptor = _open_for_reading(self.path)
        values = np.empty((self.n_mels, self.n_frames_max), dtype=VALUE)
        # a positional read shares no state with other threads or forked processes
        if os.preadv(self._descriptor, [values.data], self._offsets[index]) != values.nbytes:
            raise _damaged(self.path, f"it ends before song {index}")
        n_frames = self.n_frames[index]
        return values if n_frames == self.n_frames_max else values[:, :n_frames].copy()

    def journal(self) -> Iterator[dict[str, Any]]:
        """What was written down while the store was made, in order."""
        with _opened(self.path) as file:
            lines = file["journal"][: self._n_journal].tobytes()
        return (json.loads(line) for line in lines.splitlines())

    def close(self) -> None:
        """Free the file; reading a song opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _row_of_id(self) -> dict[str, int]:
        if self._rows is None:
            self._rows = {song_id: row for row, song_id in enumerate(self.ids)}
        return self._rows

    def _chunk_offsets(self, log_mel: Any, extents: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each song lies in the file, by the extents if they are right."""
        n_songs, n_bytes = len(self), self.n_mels * self.n_frames_max * VALUE.itemsize
        offsets = np.zeros(0, dtype=np.int64)
        if len(extents):
            lengths = np.diff(extents[:, 0], append=n_songs)
            starts = np.repeat(extents[:, 1] - extents[:, 0] * n_bytes, lengths)
            offsets = starts + np.arange(n_songs) * n_bytes
        # another program may have moved the chunks (h5repack): ask the library about a few
        sampled = np.unique(np.linspace(0, max(n_songs - 1, 0), _SAMPLED, dtype=np.int64))
        with self.path.open("rb") as file:
            for row in sampled[:n_songs]:
                if (
                    not len(offsets)
                    or os.pread(file.fileno(), n_bytes, offsets[row])
                    != (log_mel.id.read_direct_chunk((int(row), 0, 0))[1])
                ):
                    offsets = chunk_offsets(log_mel)
                    break
            size = os.fstat(file.fileno()).st_size
        if n_songs and (offsets.min() <= 0 or offsets.max() + n_bytes > size):
            raise _damaged(self.path, "some of its songs are not there")
        return offsets


def chunk_offsets(log_mel: Any) -> NDArray[np.int64]:
    """Where each song lies, as the library says: 4 µs a song. 0 for one that is not there."""
    offsets = np.zeros(len(log_mel), dtype=np.int64)

    def keep(chunk: Any) -> None:
        offsets[chunk.chunk_offset[0]] = chunk.byte_offset

    log_mel.id.chunk_iter(keep)
    return offsets


def _open_for_reading(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _decoded(ids: NDArray[np.bytes_]) -> tuple[str, ...]:
    return tuple(one.decode("utf-8", "surrogateescape") for one in ids.tolist())


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is a damaged store of mels ({why}): copy it again, or make it anew")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A store opened by the library for reading, checked to be one."""
    h5py = library()
    if not path.is_file():
        raise InputError(f"{path} is not there: expected a store that `maeum prepare mels` made")
    try:
        if not h5py.is_hdf5(path):
            raise InputError(
                f"{path} is not an HDF5 file: expected a store that `maeum prepare mels` made"
            )
        with CommittedFile(path) as raw, h5py.File(raw, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise InputError(
                    f"{path} is an HDF5 file, but no store that `maeum prepare mels` made"
                )
            version = file.attrs.get("format_version")
            if version != FORMAT_VERSION:
                raise InputError(
                    f"{path} has version {version} of the format, and this program reads version "
                    f"{FORMAT_VERSION}: make it anew with `maeum prepare mels`"
                )
            yield file
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
