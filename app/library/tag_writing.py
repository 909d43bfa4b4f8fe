"""Moods of a catalogue's songs into the tags of their files, and out of them again.

A mood that a person wrote stays unless asked otherwise. Only files are written that are the
ones that were indexed, and the catalogue then knows them as they became: indexing them again
reads nothing anew.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.failures import Failure, explain
from app.library.file_copy import check_replaceable, copy_beside
from app.library.file_identity import hash_of_file
from app.library.mood_tags import MoodFields, TaggedFile, our_field
from app.library.song_sources import music_files
from app.progress import Progress
from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS, EMOTIONS_KO, top_emotion

if TYPE_CHECKING:
    from data_prep.catalogue import Catalogue, Song, SongFile

Language = Literal["ko", "en"]


@dataclass(frozen=True)
class TagWishes:
    """What is to be written.

    Attributes
    ----------
    write
        Whether files are changed at all; otherwise it is only said what would be.
    remove
        Take our fields out instead.
    overwrite
        Also moods that a person wrote.
    language
        Of the words; ``None`` takes that of each song, English where it is not Korean.
    """

    write: bool = False
    remove: bool = False
    overwrite: bool = False
    language: Language | None = None


@dataclass(frozen=True, eq=False)
class SongFiles:
    """A file, and the songs of the catalogue that it is; none if it was not indexed."""

    path: Path
    songs: tuple[Song, ...]


@dataclass(frozen=True)
class TagChange:
    """What becomes of one file.

    Attributes
    ----------
    path, song_id
        File, and its song; ``None`` where it has none.
    before, after
        Its fields.
    """

    path: Path
    song_id: str | None
    before: MoodFields
    after: MoodFields

    @property
    def is_kept(self) -> bool:
        """Whether it keeps a mood that a person wrote."""
        return self.after.mood is not None and not self.after.is_our_mood

    def to_json(self) -> dict[str, Any]:
        """One entry of ``--json``."""
        return {
            "path": str(self.path),
            "id": self.song_id,
            "changed": self.before != self.after,
            "mood": self.after.mood,
            "maeum": self.after.ours,
            "previous_mood": self.before.mood,
            "kept": self.is_kept,
        }


@dataclass
class TagReport:
    """What became of the files.

    Attributes
    ----------
    changes
        Of every file that could be used, in order; also where nothing changes.
    gone
        Songs whose file is gone.
    failures
        Files that could not be read or written.
    """

    changes: list[TagChange] = field(default_factory=list)
    gone: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def n_changed(self) -> int:
        """Files whose tags change."""
        return sum(change.before != change.after for change in self.changes)

    @property
    def n_kept(self) -> int:
        """Files that keep a mood that a person wrote."""
        return sum(change.is_kept for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Summary for ``--json``."""
        return {
            "changed": self.n_changed,
            "unchanged": len(self.changes) - self.n_changed,
            "kept": self.n_kept,
            "gone": self.gone,
            "failed": len(self.failures),
            "songs": [change.to_json() for change in self.changes],
            "errors": [failure.to_json() for failure in self.failures],
        }


def tag_songs(catalogue: Catalogue, paths: Sequence[Path], wishes: TagWishes) -> TagReport:
    """Write moods, or say what would be written.

    Parameters
    ----------
    catalogue
        Open, for writing if files are to be written.
    paths
        Folders and sound files; all songs of the catalogue if there are none.

    Raises
    ------
    InputError
        If a path is not there, or no song has a file.
    CatalogueError
        If the catalogue cannot be read or written.
    """
    report = TagReport()
    files = _files(catalogue, paths, report)
    progress = Progress(len(files), "files")
    try:
        for file in files:
            failed = False
            try:
                report.changes.append(_tagged(catalogue, file, wishes))
            except Exception as error:  # one bad file must not stop the others
                song_id = file.songs[0].id if file.songs else None
                report.failures.append(Failure(str(file.path), song_id, explain(error)))
                failed = True
            progress.advance(failed=failed)
    except KeyboardInterrupt:
        progress.close()
        if wishes.write:
            print("what was written stays: run the same command again to go on", file=sys.stderr)
        raise
    finally:
        progress.close()
    return report


