"""Combination of the two branches' answers into one.

Conventions
-----------
Distributions are (6,) or (n, 6) in the taxonomy's order. A missing branch is
``None`` (one song) or a row of NaN (many songs); it leaves the other branch's
calibrated answer unchanged.

The weighted mean is ``w·lyrics + (1 - w)·audio``. The product of experts is
``lyrics**a · audio**b``, renormalised, with exponents in the ratio of the
weights and the larger one equal to 1 (Hinton 2002): at equal weights it is the
plain product, and a second branch that knows nothing (uniform) changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS
from data_prep.temperature import FLOOR
from fusion.calibration import calibrate
from fusion.settings import FusionSettings


@dataclass(frozen=True, eq=False)
class Fused:
    """The fused answer for one song.

    Attributes
    ----------
    distribution
        Fused emotion distribution (6,).
    lyrics, audio
        Calibrated answers of the branches (6,), or ``None``.
    lyrics_share, audio_share
        How much each branch shaped the answer, summing to one: weight times
        certainty (1 - entropy / log 6), normalised.
    disagreement
        Jensen-Shannon divergence of the branches in bits, 0 to 1; ``None`` with
        one branch.
    confidence
        Probability of the strongest fused emotion.
    abstain
        Whether the confidence lies below the settings' ``abstain_below``.
    """

    distribution: NDArray[np.float32]
    lyrics: NDArray[np.float32] | None
    audio: NDArray[np.float32] | None
    lyrics_share: float
    audio_share: float
    disagreement: float | None
    confidence: float
    abstain: bool


@dataclass(frozen=True, eq=False)
class FusedMany:
    """Fused answers for n songs; fields as in :class:`Fused`, NaN where missing.

    A song with neither branch has NaN throughout and abstains.
    """

    distribution: NDArray[np.float32]  # (n, 6)
    lyrics: NDArray[np.float32]  # (n, 6)
    audio: NDArray[np.float32]  # (n, 6)
    lyrics_share: NDArray[np.float32]  # (n,)
    audio_share: NDArray[np.float32]  # (n,)
    disagreement: NDArray[np.float32]  # (n,)
    confidence: NDArray[np.float32]  # (n,)
    abstain: NDArray[np.bool_]  # (n,)


def fuse(
    lyrics: NDArray[np.floating[Any]] | None,
    audio: NDArray[np.floating[Any]] | None,
    settings: FusionSettings,
) -> Fused:
    """Calibrate and combine the raw answers for one song.

    Raises
    ------
    InputError
        If both branches are missing, or an answer is not a distribution (6,).
    """
    if lyrics is None and audio is None:
        raise InputError("nothing to fuse: neither the lyrics nor the audio gave an emotion")
    missing = np.full(N_EMOTIONS, np.nan)
    many = fuse_many(
        np.atleast_2d(missing if lyrics is None else lyrics),
        np.atleast_2d(missing if audio is None else audio),
        settings,
    )
    both = lyrics is not None and audio is not None
    return Fused(
        distribution=many.distribution[0],
        lyrics=None if lyrics is None else many.lyrics[0],
        audio=None if audio is None else many.audio[0],
        lyrics_share=float(many.lyrics_share[0]),
        audio_share=float(many.audio_share[0]),
        disagreement=float(many.disagreement[0]) if both else None,
        confidence=float(many.confidence[0]),
        abstain=bool(many.abstain[0]),
    )


def fuse_many(
    lyrics: NDArray[np.floating[Any]],
    audio: NDArray[np.floating[Any]],
    settings: FusionSettings,
) -> FusedMany:
    """Calibrate and combine the raw answers for many songs.

    Parameters
    ----------
    lyrics, audio
        Raw answers (n, 6); a missing answer is a row of NaN.
    settings
        Calibration and rule.

    Raises
    ------
    InputError
        If shapes differ, or a row is neither a distribution nor NaN throughout.
    """
    has_lyrics = _present(lyrics, "lyrics")
    has_audio = _present(audio, "audio")
    if len(has_lyrics) != len(has_audio):
        raise InputError(
            f"lyrics and audio answers must be of the same songs, got {len(has_lyrics)} "
            f"and {len(has_audio)} rows"
        )
    words = calibrate(lyrics, settings.lyrics)  # (n, 6)
    sound = calibrate(audio, settings.audio)  # (n, 6)

    combined = np.where(has_lyrics[:, None], words, sound).astype(np.float64)
    both = has_lyrics & has_audio
    if both.any():
        combine = _product if settings.method == "product" else _mean
        combined[both] = combine(words[both], sound[both], settings.lyrics_weight)
    fused = combined.astype(np.float32)

    lyrics_share = _lyrics_share(words, sound, has_lyrics, has_audio, settings)
    confidence = fused.max(axis=1)
    return FusedMany(
        distribution=fused,
        lyrics=words,
        audio=sound,
        lyrics_share=lyrics_share.astype(np.float32),
        audio_share=(1.0 - lyrics_share).astype(np.float32),
        disagreement=jensen_shannon(words, sound).astype(np.float32),
        confidence=confidence,
        abstain=~(confidence >= settings.abstain_below),
    )


def jensen_shannon(
    first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Jensen-Shannon divergence over the last axis in bits: 0 the same, 1 nothing shared."""
    p = np.asarray(first, dtype=np.float64)
    q = np.asarray(second, dtype=np.float64)
    divergence = _entropy((p + q) / 2.0) - (_entropy(p) + _entropy(q)) / 2.0
    bits: NDArray[np.float64] = np.clip(divergence / np.log(2.0), 0.0, 1.0)
    return bits


