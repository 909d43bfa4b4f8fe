"""What pretraining reads: two crops of each of a batch of recordings, without labels.

A recording's log-mel is read when a batch needs it, and not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from audio_model.log_mel import KAKAO
from audio_model.recording import Recording, StoredRecording
from data_prep.errors import InputError


def open_store(path: Path) -> list[StoredRecording]:
    """All songs of a store of mels, under its file's name as data set.

    Raises
    ------
    InputError
        If the file is not a store, holds no song, or its frames are not those of this
        program's log-mels.
    """
    from data_prep.mel_store import MelStore

    store = MelStore(path)
    if (store.sample_rate, store.hop_length) != (KAKAO.sample_rate, KAKAO.hop_length):
        raise InputError(
            f"{path} holds mels of frames of {store.hop_length} samples at {store.sample_rate} Hz, "
            f"expected {KAKAO.hop_length} at {KAKAO.sample_rate} Hz"
        )
    if not store.ids:
        raise InputError(f"{path} holds no song")
    return [StoredRecording(path.stem, song_id, store) for song_id in store.ids]


class Views(NamedTuple):
    """Crops of the recordings of one step.

    Attributes
    ----------
    log_mel
        (2, batch, n_mels, n_frames) in dB: the inputs of the first and the second views.
    group
        (batch,): equal numbers for recordings of one group.
    left_out
        Why recordings of the batch are missing, a sentence each.
    """

    log_mel: Tensor
    group: Tensor
    left_out: list[str]


def two_crops(
    log_mel: NDArray[Any], n_frames: int, max_shift: float, random: np.random.Generator
) -> NDArray[np.float32]:
    """Two crops (2, n_mels, n_frames) of one recording.

    Parameters
    ----------
    log_mel
        (n_mels, n_frames); a recording shorter than a crop is repeated.
    max_shift
        Most that the second starts before or after the first, in crops.
    """
    length = log_mel.shape[1]
    if length < n_frames:
        repeats = -(-(length + n_frames) // length)
        log_mel = np.tile(log_mel, (1, repeats))[:, : length + n_frames - 1]
    spare, reach = log_mel.shape[1] - n_frames, int(min(max_shift * n_frames, length))
    first = int(random.integers(0, spare + 1))
    second = int(random.integers(max(0, first - reach), min(spare, first + reach) + 1))
    parts = [log_mel[:, start : start + n_frames] for start in (first, second)]
    return np.stack(parts).astype(np.float32)


def read_log_mel(clip: Recording) -> NDArray[Any]:
    """The log-mel (n_mels, n_frames) of a recording.

    Raises
    ------
    InputError
        If it cannot be read, or is empty or not finite; the message names the recording.
    """
    try:
        log_mel = clip.spectra.log_mel
    except InputError as error:
        raise InputError(f"{clip.dataset}/{clip.id}: {error}") from error
    if log_mel.ndim != 2 or not log_mel.size or not np.isfinite(log_mel).all():
        raise InputError(
            f"{clip.dataset}/{clip.id}: expected a log-mel of finite values, got shape "
            f"{log_mel.shape}"
        )
    return log_mel


class ViewBatches(Dataset[Views]):
    """Batches of one epoch, each made when it is asked for.

    Every recording is in one batch at most; what does not fill a last batch waits for the
    next epoch. A batch depends on the seed and its number alone.

    Parameters
    ----------
    clips
        Recordings.
    batch_size
        Recordings in a batch; all of them if there are fewer.
    n_frames, max_shift
        As in :func:`two_crops`.
    seed
        Of this epoch.
    """

    def __init__(
        self,
        clips: Sequence[Recording],
        *,
        batch_size: int,
        n_frames: int,
        max_shift: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.clips = clips
        self.batch_size = min(batch_size, len(clips))
        self.n_frames, self.max_shift, self.seed = n_frames, max_shift, seed
        self._order = np.random.default_rng(seed).permutation(len(clips))

    def __len__(self) -> int:
        return len(self.clips) // self.batch_size

    def __iter__(self) -> Iterator[Views]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Views:
        if not 0 <= index < len(self):
            raise IndexError(index)
        random = np.random.default_rng([self.seed, index])
        crops, names, left_out = [], [], []
        for place in self._order[index * self.batch_size : (index + 1) * self.batch_size]:
            clip = self.clips[place]
            try:
                log_mel = read_log_mel(clip)
            except InputError as error:
                left_out.append(str(error))
                continue
            crops.append(two_crops(log_mel, self.n_frames, self.max_shift, random))
            names.append(f"{clip.dataset}\n{clip.group}")
        if not crops:
            raise InputError(f"no recording of a whole batch can be used, first {left_out[0]}")
        _, group = np.unique(names, return_inverse=True)
        return Views(torch.from_numpy(np.stack(crops, axis=1)), torch.from_numpy(group), left_out)
