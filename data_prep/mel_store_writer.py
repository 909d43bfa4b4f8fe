"""Writes a store of log-mel spectrograms (:mod:`data_prep.mel_store`), resumed where it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from data_prep.committed_file import CommittedFile
from data_prep.errors import InputError
from data_prep.left_out import LeftOut, UnusableSongError
from data_prep.mel_store import (
    FORMAT,
    FORMAT_VERSION,
    VALUE,
    MelStore,
    chunk_offsets,
    library,
)
from data_prep.model_folder import configuration_hash

SONGS_PER_COMMIT: Final = 128
WAITING_BYTES: Final = 64_000_000
"""At most so many songs, and so many bytes if they are more than one, wait for a commit."""
PAD_DB: Final = -100.0
"""Stands behind the end of a song that is shorter than the longest."""

_LIBRARY_VERSIONS: Final = ("v108", "v108")  # as CommittedFile needs it
_ROWS_PER_CHUNK: Final = 1024
_JOURNAL_CHUNK: Final = 1 << 16


@dataclass(frozen=True)
class StoreContent:
    """What the songs of a store have in common.

    Attributes
    ----------
    features
        Log-mel configuration; has ``sample_rate``, ``hop_length`` and ``n_mels``.
    n_frames_max
        Frames of the longest song.
    content
        Whatever else must be the same for every song: where they come from, how
        their values were read, which part of a recording they are.
    found
        How that was found; kept, and not compared.
    id_bytes
        Length of the longest id in UTF-8.
    """

    features: dict[str, Any]
    n_frames_max: int
    content: dict[str, Any]
    found: dict[str, Any]
    id_bytes: int


@dataclass(frozen=True)
class SourceState:
    """What a source is recognised by when it is given again.

    Attributes
    ----------
    name, size, modified_ns
        Name of the file, its size in bytes and its time of change.
    """

    name: str
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> SourceState:
        """The state of a file."""
        status = path.stat()
        return cls(path.name, status.st_size, status.st_mtime_ns)


class MelStoreWriter:
    """Adds songs to a store, which is made with the first of them.

    What was added is committed when :data:`SONGS_PER_COMMIT` songs or
    :data:`WAITING_BYTES` wait, and at the end of the ``with`` block, unless that ends
    in an unexpected error.

    Parameters
    ----------
    path
        The store; its folder exists.
    content
        What the songs have in common.

    Raises
    ------
    InputError
        If the file is no store, is damaged, holds songs of another kind, or is
        being written by another run.
    MissingExtraError
        If h5py is not installed.
    """

    def __init__(self, path: Path, content: StoreContent) -> None:
        self.path = path
        self._h5py = library()
        self._content = content
        self._ids: set[str] = set()
        self._done: dict[SourceState, list[LeftOut]] = {}
        self._sources: list[str] = []
        self._id_bytes = content.id_bytes
        self._n_songs = 0
        self._raw: CommittedFile | None = None
        self._file: Any = None
        song = (int(content.features["n_mels"]), content.n_frames_max)
        n_waiting = min(SONGS_PER_COMMIT, WAITING_BYTES // (song[0] * song[1] * VALUE.itemsize))
        self._batch = np.empty((max(1, n_waiting), *song), dtype=VALUE)
        self._waiting: list[tuple[bytes, int]] = []  # ids and frames of the batch
        self._lines: list[bytes] = []
        if path.exists():
            self._resume()

    def __len__(self) -> int:
        return self._n_songs + len(self._waiting)

    def __contains__(self, song_id: object) -> bool:
        return song_id in self._ids

    def done(self, source: SourceState) -> list[LeftOut] | None:
        """What was left out of a source that is in the store; ``None`` for any other source."""
        return self._done.get(source)

    def add(self, song_id: str, log_mel: NDArray[np.float16]) -> None:
        """Add a song.

        Parameters
        ----------
        song_id
            Not in the store yet.
        log_mel
            Array (n_mels, n_frames) in dB, of at most ``n_frames_max`` frames.

        Raises
        ------
        UnusableSongError
            If the id is longer than those of this store.
        InputError
            If the store cannot be written.
        """
        place = len(self._waiting)
        encoded = song_id.encode("utf-8", "surrogateescape")
        if len(encoded) > self._id_bytes:
            raise UnusableSongError(
                "id too long",
                f"its id has {len(encoded)} bytes, and the store was made for ids of at most "
                f"{self._id_bytes}",
            )
        n_frames = log_mel.shape[1]
        self._batch[place, :, :n_frames] = log_mel
        self._batch[place, :, n_frames:] = PAD_DB
        self._waiting.append((encoded, n_frames))
        self._ids.add(song_id)
        if len(self._waiting) == len(self._batch):
            self.commit()

    def begin(self, source: str) -> None:
        """Write down that what follows is of this source."""
        self._write_down({"begun": source})
        if source not in self._sources:
            self._sources.append(source)

    def leave_out(self, song: LeftOut) -> None:
        """Write down what was left out of a source that will be :meth:`finish`-ed."""
        self._write_down({"left_out": asdict(song)})

    def finish(self, source: SourceState) -> None:
        """Commit, and write down that a source is in the store, so that it is not read again."""
        self._write_down({"finished": asdict(source)})
        self.commit()

    def commit(self) -> None:
        """Make what was added part of the store.

        Raises
        ------
        InputError
            If the store cannot be written: what was committed before is kept.
        """
        if not self._waiting and (not self._lines or not self._n_songs):
            return
        try:
            if self._file is None:
                self._create()
            self._write()
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{self.path} cannot be written ({error}); {self._n_songs:,} songs are in it: "
                "make room, and give the same command again"
            ) from error

    def close(self) -> None:
        """Commit, and close the store."""
        try:
            self.commit()
            if self._file is not None and self._raw is not None:
                self._keep_extents()
                self._file.close()
                self._raw.finish()
        finally:
            self._abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if value is None or isinstance(value, KeyboardInterrupt):
            self.close()
        else:
            self._abandon()

    def _write_down(self, entry: dict[str, Any]) -> None:
        self._lines.append(json.dumps(entry).encode("ascii") + b"\n")

    def _abandon(self) -> None:
        """Close without a commit."""
        try:
            if self._file is not None:
                self._file.close()
        finally:
            self._file = None
            if self._raw is not None:
                self._raw.close()

    def _resume(self) -> None:
        with MelStore(self.path) as store:
            self._compare(store)
        self._open()
        # read again, now that nobody else can write it
        with MelStore(self.path) as store:
            self._n_songs = len(store)
            self._ids.update(store.ids)
            self._sources = store.provenance["sources"]
            self._read_journal(store)

    def _compare(self, store: MelStore) -> None:
        wanted = self._content
        for what, there, given in (
            ("features", store.features, wanted.features),
            ("length in frames", store.n_frames_max, wanted.n_frames_max),
            ("content", store.provenance["content"], wanted.content),
        ):
            if there != given:
                raise InputError(
                    f"{self.path} has songs of other {what} ({json.dumps(there)}) than were asked "
                    f"for ({json.dumps(given)}): give another file by --out"
                )

    def _read_journal(self, store: MelStore) -> None:
        left_out: list[LeftOut] = []
        for entry in store.journal():
            if "begun" in entry:
                left_out = []  # what was begun before and not finished is read again
            elif "left_out" in entry:
                left_out.append(LeftOut(**entry["left_out"]))
            elif "finished" in entry:
                self._done[SourceState(**entry["finished"])] = left_out

    def _create(self) -> None:
        made = self.path.with_name(f".{self.path.name}.tmp")
        c, rows = self._content, (_ROWS_PER_CHUNK,)
        song = self._batch.shape[1:]
        ids = self._h5py.string_dtype("utf-8", c.id_bytes)
        with self._h5py.File(made, "w", libver=_LIBRARY_VERSIONS) as file:
            # in the file's first page, by which its log is known
            file.attrs["identity"] = np.bytes_(uuid4().hex)
            file.attrs["format"] = FORMAT
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["features"] = json.dumps(c.features)
            file.attrs["feature_hash"] = configuration_hash(c.features)
            file.attrs["sample_rate"] = c.features["sample_rate"]
            file.attrs["hop_length"] = c.features["hop_length"]
            for name, shape, chunks, kind in (
                ("log_mel", song, (1, *song), VALUE),
                ("n_frames", (), rows, np.int32),
                ("id", (), rows, ids),
                ("journal", (), (_JOURNAL_CHUNK,), np.uint8),
                ("extents", (2,), (256, 2), np.int64),
            ):
                file.create_dataset(
                    name, (0, *shape), dtype=kind, maxshape=(None, *shape), chunks=chunks
                )
            file.attrs["provenance"] = self._provenance()
        if self.path.exists():
            raise InputError(f"{self.path} was made by another run while this one was at work")
        made.replace(self.path)
        self._open()

    def _provenance(self) -> str:
        c = self._content
        return json.dumps({"content": c.content, "found": c.found, "sources": self._sources})

    def _open(self) -> None:
        self._raw = CommittedFile(self.path, writable=True)
        self._file = self._h5py.File(self._raw, "r+", libver=_LIBRARY_VERSIONS)
        self._id_bytes = int(self._file["id"].dtype.itemsize)

    def _write(self) -> None:
        assert self._raw is not None, "opened with the file"
        file, first = self._file, self._n_songs
        last = first + len(self._waiting)
        if last > first:
            log_mel = file["log_mel"]
            log_mel.resize(last, axis=0)
            for place in range(last - first):
                log_mel.id.write_direct_chunk((first + place, 0, 0), self._batch[place])
            _put(file["n_frames"], first, [n_frames for _, n_frames in self._waiting])
            _put(file["id"], first, [encoded for encoded, _ in self._waiting])
            file["extents"].resize(0, axis=0)
        text = np.frombuffer(b"".join(self._lines), dtype=np.uint8)
        if text.size:
            _put(file["journal"], len(file["journal"]), text)
            if (provenance := self._provenance()) != file.attrs["provenance"]:
                file.attrs["provenance"] = provenance
        file.flush()
        self._raw.commit()
        self._n_songs = last
        self._waiting.clear()
        self._lines.clear()

    def _keep_extents(self) -> None:
        """Write down where the chunks lie, which takes the library long to tell."""
        if len(self._file["extents"]) or not self._n_songs:
            return
        log_mel = self._file["log_mel"]
        offsets = chunk_offsets(log_mel)
        n_bytes = self._batch[0].nbytes
        first = np.flatnonzero(np.diff(offsets, prepend=offsets[0]) != n_bytes)
        _put(self._file["extents"], 0, np.stack([first, offsets[first]], axis=1))


def _put(dataset: Any, first: int, rows: Sequence[Any] | NDArray[Any]) -> None:
    """Write rows at a place; nothing of the data set stays behind them."""
    last = first + len(rows)
    dataset.resize(last, axis=0)
    dataset[first:last] = rows
