"""What an audio model says of each window of a recording, over the six and its native labels.

An evaluation needs more of a model than serving does: the answers of single
members, so that a recording may be answered by the one that did not train on it,
of single windows, and of native heads. What is heard is what serving hears:
the same decoding, windows and refusals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio_model.heads import head_slices
from audio_model.predictor import AudioPredictor, AudioReading
from audio_model.windows import Windows
from data_prep.errors import InputError

ProgressMaker = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]
"""Takes how many there are and what they are; what it gives is told how many were done."""


def no_progress(total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
    """Shows nothing."""
    return nullcontext(lambda done: None)


@dataclass(frozen=True, eq=False)
class Heard:
    """Answers to one recording, window by window.

    Attributes
    ----------
    six
        Array (n_windows, 6): the served six.
    native
        Array (n_windows, n_labels): probabilities of a native head; ``None`` where
        the model has no such head, or none was asked for.
    """

    six: NDArray[np.float32]
    native: NDArray[np.float32] | None


def heard(
    predictor: AudioPredictor,
    members: NDArray[np.float32],
    head: str | None,
    member: int | None = None,
) -> Heard:
    """Answers to one recording from its members' probabilities.

    Parameters
    ----------
    members
        Array (n_windows, n_members, n_logits), as ``read_members`` gives it.
    head
        Native head that is asked as well; ``None`` for none.
    member
        The one that answers; all if ``None``.
    """
    if member is not None:
        members = members[:, member : member + 1]
    slices = head_slices(predictor.card.labels)
    native = members[..., slices[head]].mean(axis=1) if head in slices else None
    return Heard(predictor.six(members), native)


def recording_answers(windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mean over the windows of each recording: (n_windows, n) each → (n_recordings, n)."""
    return np.stack([each.mean(axis=0) for each in windows])


class Listener(AudioPredictor):
    """A loaded audio model that is heard out: by file or waveform, with all its answers."""

    _members: NDArray[np.float32] | None = None

    def read_members(self, window: Windows) -> NDArray[np.float32]:
        """As the predictor; what it said last is kept."""
        self._members = super().read_members(window)
        return self._members

    def hear_file(
        self, path: Path | str, head: str | None = None, member: int | None = None
    ) -> Heard:
        """Hear a sound file of any length.

        Parameters
        ----------
        head, member
            As :func:`heard`.

        Raises
        ------
        InputError
            If it is missing, cannot be decoded, or there is nothing to hear in it.
        """
        return self._heard(self.read_file(path), str(path), head, member)

    def hear_waveform(
        self,
        samples: NDArray[Any],
        sample_rate: int,
        head: str | None = None,
        member: int | None = None,
    ) -> Heard:
        """Hear a waveform, as :meth:`~AudioPredictor.read_waveform` takes it.

        Raises
        ------
        InputError
            If it is no waveform, or there is nothing to hear in it.
        """
        return self._heard(self.read_waveform(samples, sample_rate), "", head, member)

    def _heard(
        self, reading: AudioReading, name: str, head: str | None, member: int | None
    ) -> Heard:
        members, self._members = self._members, None
        if reading.distribution is None or members is None:
            raise InputError(f"{name}: {reading.reason}" if name else str(reading.reason))
        return heard(self, members, head, member)
