"""The front end: from waveforms to the windows that a network sees.

A recording is one waveform, or several excerpts. Each gives :class:`Spectra`: a
log-mel spectrogram (timbre, loudness, rhythm) and a note spectrogram (melody,
harmony, mode), whose frames are a whole number of the other's apart; a front end
without the latter has note spectrograms of no notes. Both are made relative to
the level of the whole recording, so that a recording played 20 dB louder gives
the same windows; the level is gated (frames 10 dB below the plain mean do not
count, as in ITU-R BS.1770), so leading silence does not change it. A window is
about ten seconds long; a recording shorter than that is repeated until it fills
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_model.log_mel import MelConfiguration, log_mel, peak_scale
from audio_model.pitch import PitchConfiguration, level, note_spectrogram, salience
from audio_model.tag_embedding import MUSICNN, EmbeddingConfiguration
from data_prep.errors import InputError


@dataclass(frozen=True)
class WindowConfiguration:
    """How windows are cut.

    Attributes
    ----------
    n_frames
        Length of a window in frames of the log-mel.
    at_most
        Most windows that are taken from one recording, evenly spaced.
    floor_db, ceiling_db
        Limits of a value, in dB relative to the recording's level.
    trim_db
        Frames whose strongest band lies so far below the level are silent; at both
        ends they are cut off.
    least_sound
        A window with a smaller share of frames that are not silent is left out,
        unless all are.
    """

    n_frames: int = 624
    at_most: int = 24
    floor_db: float = -60.0
    ceiling_db: float = 20.0
    trim_db: float = -40.0
    least_sound: float = 0.1

    def __post_init__(self) -> None:
        if self.n_frames <= 0 or self.at_most <= 0 or self.floor_db >= self.ceiling_db:
            raise InputError(f"window settings do not fit together: {self}")


@dataclass(frozen=True)
class FrontEnd:
    """Everything between a waveform and a window.

    ``pitch`` is ``None`` for log-mels alone; with ``embedding`` a window also knows what
    a published tagger makes of the whole recording.
    """

    log_mel: MelConfiguration = field(default_factory=MelConfiguration)
    pitch: PitchConfiguration | None = field(default_factory=PitchConfiguration)
    windows: WindowConfiguration = field(default_factory=WindowConfiguration)
    embedding: EmbeddingConfiguration | None = None

    def __post_init__(self) -> None:
        if self.pitch is not None and (
            self.log_mel.sample_rate != self.pitch.sample_rate
            or self.pitch.hop_length % self.log_mel.hop_length
            or self.windows.n_frames % self.step
        ):
            raise InputError(f"log-mel, note spectrogram and windows do not fit together: {self}")
        if (
            self.embedding is not None
            and self.embedding.log_mel.sample_rate != self.log_mel.sample_rate
        ):
            raise InputError(f"log-mel and embedding are of different sample rates: {self}")

    @property
    def step(self) -> int:
        """Frames of the log-mel per frame of the note spectrogram; one if there is none."""
        return 1 if self.pitch is None else self.pitch.hop_length // self.log_mel.hop_length

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Inputs of a network behind this front end: fields of :class:`Windows`, and the
        shape of each for one window."""
        n = self.windows.n_frames
        shapes: dict[str, tuple[int, ...]] = {"log_mel": (self.log_mel.n_mels, n)}
        if self.pitch is not None:
            shapes["salience"] = (self.pitch.n_notes, n // self.step)
        if self.embedding is not None:
            shapes["embedding"] = (self.embedding.size,)
        return shapes

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""
        return self.windows.n_frames / self.log_mel.frames_per_second

    def features(self) -> dict[str, Any]:
        """As a model card stores it."""
        return asdict(self)


TEN_SECONDS: Final = FrontEnd()
"""Windows of 624 frames of 256 samples at 16 kHz: 9.98 s, log-mels as Kakao Arena's."""

WITH_EMBEDDING: Final = FrontEnd(embedding=MUSICNN)
"""The same, with the recording's embedding."""


@dataclass(frozen=True, eq=False)
class Spectra:
    """The two spectrograms of one piece of a recording.

    Attributes
    ----------
    log_mel
        Array (n_mels, n_frames): dB; once :func:`levelled`, relative to the
        recording's level and limited.
    notes
        Array (n_notes, ceil(n_frames / step)): amplitudes; once levelled, salience.
    """

    log_mel: NDArray[Any]
    notes: NDArray[Any]

    @classmethod
    def without_notes(cls, log_mel: NDArray[Any]) -> Spectra:
        """Of a log-mel alone, for a front end without ``pitch``."""
        return cls(log_mel, np.zeros((0, log_mel.shape[1]), dtype=log_mel.dtype))

    @property
    def n_frames(self) -> int:
        """Frames of the log-mel."""
        return int(self.log_mel.shape[1])

    def seen_by(self, front_end: FrontEnd) -> Spectra:
        """Without notes, for a front end that has none."""
        if front_end.pitch is not None or not len(self.notes):
            return self
        return Spectra.without_notes(self.log_mel)

    def part(self, start: int, n_frames: int, step: int) -> Spectra:
        """Frames from ``start``, a multiple of ``step``."""
        first = start // step
        return Spectra(
            self.log_mel[:, start : start + n_frames],
            self.notes[:, first : first + -(-n_frames // step)],
        )

    def astype(self, dtype: type[np.floating[Any]]) -> Spectra:
        """In another floating type."""
        return Spectra(self.log_mel.astype(dtype), self.notes.astype(dtype))


class Windows(NamedTuple):
    """Windows of one recording.

    Attributes
    ----------
    log_mel
        Array (n_windows, n_mels, n_frames).
    salience
        Array (n_windows, n_notes, n_frames // step).
    embedding
        Array (n_windows, size) of the recording they are from, the same for all of its
        windows; of size 0 without one.
    """

    log_mel: NDArray[np.float32]
    salience: NDArray[np.float32]
    embedding: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)

    def of_recording(self, embedding: NDArray[np.floating]) -> Windows:
        """With the embedding (size,) of the recording."""
        vector = np.asarray(embedding, dtype=np.float32)
        return self._replace(embedding=np.tile(vector, (len(self.log_mel), 1)))


def spectra(
    pieces: Sequence[NDArray[np.float32]], front_end: FrontEnd = TEN_SECONDS
) -> list[Spectra]:
    """Spectra of the pieces of one recording.

    All pieces are scaled by one factor so that the largest sample is 1: the
    smallest power that a spectrogram tells apart does not depend on gain.

    Parameters
    ----------
    pieces
        Mono waveforms (n_samples,), finite.
    """
    scale = peak_scale(pieces)
    scaled = [piece * scale for piece in pieces if piece.size]
    if front_end.pitch is None:
        return [Spectra.without_notes(log_mel(piece, front_end.log_mel)) for piece in scaled]
    return [
        Spectra(log_mel(piece, front_end.log_mel), note_spectrogram(piece, front_end.pitch))
        for piece in scaled
    ]


def level_db(log_mels: Sequence[NDArray[np.float32]]) -> float:
    """Gated level of a recording, in dB: mean band power of its frames.

    Parameters
    ----------
    log_mels
        Pieces (n_mels, n_frames) of one recording, in dB.
    """
    per_db = np.float32(np.log(10) / 10)
    power = np.concatenate([np.exp(piece * per_db).mean(axis=0) for piece in log_mels])
    power = power.astype(np.float64)
    loud = power[power >= 0.1 * power.mean()]
    return float(10.0 * np.log10(max(float(loud.mean()), 1e-30)))


def _trimmed(piece: Spectra, recording_db: float, front_end: FrontEnd) -> Spectra:
    """Without the silent frames at both ends."""
    frame_db = piece.log_mel.max(axis=0) - recording_db
    loud = np.flatnonzero(frame_db > front_end.windows.trim_db)
    if loud.size == 0:
        return piece
    start = int(loud[0]) // front_end.step * front_end.step
    return piece.part(start, int(loud[-1]) + 1 - start, front_end.step)


def levelled(pieces: Sequence[Spectra], front_end: FrontEnd = TEN_SECONDS) -> list[Spectra]:
    """Spectra relative to the level of the recording they are pieces of.

    Silence at both ends is cut off a recording that is one piece.

    Raises
    ------
    InputError
        If there is no frame at all.
    """
    pieces = [piece for piece in pieces if piece.n_frames > 0]
    if not pieces:
        raise InputError("expected at least one frame of a spectrogram, got none")
    c = front_end.windows
    recording_db = level_db([piece.log_mel for piece in pieces])
    if len(pieces) == 1:
        pieces = [_trimmed(pieces[0], recording_db, front_end)]
    log_mels = [
        np.clip(piece.log_mel - np.float32(recording_db), c.floor_db, c.ceiling_db)
        for piece in pieces
    ]
    if front_end.pitch is None:
        return [Spectra.without_notes(log_mel) for log_mel in log_mels]
    amplitude = level([piece.notes for piece in pieces])
    return [
        Spectra(log_mel, salience(piece.notes, amplitude, front_end.pitch))
        for log_mel, piece in zip(log_mels, pieces, strict=True)
    ]


def filled(piece: Spectra, n_frames: int, step: int) -> Spectra:
    """A piece repeated until it has at least ``n_frames`` frames, a multiple of ``step``."""
    if piece.n_frames >= n_frames:
        return piece
    n_notes = n_frames // step
    return Spectra(
        np.tile(piece.log_mel, (1, -(-n_frames // piece.n_frames)))[:, :n_frames],
        np.tile(piece.notes, (1, -(-n_notes // piece.notes.shape[1])))[:, :n_notes],
    )


def cut(pieces: Sequence[Spectra], front_end: FrontEnd = TEN_SECONDS) -> Windows:
    """Windows of one recording.

    Parameters
    ----------
    pieces
        Its :func:`levelled` spectra: the whole of it as one piece, or excerpts.

    Returns
    -------
    At most ``at_most`` windows, float32. They overlap just so much that they cover a
    piece evenly from its first to its last frame (to a note frame).
    """
    c, step = front_end.windows, front_end.step
    share = max(1, c.at_most // len(pieces))
    parts: list[Spectra] = []
    for piece in pieces[: c.at_most]:
        whole = filled(piece.seen_by(front_end), c.n_frames, step)
        spare = whole.n_frames - c.n_frames
        n_windows = min(share, -(-whole.n_frames // c.n_frames))
        for start in np.linspace(0, spare, n_windows).astype(int) // step * step:
            parts.append(whole.part(int(start), c.n_frames, step))
    log_mels = np.stack([part.log_mel for part in parts]).astype(np.float32)
    notes = np.stack([part.notes for part in parts]).astype(np.float32)
    sounding = (log_mels.max(axis=1) > c.trim_db).mean(axis=1)
    kept = sounding >= c.least_sound
    if not kept.any():
        kept[:] = True
    return Windows(
        np.ascontiguousarray(log_mels[kept]),
        np.ascontiguousarray(notes[kept]),
        np.zeros((int(kept.sum()), 0), dtype=np.float32),
    )
