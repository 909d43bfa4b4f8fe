"""Why the published audio branch failed: its experiment again, beside the same network on
labels that people gave to sound.

Two arms share recordings, network, windows, steps and seeds, and differ in their
labels. *words*: what the lyric model says of a text that each recording was given
(:mod:`fusion.studies.published_words`), sadness for as many as in the published catalogue.
*sound*: what people said of the recordings. Both are trained with and without class
weights, and each answer is taken as it is and divided by the mean answer to the
training recordings (prior correction). Seed *s* holds out fold *s* modulo five.

Every finished run leaves its answers in ``work/published``, in a file named by a
hash of all that decides them. The same call again makes only what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from audio_model.backbone_network import BackboneNetworkConfiguration
from audio_model.folds import clip_fold
from audio_model.heads import DATASET_HEADS, SIX, head_slices
from audio_model.input_cache import Clip
from audio_model.member_training import train_member
from audio_model.training import answers, load_clips
from audio_model.training_configuration import BALANCES, Balance, TrainingConfiguration
from audio_model.windows import FrontEnd, WindowConfiguration
from data_prep.errors import MissingDataError
from data_prep.model_folder import checkout_commit, configuration_hash
from data_prep.splits import N_FOLDS
from data_prep.taxonomy import N_EMOTIONS, project
from fusion.calibration import calibrate
from fusion.settings import BranchCalibration
from fusion.studies.priors import average_answer
from fusion.studies.published_figures import (
    PublishedVectors,
    emotions_said,
    people_figures,
    words_figures,
)
from fusion.studies.published_study_report import (
    ALWAYS_SADNESS,
    CONSTANT_PEOPLE,
    CONSTANT_WORDS,
    Seed,
    row_name,
    write_report,
)
from fusion.studies.published_words import SADNESS, WordPool, assign, fitting_share, read_pool
from fusion.studies.study_runs import Say, check_counts, finish
from lyrics_model.predictor import LyricPredictor

Arm = Literal["words", "sound"]
ARMS: Final[tuple[Arm, ...]] = ("words", "sound")

PUBLISHED_SAD_SHARE: Final = 0.784
"""Of the 42,839 published songs, those whose lyric vector is strongest in sadness."""

FRONT_END: Final = FrontEnd(pitch=None, windows=WindowConfiguration(n_frames=312, at_most=6))
"""Log-mels alone, as the published branch had; windows of 5 s, six of a recording at most."""

_EDITION: Final = 1
"""Of this file's rules: to be raised when they change, so that no earlier answer is taken."""

_DIGITS: Final = 6


@dataclass(frozen=True)
class PublishedSettings:
    """How large everything is.

    Attributes
    ----------
    seeds
        Runs of each row, with the seeds 0, 1, …
    epochs, batches
        Of each training: so many epochs of so many batches of 64 windows.
    """

    seeds: int = 3
    epochs: int = 12
    batches: int = 20

    def __post_init__(self) -> None:
        check_counts(self.seeds, self.epochs, self.batches)

    def training(self, arm: Arm, balance: Balance) -> TrainingConfiguration:
        """How a network of one arm is trained."""
        datasets = dict(DATASET_HEADS) if arm == "sound" else dict.fromkeys(DATASET_HEADS, SIX)
        return TrainingConfiguration(
            datasets=datasets,
            n_epochs=self.epochs,
            batches_per_epoch=self.batches,
            balance=balance,
            network=BackboneNetworkConfiguration(backbone="small-cnn"),
            front_end=FRONT_END,
        )


@dataclass(frozen=True, eq=False)
class _Words:
    """The words of one seed: the text of each recording, and its answer (clips, 6)."""

    texts: list[str]
    emotions: NDArray[np.int64]
    answers: NDArray[np.float32]

    @classmethod
    def of(cls, clips: Sequence[Clip], pool: WordPool, sad_share: float, seed: int) -> _Words:
        """Those that a seed draws."""
        given = assign(clips, pool.emotions, sad_share=sad_share, seed=seed)
        texts = [pool.texts[i] for i in given]
        return cls(texts, pool.emotions[given], pool.answers[given])


