"""Indexing: songs into a catalogue, each analysed once and again only where it must.

For every song the catalogue keeps what its stages were made from: hashes of the words and of
the recording, each with the hash of the model that read it, and the recording's size and time
of change. A stage whose inputs are the same is kept; a recording that was only touched is
recognised by its content, and one that was moved keeps its song.

Songs are read ahead, in a pool of processes if there is one, and written in the order of the
sources: the catalogue does not depend on how many processes there were, nor on where a run
was broken off.
"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from app.failures import Failure, explain
from app.library.file_identity import Identities, hash_of_file, identify
from app.library.readers import ReadHere, SongPool, SongReader, WordBatch
from app.library.song_sources import SongMaterial, SongSource
from app.progress import Progress
from app.reading_pool import Pending, outcome
from data_prep.catalogue import STAGES, Catalogue, Song, SongFile, StageVector
from data_prep.errors import InputError
from data_prep.remote_file import SongPath
from fusion.analysis import SongAnalyser
from fusion.rescoring import keep_settings, rescore, with_fused

if TYPE_CHECKING:
    from fusion.analysis import AudioReading, LyricReading

SOURCES_AT_ONCE: Final = 64
"""Sources whose songs are looked up in the catalogue together."""

# What is read ahead and what waits to be written is counted in texts; a recording is as much
# work as some of them.
_COST_OF_SOUND: Final = 64
_COST_OF_WORDS: Final = 1
COST_OF_COMMIT: Final = 64
_COST_AHEAD: Final = 16 * _COST_OF_SOUND
"""For each process."""

Outcome = Literal["new", "changed", "moved", "unchanged"]

_FACTS: Final = tuple(f.name for f in fields(Song) if f.name not in STAGES)


@dataclass
class IndexReport:
    """What became of the songs.

    Attributes
    ----------
    new, changed, moved, unchanged
        Songs added; written again, for new inputs, models or facts; found at another place;
        left alone.
    missing
        Songs whose file is gone, marked in this run.
    rescored
        Songs of the catalogue whose fused vector was renewed besides.
    failures
        Songs that could not be used.
    """

    new: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    missing: int = 0
    rescored: int = 0
    failures: list[Failure] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Summary for ``--json``."""
        return {
            "new": self.new,
            "changed": self.changed,
            "moved": self.moved,
            "unchanged": self.unchanged,
            "missing": self.missing,
            "rescored": self.rescored,
            "failed": len(self.failures),
            "errors": [failure.to_json() for failure in self.failures],
        }


def index_songs(
    catalogue: Catalogue,
    sources: Sequence[SongSource],
    analyser: SongAnalyser,
    *,
    keep_paths: bool = True,
    pool: SongPool | None = None,
) -> IndexReport:
    """Bring a catalogue up to date with songs.

    A recording is committed as soon as it and those before it are read, texts some dozens at a
    time; an interruption costs what was being read.

    Parameters
    ----------
    catalogue
        Open for writing.
    sources
        Songs to index.
    analyser
        Fuses, and reads where there is no pool; its settings are kept in the catalogue.
    keep_paths
        Whether local paths and times of files are stored.
    pool
        Reads, with the same models as the analyser; left open.

    Raises
    ------
    ModelFolderError, CatalogueError
        If a model or the catalogue cannot be used.
    """
    identities = identify(catalogue, sources) if keep_paths else Identities()
    reader: SongReader = pool if pool is not None else ReadHere(analyser)
    run = _IndexRun(catalogue, analyser, reader, keep_paths, identities)
    progress = Progress(len(sources), "songs")
    window: deque[_Job] = deque()
    cost = 0
    try:
        for start in range(0, len(sources), SOURCES_AT_ONCE):
            listed = range(start, min(start + SOURCES_AT_ONCE, len(sources)))
            for job in run.looked_up([(number, sources[number]) for number in listed]):
                run.begin(job)
                window.append(job)
                cost += job.cost
                # a cluster may grow while it reads
                ahead = _COST_AHEAD * (pool.workers if pool is not None else 0)
                while window and (cost > ahead or window[0].is_ready()):
                    cost -= window[0].cost
                    progress.advance(failed=run.finish(window.popleft()))
        while window:
            progress.advance(failed=run.finish(window.popleft()))
    except KeyboardInterrupt:
        progress.close()
        print(
            f"what was done is kept in {catalogue.name}: run the same command again to go on",
            file=sys.stderr,
        )
        raise
    finally:
        progress.close()
        run.commit()
    run.report.missing = catalogue.mark_missing(identities.gone, date.today().isoformat())
    run.report.rescored = rescore(catalogue, analyser.settings, only_stale=True)
    return run.report


