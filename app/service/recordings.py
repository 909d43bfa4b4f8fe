"""Recordings that the service reads or plays, and those that it does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audio_model.decode import SUFFIXES
from data_prep.errors import InputError

if TYPE_CHECKING:
    from data_prep.catalogue import Song, SongFile


def recording_of(song: Song, file: SongFile | None) -> Path | None:
    """The file of a song, if it is the one that was indexed; else ``None``.

    A link that leads to something that is no recording, and a file that was put in its place,
    are not given away.
    """
    if song.path is None or file is None or song.missing_since is not None:
        return None
    try:
        path = Path(song.path).resolve(strict=True)
        status = path.stat()
    except (OSError, ValueError, RuntimeError):
        return None
    same = (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)
    return path if same and path.is_file() and path.suffix.lower() in SUFFIXES else None


def check_duration(path: Path, most_minutes: float) -> None:
    """See that a recording says of itself that it is not too long.

    What cannot be opened passes: reading it tells better what is wrong.

    Raises
    ------
    InputError
        If it is longer.
    """
    import soundfile

    try:
        minutes = soundfile.info(str(path)).duration / 60.0
    except (RuntimeError, OSError, ValueError):
        return
    if minutes > most_minutes:
        raise InputError(
            f"the recording has {minutes:,.0f} minutes: at most {most_minutes:g} are read here"
        )
