"""Evaluation of recommendation: do songs of the emotion that was asked for come first?

**Catalogue**: songs of the label-paired benchmark, whose words and sound people gave the same
emotion (:mod:`fusion.evaluation.paired_benchmark`), from four of its five folds. **Queries** of
known emotion come from the fifth: test sentences read as moods, and test clips heard; so no line,
actor or song is on both sides. Each fold is asked once. A song is *relevant* when its emotion
is one that the query's label allows.

Rows place the same songs by their words alone, by their sound alone, and fused; beside them
songs in random order, and the most popular: those that are most often among the ten nearest
of everyday moods, the same list for everybody.

- **nDCG@10**: the relevant among the first ten, earlier ones counting more (``1 / log2(rank +
  1)``), over what ten relevant ones would give.
- **Precision@5**: share of the first five that is relevant.
- **MRR**: mean of one over the rank of the first relevant song, 0 beyond the hundredth.
- **Intra-list diversity**: mean cosine distance between songs of one list of ten.
- Coverage, Gini and k-occurrence skewness of the lists (:mod:`fusion.evaluation.list_counts`).

Ranking with graded gains follows Järvelin and Kekäläinen (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.metrics import percentile_interval
from data_prep.splits import N_FOLDS
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from fusion.calibration import calibrate
from fusion.combination import fuse_many
from fusion.evaluation.labelled_songs import LabelledSongs, numbered
from fusion.evaluation.list_counts import ListCounts
from fusion.evaluation.paired_benchmark import Answered, paired
from fusion.search import EmotionIndex
from fusion.settings import FusionSettings

FIRST: Final = 10
DEEPEST: Final = 100
PER_EMOTION: Final = 100
"""Songs of each emotion in a catalogue."""
QUERIES_PER_EMOTION: Final = 40
"""Most queries of each emotion and kind in a fold."""
RESAMPLES: Final = 1_000

RANDOM: Final = "random"
POPULAR: Final = "most popular"
WORDS: Final = "words alone"
SOUND: Final = "sound alone"
FUSED: Final = "fused"
ROWS: Final = (RANDOM, POPULAR, WORDS, SOUND, FUSED)
KINDS: Final = ("sentences", "clips")
FIGURES: Final = {"ndcg": "nDCG@10", "precision": "precision@5", "mrr": "MRR"}

_DISCOUNTS: Final = 1.0 / np.log2(np.arange(2, FIRST + 2))

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Queries:
    """Queries of one kind from one fold.

    Attributes
    ----------
    vectors
        (q, 6) calibrated.
    may_be
        (q, 6) emotions that the label allows.
    groups
        (q,) what they come from, drawn together when intervals are computed.
    """

    vectors: NDArray[np.float32]
    may_be: NDArray[np.bool_]
    groups: NDArray[np.str_]


def ranking_figures(relevant: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """Figures of each list, by the names of :data:`FIGURES`, (q,) each.

    Parameters
    ----------
    relevant
        (q, k) whether each song of a list is relevant, best first; k of 10 or more.
    """
    hits = relevant.astype(np.float64)
    first = relevant[:, :DEEPEST].argmax(axis=1)
    found = relevant[:, :DEEPEST].any(axis=1)
    return {
        "ndcg": hits[:, :FIRST] @ _DISCOUNTS / _DISCOUNTS.sum(),
        "precision": hits[:, :5].mean(axis=1),
        "mrr": np.where(found, 1.0 / (first + 1.0), 0.0),
    }


def intra_list_diversity(vectors: NDArray[np.floating[Any]], rows: NDArray[np.intp]) -> float:
    """Mean cosine distance between the songs of a list, mean over lists; 0 for single songs.

    Parameters
    ----------
    vectors
        Of the songs (n, 6).
    rows
        Lists (q, k).
    """
    units = vectors.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    k = rows.shape[1]
    if k < 2:
        return 0.0
    total = units[rows].sum(axis=1)  # the squared length of a sum holds all pairs
    pairs = ((total * total).sum(axis=1) - k) / (k * (k - 1))
    return float(1.0 - pairs.mean())


def placed(songs: LabelledSongs, settings: FusionSettings) -> dict[str, NDArray[np.float32]]:
    """Vectors of the songs (n, 6) by the branches and fused."""
    fused = fuse_many(songs.words, songs.sound, settings)
    return {WORDS: fused.lyrics, SOUND: fused.audio, FUSED: fused.distribution}


def queries_of(
    side: Answered, fold: int, vectors: NDArray[np.float32], *, most: int, seed: int
) -> Queries:
    """Queries of a fold, at most so many that may be of each emotion.

    Parameters
    ----------
    side
        Lines or clips.
    vectors
        Their calibrated answers (n, 6).
    """
    random = np.random.default_rng([seed, fold])
    chosen = np.unique(
        np.concatenate(
            [random.permutation(side.of(emotion, fold))[:most] for emotion in range(N_EMOTIONS)]
        )
    )
    return Queries(vectors[chosen], side.may_be[chosen], side.groups[chosen])


def popular_order(
    vectors: NDArray[np.float32], moods: NDArray[np.floating[Any]]
) -> NDArray[np.intp]:
    """Rows by how many moods (n, 6) have them among their ten nearest, most first."""
    rows, _ = EmotionIndex(vectors).query_many(moods, FIRST)
    counts = np.bincount(rows.ravel(), minlength=len(vectors))
    return np.argsort(-counts, kind="stable")


def lists_of(
    row: str,
    vectors: dict[str, NDArray[np.float32]],
    queries: Queries,
    moods: NDArray[np.floating[Any]],
    *,
    seed: int,
) -> NDArray[np.intp]:
    """Lists (q, 100 or all songs) that a row gives."""
    n, deepest = len(vectors[FUSED]), min(DEEPEST, len(vectors[FUSED]))
    if row == RANDOM:
        random = np.random.default_rng(seed)
        return np.stack([random.permutation(n)[:deepest] for _ in queries.vectors])
    if row == POPULAR:
        return np.tile(popular_order(vectors[FUSED], moods)[:deepest], (len(queries.vectors), 1))
    return EmotionIndex(vectors[row]).query_many(queries.vectors, deepest)[0]


class _Asked:
    """Figures of each query, row by row, over all folds."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
        self.groups: list[str] = []
        self.lists: dict[str, list[dict[str, float]]] = {}

    def add(
        self,
        row: str,
        rows: NDArray[np.intp],
        queries: Queries,
        labels: NDArray[np.int64],
        vectors: NDArray[np.float32],
    ) -> None:
        relevant = queries.may_be[np.arange(len(rows))[:, None], labels[rows]]
        for name, values in ranking_figures(relevant).items():
            self.values.setdefault(row, {}).setdefault(name, []).append(values)
        counts = ListCounts.of(rows[:, :FIRST], len(labels))
        self.lists.setdefault(row, []).append(
            {
                "coverage": counts.coverage,
                "gini": counts.gini,
                "skewness": counts.skewness,
                "intra_list_diversity": intra_list_diversity(vectors, rows[:, :FIRST]),
            }
        )

    def content(self) -> dict[str, Any]:
        """Rows with intervals, and the differences of the fused one."""
        weights = _group_weights(self.groups)

        def told(values: NDArray[np.float64]) -> dict[str, Any]:
            resampled = weights @ values / weights.sum(axis=1)
            return {"mean": float(values.mean()), "interval": list(percentile_interval(resampled))}

        each = {
            row: {name: np.concatenate(parts) for name, parts in own.items()}
            for row, own in self.values.items()
        }
        rows = {
            row: {
                **{name: told(values) for name, values in own.items()},
                **{
                    name: float(np.mean([fold[name] for fold in self.lists[row]]))
                    for name in self.lists[row][0]
                },
            }
            for row, own in each.items()
        }
        fused = each[FUSED]["ndcg"]
        differences = {
            base: told(fused - each[base]["ndcg"]) for base in (WORDS, SOUND, POPULAR, RANDOM)
        }
        differences["twice random"] = told(fused - 2.0 * each[RANDOM]["ndcg"])
        return {"queries": len(self.groups), "rows": rows, "ndcg_differences": differences}


