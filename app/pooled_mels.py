"""Log-mels of recordings, made by a pool of processes or by the machines of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.library.readers import SongPool
from app.reading_pool import outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audio_model.log_mel import MelConfiguration
    from fusion.analysis import SongAnalyser

_EACH: Final = 4
"""Recordings that are asked of each process before the first of them is waited for."""


class PooledMels:
    """Makes them in a pool: :class:`audio_model.mel_preparation.Mels`.

    Parameters
    ----------
    pool
        Where they are made.
    """

    def __init__(self, pool: SongPool) -> None:
        self._pool = pool

    @property
    def ahead(self) -> int:
        """How many to ask for before the first of them is waited for; a cluster may grow."""
        return _EACH * self._pool.workers

    def mel(
        self, path: Path, configuration: MelConfiguration, from_s: float, length_s: float
    ) -> Callable[[], NDArray[np.float32]]:
        """Begin with one; gives what waits for it."""
        return partial(outcome, self._pool.on_file(_mel, path, configuration, from_s, length_s))


def _mel(
    _: SongAnalyser, path: Path, configuration: MelConfiguration, from_s: float, length_s: float
) -> NDArray[np.float32]:
    from audio_model.mel_preparation import part_of_recording

    return part_of_recording(path, configuration, from_s, length_s)