def certainty(distribution: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """``1 - entropy / log 6`` over the last axis: 0 for uniform, 1 for one emotion alone."""
    array = np.asarray(distribution, dtype=np.float64)
    sure: NDArray[np.float64] = np.clip(1.0 - _entropy(array) / np.log(N_EMOTIONS), 0.0, 1.0)
    return sure


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    safe = np.where(p > 0, p, 1.0)  # NaN > 0 is false: it must not be read as "certain"
    entropy = -((p * np.log(safe)) @ np.ones(p.shape[-1]))  # far faster than a sum of so few
    return np.asarray(entropy, dtype=np.float64)


def _mean(
    words: NDArray[np.float32], sound: NDArray[np.float32], lyrics_weight: float
) -> NDArray[np.float64]:
    return lyrics_weight * words.astype(np.float64) + (1.0 - lyrics_weight) * sound.astype(
        np.float64
    )


def _product(
    words: NDArray[np.float32], sound: NDArray[np.float32], lyrics_weight: float
) -> NDArray[np.float64]:
    larger = max(lyrics_weight, 1.0 - lyrics_weight)
    logs = (lyrics_weight / larger) * np.log(np.maximum(words.astype(np.float64), FLOOR))
    logs += ((1.0 - lyrics_weight) / larger) * np.log(np.maximum(sound.astype(np.float64), FLOOR))
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    product: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return product


def _lyrics_share(
    words: NDArray[np.float32],
    sound: NDArray[np.float32],
    has_lyrics: NDArray[np.bool_],
    has_audio: NDArray[np.bool_],
    settings: FusionSettings,
) -> NDArray[np.float64]:
    """Share of the words (n,): 1 or 0 with one branch, NaN with none."""
    lyrics_part = settings.lyrics_weight * certainty(words)
    audio_part = settings.audio_weight * certainty(sound)
    total = lyrics_part + audio_part
    # Two uniform answers say nothing; then the weights alone are the shares.
    share = np.divide(
        lyrics_part, total, out=np.full_like(total, settings.lyrics_weight), where=total > 0
    )
    share = np.where(has_lyrics & has_audio, share, np.where(has_lyrics, 1.0, 0.0))
    return np.where(has_lyrics | has_audio, share, np.nan)


def _present(answers: NDArray[np.floating[Any]], branch: str) -> NDArray[np.bool_]:
    array = np.asarray(answers, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != N_EMOTIONS:
        raise InputError(f"{branch}: expected distributions (n, 6), got shape {array.shape}")
    missing = np.asarray(np.isnan(array).all(axis=1))
    rest = array[~missing]
    sums_to_one = np.abs(rest @ np.ones(N_EMOTIONS) - 1.0) <= 1e-3
    if not np.isfinite(rest).all() or (rest < 0).any() or not sums_to_one.all():
        raise InputError(
            f"{branch}: expected rows of non-negative numbers that sum to 1, or rows of NaN"
        )
    return ~missing
