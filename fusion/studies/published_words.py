"""Words for recordings that have none, in the shares of the published catalogue.

A catalogue has the words and the sound of every song; open data have recordings
with labels and texts with labels, but not of one song. So each recording is given
a text as a song has lyrics, and the lyric model's plain answer to it is the label
that the words give: what the published audio branch was trained on.

Only texts are used whose strongest answer is the emotion that people gave them, so
that the answers have the imbalance that is wanted. All are test texts, which the
lyric model never learned from.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_model.heads import group_matrix, group_shares
from audio_model.input_cache import Clip
from data_prep.errors import InputError
from data_prep.model_folder import configuration_hash
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS, emotion_index
from fusion.evaluation.lyrics import lyric_tasks
from lyrics_model.predictor import LyricPredictor
from lyrics_model.token_file import time_left

SADNESS: Final = emotion_index("sadness")
_AT_MOST: Final = 1_300  # texts of one emotion: more would only take longer
_AT_ONCE: Final = 500
_SEED: Final = 2_015


@dataclass(frozen=True, eq=False)
class WordPool:
    """Texts with one emotion, and what the lyric model answers to them.

    Attributes
    ----------
    texts
        Those whose strongest answer is the emotion people gave.
    emotions
        (texts,) that emotion, 0..5.
    answers
        (texts, 6) of the lyric model, without calibration.
    read
        (6,) texts of each emotion that were read to find them.
    """

    texts: tuple[str, ...]
    emotions: NDArray[np.int64]
    answers: NDArray[np.float32]
    read: NDArray[np.int64]

    def __post_init__(self) -> None:
        found = set(self.emotions.tolist())
        if SADNESS not in found or len(found) < 2:
            named = ", ".join(EMOTIONS[i] for i in sorted(found)) or "none"
            raise InputError(
                "texts of sadness and of another emotion are needed that the lyric model answers "
                f"as people do: there are such texts of {named}"
            )


def read_pool(
    predictor: LyricPredictor, folder: Path, *, say: Callable[[str], None] = print
) -> WordPool:
    """Read the test texts of all sources but mood sentences, or take what was read before.

    Parameters
    ----------
    folder
        Keeps the answers.

    Raises
    ------
    MissingDataError
        If no test text is there.
    InputError
        If the answers leave no text of sadness, or of nothing else.
    """
    tasks = lyric_tasks(moods=folder / "none")  # a sentence about a mood is no lyric
    texts = [text for task in tasks for text in task.texts]
    labels = np.concatenate([task.labels for task in tasks])
    order = np.random.default_rng(_SEED).permutation(len(texts))
    of_emotion = [order[labels[order] == emotion][:_AT_MOST] for emotion in range(N_EMOTIONS)]
    chosen = np.sort(np.concatenate(of_emotion))
    texts, labels = [texts[i] for i in chosen], labels[chosen]
    answers = _answers(predictor, texts, folder, say)
    kept = np.flatnonzero(answers.argmax(axis=1) == labels)
    return WordPool(
        tuple(texts[i] for i in kept),
        labels[kept],
        answers[kept],
        np.bincount(labels, minlength=N_EMOTIONS).astype(np.int64),
    )


def _answers(
    predictor: LyricPredictor, texts: Sequence[str], folder: Path, say: Callable[[str], None]
) -> NDArray[np.float32]:
    """Answers (texts, 6), kept in a file named by a hash of model and texts."""
    key = configuration_hash({"model": predictor.model_hash, "texts": list(texts)})
    path = folder / f"texts-{key}.npy"
    if path.is_file():
        kept: NDArray[np.float32] = np.load(path)
        return kept
    parts: list[NDArray[np.float32]] = []
    started = time.monotonic()
    for start in range(0, len(texts), _AT_ONCE):
        parts.append(predictor.distributions(texts[start : start + _AT_ONCE]))
        done = min(start + _AT_ONCE, len(texts))
        left = (time.monotonic() - started) / done * (len(texts) - done)
        say(f"{done:,} of {len(texts):,} texts read, {time_left(left)} left")
    answers = np.concatenate(parts)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.partial")
    with unfinished.open("wb") as file:
        np.save(file, answers)
    os.replace(unfinished, path)
    return answers


def assign(
    clips: Sequence[Clip], emotions: NDArray[np.int64], *, sad_share: float, seed: int
) -> NDArray[np.int64]:
    """Which text each recording is given.

    An emotion that fits its sound is drawn for every recording: one that its label
    allows (quadrant Q2: tension or anger), for soft labels by their shares, and any but
    sadness where there is no such text. Then recordings drawn at random are given
    sadness whatever they sound like, until ``sad_share`` of all have it.

    Parameters
    ----------
    clips
        Recordings of the three data sets.
    emotions
        (texts,) of the texts.
    sad_share
        Share of the recordings with a text of sadness; more only where more sound sad.

    Returns
    -------
    (clips,) index of a text, each used as rarely as possible.
    """
    random = np.random.default_rng([_SEED, seed])
    there = np.bincount(emotions, minlength=N_EMOTIONS) > 0
    wanted = np.array([_fitting(clip, there, random) for clip in clips])
    others = random.permutation(np.flatnonzero(wanted != SADNESS))
    lacking = round(sad_share * len(clips)) - (len(clips) - len(others))
    wanted[others[: max(lacking, 0)]] = SADNESS
    given = np.empty(len(clips), dtype=np.int64)
    for emotion in np.unique(wanted):
        places, texts = np.flatnonzero(wanted == emotion), np.flatnonzero(emotions == emotion)
        rounds = [random.permutation(texts) for _ in range(-(-len(places) // len(texts)))]
        given[places] = np.concatenate(rounds)[: len(places)]
    return given


def _fitting(clip: Clip, there: NDArray[np.bool_], random: np.random.Generator) -> int:
    """An emotion that the label allows and that has a text, or any other than sadness."""
    shares = group_shares(clip.dataset, clip.shares).astype(np.float64)
    allowed: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    if np.isfinite(shares).all() and shares.sum() > 0:
        group = random.choice(N_EMOTIONS, p=shares / shares.sum())
        allowed = np.flatnonzero((group_matrix(clip.dataset)[group] > 0) & there)
    if not len(allowed):
        allowed = np.flatnonzero(there & (np.arange(N_EMOTIONS) != SADNESS))
    return int(random.choice(allowed))


def fitting_share(clips: Sequence[Clip], emotions: NDArray[np.int64]) -> float:
    """Share of recordings whose words' emotion (clips,) their sound's label allows.

    Soft labels allow an emotion by the share of its group.
    """
    fits = [
        float(group_shares(clip.dataset, clip.shares) @ group_matrix(clip.dataset)[:, emotion])
        for clip, emotion in zip(clips, emotions, strict=True)
    ]
    return float(np.mean(fits))
