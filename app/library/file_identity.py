"""Which song a file is: the same as before, one that was moved, or a new one.

A song belongs to a place, its path inside the folder that was indexed. Files that are at
another place, or changed at theirs, are compared with the songs that lost their file by the
hash of their bytes: a moved or renamed file keeps its song, and with it its number and all
that was read of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from app.library.song_sources import PlacedFile, SongSource, id_of_place
from data_prep.errors import InputError
from data_prep.remote_file import RemoteFile, SongPath, is_url

if TYPE_CHECKING:
    from data_prep.catalogue import Catalogue, SongFile


@dataclass
class Identities:
    """Songs of sources.

    Attributes
    ----------
    ids
        Number of the source in its list → id of its song, where that is not the source's own.
    moved
        Ids of songs whose file was found at another place.
    gone
        Ids of songs whose file is nowhere.
    """

    ids: dict[int, str] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)


def identify(catalogue: Catalogue, sources: Sequence[SongSource]) -> Identities:
    """Compare the files of folders with the songs of a catalogue.

    Parameters
    ----------
    catalogue
        Open.
    sources
        What is to be indexed.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be read.
    """
    found = Identities()
    by_source: dict[str, list[tuple[int, PlacedFile]]] = {}
    for number, source in enumerate(sources):
        if source.file is not None:
            by_source.setdefault(source.file.source, []).append((number, source.file))
    for name, files in by_source.items():
        records = catalogue.placed_files(name)
        if records:
            _Folder(files, records, found).compare()
    return found


class _Folder:
    """The files of one source beside the songs that were found in it before."""

    def __init__(
        self,
        files: list[tuple[int, PlacedFile]],
        records: list[tuple[SongFile, str | None]],
        found: Identities,
    ) -> None:
        self._files = files
        self._found = found
        self._by_place = {record.place: record for record, _ in records}
        self._known = {record.song_id for record, _ in records}
        walked = {file.place for _, file in files}
        elsewhere = next(
            (file.path for _, file in files if isinstance(file.path, RemoteFile)), None
        )
        self._gone = [
            record
            for record, path in records
            if record.place not in walked and _is_gone(path, elsewhere)
        ]

    def compare(self) -> None:
        """Find the song of every file, and the songs without one."""
        new, changed = [], []
        for number, file in self._files:
            record = self._by_place.get(file.place)
            if record is None:
                new.append((number, file))
            else:
                self._found.ids[number] = record.song_id
                if _differs(file.path, record):
                    changed.append((number, file, record))
        lost = {record.song_id: record for record in self._gone}
        lost |= {record.song_id: record for _, _, record in changed}
        contents = self._contents([*new, *((n, f) for n, f, _ in changed)], lost)
        seeking: list[tuple[int, PlacedFile, SongFile | None]] = [(n, f, None) for n, f in new]
        for number, file, record in changed:
            content = contents.get(number)
            if content is not None and content == record.content:
                del lost[record.song_id]  # it was only touched
            else:
                seeking.append((number, file, record))
        seeking.sort(key=lambda each: each[0])
        owners = self._owners(seeking, contents, lost)
        taken = set(owners.values())
        for number, file, record in seeking:
            if number in owners:
                self._found.ids[number] = owners[number]
            elif record is not None and record.song_id in taken:
                self._found.ids[number] = self._fresh(file)  # its song went elsewhere
            elif record is None and id_of_place(file) in self._known:
                self._found.ids[number] = self._fresh(file)
        self._found.moved |= taken
        if any(file.is_of_folder for _, file in self._files):
            self._found.gone += [r.song_id for r in self._gone if r.song_id not in taken]

    def _owners(
        self,
        seeking: list[tuple[int, PlacedFile, SongFile | None]],
        contents: dict[int, str],
        lost: dict[str, SongFile],
    ) -> dict[int, str]:
        """Number of a file → song that lost a file with the same bytes, each once."""
        by_content: dict[str, list[SongFile]] = {}
        for record in lost.values():
            if record.content is not None:
                by_content.setdefault(record.content, []).append(record)
        owners = {}
        for number, file, _ in seeking:
            likely = by_content.get(contents.get(number, ""), [])
            if likely:
                owner = min(likely, key=lambda record: not _has_name(record, file))
                likely.remove(owner)
                owners[number] = owner.song_id
        return owners

    def _contents(
        self, files: list[tuple[int, PlacedFile]], lost: dict[str, SongFile]
    ) -> dict[int, str]:
        """Hashes of those files that can be one of the songs at all, by their size."""
        sizes = {record.size for record in lost.values()}
        found = {}
        for number, file in files:
            try:
                if not isinstance(file.path, Path):
                    continue  # to read it for that would cost too much
                if file.path.stat().st_size in sizes:
                    found[number] = hash_of_file(file.path)
            except (OSError, ValueError, InputError):
                continue  # what is wrong with it is told when it is read
        return found

    def _fresh(self, file: PlacedFile) -> str:
        """An id that no song of the source has."""
        ids = (id_of_place(file, number) for number in count(2))
        found = next(song_id for song_id in ids if song_id not in self._known)
        self._known.add(found)
        return found


def hash_of_file(path: Path) -> str:
    """Hash of a file's bytes.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"the recording {path} cannot be read: {reason}") from error


def _is_gone(path: str | None, elsewhere: RemoteFile | None) -> bool:
    """Whether there is no file any more; where that cannot be told, there is.

    One on another file system is asked for where the files of its source are.
    """
    if path is None:
        return False
    try:
        if not is_url(path):
            return not Path(path).exists()
        if elsewhere is None or not path.startswith(f"{elsewhere.scheme}://"):
            return False
        there = replace(elsewhere, path=path.partition("://")[2], status=None)
        return not there.exists()
    except (OSError, ValueError):
        return False


def _differs(path: SongPath, record: SongFile) -> bool:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return False
    return (status.st_size, status.st_mtime_ns) != (record.size, record.mtime_ns)


def _has_name(record: SongFile, file: PlacedFile) -> bool:
    return PurePosixPath(record.place or "").name == PurePosixPath(file.place).name
