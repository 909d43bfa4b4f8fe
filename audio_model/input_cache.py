"""The training recordings' spectra in one HDF5 file.

``<work>/audio/inputs.h5`` holds one group ``<data set>/<clip>`` per clip with
``log_mel`` (n_mels, n_frames) in dB and ``notes`` (n_notes, ceil(n_frames / 4)),
both float16 (0.06 dB resolution), and the hash of the front end they were made
with. Building is resumable: clips that are there are not made again, and a file
of another front end starts anew. A run that is killed within a write may leave a
file that cannot be read: it is named, and is to be deleted.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_model import windows
from audio_model.decode import decode
from audio_model.windows import FrontEnd, Spectra
from data_prep.errors import InputError, MissingDataError, MissingExtraError
from data_prep.model_folder import configuration_hash
from data_prep.readers.row import ClipRow

DATASETS: Final[tuple[str, ...]] = ("ravdess_song", "emotify", "emopia")
"""The data sets of the joint training, in the order of their index."""

Embedder = Callable[[Sequence[NDArray[np.float32]]], NDArray[np.float32]]
"""Embeddings (n_patches, size) of the mono waveforms at 16 kHz that are one recording;
:meth:`~audio_model.predictor.AudioPredictor.patch_embeddings` is one."""

PREPARE: Final = "maeum prepare audio"
PREPARE_EMBEDDINGS: Final = f"{PREPARE} --tagger WHEEL"
"""The commands that make the cache, and the embeddings beside it."""

_NO_DAMAGE: Final = (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, eq=False)
class Clip:
    """One training recording.

    Attributes
    ----------
    dataset, id, group, shares
        As in :class:`~data_prep.readers.row.ClipRow`.
    spectra
        Levelled, float16, silence at both ends cut off.
    patches
        Array (n_patches, size): embeddings of patches from the start of the recording to
        its end, where they were made (:mod:`audio_model.embedding_cache`).
    """

    dataset: str
    id: str
    group: str
    shares: NDArray[np.float32]
    spectra: Spectra
    patches: NDArray[np.float16] | None = None

    def windows(self, front_end: FrontEnd = windows.TEN_SECONDS) -> windows.Windows:
        """The windows that serving would cut."""
        found = windows.cut([self.spectra], front_end)
        if front_end.embedding is None:
            return found
        patches = self.some_patches()
        n = min(len(patches), front_end.embedding.at_most)
        chosen = patches[np.linspace(0, len(patches) - 1, n).round().astype(int)]
        return found.of_recording(chosen.mean(axis=0, dtype=np.float32))

    def some_patches(self) -> NDArray[np.float16]:
        """The embeddings of its patches.

        Raises
        ------
        MissingDataError
            If they were not made.
        """
        if self.patches is None or not len(self.patches):
            raise MissingDataError(
                f"{self.dataset}/{self.id} has no embedding: run `{PREPARE_EMBEDDINGS}` first"
            )
        return self.patches


def cache_path(work: Path) -> Path:
    """Where the cache lies below a work folder."""
    return work / "audio" / "inputs.h5"


def embeddings_path(work: Path) -> Path:
    """Where the embeddings of the recordings lie below a work folder."""
    return work / "audio" / "embeddings.h5"


def load_embeddings(work: Path, dataset: str) -> dict[str, NDArray[np.float16]]:
    """Embeddings (n_patches, size) of the clips of a data set; empty if there are none.

    Raises
    ------
    InputError
        If the file is damaged, or in use by another run.
    """
    path = embeddings_path(work)
    if not path.is_file():
        return {}
    import h5py

    with damage_told(path, PREPARE_EMBEDDINGS), h5py.File(path, "r") as file:
        group: Any = file.get(dataset, {})
        return {name: group[name][()] for name in group}


@contextmanager
def damage_told(path: Path, command: str = PREPARE) -> Iterator[None]:
    """Turns whatever the library says of an HDF5 file into one message.

    Nothing but access to the file, and what is made of its values, belongs in the block:
    other errors would be taken for damage.

    Parameters
    ----------
    path
        The file.
    command
        What makes it.

    Raises
    ------
    InputError
        If the file is damaged, in use by another run, or cannot be read or written.
    """
    try:
        yield
    except BlockingIOError as error:
        raise InputError(f"{path} is in use by another run: wait for it to end") from error
    # a damaged file makes the library, and what unpacks its values, fail in many ways
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno in _NO_DAMAGE:
            raise InputError(f"{path} cannot be used: {os.strerror(error.errno)}") from error
        raise InputError(
            f"{path} is damaged, as it is if a run was killed while it wrote the file ({error}): "
            f"delete it, and run `{command}` again"
        ) from error


def read_rows(dataset: str, work: Path) -> list[ClipRow]:
    """Recordings of a data set, as its reader gives them.

    Raises
    ------
    InputError, MissingDataError
        If there is no such data set, or it is not where it should be.
    """
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
    front_end: FrontEnd = windows.TEN_SECONDS,
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
        If a data set, h5py or FluidSynth is not there, a clip cannot be decoded, or the
        cache is damaged or in use by another run.
    """
    path = cache_path(work)
    path.parent.mkdir(parents=True, exist_ok=True)
    features = front_end.features()  # what is not a spectrum is made when clips are loaded
    wanted = configuration_hash({name: features[name] for name in ("log_mel", "pitch")})
    with added_to(path) as file:
        with damage_told(path):
            empty_unless(file, "front_end_hash", wanted)
        for dataset in datasets:
            if dataset == "emopia":
                _render(work, say)
            rows = read_rows(dataset, work)
            with damage_told(path):
                group = file.require_group(dataset)
                missing = [row for row in rows if f"{row.id}/notes" not in group]
            for row in one_by_one(missing, f"{dataset}: {{}} spectrograms", say):
                (made,) = windows.spectra([decode(row.path).samples], front_end)
                with damage_told(path):
                    if row.id in group:  # half written when a run was killed
                        del group[row.id]
                    clip = group.create_group(row.id)
                    clip.create_dataset("log_mel", data=made.log_mel.astype(np.float16))
                    clip.create_dataset("notes", data=made.notes.astype(np.float16))
                    file.flush()
    return path


