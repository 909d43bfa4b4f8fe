"""Collaborative models learned from playlists, and the weight that they get beside emotion.

Matrix factorisation is the library implicit's (extra ``collaborative``): ALS for implicit
feedback (Hu, Koren and Volinsky 2008), or BPR (Rendle et al. 2009). Playlists are split by
their number, once and for all: eight of ten are learned from, one chooses the weight of
playlists beside emotion, and the tenth is what :mod:`fusion.evaluation.playlist_continuation`
measures on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError, MissingExtraError
from data_prep.readers.arena_playlists import Playlists
from fusion.collaborative import METHODS, CollaborativeMethod, CollaborativeModel
from fusion.evaluation.playlist_continuation import Continuation, EmotionSpace

WEIGHTS: Final = tuple(round(0.05 * step, 2) for step in range(21))
LEAST_PLAYLISTS: Final = 20

_TENTHS: Final = 10
_VALIDATION, _TEST = 8, 9

Say = Callable[[str], None]


@dataclass(frozen=True)
class CollaborativeSettings:
    """How a model is learned.

    Attributes
    ----------
    method
        ``"als"`` or ``"bpr"``.
    factors
        Numbers of a song's vector.
    iterations
        Passes over all playlists.
    regularization, alpha, learning_rate
        Of implicit; ``alpha`` is ALS's confidence of a song that a playlist has.
    seed
        Of the first vectors.
    """

    method: CollaborativeMethod = "als"
    factors: int = 64
    iterations: int = 20
    regularization: float = 0.05
    alpha: float = 10.0
    learning_rate: float = 0.05
    seed: int = 1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"method {self.method!r}: expected one of {', '.join(METHODS)}")
        if self.factors < 1 or self.iterations < 1:
            raise InputError("factors and iterations: expected 1 or more")
        if not (self.regularization >= 0 and self.alpha > 0 and self.learning_rate > 0):
            raise InputError(
                "regularization: expected 0 or more; alpha and learning rate: more than 0"
            )


def split_of(playlists: Playlists) -> NDArray[np.int64]:
    """Tenth 0..9 of each playlist (n,), which its number alone gives: 0 to 7 train, 8
    validates, 9 tests."""
    digests = (hashlib.sha256(f"playlist {i}".encode()).digest() for i in playlists.ids.tolist())
    return np.array([int.from_bytes(each[:8], "big") % _TENTHS for each in digests], np.int64)


def digest_of(playlists: Playlists) -> str:
    """What tells playlists from others."""
    digest = hashlib.sha256()
    for array in (playlists.ids, playlists.starts, playlists.songs):
        digest.update(array.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def check_extra() -> None:
    """Refuse to begin without implicit.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    if find_spec("implicit") is None:
        raise MissingExtraError("learning from playlists", "collaborative")


