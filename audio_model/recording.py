"""A recording as training and evaluation see it, and one that lies in a store of mels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from audio_model import windows
from audio_model.log_mel import KAKAO, MelConfiguration
from audio_model.windows import FrontEnd, Spectra, Windows
from data_prep.errors import MissingDataError


class Recording(Protocol):
    """What is asked of a recording; :class:`audio_model.input_cache.Clip` is one."""

    @property
    def dataset(self) -> str:
        """Name of the data set."""

    @property
    def id(self) -> str:
        """Unique within the data set."""

    @property
    def group(self) -> str:
        """Singer, recording or song: what may sound alike for reasons of its own."""

    @property
    def shares(self) -> NDArray[np.float32]:
        """Native labels (n_native,); empty if there are none."""

    @property
    def spectra(self) -> Spectra:
        """Levelled spectra."""

    def windows(self, front_end: FrontEnd) -> Windows:
        """The windows that serving would cut."""

    def some_patches(self) -> NDArray[np.float16]:
        """Embeddings (n_patches, size) of its patches."""


class Store(Protocol):
    """What is asked of a store of mels, as :class:`data_prep.mel_store.MelStore`."""

    @property
    def ids(self) -> Sequence[str]:
        """Ids of the songs."""

    def log_mel(self, song_id: str, /) -> NDArray[np.float16]:
        """Spectrogram (n_mels, n_frames) in dB."""


def _nothing() -> NDArray[np.float32]:
    return np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class StoredRecording:
    """A song of a store; its spectrogram is read when it is asked for, and not kept.

    Attributes
    ----------
    dataset, id
        Name of the data set, and of the song in the store.
    store
        Where it lies.
    configuration
        Of its log-mel.
    own_group
        What it must stay together with in a split; the song itself if empty.
    shares
        Native labels; empty if there are none.
    """

    dataset: str
    id: str
    store: Store
    configuration: MelConfiguration = KAKAO
    own_group: str = ""
    shares: NDArray[np.float32] = field(default_factory=_nothing)

    @property
    def group(self) -> str:
        """What it must stay together with in a split."""
        return self.own_group or self.id

    @property
    def spectra(self) -> Spectra:
        """Levelled, read now; log-mel alone."""
        raw = Spectra.without_notes(self.store.log_mel(self.id).astype(np.float32))
        (levelled,) = windows.levelled([raw], FrontEnd(self.configuration, pitch=None))
        return levelled.astype(np.float16)

    def windows(self, front_end: FrontEnd) -> Windows:
        """The windows that serving would cut."""
        return windows.cut([self.spectra], front_end)

    def some_patches(self) -> NoReturn:
        """A store holds no embeddings.

        Raises
        ------
        MissingDataError
            Always.
        """
        raise MissingDataError(f"{self.dataset}/{self.id} lies in a store, which has no embeddings")


def recordings_digest(clips: Sequence[Recording], *, embedded: bool) -> str:
    """Hash of what a training learns from recordings: which they are, their labels, and, if
    ``embedded``, their embeddings."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.dataset}/{clip.id}\n".encode())
        digest.update(np.ascontiguousarray(clip.shares, dtype=np.float32).tobytes())
        if embedded:
            digest.update(np.ascontiguousarray(clip.some_patches()).tobytes())
    return digest.hexdigest()