@dataclass(frozen=True, eq=False)
class _Run:
    """One training: its recordings with their labels, and where its answers are kept."""

    arm: Arm
    balance: Balance
    seed: int
    training: list[Clip]
    held_out: list[Clip]
    configuration: TrainingConfiguration
    key: str

    def __str__(self) -> str:
        return f"{row_name(self.arm, self.balance, corrected=False)}, seed {self.seed}"


def study(
    out: Path,
    work: Path,
    settings: PublishedSettings | None = None,
    *,
    predictor: LyricPredictor | None = None,
    threads: int | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Make the tables and plots, or what is missing of them.

    Parameters
    ----------
    out
        For ``published_audio.json``, ``published_audio.md`` and the plots.
    work
        Work folder with the cache of recordings; what is finished there is not made
        again.
    predictor
        What reads the words; the embedded lyric model if not given.
    threads
        CPU threads; all if ``None``.
    say
        Takes lines of progress.

    Returns
    -------
    The content of ``published_audio.json``.

    Raises
    ------
    MissingDataError
        If the cache, the recordings or all texts are not there.
    InputError
        If a file of an earlier run cannot be read.
    """
    settings = settings or PublishedSettings()
    if threads:
        torch.set_num_threads(threads)
    clips = _clips(work)
    folder = work / "published"
    pool = read_pool(predictor or LyricPredictor.load(threads=threads), folder, say=say)
    try:
        published = PublishedVectors.read()
    except MissingDataError as error:
        say(f"published figures left out: {error}")
        published = None
    sad_share = PUBLISHED_SAD_SHARE if published is None else published.sad_share
    words = [_Words.of(clips, pool, sad_share, seed) for seed in range(settings.seeds)]
    runs = [run for seed, own in enumerate(words) for run in _runs(clips, own, settings, seed)]
    records = finish(runs, folder, _train, say)
    seeds = [
        _seed(clips, own, [record for record in records if record["seed"] == seed], seed)
        for seed, own in enumerate(words)
    ]
    description = {
        "command": (
            f"maeum study published-audio --seeds {settings.seeds} --epochs {settings.epochs} "
            f"--batches {settings.batches}"
        ),
        "commit": checkout_commit(),
        "settings": asdict(settings),
        "windows_per_batch": sum(runs[0].configuration.shares.values()),
        "window_s": FRONT_END.window_s,
        "recordings": {name: sum(c.dataset == name for c in clips) for name in DATASET_HEADS},
        "published": None if published is None else published.figures(),
        "words": _describe(clips, words, pool, sad_share),
        "minutes": sum(record["seconds"] for record in records) / 60.0,
    }
    return write_report(out, description, seeds)


def _clips(work: Path) -> list[Clip]:
    """Recordings that have a fold."""
    return [clip for clip in load_clips(work) if clip_fold(clip) is not None]


def _runs(
    clips: Sequence[Clip], words: _Words, settings: PublishedSettings, seed: int
) -> list[_Run]:
    """All trainings of one seed."""
    runs = []
    held_out = _held_out(clips, seed)
    for arm in ARMS:
        labelled = list(clips)
        if arm == "words":
            pairs = zip(clips, words.answers, strict=True)
            labelled = [replace(clip, shares=answer) for clip, answer in pairs]
        decided_by = {
            "edition": _EDITION,
            "arm": arm,
            "seed": seed,
            "recordings": [f"{clip.dataset}/{clip.id}" for clip in clips],
            "labels": [np.round(clip.shares.astype(float), 4).tolist() for clip in labelled],
        }
        for balance in BALANCES:
            configuration = settings.training(arm, balance)
            runs.append(
                _Run(
                    arm,
                    balance,
                    seed,
                    [c for c, out in zip(labelled, held_out, strict=True) if not out],
                    [c for c, out in zip(labelled, held_out, strict=True) if out],
                    configuration,
                    configuration_hash(decided_by | {"settings": configuration.hash}),
                )
            )
    return runs


def _held_out(clips: Sequence[Clip], seed: int) -> NDArray[np.bool_]:
    return np.array([clip_fold(clip) == seed % N_FOLDS for clip in clips])


def _train(run: _Run, folder: Path, epochs_after: int, say: Say) -> dict[str, Any]:
    """Train one network, or finish it, and ask it.

    Returns
    -------
    ``answers`` (held-out recordings, 6), ``prior`` (6,), the mean answer to the
    training recordings, what was run, and how long it took.
    """
    start = time.monotonic()
    network = train_member(
        folder / run.key,
        run.training,
        run.configuration,
        seed=run.seed,
        title=str(run),
        say=say,
        epochs_after=epochs_after,
    )
    six = head_slices(run.configuration.labels)[SIX]
    held_out, training = (
        answers(network, clips, run.configuration)[:, six] for clips in (run.held_out, run.training)
    )
    return {
        "arm": run.arm,
        "balance": run.balance,
        "seed": run.seed,
        "seconds": time.monotonic() - start,
        "prior": list(average_answer(training)),
        "answers": np.round(held_out.astype(float), _DIGITS).tolist(),
    }


def corrected(
    answer: NDArray[np.floating[Any]], prior: Sequence[float]
) -> NDArray[np.floating[Any]]:
    """Answers (n, 6) divided by the mean answer (6,), each summing to one again."""
    return calibrate(answer, BranchCalibration(prior=tuple(prior), prior_strength=1.0))


def _seed(
    clips: Sequence[Clip], words: _Words, records: Sequence[Mapping[str, Any]], seed: int
) -> Seed:
    """Figures of all rows on the recordings that one seed held out."""
    out = _held_out(clips, seed)
    held_out = [clip for clip, left in zip(clips, out, strict=True) if left]
    reference = words.answers[out]
    rows = _constants(clips, words, out)
    for record in records:
        plain = np.array(record["answers"])
        for prior in (False, True):
            answer = corrected(plain, record["prior"]) if prior else plain
            rows[row_name(record["arm"], record["balance"], corrected=prior)] = answer
    return Seed(
        figures={
            name: words_figures(reference, answer) | people_figures(held_out, answer)
            for name, answer in rows.items()
        },
        said={name: emotions_said(answer).tolist() for name, answer in rows.items()},
        words_say=emotions_said(reference).tolist(),
        people_say=_six_of(held_out).mean(axis=0).tolist(),
    )


def _constants(
    clips: Sequence[Clip], words: _Words, out: NDArray[np.bool_]
) -> dict[str, NDArray[np.floating[Any]]]:
    """Answers that do not listen: means of training labels, and sadness."""
    n, names = int(out.sum()), np.array([clip.dataset for clip in clips])
    mean_words = words.answers[~out].mean(axis=0)
    people = np.zeros((len(clips), N_EMOTIONS))
    for name in DATASET_HEADS:
        trained = [clip for clip, left in zip(clips, out, strict=True) if not left]
        own = [clip for clip in trained if clip.dataset == name]
        if own:
            people[names == name] = _six_of(own).mean(axis=0)
    rows = {CONSTANT_WORDS: np.tile(mean_words, (n, 1)), CONSTANT_PEOPLE: people[out]}
    if mean_words.argmax() != SADNESS:
        rows[ALWAYS_SADNESS] = np.tile(np.eye(N_EMOTIONS)[SADNESS], (n, 1))
    return rows


def _six_of(clips: Sequence[Clip]) -> NDArray[np.float32]:
    """People's labels as shares of the six (clips, 6): what does not decide is divided."""
    return np.stack([project(DATASET_HEADS[clip.dataset], clip.shares) for clip in clips])


def _describe(
    clips: Sequence[Clip], words: Sequence[_Words], pool: WordPool, sad_share: float
) -> dict[str, Any]:
    """What the report says of the words, means over seeds."""
    used = [np.unique(own.texts, return_counts=True)[1] for own in words]
    return {
        "sad_share": sad_share,
        "texts_read": pool.read.tolist(),
        "texts_kept": np.bincount(pool.emotions, minlength=N_EMOTIONS).tolist(),
        "texts_used": float(np.mean([len(counts) for counts in used])),
        "most_uses": max(int(counts.max()) for counts in used),
        "say": np.mean([emotions_said(own.answers) for own in words], axis=0).tolist(),
        "mean": np.mean([own.answers.mean(axis=0) for own in words], axis=0).tolist(),
        "people_mean": _six_of(clips).mean(axis=0).tolist(),
        "fitting": float(np.mean([fitting_share(clips, own.emotions) for own in words])),
    }
