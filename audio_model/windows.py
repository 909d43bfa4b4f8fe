"""Windows: the pieces of a log-mel spectrogram that a network sees.

A window is about ten seconds long. Its values are decibels relative to the level
of the whole recording, limited to ``[floor_db, ceiling_db]``: a recording
played 20 dB louder gives the same windows. The level is gated (frames 10 dB
below the plain mean do not count, as in ITU-R BS.1770), so leading silence does
not change it. A recording shorter than a window is repeated until it fills one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_model.log_mel import KAKAO, MelConfiguration, log_mel
from data_prep.errors import InputError


@dataclass(frozen=True)
class WindowConfiguration:
    """How windows are cut.

    Attributes
    ----------
    n_frames
        Length of a window in frames.
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


TEN_SECONDS: Final = WindowConfiguration()
"""624 frames of 256 samples at 16 kHz: 9.98 s."""


def spectrograms(
    pieces: Sequence[NDArray[np.float32]], configuration: MelConfiguration = KAKAO
) -> list[NDArray[np.float32]]:
    """Log-mel spectrograms of the pieces of one recording.

    All pieces are scaled by one factor so that the largest sample is 1: the
    smallest power that a spectrogram tells apart does not depend on gain.

    Parameters
    ----------
    pieces
        Mono waveforms (n_samples,), finite.
    """
    peak = max((float(np.abs(piece).max()) for piece in pieces if piece.size), default=0.0)
    scale = np.float32(1.0 / peak) if peak > 1e-30 else np.float32(1.0)
    return [log_mel(piece * scale, configuration) for piece in pieces if piece.size]


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


def relative(
    log_mel: NDArray[np.float32], level: float, configuration: WindowConfiguration = TEN_SECONDS
) -> NDArray[np.float32]:
    """Decibels relative to a level, limited to the configured range."""
    limited: NDArray[np.float32] = np.clip(
        log_mel - np.float32(level), configuration.floor_db, configuration.ceiling_db
    )
    return limited


def trim(
    log_mel: NDArray[np.float32], level: float, configuration: WindowConfiguration = TEN_SECONDS
) -> NDArray[np.float32]:
    """Cut off silent frames at both ends of a spectrogram in dB (not relative)."""
    frame_db = log_mel.max(axis=0) - level
    loud = np.flatnonzero(frame_db > configuration.trim_db)
    if loud.size == 0:
        return log_mel
    return log_mel[:, loud[0] : loud[-1] + 1]


def fill(log_mel: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
    """Repeat a spectrogram (n_mels, n) until it has at least ``n_frames`` frames."""
    n = log_mel.shape[1]
    if n >= n_frames:
        return log_mel
    return np.tile(log_mel, (1, -(-n_frames // n)))[:, :n_frames]


def cut(
    log_mels: Sequence[NDArray[np.float32]],
    configuration: WindowConfiguration = TEN_SECONDS,
) -> NDArray[np.float32]:
    """Windows of one recording.

    Parameters
    ----------
    log_mels
        Pieces (n_mels, n_frames) of one recording, in dB as
        :func:`audio_model.log_mel.log_mel` gives them: the whole of it as one
        piece, or excerpts.

    Returns
    -------
    Array (n_windows, n_mels, configuration.n_frames), at most
    ``configuration.at_most`` windows. They overlap just so much that they cover
    a piece evenly from its first to its last frame.

    Raises
    ------
    InputError
        If there is no frame at all.
    """
    log_mels = [piece for piece in log_mels if piece.shape[1] > 0]
    if not log_mels:
        raise InputError("expected at least one frame of a log-mel spectrogram, got none")
    level = level_db(log_mels)
    if len(log_mels) == 1:
        log_mels = [trim(log_mels[0], level, configuration)]
    share = max(1, configuration.at_most // len(log_mels))
    windows: list[NDArray[np.float32]] = []
    for piece in log_mels[: configuration.at_most]:
        filled = fill(relative(piece, level, configuration), configuration.n_frames)
        spare = filled.shape[1] - configuration.n_frames
        n_windows = min(share, -(-filled.shape[1] // configuration.n_frames))
        for start in np.linspace(0, spare, n_windows).round().astype(int):
            windows.append(filled[:, start : start + configuration.n_frames])
    stacked = np.stack(windows)
    sounding = (stacked.max(axis=1) > configuration.trim_db).mean(axis=1)
    kept = sounding >= configuration.least_sound
    return np.ascontiguousarray(stacked[kept] if kept.any() else stacked)