def fit(
    playlists: Playlists,
    settings: CollaborativeSettings,
    *,
    facts: dict[str, Any] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> CollaborativeModel:
    """Learn vectors of the songs of playlists; the weight is 1 until it is tuned.

    Parameters
    ----------
    playlists
        All that is learned from.
    facts
        What is to be kept with the model.
    advance
        Told of each pass.

    Raises
    ------
    MissingExtraError
        If implicit is not installed.
    InputError
        If there are too few playlists.
    """
    check_extra()
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    if len(playlists) < LEAST_PLAYLISTS:
        raise InputError(
            f"{len(playlists)} playlists to learn from: expected {LEAST_PLAYLISTS} or more"
        )
    names = np.array([str(n).encode() for n in np.unique(playlists.songs).tolist()], np.bytes_)
    ids = np.sort(names)
    columns = np.searchsorted(ids, playlists.songs.astype(np.bytes_))
    ones = np.ones(len(columns), np.float32)
    shape = (len(playlists), len(ids))
    matrix = csr_matrix((ones, columns.astype(np.int32), playlists.starts), shape=shape)
    shared: dict[str, Any] = {
        "factors": settings.factors,
        "regularization": settings.regularization,
        "iterations": settings.iterations,
        "random_state": settings.seed,
        "num_threads": 1,  # the same model from the same playlists, wherever it is made
    }
    with threadpool_limits(1, "blas"):  # implicit asks for it
        model = (
            AlternatingLeastSquares(alpha=settings.alpha, **shared)
            if settings.method == "als"
            else BayesianPersonalizedRanking(learning_rate=settings.learning_rate, **shared)
        )
        model.fit(matrix, show_progress=False, callback=lambda *_: advance(1))
    factors = np.ascontiguousarray(model.item_factors, np.float32)
    wide = factors.astype(np.float64)
    gram = wide.T @ wide + settings.regularization * np.eye(factors.shape[1])
    return CollaborativeModel(
        ids, factors, gram, settings.method, settings.alpha, 1.0, dict(facts or {})
    )


def tuned(
    model: CollaborativeModel,
    validation: Playlists,
    space: EmotionSpace,
    *,
    most: int,
    seed: int = 1,
) -> tuple[CollaborativeModel, dict[str, float]]:
    """The model with the weight that continues validation playlists best, and nDCG@100 by
    weight.

    Parameters
    ----------
    validation
        Playlists that nothing was learned from.
    space
        Emotions of the songs.
    most
        Most playlists that are asked.
    """
    asked = Continuation.of(validation, space, most=most, seed=seed)
    found = [float(each["ndcg"].mean()) for each in asked.figures(model, space, WEIGHTS)]
    best = WEIGHTS[int(np.argmax(found))]
    return replace(model, weight=best), {
        f"{weight:g}": value for weight, value in zip(WEIGHTS, found, strict=True)
    }


def parts_of(playlists: Playlists) -> dict[str, Playlists]:
    """Playlists to train, to validate and to test with, by :func:`split_of`."""
    tenths = split_of(playlists)
    return {
        "train": playlists.chosen(np.flatnonzero(tenths < _VALIDATION)),
        "validation": playlists.chosen(np.flatnonzero(tenths == _VALIDATION)),
        "test": playlists.chosen(np.flatnonzero(tenths == _TEST)),
    }


def space_of(
    ids: Sequence[str | None], vectors: NDArray[np.floating[Any]], training: Playlists
) -> EmotionSpace:
    """The songs of a catalogue by the numbers that playlists have; those of other names have
    numbers below zero.

    Parameters
    ----------
    ids
        Of the songs, ``None`` for one that is gone (n,).
    vectors
        Their fused emotions (n, 6).
    """
    numbers = np.array(
        [
            int(song_id) if song_id is not None and _is_number(song_id) else -1 - place
            for place, song_id in enumerate(ids)
        ],
        np.int64,
    )
    there = np.array([song_id is not None for song_id in ids], np.bool_)
    return EmotionSpace.of(numbers[there], np.asarray(vectors, np.float32)[there], training)


def train(
    parts: Mapping[str, Playlists],
    space: EmotionSpace,
    settings: CollaborativeSettings,
    *,
    most: int,
    say: Say = lambda _: None,
) -> tuple[CollaborativeModel, dict[str, float]]:
    """Learn a model from training playlists and tune its weight on validation playlists.

    Returns
    -------
    The model, and nDCG@100 on validation playlists by weight.
    """
    training = parts["train"]
    passes = 0

    def passed(count: int) -> None:
        nonlocal passes
        passes += count
        if passes % 5 == 0:
            say(f"{settings.method}: {passes} of {settings.iterations} passes")

    facts = asdict(settings) | {
        "training_playlists": len(training),
        "learned_from": digest_of(training),
    }
    model = fit(training, settings, facts=facts, advance=passed)
    say(f"weights on validation playlists ({len(model):,} songs with a vector)")
    return tuned(model, parts["validation"], space, most=most)


def compare(
    parts: Mapping[str, Playlists],
    space: EmotionSpace,
    factors: int,
    iterations: int,
    *,
    most: int,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Both methods at every weight, on validation playlists; test playlists are not touched."""
    curves: dict[str, dict[str, float]] = {}
    for method in METHODS:
        settings = CollaborativeSettings(method, factors, iterations)
        _, curves[method] = train(parts, space, settings, most=most, say=say)
    best = max(
        ((method, weight) for method in METHODS for weight in curves[method]),
        key=lambda each: curves[each[0]][each[1]],
    )
    return {
        "factors": factors,
        "iterations": iterations,
        "playlists": {name: len(part) for name, part in parts.items()},
        "songs": len(space),
        "curves": curves,
        "best": {"method": best[0], "weight": float(best[1])},
    }


def _is_number(song_id: str) -> bool:
    return song_id.isascii() and song_id.isdigit() and str(int(song_id)) == song_id