@contextmanager
def added_to(path: Path, command: str = PREPARE) -> Iterator[Any]:
    """An HDF5 file that is added to, and made if it is not there.

    Parameters
    ----------
    path, command
        As for :func:`damage_told`, into whose block every access belongs.

    Raises
    ------
    MissingExtraError
        If h5py is not installed.
    InputError
        As :func:`damage_told`.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("preparing the sound data") from error
    with damage_told(path, command):
        file = h5py.File(path, "a")
    try:
        yield file
    finally:
        with damage_told(path, command):
            file.close()


def empty_unless(file: Any, attribute: str, wanted: str) -> None:
    """Empty an HDF5 file that was made with other settings, and note these."""
    if file.attrs.get(attribute, wanted) != wanted:
        for name in list(file):
            del file[name]
    file.attrs[attribute] = wanted


def one_by_one(
    rows: Sequence[ClipRow], title: str, say: Callable[[str], None]
) -> Iterator[ClipRow]:
    """Rows in turn, with a line of progress after every hundredth and the last.

    ``title`` holds ``{}``, for how many of how many.
    """
    started = time.monotonic()
    for done, row in enumerate(rows, start=1):
        yield row
        if done % 100 == 0 or done == len(rows):
            left = (time.monotonic() - started) / done * (len(rows) - done)
            say(f"{title.format(f'{done} of {len(rows)}')}, {left:.0f} s left")


def _clip(
    dataset: str,
    row: ClipRow,
    raw: Spectra,
    front_end: FrontEnd,
    patches: NDArray[np.float16] | None = None,
) -> Clip:
    (levelled,) = windows.levelled([raw], front_end)
    return Clip(dataset, row.id, row.group, row.shares, levelled.astype(np.float16), patches)


def load(
    work: Path,
    dataset: str,
    *,
    front_end: FrontEnd = windows.TEN_SECONDS,
) -> list[Clip]:
    """Read the clips of one data set from the cache, in the reader's order.

    Raises
    ------
    MissingDataError
        If the cache or a clip is not there.
    MissingExtraError
        If h5py is not installed.
    InputError
        If the cache is damaged, or in use by another run.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("reading the sound data") from error

    path = cache_path(work)
    if not path.is_file():
        raise MissingDataError(f"{path} is missing: run `{PREPARE}` first")

    def read(clip: Any) -> Spectra:
        return Spectra(clip["log_mel"][()], clip["notes"][()]).astype(np.float32)

    rows = read_rows(dataset, work)
    patches = load_embeddings(work, dataset)
    with damage_told(path), h5py.File(path, "r") as file:
        missing = [row.id for row in rows if f"{dataset}/{row.id}/notes" not in file]
        if missing:
            raise MissingDataError(
                f"{path} lacks {dataset}/{missing[0]} ({len(missing)} clips in all): "
                f"run `{PREPARE}` again"
            )
        return [
            _clip(dataset, row, read(file[dataset][row.id]), front_end, patches.get(row.id))
            for row in rows
        ]


def clips(
    work: Path,
    dataset: str,
    *,
    embed: Embedder | None = None,
    say: Callable[[str], None] = print,
) -> list[Clip]:
    """The clips of one data set: from the cache if it was built, else decoded now.

    Parameters
    ----------
    embed
        Makes the patches, for a model that hears recordings as a whole. Those of the cache,
        which overlap, are not what serving hears, and not taken.
    say
        Receives lines of progress, where something is made.

    Raises
    ------
    MissingDataError
        If the data set itself is not there.
    InputError
        If the cache is damaged or in use by another run, or a clip cannot be decoded.
    """
    rows = read_rows(dataset, work)
    known: list[Clip | None]
    try:
        known = [*load(work, dataset)]
    except (MissingDataError, MissingExtraError):
        known = [None] * len(rows)
    if embed is None and None not in known:
        return [clip for clip in known if clip is not None]
    found = []
    turns = one_by_one(rows, f"{dataset}: {{}} recordings", say)
    for row, clip in zip(turns, known, strict=True):
        samples = decode(row.path).samples
        if clip is None:
            (raw,) = windows.spectra([samples])
            clip = _clip(dataset, row, raw, windows.TEN_SECONDS)
        if embed is not None:
            clip = replace(clip, patches=embed([samples]).astype(np.float16))
        found.append(clip)
    return found
