"""Rules that make one emotion distribution of what the words and the sound say.

Conventions
-----------
A rule takes the calibrated answers of both branches, ``words`` and ``sound``, two
arrays (n, 6) whose rows are distributions, and gives float64 (n, 6), rows summing to
one. Missing branches are none of its business: :func:`fusion.combination.fuse_many`
asks a rule only about songs that have both. Logarithms are of probabilities not below
:data:`data_prep.temperature.FLOOR`.

A rule is a frozen dataclass of plain numbers, so that it lies as JSON in a settings
file; how its numbers are learned is :mod:`fusion.studies.rule_learning`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from data_prep.temperature import FLOOR

Method = Literal["mean", "emotion-mean", "product", "stacking", "gate"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)

Distributions = NDArray[np.floating[Any]]
Six = tuple[float, ...]

_LARGEST: Final = 100.0
"""Of a learned number: what is larger was not learned from songs."""

_R = TypeVar("_R", bound="FusionRule")


@dataclass(frozen=True)
class FusionRule(ABC):
    """What every rule can do."""

    method: ClassVar[Method]

    @abstractmethod
    def combine(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """One distribution for each song: two arrays (n, 6) → (n, 6)."""

    @abstractmethod
    def lyrics_weights(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """What the words weigh beside the sound for each song, 0 to 1: (n,)."""

    def to_dict(self) -> dict[str, Any]:
        """As it lies in a settings file; :func:`rule_from_dict` reads it."""
        return {"method": self.method, **asdict(self)}


@dataclass(frozen=True)
class Mean(FusionRule):
    """``w·words + (1 - w)·sound``; at 0.5 the published rule.

    Attributes
    ----------
    lyrics_weight
        Weight of the words, 0 to 1; the sound has the rest.
    """

    lyrics_weight: float = 0.5

    method: ClassVar[Method] = "mean"

    def __post_init__(self) -> None:
        _check_weights("lyrics_weight", (self.lyrics_weight,))

    def combine(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """One distribution for each song: two arrays (n, 6) → (n, 6)."""
        w = self.lyrics_weight
        return w * np.asarray(words, np.float64) + (1.0 - w) * np.asarray(sound, np.float64)

    def lyrics_weights(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """The same for every song: (n,)."""
        return np.full(len(words), self.lyrics_weight)


@dataclass(frozen=True)
class EmotionMean(FusionRule):
    """A mean with a weight of its own for each emotion, scaled to sum to one.

    After Hu and Downie (2010), who found that words tell some moods better and sound others.

    Attributes
    ----------
    lyrics_weights_of
        Weight of the words for each of the six, 0 to 1.
    """

    lyrics_weights_of: Six = (0.5,) * N_EMOTIONS

    method: ClassVar[Method] = "emotion-mean"

    def __post_init__(self) -> None:
        _keep_six(self, "lyrics_weights_of")
        _check_weights("lyrics_weights_of", self.lyrics_weights_of)

    def combine(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """One distribution for each song: two arrays (n, 6) → (n, 6)."""
        w = np.asarray(self.lyrics_weights_of)
        mixed = w * np.asarray(words, np.float64) + (1.0 - w) * np.asarray(sound, np.float64)
        total = mixed.sum(axis=1, keepdims=True)
        # words sure of what sound decides and the other way round leave nothing at all
        plain = Mean().combine(words, sound)
        return np.where(total > FLOOR, mixed / np.maximum(total, FLOOR), plain)

    def lyrics_weights(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """Mean of the emotions' weights under the answer: (n,)."""
        weights: NDArray[np.float64] = self.combine(words, sound) @ np.asarray(
            self.lyrics_weights_of
        )
        return weights


