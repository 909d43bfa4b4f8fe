"""What answers to sound are judged by: the words, as the published table did, and people.

Figures against the words compare six numbers with six. Those against labels that
people gave to sound go as far as the labels tell emotions apart
(:mod:`fusion.evaluation.emotion_classes`): a sung phrase and a quadrant are one class, which
has a first place and no second; Emotify's scales are shares of four emotions, which
have an order. Any two sets of three of the four share two, so less-strict Top-2 is 1
there whatever is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from audio_model.heads import DATASET_HEADS
from audio_model.input_cache import Clip
from data_prep.data_folder import require
from data_prep.errors import InputError
from data_prep.metrics import (
    balanced_accuracy,
    constant_distribution,
    less_strict_top1,
    less_strict_top2,
    macro_f1,
    percentile_interval,
    resampled_sums,
    shared_of_top,
    top_k_agreement,
)
from data_prep.taxonomy import N_EMOTIONS
from fusion.evaluation.audio_scores import mean_r
from fusion.evaluation.emotion_classes import EmotionClasses, class_shares
from fusion.studies.published_words import SADNESS

WORDS_FIGURES: Final[dict[str, str]] = {
    "top1": "Top-1",
    "top2": "Top-2",
    "top3": "Top-3",
    "less_strict1": "less-strict 1",
    "less_strict2": "less-strict 2",
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "says_sadness": "says sadness",
    "largest_share": "largest share of one emotion",
}
"""Figures against the words' labels, and of the answers alone → how they are called."""

PEOPLE_FIGURES: Final[dict[str, str]] = {
    "ravdess_song": "RAVDESS macro-F1",
    "emopia": "EMOPIA macro-F1",
    "emotify": "Emotify mean r",
    "emotify_top1": "Emotify Top-1",
    "emotify_top2": "Emotify Top-2",
    "emotify_top3": "Emotify Top-3",
    "emotify_less_strict1": "Emotify less-strict 1",
    "emotify_less_strict2": "Emotify less-strict 2",
}
"""Figures against labels that people gave to sound → how they are called."""


def emotions_said(six: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Share (6,) of the distributions (n, 6) that each emotion is the strongest of."""
    counts = np.bincount(six.argmax(axis=1), minlength=N_EMOTIONS)
    return np.asarray(counts / len(six), dtype=np.float64)


def words_figures(
    reference: NDArray[np.floating[Any]], estimated: NDArray[np.floating[Any]]
) -> dict[str, float]:
    """Figures of answers (n, 6) against what the words say (n, 6), named as WORDS_FIGURES."""
    labels, answers = reference.argmax(axis=1), estimated.argmax(axis=1)
    said = emotions_said(estimated)
    return _orders(reference, estimated) | {
        "macro_f1": macro_f1(labels, answers, N_EMOTIONS),
        "balanced_accuracy": balanced_accuracy(labels, answers),
        "says_sadness": float(said[SADNESS]),
        "largest_share": float(said.max()),
    }


def people_figures(clips: Sequence[Clip], estimated: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Figures of answers (clips, 6) against people's labels, named as PEOPLE_FIGURES.

    A data set without a recording has none.
    """
    figures: dict[str, float] = {}
    for dataset, label_set in DATASET_HEADS.items():
        chosen = [i for i, clip in enumerate(clips) if clip.dataset == dataset]
        if not chosen:
            continue
        classes = EmotionClasses.of(label_set)
        native = np.stack([clips[i].shares for i in chosen])
        answers = classes.of_six(estimated[chosen])
        if classes.are_scales:
            shares = class_shares(classes.of_native(native))
            figures[dataset] = mean_r(shares, answers)
            orders = _orders(shares, answers)
            figures |= {f"{dataset}_{name}": value for name, value in orders.items()}
        else:
            labels = native.argmax(axis=1)
            figures[dataset] = macro_f1(labels, answers.argmax(axis=1), len(classes.names))
    return figures


def _orders(
    reference: NDArray[np.floating[Any]], estimated: NDArray[np.floating[Any]]
) -> dict[str, float]:
    return {
        **{f"top{k}": top_k_agreement(reference, estimated, k) for k in (1, 2, 3)},
        "less_strict1": less_strict_top1(reference, estimated),
        "less_strict2": less_strict_top2(reference, estimated),
    }


def read_published(kind: str) -> NDArray[np.float64]:
    """Published distributions (songs, 6): of ``"lyric"``, ``"mel"`` or ``"lyric_mel"``.

    Raises
    ------
    MissingDataError
        If they are not in the data folder.
    InputError
        If the file holds no distributions.
    """
    path = require(f"published_vectors/2015{kind}.npy")
    try:
        rows: NDArray[np.float64] = np.load(path).reshape(-1, N_EMOTIONS).astype(np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no array of {N_EMOTIONS} columns: {error}") from error
    if not len(rows) or not np.abs(rows.sum(axis=1) - 1.0).max() <= 1e-3:
        raise InputError(f"{path}: expected rows of {N_EMOTIONS} numbers that sum to 1")
    return rows


@dataclass(frozen=True, eq=False)
class PublishedVectors:
    """The published catalogue: what words and sound of each song say, both (songs, 6)."""

    words: NDArray[np.float64]
    sound: NDArray[np.float64]

    @classmethod
    def read(cls) -> Self:
        """Those of the data folder (``published_vectors/2015lyric.npy``, ``2015mel.npy``).

        Raises
        ------
        MissingDataError
            If they are not there.
        InputError
            If they are not two arrays of distributions over the same songs.
        """
        words, sound = read_published("lyric"), read_published("mel")
        if words.shape != sound.shape:
            raise InputError(
                f"the published vectors do not fit: words of {len(words):,} songs, sound of "
                f"{len(sound):,}"
            )
        return cls(words, sound)

    @property
    def sad_share(self) -> float:
        """Share of the songs whose words say sadness."""
        return float(emotions_said(self.words)[SADNESS])

    def figures(self) -> dict[str, Any]:
        """Figures of the published model and of the constant, the mean of the words' vectors.

        ``top1_difference`` is that of the two, with its 95% interval (bootstrap over
        songs).
        """
        n = len(self.words)
        constant = constant_distribution(self.words, n)
        right = [shared_of_top(self.words, each, 1) for each in (self.sound, constant)]
        more = (right[0] - right[1]).astype(np.float64)
        return {
            "songs": n,
            "words_say": emotions_said(self.words).tolist(),
            "words_mean": self.words.mean(axis=0).tolist(),
            "sound_says": emotions_said(self.sound).tolist(),
            "model": words_figures(self.words, self.sound),
            "constant": words_figures(self.words, constant),
            "top1_difference": float(more.mean()),
            "top1_difference_interval": list(
                percentile_interval(resampled_sums(more[:, None], seed=0)[:, 0] / n)
            ),
        }
