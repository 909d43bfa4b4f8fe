"""How a service is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from data_prep.errors import InputError

LogForm = Literal["json", "text", "off"]
MAX_UPLOAD_MB: Final = 200
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ServiceOptions:
    """Limits and doors of a service.

    Attributes
    ----------
    host, port
        Where it listens.
    passwords
        User → password; nobody is asked for one where there are none.
    max_upload_mb
        Of one upload.
    max_minutes
        Of one recording.
    sound_s
        Seconds after which reading a recording is given up.
    processes
        Processes that answer.
    sound_workers
        Processes that read recordings, for each that answers.
    waiting
        Questions that may wait before further ones are turned away: the more, the longer an
        answer takes when many ask.
    origins
        Other web pages that may ask from a browser (CORS).
    files
        Whether recordings of the catalogue are played and playlists name their paths.
    files_through_proxy
        Whether for those too who come through a proxy, as its headers say.
    mcp
        Whether the page's endpoints are offered as tools (Model Context Protocol).
    log
        Form of the log of requests; ``"off"`` for none.
    log_words
        Whether moods are written to it.
    root_path
        Path under which a proxy offers the service.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    passwords: tuple[tuple[str, str], ...] = ()
    max_upload_mb: int = MAX_UPLOAD_MB
    max_minutes: float = 60.0
    sound_s: float = 60.0
    processes: int = 1
    sound_workers: int = 1
    waiting: int = 16
    origins: tuple[str, ...] = ()
    files: bool = False
    files_through_proxy: bool = False
    mcp: bool = False
    log: LogForm = "off"
    log_words: bool = False
    root_path: str = ""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK


def passwords_of(lines: list[str]) -> tuple[tuple[str, str], ...]:
    """``USER:PASSWORD`` pairs.

    Raises
    ------
    InputError
        If one of them is something else; the message does not repeat it.
    """
    pairs = []
    for line in lines:
        user, colon, password = line.strip().partition(":")
        if not (user and colon and password):
            raise InputError("a password is given as USER:PASSWORD, both of them not empty")
        pairs.append((user, password))
    return tuple(pairs)
