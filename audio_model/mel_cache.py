"""The training recordings' log-mel spectrograms in one HDF5 file.

``<work>/audio/mels.h5`` holds one float16 array ``<data set>/<clip>`` of shape
(n_mels, n_frames) in dB per clip (0.06 dB resolution), and the hash of the
log-mel configuration it was made with. Building is resumable: clips that are
there are not made again, and a file of another configuration starts anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_model import windows
from audio_model.decode import decode
from audio_model.log_mel import KAKAO, MelConfiguration
from data_prep.errors import InputError, MissingDataError, MissingExtraError
from data_prep.model_folder import configuration_hash
from data_prep.readers.row import ClipRow

DATASETS: Final[tuple[str, ...]] = ("ravdess_song", "emotify", "emopia")
"""The data sets of the joint training, in the order of their index."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Clip:
    """One training recording.

    Attributes
    ----------
    dataset, id, group, shares
        As in :class:`~data_prep.readers.row.ClipRow`.
    log_mel
        Array (n_mels, n_frames) float16 in dB relative to the clip's level,
        limited and trimmed as the windows of a served file are.
    """

    dataset: str
    id: str
    group: str
    shares: NDArray[np.float32]
    log_mel: NDArray[np.float16]


def cache_path(work: Path) -> Path:
    """Where the cache lies below a work folder."""
    return work / "audio" / "mels.h5"


def _read_rows(dataset: str, work: Path) -> list[ClipRow]:
    from data_prep.readers import emopia, emotify, ravdess_song

    if dataset == "ravdess_song":
        return ravdess_song.read()
    if dataset == "emotify":
        return emotify.read()
    if dataset == "emopia":
        return emopia.read(cache=work / "emopia")
    raise InputError(f"unknown data set {dataset!r}: expected one of {', '.join(DATASETS)}")


def _render(work: Path, say: Callable[[str], None]) -> None:
    from data_prep.readers import emopia

    failed = emopia.render(work / "emopia", report=say)
    if failed:
        raise InputError(f"{len(failed)} EMOPIA clips could not be rendered, first {failed[0]}")


def prepare(
    work: Path,
    *,
    datasets: tuple[str, ...] = DATASETS,
    configuration: MelConfiguration = KAKAO,
    say: Callable[[str], None] = print,
) -> Path:
    """Build the cache, or what is missing of it.

    Parameters
    ----------
    work
        Work folder (not part of the repository).
    datasets
        Which of :data:`DATASETS`.
    say
        Receives lines of progress.

    Returns
    -------
    Path of the cache.

    Raises
    ------
    MissingDataError, MissingExtraError, InputError
        If a data set, h5py or FluidSynth is not there, or a clip cannot be decoded.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("preparing the sound data") from error

    path = cache_path(work)
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = configuration_hash(asdict(configuration))
    with h5py.File(path, "a") as file:
        if file.attrs.get("log_mel_hash", wanted) != wanted:
            for name in list(file):
                del file[name]
        file.attrs["log_mel_hash"] = wanted
        for dataset in datasets:
            if dataset == "emopia":
                _render(work, say)
            rows = _read_rows(dataset, work)
            group = file.require_group(dataset)
            missing = [row for row in rows if row.id not in group]
            started = time.monotonic()
            for done, row in enumerate(missing, start=1):
                samples = decode(row.path).samples
                (log_mel,) = windows.spectrograms([samples], configuration)
                group.create_dataset(row.id, data=log_mel.astype(np.float16))
                if done % 100 == 0 or done == len(missing):
                    left = (time.monotonic() - started) / done * (len(missing) - done)
                    say(f"{dataset}: {done} of {len(missing)} spectrograms, {left:.0f} s left")
                    file.flush()
    return path


def _clip(
    dataset: str, row: ClipRow, log_mel: NDArray[np.float32], c: windows.WindowConfiguration
) -> Clip:
    level = windows.level_db([log_mel])
    kept = windows.relative(windows.trim(log_mel, level, c), level, c)
    return Clip(dataset, row.id, row.group, row.shares, kept.astype(np.float16))


def load(
    work: Path,
    dataset: str,
    configuration: windows.WindowConfiguration = windows.TEN_SECONDS,
) -> list[Clip]:
    """Read the clips of one data set from the cache, in the reader's order.

    Raises
    ------
    MissingDataError
        If the cache or a clip is not there.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("reading the sound data") from error

    path = cache_path(work)
    if not path.is_file():
        raise MissingDataError(f"{path} is missing: run `maeum prepare audio` first")
    with h5py.File(path, "r") as file:
        rows = _read_rows(dataset, work)
        missing = [row.id for row in rows if dataset not in file or row.id not in file[dataset]]
        if missing:
            raise MissingDataError(
                f"{path} lacks {dataset}/{missing[0]} ({len(missing)} clips in all): "
                "run `maeum prepare audio` again"
            )
        return [
            _clip(dataset, row, file[dataset][row.id][()].astype(np.float32), configuration)
            for row in rows
        ]


def clips(work: Path, dataset: str) -> list[Clip]:
    """The clips of one data set: from the cache if it was built, else decoded now.

    Raises
    ------
    MissingDataError
        If the data set itself is not there.
    """
    try:
        return load(work, dataset)
    except (MissingDataError, MissingExtraError):
        found = []
        for row in _read_rows(dataset, work):
            (log_mel,) = windows.spectrograms([decode(row.path).samples])
            found.append(_clip(dataset, row, log_mel, windows.TEN_SECONDS))
        return found
