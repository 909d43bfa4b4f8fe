"""Indexing: songs into a catalogue, each analysed once and again only where it must.

For every song the catalogue's meta data keeps what its stages were made from, as
JSON under ``inputs:ID``: hashes of the words and of the recording, each with the
hash of the model that read it, and the recording's size and time of change. A
stage whose inputs are the same is kept; a recording that was only touched is
recognised by its content.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from app.failures import Failure, explain
from app.library.song_sources import SongMaterial, SongSource
from app.progress import Progress
from data_prep.catalogue import STAGES, Catalogue, Song, StageVector
from data_prep.errors import InputError
from fusion.analysis import SongAnalyser
from fusion.rescoring import keep_settings, rescore, with_fused

SONGS_PER_COMMIT: Final = 20
INPUTS_KEY: Final = "inputs:"

Outcome = Literal["new", "changed", "unchanged"]

_FACTS: Final = tuple(f.name for f in fields(Song) if f.name not in STAGES)


@dataclass
class IndexReport:
    """What became of the songs.

    Attributes
    ----------
    new, changed, unchanged
        Songs added; written again, for new inputs, models or facts; left alone.
    rescored
        Songs of the catalogue whose fused vector was renewed besides.
    failures
        Songs that could not be used.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    rescored: int = 0
    failures: list[Failure] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Summary for ``--json``."""
        return {
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "rescored": self.rescored,
            "failed": len(self.failures),
            "errors": [failure.to_json() for failure in self.failures],
        }


@dataclass(frozen=True)
class _Inputs:
    """What the stages of a song were made from.

    ``lyrics`` and ``audio`` are ``CONTENT:MODEL``, two hashes, or ``None``; ``stat``
    is the recording's size in bytes and time of change in ns, unless paths are
    not to be kept.
    """

    lyrics: str | None = None
    audio: str | None = None
    stat: tuple[int, int] | None = None

    def to_json(self) -> str:
        return json.dumps({"lyrics": self.lyrics, "audio": self.audio, "stat": self.stat})

    @classmethod
    def from_json(cls, text: str | None) -> _Inputs:
        try:
            content = json.loads(text or "{}")
            stat = content.get("stat")
            return cls(
                content.get("lyrics"),
                content.get("audio"),
                (int(stat[0]), int(stat[1])) if stat else None,
            )
        except (ValueError, TypeError, AttributeError, IndexError):
            return cls()  # whatever it was, it vouches for nothing


def index_songs(
    catalogue: Catalogue,
    sources: Sequence[SongSource],
    analyser: SongAnalyser,
    *,
    keep_paths: bool = True,
) -> IndexReport:
    """Bring a catalogue up to date with songs.

    Committed every ``SONGS_PER_COMMIT`` songs and on interruption.

    Parameters
    ----------
    catalogue
        Open for writing.
    sources
        Songs to index.
    analyser
        Reads and fuses; its settings are kept in the catalogue.
    keep_paths
        Whether local paths and times of files are stored.

    Raises
    ------
    ModelFolderError, CatalogueError
        If a model or the catalogue cannot be used.
    """
    run = _IndexRun(catalogue, analyser, keep_paths)
    progress = Progress(len(sources), "songs")
    try:
        for start in range(0, len(sources), SONGS_PER_COMMIT):
            batch = sources[start : start + SONGS_PER_COMMIT]
            known = {song.id: song for song in catalogue.get([s.id for s in batch if s.id])}
            try:
                for source in batch:
                    failed = run.index(source, known)
                    progress.advance(failed=failed)
            finally:
                run.commit()
    except KeyboardInterrupt:
        progress.close()
        print(
            f"what was done is kept in {catalogue.name}: run the same command again to go on",
            file=sys.stderr,
        )
        raise
    finally:
        progress.close()
    run.report.rescored = rescore(catalogue, analyser.settings, only_stale=True)
    return run.report


class _IndexRun:
    """State of one run: what is waiting to be committed, and the report."""

    def __init__(self, catalogue: Catalogue, analyser: SongAnalyser, keep_paths: bool) -> None:
        self._catalogue = catalogue
        self._analyser = analyser
        self._keep_paths = keep_paths
        self._inputs = {
            key.removeprefix(INPUTS_KEY): value
            for key, value in catalogue.meta().items()
            if key.startswith(INPUTS_KEY)
        }
        self._waiting: list[tuple[Song, _Inputs]] = []
        self._seen: dict[str, str] = {}
        self.report = IndexReport()
        keep_settings(catalogue, analyser.settings)

    def index(self, source: SongSource, known: Mapping[str, Song]) -> bool:
        """Index one song; whether it failed."""
        try:
            outcome = self._index(source, known)
        except Exception as error:  # one bad song must not stop the others
            self.report.failures.append(Failure(source.where, source.id, explain(error)))
            return True
        setattr(self.report, outcome, getattr(self.report, outcome) + 1)
        return False

    def commit(self) -> None:
        """Write what is waiting."""
        if not self._waiting:
            return
        with self._catalogue.transaction():
            self._catalogue.upsert(song for song, _ in self._waiting)
            for song, inputs in self._waiting:
                self._catalogue.set_meta(INPUTS_KEY + song.id, inputs.to_json())
        self._waiting.clear()

    def _index(self, source: SongSource, known: Mapping[str, Song]) -> Outcome:
        if source.id is not None and source.id in self._seen:
            raise InputError(f"the same id {source.id!r} as {self._seen[source.id]}")
        material = source.load()
        song_id = material.song.id
        self._seen[song_id] = source.where
        old = known.get(song_id)
        if old is not None and old.source != material.song.source:
            raise InputError(
                f"the id {song_id!r} belongs to a song from {old.source!r} already: give it "
                f"another id, or index it with --source {old.source}"
            )
        before = _Inputs.from_json(self._inputs.get(song_id)) if old is not None else _Inputs()
        song, inputs = self._analysed(material, old, before)
        if not self._keep_paths:
            song = replace(song, path=None)
        if old is not None and inputs == before and _same(song, old):
            return "unchanged"
        (fused,) = with_fused([song], self._analyser.settings)
        self._waiting.append((fused, inputs))
        return "new" if old is None else "changed"

    def _analysed(
        self, material: SongMaterial, old: Song | None, before: _Inputs
    ) -> tuple[Song, _Inputs]:
        """The song with its raw stages; those whose inputs are the same are the old ones."""
        song, inputs = material.song, _Inputs()
        words = material.lyrics if material.lyrics and material.lyrics.strip() else None
        if words is not None:
            model = self._analyser.lyric_predictor.model_hash
            inputs = replace(inputs, lyrics=f"{_text_hash(words)}:{model}")
            if old is not None and inputs.lyrics == before.lyrics:
                song = replace(
                    song,
                    lyrics=old.lyrics,
                    lyrics_note=old.lyrics_note,
                    language=song.language or old.language,
                )
            else:
                reading = self._analyser.read_words(words)
                song = replace(
                    song,
                    lyrics=_stage(reading.distribution, model),
                    lyrics_note=_note(reading.reason, reading.notes),
                    language=song.language or reading.language,
                )
        if material.audio is not None:
            model = self._analyser.audio_predictor.model_hash
            inputs = self._audio_inputs(inputs, material.audio, model, before)
            if old is not None and inputs.audio == before.audio:
                song = replace(song, audio=old.audio, audio_note=old.audio_note)
            else:
                sound = self._analyser.read_sound(material.audio)
                song = replace(
                    song,
                    audio=_stage(sound.distribution, model),
                    audio_note=_note(sound.reason, sound.notes),
                )
        if song.lyrics is None and song.audio is None:
            reasons = [note for note in (song.lyrics_note, song.audio_note) if note]
            raise InputError(f"no emotion could be read: {'; '.join(reasons) or 'nothing to read'}")
        return song, inputs

    def _audio_inputs(self, inputs: _Inputs, path: Path, model: str, before: _Inputs) -> _Inputs:
        try:
            status = path.stat()
            stat = (status.st_size, status.st_mtime_ns)
            if stat == before.stat and before.audio and before.audio.endswith(f":{model}"):
                return replace(inputs, audio=before.audio, stat=stat)
            content = _file_hash(path)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"the recording {path} cannot be read: {reason}") from error
        kept = stat if self._keep_paths else None
        return replace(inputs, audio=f"{content}:{model}", stat=kept)


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


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