def _files(catalogue: Catalogue, paths: Sequence[Path], report: TagReport) -> list[SongFiles]:
    """The files to be tagged, each once, in a fixed order."""
    songs: dict[str, list[Song]] = {}
    for song in catalogue.songs():
        if song.path is not None:
            songs.setdefault(os.path.realpath(song.path), []).append(song)
    if not paths:
        if not songs:
            raise InputError(f"no song of {catalogue.name} has a file here: index some first")
        there = {
            place: [song for song in found if song.missing_since is None]
            for place, found in songs.items()
        }
        report.gone = sum(not found for found in there.values())
        found = [SongFiles(Path(one[0].path or ""), tuple(one)) for one in there.values() if one]
        return sorted(found, key=lambda file: str(file.path))
    listed: dict[str, SongFiles] = {}
    for path in _sound_files(paths, report):
        place = os.path.realpath(path)
        listed.setdefault(place, SongFiles(path, tuple(songs.get(place, ()))))
    return list(listed.values())


def _sound_files(paths: Sequence[Path], report: TagReport) -> Iterable[Path]:
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist: expected a folder of music or a sound file")
        if not path.is_dir():
            yield path
            continue
        for entry in music_files(path):
            if isinstance(entry, OSError):
                error = f"the folder cannot be read: {entry.strerror or entry}"
                report.failures.append(Failure(str(entry.filename or path), None, error))
            else:
                yield entry[0]


def _tagged(catalogue: Catalogue, file: SongFiles, wishes: TagWishes) -> TagChange:
    song = file.songs[0] if file.songs else None
    try:
        check_replaceable(file.path)
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror or error}") from error
    records = catalogue.files([each.id for each in file.songs])
    known = [record for record in records.values() if _is_as_indexed(file.path, record)]
    before = TaggedFile(file.path).fields
    if wishes.remove:
        after = MoodFields(None if before.is_our_mood else before.mood, None)
    elif song is None:
        raise InputError("it is not in the catalogue: run `maeum index` on it first")
    elif len(known) < len(records):
        raise InputError("it was changed since it was indexed: run `maeum index` on it first")
    else:
        after = _wanted(song, before, wishes)
    if wishes.write and after != before:
        _write(catalogue, file.path, after, known)
    return TagChange(file.path, song.id if song is not None else None, before, after)


def _wanted(song: Song, before: MoodFields, wishes: TagWishes) -> MoodFields:
    if song.fused is None:
        raise InputError("its emotion is not known: run `maeum index` on it again")
    distribution = song.fused.distribution
    language = wishes.language or ("ko" if song.language == "ko" else "en")
    word = top_emotion(distribution)
    if language == "ko":
        word = EMOTIONS_KO[EMOTIONS.index(word)]
    if before.mood is None or before.is_our_mood or wishes.overwrite:
        return MoodFields(word, our_field(distribution, word))
    return MoodFields(before.mood, our_field(distribution, None))


def _is_as_indexed(path: Path, record: SongFile) -> bool:
    """Whether a file is what was indexed; one that was only touched is."""
    if record.content is None:
        return True
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == (record.size, record.mtime_ns):
        return True
    return hash_of_file(path) == record.content


def _write(
    catalogue: Catalogue, path: Path, fields: MoodFields, records: Iterable[SongFile]
) -> None:
    with copy_beside(path) as copy:
        file = TaggedFile(copy.path)
        others = file.others
        file.write(fields)
        written = TaggedFile(copy.path)
        if written.fields != fields or written.others != others:
            raise InputError("its other tags would not stay as they are: nothing was written")
        status = copy.finish()
        content = hash_of_file(copy.path)
        # before the file is replaced, so that the catalogue is not behind it if that is all
        with catalogue.transaction():
            catalogue.keep_files(
                replace(
                    record,
                    size=status.st_size if record.size is not None else None,
                    mtime_ns=status.st_mtime_ns if record.mtime_ns is not None else None,
                    content=content,
                    audio=_made_of(content, record.audio),
                )
                for record in records
                if record.content is not None
            )
            copy.take_place()


def _made_of(content: str, audio: str | None) -> str | None:
    """What the sound was read from: the same sound in other bytes, by the same model."""
    if audio is None:
        return None
    return f"{content}:{audio.rpartition(':')[2]}"
