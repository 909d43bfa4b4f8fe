"""What a run over many songs left out, and why."""

from __future__ import annotations

from dataclasses import dataclass

from data_prep.errors import InputError


@dataclass(frozen=True)
class LeftOut:
    """A song, or a part of a source, that could not be used.

    Attributes
    ----------
    where
        File, or tar and member.
    id
        The song's id, where it is known.
    reason
        In a word or two, to count by.
    error
        What is wrong with it.
    """

    where: str
    id: str | None
    reason: str
    error: str


class UnusableSongError(InputError):
    """A song that is left out of a run.

    Attributes
    ----------
    reason
        As in :class:`LeftOut`.
    """

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnusableSongError], tuple[str, str]]:
        return type(self), (self.reason, str(self))
