"""What the stages of a song were made from: its file, and hashes of what was read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SongFile:
    """What was read of a song, so that it is not read again while it is the same.

    Attributes
    ----------
    song_id
        Of the song.
    source
        Name of the folder that the file was indexed in.
    place
        Path inside that folder, with ``/`` and composed Hangul; ``None`` for songs of tables
        and where no paths are to be kept.
    size, mtime_ns
        Of the recording: bytes, and time of change in ns; ``None`` where there is none, or
        no paths are to be kept.
    content
        Hash of the recording's bytes.
    lyrics, audio
        ``CONTENT:MODEL``, two hashes: of what was read, and of the model that read it;
        ``None`` where the song has no words, or no recording.
    """

    song_id: str
    source: str | None = None
    place: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    content: str | None = None
    lyrics: str | None = None
    audio: str | None = None
