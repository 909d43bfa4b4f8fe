"""The published catalogue as it is, and after calibration, prior correction and spreading.

42,839 songs have a published vector of their words, one of their sound, and the mean of both.
Nobody labelled these songs, so nothing here says which answer is right. What can be measured
is whether a listener gets anything but sad songs:

- which emotion is the strongest of how many songs, and how sure answers are;
- how near the best song is to a query of one emotion alone;
- which songs are ever among the ten nearest of 10,000 moods.

Moods are the test sentences of :mod:`fusion.evaluation.paired_benchmark`, which no model learned
from, read by the lyric model and calibrated as the served moods are; beside them the same answers
uncalibrated, and made-up queries (Dirichlet). Every system is asked the same moods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from fusion.combination import fuse_many
from fusion.evaluation.list_counts import ListCounts
from fusion.quantile_map import QuantileMap
from fusion.rules import Product, entropy
from fusion.search import EmotionIndex
from fusion.settings import BranchCalibration, FusionSettings
from fusion.studies.priors import average_answer, balancing_prior, shares_by_em
from fusion.studies.published_figures import PublishedVectors, emotions_said, read_published
from fusion.studies.published_words import SADNESS

N_MOODS: Final = 10_000
N_NEAREST: Final = 10
SEEDS: Final = (1, 2, 3)
"""Of the moods that are drawn; figures are means, with the lowest and the highest."""

PUBLISHED: Final = "published rule"
OURS: Final = "balanced, product, relative to moods"

_TRAINED_ON: Final = (10_975, 19_875, 2_089, 23_725, 20_926, 5_020)
"""Sentences of each emotion that the published lyric model learned from."""

_UNIFORM: Final = (1.0 / N_EMOTIONS,) * N_EMOTIONS

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class System:
    """One way of placing the songs.

    Attributes
    ----------
    name, about
        For the report.
    vectors
        (songs, 6).
    """

    name: str
    about: str
    vectors: NDArray[np.float32]

    def figures(self) -> dict[str, Any]:
        """Figures of the songs alone: shares of the strongest emotion, entropy in bits, and
        what lies near a query of one emotion alone."""
        unit = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        sure = entropy(self.vectors.astype(np.float64)) / np.log(2.0)
        return {
            "strongest": emotions_said(self.vectors).tolist(),
            "entropy_bits": float(sure.mean()),
            # the cosine with one emotion alone is that emotion's place in the unit vector
            "best_cosine": unit.max(axis=0).tolist(),
            "within_0.9_of_sadness": float((unit[:, SADNESS] >= 0.9).mean()),
        }


def check_published_rule(vectors: PublishedVectors) -> float:
    """Largest difference of the published fused vectors from half of words and half of sound.

    Raises
    ------
    MissingDataError, InputError
        If they are not there, or of other songs.
    """
    fused = read_published("lyric_mel")
    if fused.shape != vectors.words.shape:
        raise InputError(
            f"the published vectors do not fit: fused ones of {len(fused):,} songs, words of "
            f"{len(vectors.words):,}"
        )
    return float(np.abs(0.5 * vectors.words + 0.5 * vectors.sound - fused).max())


def systems(vectors: PublishedVectors, moods: NDArray[np.floating[Any]]) -> list[System]:
    """The published catalogue under each correction, the published rule first.

    Parameters
    ----------
    vectors
        Of the catalogue.
    moods
        (n, 6) what songs are made relative to; not those that the systems are asked.
    """
    trained_on = tuple(n / sum(_TRAINED_ON) for n in _TRAINED_ON)

    def both(
        prior: Callable[[NDArray[Any]], Sequence[float]],
        target: Callable[[NDArray[Any]], Sequence[float]] = lambda branch: _UNIFORM,
    ) -> FusionSettings:
        def of(branch: NDArray[Any]) -> BranchCalibration:
            return BranchCalibration(
                prior=tuple(prior(branch)), prior_strength=1.0, target=tuple(target(branch))
            )

        return FusionSettings(lyrics=of(vectors.words), audio=of(vectors.sound))

    def placed(settings: FusionSettings) -> NDArray[np.float32]:
        return fuse_many(vectors.words, vectors.sound, settings).distribution

    balanced = both(balancing_prior)
    found = [
        (PUBLISHED, "half of each answer", FusionSettings()),
        (
            "known prior",
            "divided by the shares of the training sentences",
            both(lambda branch: trained_on),
        ),
        (
            "prior by EM",
            "the shares of the songs estimated by EM in place of those of training",
            both(lambda branch: trained_on, lambda branch: shares_by_em(branch, trained_on)),
        ),
        ("average answer", "divided by what each branch says on average", both(average_answer)),
        ("balanced", "the prior that makes all emotions alike on average", balanced),
        (
            "balanced, product",
            "the same, product of experts in place of the mean",
            replace(balanced, rule=Product()),
        ),
    ]
    made = [System(name, about, placed(settings)) for name, about, settings in found]
    relative = QuantileMap.fit(made[-1].vectors, moods)
    made.append(
        System(
            OURS,
            "the same, each emotion's quantiles those of everyday moods",
            relative(made[-1].vectors).astype(np.float32),
        )
    )
    return made


def asked(
    placed: Sequence[System], queries: dict[str, Callable[[int], NDArray[Any]]], say: Say
) -> dict[str, dict[str, dict[str, Any]]]:
    """Counts of the ten nearest songs: system → kind of query → figures.

    Parameters
    ----------
    queries
        Name → queries (n, 6) of a seed.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for system in placed:
        say(f"{system.name}: {len(SEEDS)} × {len(queries)} × {N_MOODS:,} queries")
        index = EmotionIndex(system.vectors)
        found[system.name] = {}
        for kind, make in queries.items():
            counts = [
                asdict(
                    ListCounts.of(index.query_many(make(seed), N_NEAREST)[0], len(system.vectors))
                )
                for seed in SEEDS
            ]
            found[system.name][kind] = {
                name: {
                    "mean": float(np.mean([each[name] for each in counts])),
                    "range": [min(c[name] for c in counts), max(c[name] for c in counts)],
                }
                for name in ("reached", "most", "gini", "skewness")
            }
    return found


def constant_and_model(vectors: PublishedVectors) -> dict[str, Any]:
    """The published table: audio against the words, beside the constant answer."""
    found = vectors.figures()
    found["emotions"] = list(EMOTIONS)
    found["difference_from_half_of_each"] = check_published_rule(vectors)
    return found
