"""What a published music tagger makes of a recording: one vector for all of it.

musicnn (:mod:`audio_model.musicnn`) learned from tags that listeners gave to a quarter
of a million songs; the last layer before its tags is kept as a description of how a
recording sounds. A few patches of three seconds, spread over the recording, are read,
and the mean of their vectors stands for the whole. Here are the patches; the network
that reads them is a file of its own in the model folder (``embedding.onnx``).

A recording is scaled so that its largest sample is 1, as elsewhere in the front end,
so gain does not change the patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_model.log_mel import MelConfiguration, log_mel, peak_scale
from data_prep.errors import InputError

if TYPE_CHECKING:
    import onnxruntime

_COMPRESSION: Final = 10_000.0  # of power, before log10(1 + x): musicnn's own


@dataclass(frozen=True)
class EmbeddingConfiguration:
    """How patches are cut, and what becomes of them.

    Attributes
    ----------
    log_mel
        Of a patch.
    n_frames
        Length of a patch in frames.
    at_most
        Most patches of one recording.
    size
        Of the vector.
    """

    log_mel: MelConfiguration = field(default_factory=lambda: MelConfiguration(n_mels=96))
    n_frames: int = 187
    at_most: int = 10
    size: int = 200

    def __post_init__(self) -> None:
        if min(self.n_frames, self.at_most, self.size) <= 0:
            raise InputError(f"settings of the embedding must be positive: {self}")

    @property
    def patch_shape(self) -> tuple[int, int]:
        """Shape of a patch."""
        return self.n_frames, self.log_mel.n_mels


def embedding_configuration(stored: Mapping[str, Any] | None) -> EmbeddingConfiguration | None:
    """The configuration that :func:`dataclasses.asdict` made this of; ``None`` of ``None``.

    Raises
    ------
    TypeError, KeyError
        If a setting is missing or unknown.
    """
    if stored is None:
        return None
    own = dict(stored)
    return EmbeddingConfiguration(log_mel=MelConfiguration(**own.pop("log_mel")), **own)


MUSICNN: Final = EmbeddingConfiguration()
"""Patches of 187 frames of 256 samples at 16 kHz, 96 bands: 2.99 s."""


def spread_patches(
    pieces: Sequence[NDArray[np.float32]], configuration: EmbeddingConfiguration = MUSICNN
) -> NDArray[np.float32]:
    """Patches spread evenly over the pieces of one recording.

    Parameters
    ----------
    pieces
        Mono waveforms (n_samples,), finite: the whole recording, or excerpts.

    Returns
    -------
    Array (n_patches, n_frames, n_mels): not more than ``at_most``, nor more than fit
    beside each other, but one of each piece.
    """
    c = configuration
    pieces = [piece for piece in pieces if piece.size][: c.at_most]
    patch = c.n_frames * c.log_mel.hop_length
    share = max(1, c.at_most // max(1, len(pieces)))
    chosen = []
    for piece in pieces:
        spare = max(0, piece.size - patch) // c.log_mel.hop_length
        n = min(share, max(1, piece.size // patch))
        places = np.linspace(0, spare, n + 2)[1:-1] if n < share else np.linspace(0, spare, n)
        chosen.append(places.astype(int))
    return patches_at(pieces, chosen, c)


def patches_at(
    pieces: Sequence[NDArray[np.float32]],
    places: Sequence[NDArray[np.int64]],
    configuration: EmbeddingConfiguration = MUSICNN,
) -> NDArray[np.float32]:
    """Patches that begin at given frames.

    Parameters
    ----------
    pieces
        Mono waveforms of one recording.
    places
        For each piece the first frames of its patches.

    Returns
    -------
    Array (n_patches, n_frames, n_mels): ``log10(1 + 10,000 x)`` of the power of the
    recording scaled to a peak of 1. A piece that is shorter than a patch is repeated.
    """
    c = configuration
    hop = c.log_mel.hop_length
    scale = peak_scale(pieces)
    found = []
    for piece, starts in zip(pieces, places, strict=True):
        for start in starts:
            # one frame more at either end, since the outermost reach beyond the part
            before = min(1, int(start))
            first = (int(start) - before) * hop
            part = piece[first : first + (c.n_frames + 1 + before) * hop]
            values = log_mel(part * scale, c.log_mel)[:, before : before + c.n_frames].T
            if len(values) < c.n_frames:
                values = np.tile(values, (-(-c.n_frames // len(values)), 1))[: c.n_frames]
            found.append(values)
    power = np.power(np.float32(10.0), np.stack(found) / np.float32(10.0))
    patches: NDArray[np.float32] = np.log10(1.0 + np.float32(_COMPRESSION) * power)
    return patches.astype(np.float32)


def embed(
    session: onnxruntime.InferenceSession, patches: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Vectors (n, size) of patches (n, n_frames, n_mels)."""
    # one at a time is faster than a batch
    vectors = [session.run(None, {"patches": patch[None]})[0] for patch in patches]
    return np.concatenate(vectors)


def grid_places(
    n_samples: int, configuration: EmbeddingConfiguration = MUSICNN
) -> NDArray[np.int64]:
    """First frames of patches that overlap by half, from the start of a piece to its end."""
    c = configuration
    spare = max(0, n_samples - c.n_frames * c.log_mel.hop_length) // c.log_mel.hop_length
    n = 1 + -(-2 * spare // c.n_frames)
    return np.linspace(0, spare, n).astype(np.int64)