def _group_weights(groups: Sequence[str]) -> NDArray[np.float64]:
    """How often each query counts in each resampling of groups: (resamplings, q)."""
    numbers = numbered(groups)
    n = int(numbers.max()) + 1
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1.0 / n), RESAMPLES)
    return drawn[:, numbers].astype(np.float64)


def evaluate(
    lines: Answered,
    clips: Answered,
    moods: NDArray[np.floating[Any]],
    settings: FusionSettings,
    *,
    per_emotion: int = PER_EMOTION,
    queries_per_emotion: int = QUERIES_PER_EMOTION,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Figures of all rows, by kind of query.

    Parameters
    ----------
    lines, clips
        Test lines and test clips, answered.
    moods
        (n, 6) everyday moods, for the most popular songs.
    settings
        Fusion settings that are measured.
    per_emotion, queries_per_emotion
        Songs of each emotion in a catalogue, a multiple of four; most queries of each.

    Raises
    ------
    InputError
        If there are not enough lines or clips, or the sizes make no sense.
    """
    if queries_per_emotion < 1:
        raise InputError(f"{queries_per_emotion} queries of each emotion: expected 1 or more")
    vectors = {
        "sentences": calibrate(lines.answers, settings.mood),
        "clips": calibrate(clips.answers, settings.audio),
    }
    sides = {"sentences": lines, "clips": clips}
    asked = {kind: _Asked() for kind in KINDS}
    for fold in range(N_FOLDS):
        say(f"fold {fold + 1} of {N_FOLDS}")
        others = [other for other in range(N_FOLDS) if other != fold]
        songs = paired(lines, clips, seed=fold + 1, per_emotion=per_emotion, folds=others)
        own = placed(songs, settings)
        for kind in KINDS:
            queries = queries_of(sides[kind], fold, vectors[kind], most=queries_per_emotion, seed=1)
            asked[kind].groups += queries.groups.tolist()
            for row in ROWS:
                rows = lists_of(row, own, queries, moods, seed=fold)
                place = own.get(row, own[FUSED])
                asked[kind].add(row, rows, queries, songs.labels, place)
    return {
        "songs": N_EMOTIONS * per_emotion,
        "per_emotion": per_emotion,
        "emotions": list(EMOTIONS),
        "kinds": {kind: own.content() for kind, own in asked.items()},
    }


def catalogue_figures(
    vectors: NDArray[np.float32], years: NDArray[np.floating[Any]], moods: NDArray[np.floating[Any]]
) -> dict[str, Any]:
    """Figures of a catalogue whose songs nobody labelled.

    Parameters
    ----------
    vectors
        Of the songs (n, 6), finite.
    years
        (n,) of release; NaN where unknown.
    moods
        (m, 6) everyday moods that it is asked.

    Returns
    -------
    ``lists`` of the moods; ``distance_in_years`` between a song and the ten most like it, as
    published, beside that of songs at random; ``occurrences`` of each song.
    """
    index = EmotionIndex(vectors)
    rows, _ = index.query_many(moods, min(FIRST, len(vectors)))
    found: dict[str, Any] = {
        "songs": len(vectors),
        "moods": len(moods),
        "lists": asdict(ListCounts.of(rows, len(vectors))),
        "intra_list_diversity": intra_list_diversity(vectors, rows),
        "occurrences": np.bincount(rows.ravel(), minlength=len(vectors)).tolist(),
        "distance_in_years": None,
    }
    known = np.flatnonzero(np.isfinite(years))
    if len(known) > FIRST:
        of_known = EmotionIndex(vectors[known])
        near, _ = of_known.query_many(vectors[known], FIRST + 1)
        dated = years[known]
        gaps = np.abs(dated[near] - dated[:, None])
        gaps[near == np.arange(len(known))[:, None]] = np.nan  # itself
        ordered = np.sort(dated)
        places = 2.0 * np.arange(len(ordered)) - len(ordered) + 1.0
        between_all = 2.0 * float(places @ ordered)  # as of every pair, without making them
        found["distance_in_years"] = {
            "songs": len(known),
            "mean": float(np.nanmean(gaps)),
            "at_random": between_all / (len(known) * (len(known) - 1)),
        }
    return found