@dataclass(frozen=True)
class Product(FusionRule):
    """Product of experts (Hinton 2002): ``words**a · sound**b``, scaled to sum to one.

    A branch that knows nothing (uniform) changes nothing.

    Attributes
    ----------
    lyrics_exponent, audio_exponent
        0 or more, one of them above 0.
    """

    lyrics_exponent: float = 1.0
    audio_exponent: float = 1.0

    method: ClassVar[Method] = "product"

    def __post_init__(self) -> None:
        for name in ("lyrics_exponent", "audio_exponent"):
            value = getattr(self, name)
            if not 0.0 <= value <= _LARGEST:
                raise InputError(f"{name} {value}: expected a number from 0 to {_LARGEST:g}")
        if self.lyrics_exponent + self.audio_exponent <= 0.0:
            raise InputError("a product of experts needs an exponent above 0, got two zeros")

    @classmethod
    def of_weight(cls, lyrics_weight: float) -> Product:
        """Exponents in the ratio of the weights, the larger one equal to 1.

        Raises
        ------
        InputError
            If the weight is not from 0 to 1.
        """
        _check_weights("lyrics_weight", (lyrics_weight,))
        larger = max(lyrics_weight, 1.0 - lyrics_weight)
        return cls(lyrics_weight / larger, (1.0 - lyrics_weight) / larger)

    def combine(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """One distribution for each song: two arrays (n, 6) → (n, 6)."""
        logs = self.lyrics_exponent * log_of(words)
        logs += self.audio_exponent * log_of(sound)
        return softmax(logs)

    def lyrics_weights(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """The exponents' ratio, for every song: (n,)."""
        total = self.lyrics_exponent + self.audio_exponent
        return np.full(len(words), self.lyrics_exponent / total)


@dataclass(frozen=True)
class Stacking(FusionRule):
    """Logistic regression on the logarithms of both answers (Wolpert 1992).

    ``softmax(log(words) @ lyrics.T + log(sound) @ audio.T + bias)``.

    Attributes
    ----------
    lyrics, audio
        (6, 6): row = emotion of the answer, column = emotion that the branch says.
    bias
        (6,).
    """

    lyrics: tuple[Six, ...]
    audio: tuple[Six, ...]
    bias: Six = (0.0,) * N_EMOTIONS

    method: ClassVar[Method] = "stacking"

    def __post_init__(self) -> None:
        for name in ("lyrics", "audio"):
            try:
                rows = tuple(tuple(float(v) for v in row) for row in getattr(self, name))
            except (TypeError, ValueError) as error:
                raise InputError(f"{name} of stacking: expected 6 rows of 6 numbers") from error
            if [len(row) for row in rows] != [N_EMOTIONS] * N_EMOTIONS:
                raise InputError(f"{name} of stacking: expected 6 rows of 6 numbers")
            _check_finite(f"{name} of stacking", [v for row in rows for v in row])
            object.__setattr__(self, name, rows)
        _keep_six(self, "bias")
        _check_finite("bias of stacking", self.bias)

    def combine(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """One distribution for each song: two arrays (n, 6) → (n, 6)."""
        logits = log_of(words) @ np.asarray(self.lyrics).T
        logits += log_of(sound) @ np.asarray(self.audio).T
        return softmax(logits + np.asarray(self.bias))

    def lyrics_weights(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """Share of the words' matrix in the size of both, for every song: (n,)."""
        # a constant added to all rows of a column moves no answer
        sizes = [
            float(np.linalg.norm(m - m.mean(axis=0)))
            for m in (np.asarray(self.lyrics), np.asarray(self.audio))
        ]
        return np.full(len(words), sizes[0] / sum(sizes) if sum(sizes) > 0 else 0.5)


@dataclass(frozen=True)
class Gate(FusionRule):
    """A mean whose weight depends on how sure each branch is of the song.

    ``w = sigmoid(bias + lyrics·certainty(words) - audio·certainty(sound))``, where
    :func:`certainty` is 0 for a uniform answer and 1 for one emotion alone.

    Attributes
    ----------
    bias, lyrics, audio
        Of the weight.
    """

    bias: float = 0.0
    lyrics: float = 0.0
    audio: float = 0.0

    method: ClassVar[Method] = "gate"

    def __post_init__(self) -> None:
        _check_finite("numbers of the gate", (self.bias, self.lyrics, self.audio))

    def combine(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """One distribution for each song: two arrays (n, 6) → (n, 6)."""
        w = self.lyrics_weights(words, sound)[:, None]
        return w * np.asarray(words, np.float64) + (1.0 - w) * np.asarray(sound, np.float64)

    def lyrics_weights(self, words: Distributions, sound: Distributions) -> NDArray[np.float64]:
        """By the certainty of both answers: (n,)."""
        score = self.bias + self.lyrics * certainty(words) - self.audio * certainty(sound)
        weights: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(score, -60.0, 60.0)))
        return weights


RULES: Final[dict[Method, type[FusionRule]]] = {
    rule.method: rule for rule in (Mean, EmotionMean, Product, Stacking, Gate)
}


def rule_from_dict(content: Any) -> FusionRule:
    """What :meth:`FusionRule.to_dict` wrote.

    Raises
    ------
    InputError
        If the method is unknown, or its numbers are missing, unknown or out of range.
    """
    fields = dict(content)
    method = fields.pop("method", None)
    if method not in RULES:
        raise InputError(f"fusion method {method!r}: expected one of {', '.join(METHODS)}")
    try:
        return RULES[method](**fields)
    except TypeError as error:
        raise InputError(f"numbers of the fusion method {method!r} do not fit: {error}") from error


def certainty(distribution: Distributions) -> NDArray[np.float64]:
    """``1 - entropy / log 6`` over the last axis: 0 for uniform, 1 for one emotion alone."""
    array = np.asarray(distribution, dtype=np.float64)
    sure: NDArray[np.float64] = np.clip(1.0 - entropy(array) / np.log(N_EMOTIONS), 0.0, 1.0)
    return sure


def entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shannon entropy over the last axis, in nats; NaN of NaN."""
    safe = np.where(p > 0, p, 1.0)  # NaN > 0 is false: it must not be read as "certain"
    found = -((p * np.log(safe)) @ np.ones(p.shape[-1]))  # far faster than a sum of so few
    return np.asarray(found, dtype=np.float64)


def log_of(distribution: Distributions) -> NDArray[np.float64]:
    """Logarithm of probabilities, the floor's of those below it."""
    logs: NDArray[np.float64] = np.log(np.maximum(np.asarray(distribution, np.float64), FLOOR))
    return logs


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponentials (n, 6), scaled so that rows sum to one."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _keep_six(rule: _R, name: str) -> None:
    """Six numbers as a tuple of floats, whatever sequence they came in."""
    try:
        values = tuple(float(v) for v in getattr(rule, name))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected 6 numbers, got {getattr(rule, name)!r}") from error
    if len(values) != N_EMOTIONS:
        raise InputError(
            f"{name}: expected 6 numbers in the order {', '.join(EMOTIONS)}, got {len(values)}"
        )
    object.__setattr__(rule, name, values)


def _check_weights(name: str, weights: tuple[float, ...]) -> None:
    for weight in weights:
        if not 0.0 <= weight <= 1.0:
            raise InputError(f"{name} {weight}: expected a number from 0 to 1")


def _check_finite(name: str, values: Any) -> None:
    for value in values:
        if not (math.isfinite(value) and abs(value) <= _LARGEST):
            raise InputError(
                f"{name}: expected numbers from {-_LARGEST:g} to {_LARGEST:g}, got {value}"
            )