@dataclass(eq=False)
class _Job:
    """One song on its way into the catalogue.

    Attributes
    ----------
    source, song_id
        What it is of, and its id; ``None`` where the source names none.
    old, before
        What the catalogue has of it.
    song, inputs
        What is known of it now: facts, stages that are kept, and what they were made from.
    words, sound
        What is being read of it.
    failure
        Why it cannot be used.
    cost
        Of what is being read.
    """

    source: SongSource
    song_id: str | None
    old: Song | None
    before: SongFile | None
    song: Song | None = None
    inputs: SongFile | None = None
    words: tuple[WordBatch, int] | None = None
    sound: Pending[AudioReading] | None = None
    failure: Exception | None = None
    cost: int = 0

    def is_ready(self) -> bool:
        """Whether everything about it is known."""
        return (self.words is None or self.words[0].done()) and (
            self.sound is None or self.sound.done()
        )


class _IndexRun:
    """State of one run: what is waiting to be written, and the report."""

    def __init__(
        self,
        catalogue: Catalogue,
        analyser: SongAnalyser,
        reader: SongReader,
        keep_paths: bool,
        identities: Identities,
    ) -> None:
        self._catalogue = catalogue
        self._analyser = analyser
        self._reader = reader
        self._keep_paths = keep_paths
        self._identities = identities
        self._batch = WordBatch(reader)
        self._waiting: list[tuple[Song | None, SongFile]] = []
        self._cost = 0
        self._seen: dict[str, str] = {}
        self.report = IndexReport()
        keep_settings(catalogue, analyser.settings)

    def looked_up(self, sources: Sequence[tuple[int, SongSource]]) -> list[_Job]:
        """Songs beside what the catalogue has of them."""
        ids = [self._identities.ids.get(number, source.id) for number, source in sources]
        wanted = [song_id for song_id in ids if song_id]
        songs = {song.id: song for song in self._catalogue.get(wanted)}
        files = self._catalogue.files(wanted)
        return [
            _Job(source, song_id, songs.get(song_id or ""), files.get(song_id or ""))
            for (_, source), song_id in zip(sources, ids, strict=True)
        ]

    def begin(self, job: _Job) -> None:
        """Have read what must be read of a song."""
        try:
            self._begin(job)
        except Exception as error:  # one bad song must not stop the others
            explain(error)  # but a model that is gone does
            job.failure = error

    def finish(self, job: _Job) -> bool:
        """Put a song among those to be written; whether it failed."""
        try:
            if job.failure is not None:
                raise job.failure
            result = self._finish(job)
        except Exception as error:  # one bad song must not stop the others
            failure = Failure(job.source.where, job.song_id, explain(error))
            self.report.failures.append(failure)
            return True
        setattr(self.report, result, getattr(self.report, result) + 1)
        self._cost += job.cost
        if self._cost >= COST_OF_COMMIT:
            self.commit()
        return False

    def commit(self) -> None:
        """Write what is waiting."""
        waiting, self._waiting, self._cost = self._waiting, [], 0
        if waiting:
            with self._catalogue.transaction():
                self._catalogue.upsert(song for song, _ in waiting if song is not None)
                self._catalogue.keep_files(file for _, file in waiting)

    def _begin(self, job: _Job) -> None:
        if job.song_id is not None and job.song_id in self._seen:
            raise InputError(f"the same id {job.song_id!r} as {self._seen[job.song_id]}")
        material = job.source.load()
        job.song_id = song_id = job.song_id or material.song.id
        self._seen[song_id] = job.source.where
        if job.old is not None and job.old.source != material.song.source:
            raise InputError(
                f"the id {song_id!r} belongs to a song from {job.old.source!r} already: give it "
                f"another id, or index it with --source {job.old.source}"
            )
        job.song = replace(material.song, id=song_id)
        if not self._keep_paths:
            job.song = replace(job.song, path=None)
        job.inputs = self._placed(job)
        self._begin_words(job, material)
        self._begin_sound(job, material)

    def _placed(self, job: _Job) -> SongFile:
        file = job.source.file
        assert job.song_id is not None, "a song that was loaded has an id"
        if file is None or not self._keep_paths:
            return SongFile(job.song_id)
        return SongFile(job.song_id, file.source, file.place)

    def _begin_words(self, job: _Job, material: SongMaterial) -> None:
        assert job.song is not None
        assert job.inputs is not None
        words = material.lyrics
        if words is None or not words.strip():
            return
        made_of = f"{_hash_of_text(words)}:{self._analyser.lyric_predictor.model_hash}"
        job.inputs = replace(job.inputs, lyrics=made_of)
        if job.old is not None and job.before is not None and job.before.lyrics == made_of:
            job.song = replace(
                job.song,
                lyrics=job.old.lyrics,
                lyrics_note=job.old.lyrics_note,
                language=job.song.language or job.old.language,
            )
            return
        job.cost += _COST_OF_WORDS
        if material.audio is None and material.log_mel is None:
            if not self._batch.is_open:
                self._batch = WordBatch(self._reader)
            job.words = self._batch, self._batch.add(words)
        else:  # its sound must not wait for other songs' words
            alone = WordBatch(self._reader)
            job.words = alone, alone.add(words)
            alone.send()

    def _begin_sound(self, job: _Job, material: SongMaterial) -> None:
        assert job.song is not None
        assert job.inputs is not None
        read: Callable[[], Pending[AudioReading]]
        if material.audio is not None:
            path = material.audio
            model = self._analyser.audio_predictor.model_hash
            job.inputs = self._with_sound(job.inputs, path, model, job.before)
            read = partial(self._reader.sound, path)
        elif material.log_mel is not None:
            log_mel = material.log_mel()
            content = hashlib.sha256(log_mel.tobytes()).hexdigest()[:16]
            made_of = f"{content}:{self._analyser.audio_predictor.model_hash}"
            job.inputs = replace(job.inputs, content=content, audio=made_of)
            read = partial(self._reader.log_mel, log_mel)
        else:
            return
        before = job.before.audio if job.before is not None else None
        if job.old is not None and job.inputs.audio == before:
            job.song = replace(job.song, audio=job.old.audio, audio_note=job.old.audio_note)
        else:
            job.cost += _COST_OF_SOUND
            job.sound = read()

    def _with_sound(
        self, inputs: SongFile, path: SongPath, model: str, before: SongFile | None
    ) -> SongFile:
        try:
            status = path.stat()
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"the recording {path} cannot be read: {reason}") from error
        size, mtime_ns = status.st_size, status.st_mtime_ns
        if not isinstance(path, Path):
            # a file elsewhere is told by its size and time: to read it twice would cost too much
            return replace(inputs, size=size, mtime_ns=mtime_ns, audio=f"{size}-{mtime_ns}:{model}")
        same = before is not None and (before.size, before.mtime_ns) == (size, mtime_ns)
        content = before.content if before is not None and same else None
        if content is None:
            content = hash_of_file(path)
        kept = (size, mtime_ns) if self._keep_paths else (None, None)
        return replace(
            inputs, size=kept[0], mtime_ns=kept[1], content=content, audio=f"{content}:{model}"
        )

    def _finish(self, job: _Job) -> Outcome:
        assert job.song is not None
        assert job.inputs is not None
        song, old = job.song, job.old
        if job.words is not None:
            batch, place = job.words
            words: LyricReading = batch.reading(place)
            song = replace(
                song,
                lyrics=_stage(words.distribution, self._analyser.lyric_predictor.model_hash),
                lyrics_note=_note(words.reason, words.notes),
                language=song.language or words.language,
            )
        if job.sound is not None:
            sound = outcome(job.sound)
            song = replace(
                song,
                audio=_stage(sound.distribution, self._analyser.audio_predictor.model_hash),
                audio_note=_note(sound.reason, sound.notes),
            )
        if song.lyrics is None and song.audio is None:
            reasons = [note for note in (song.lyrics_note, song.audio_note) if note]
            raise InputError(f"no emotion could be read: {'; '.join(reasons) or 'nothing to read'}")
        is_same = old is not None and _same(song, old)
        if is_same and job.inputs == job.before:
            return "unchanged"
        self._cost += 1
        if is_same:
            self._waiting.append((None, job.inputs))
        else:
            (fused,) = with_fused([song], self._analyser.settings)
            self._waiting.append((fused, job.inputs))
        if old is None:
            return "new"
        return "moved" if song.id in self._identities.moved else "changed"


def _same(song: Song, old: Song) -> bool:
    """Whether facts, notes and raw stages are those of the catalogue."""
    return (
        all(getattr(song, name) == getattr(old, name) for name in _FACTS)
        and song.lyrics is old.lyrics
        and song.audio is old.audio
    )


def _stage(distribution: Any, model: str) -> StageVector | None:
    return None if distribution is None else StageVector(distribution, model)


def _note(reason: str | None, notes: Sequence[str]) -> str | None:
    parts = [*([reason] if reason else []), *notes]
    return "; ".join(parts) or None


def _hash_of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
