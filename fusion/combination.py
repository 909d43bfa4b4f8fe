"""Combination of the two branches' answers into one.

Conventions
-----------
Distributions are (6,) or (n, 6) in the taxonomy's order. A missing branch is
``None`` (one song) or a row of NaN (many songs); it leaves the other branch's
calibrated answer unchanged.

The rules themselves are in :mod:`fusion.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import N_EMOTIONS, as_mapping
from fusion.calibration import calibrate, sharpened
from fusion.rules import certainty, entropy
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

    @property
    def moved(self) -> NDArray[np.float32] | None:
        """What the sound changed in the answer of the words: fused minus lyrics (6,), which
        sums to zero; ``None`` without both branches."""
        if self.lyrics is None or self.audio is None:
            return None
        return self.distribution - self.lyrics

    def details(self) -> dict[str, Any]:
        """How the branches came together, as JSON: ``disagreement``, and ``moved`` by emotion."""
        return {"disagreement": self.disagreement, "moved": as_mapping(self.moved)}


@dataclass(frozen=True, eq=False)
class FusedMany:
    """Fused answers for n songs; a missing answer is a row of NaN.

    A song with neither branch has NaN throughout and abstains. What goes beyond the answers is
    computed when it is asked for.

    Attributes
    ----------
    distribution
        Fused (n, 6).
    lyrics, audio
        Calibrated answers of the branches (n, 6).
    settings
        That they were fused with.
    """

    distribution: NDArray[np.float32]
    lyrics: NDArray[np.float32]
    audio: NDArray[np.float32]
    settings: FusionSettings

    @cached_property
    def lyrics_share(self) -> NDArray[np.float32]:
        """How much the words shaped each answer (n,), as in :class:`Fused`."""
        has_lyrics, has_audio = (np.isfinite(each[:, 0]) for each in (self.lyrics, self.audio))
        both = has_lyrics & has_audio
        share = np.where(has_lyrics, 1.0, np.where(has_audio, 0.0, np.nan))
        words, sound = self.lyrics[both], self.audio[both]
        share[both] = _lyrics_share(words, sound, self.settings.rule.lyrics_weights(words, sound))
        return share.astype(np.float32)

    @cached_property
    def audio_share(self) -> NDArray[np.float32]:
        """How much the sound did (n,): the rest."""
        return (1.0 - self.lyrics_share).astype(np.float32)

    @cached_property
    def disagreement(self) -> NDArray[np.float32]:
        """Jensen-Shannon divergence of the branches in bits (n,); NaN with one branch."""
        return jensen_shannon(self.lyrics, self.audio).astype(np.float32)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """Probability of the strongest emotion (n,)."""
        strongest: NDArray[np.float32] = self.distribution.max(axis=1)
        return strongest

    @property
    def abstain(self) -> NDArray[np.bool_]:
        """Whether that lies below the settings' ``abstain_below`` (n,)."""
        return ~(self.confidence >= self.settings.abstain_below)

    def song(self, row: int) -> Fused:
        """The answer for one of the songs; it must have a branch."""
        has_lyrics, has_audio = (
            bool(np.isfinite(branch[row, 0])) for branch in (self.lyrics, self.audio)
        )
        return Fused(
            distribution=self.distribution[row],
            lyrics=self.lyrics[row] if has_lyrics else None,
            audio=self.audio[row] if has_audio else None,
            lyrics_share=float(self.lyrics_share[row]),
            audio_share=float(self.audio_share[row]),
            disagreement=float(self.disagreement[row]) if has_lyrics and has_audio else None,
            confidence=float(self.confidence[row]),
            abstain=bool(self.abstain[row]),
        )


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
    return many.song(0)


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
    _check(lyrics, "lyrics")
    _check(audio, "audio")
    if len(lyrics) != len(audio):
        raise InputError(
            f"lyrics and audio answers must be of the same songs, got {len(lyrics)} "
            f"and {len(audio)} rows"
        )
    words = calibrate(lyrics, settings.lyrics)  # (n, 6)
    sound = calibrate(audio, settings.audio)  # (n, 6)
    return FusedMany(combined(words, sound, settings), words, sound, settings)


def combined(
    words: NDArray[np.floating[Any]], sound: NDArray[np.floating[Any]], settings: FusionSettings
) -> NDArray[np.float32]:
    """What the settings' rule makes of calibrated answers.

    Parameters
    ----------
    words, sound
        Calibrated answers (n, 6), as :func:`fusion.calibration.calibrate` gives them.
    settings
        Of which the calibration of the branches is not used again.

    Returns
    -------
    (n, 6); where one answer is missing the other, where both are NaN.
    """
    has_words, has_sound = np.isfinite(words[:, 0]), np.isfinite(sound[:, 0])
    found = np.where(has_words[:, None], words, sound).astype(np.float64)
    both = has_words & has_sound
    if both.any():
        answers = settings.rule.combine(words[both], sound[both])
        found[both] = sharpened(answers, settings.fused_temperature)
    if settings.relative is not None:
        found = settings.relative(found)
    return found.astype(np.float32)


def jensen_shannon(
    first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Jensen-Shannon divergence over the last axis in bits: 0 the same, 1 nothing shared."""
    p = np.asarray(first, dtype=np.float64)
    q = np.asarray(second, dtype=np.float64)
    divergence = entropy((p + q) / 2.0) - (entropy(p) + entropy(q)) / 2.0
    bits: NDArray[np.float64] = np.clip(divergence / np.log(2.0), 0.0, 1.0)
    return bits


def _lyrics_share(
    words: NDArray[np.float32], sound: NDArray[np.float32], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of the words in what shaped each answer: weight times certainty, (n,)."""
    lyrics_part = weights * certainty(words)
    total = lyrics_part + (1.0 - weights) * certainty(sound)
    # Two uniform answers say nothing; then the weights alone are the shares.
    return np.divide(lyrics_part, total, out=weights.copy(), where=total > 0)


def _check(answers: NDArray[np.floating[Any]], branch: str) -> None:
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
