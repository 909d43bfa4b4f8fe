"""The label-paired benchmark: test lines of one emotion beside test clips of the same emotion.

No open set has words, sound and labels of the same songs. Here a *song* is a line that people
gave an emotion, and a recording that people gave the same emotion, put together at random.
Both branches' real errors meet; they are independent given the emotion, which those of real
songs are not: **fusion is measured under independent errors**, and is easier here than on
songs whose words and sound are hard together.

Lines: test rows of KOTE, of KPoEM (a poet held out) and of GoEmotions in both languages, the
strongest emotion of the six, ties left out. Clips: RAVDESS song and EMOPIA's train split, each
answered by the member that never heard its actor or song, and EMOPIA's validation split, that
no member heard. A quadrant that does not decide between tension and anger is paired with lines
of either; Emotify's soft scales give no single emotion and are left out.

Every emotion has as many songs. Lines and clips are gone through in shuffled passes, a line or
clip coming again only once all of its emotion and fold have come. Pairs are made within folds:
the clips' folds are those of the training (actors, songs), a line's follows from its id, and
GoEmotions' translations of one comment are in one fold.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio_model.heads import group_matrix
from data_prep.errors import InputError
from data_prep.labels import six_labels
from data_prep.model_folder import configuration_hash
from data_prep.readers import emopia, goemotions, kote, kpoem, ravdess_song
from data_prep.readers.row import ClipRow, TextRow
from data_prep.splits import N_FOLDS, fold_of, split_of
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from fusion.evaluation.labelled_songs import LabelledSongs, fold_of_name, numbered
from fusion.evaluation.listening import Listener, ProgressMaker, no_progress
from lyrics_model.predictor import LyricPredictor

PER_EMOTION: Final = 400
DRAWS: Final = 5
"""Benchmarks that are drawn, with seeds 1 to 5; figures are means over them."""


@dataclass(frozen=True, eq=False)
class Answered:
    """Lines or clips of known emotion with a branch's raw answers.

    Attributes
    ----------
    answers
        (n, 6).
    may_be
        (n, 6) whether the label allows each emotion; more than one where it does not decide.
    folds
        (n,) 0..4.
    groups, sources
        (n,) what must stay together, and where from.
    """

    answers: NDArray[np.float32]
    may_be: NDArray[np.bool_]
    folds: NDArray[np.int64]
    groups: NDArray[np.str_]
    sources: NDArray[np.str_]

    def of(self, emotion: int, fold: int) -> NDArray[np.intp]:
        """Rows that may be of an emotion, in a fold."""
        return np.flatnonzero(self.may_be[:, emotion] & (self.folds == fold))

    def save(self, path: Path) -> None:
        """Keep as one ``.npz`` file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"new-{path.name}")
        np.savez(new, **{name: getattr(self, name) for name in self.__dataclass_fields__})
        new.replace(path)

    @classmethod
    def load(cls, path: Path) -> Answered:
        """What :meth:`save` kept."""
        with np.load(path, allow_pickle=False) as kept:
            return cls(**{name: kept[name] for name in cls.__dataclass_fields__})


def held_out_lines(predictor: LyricPredictor, *, every: int = 1) -> Answered:
    """The test lines, answered.

    Parameters
    ----------
    every
        Take every so many lines of each source.

    Raises
    ------
    MissingDataError
        If a data set is not there.
    """
    sources: list[tuple[str, str, Sequence[TextRow]]] = [
        ("KOTE", "kote", kote.read("test")),
        ("KPoEM", "kote", kpoem.read("test", unit="line")),
        ("GoEmotions, en", "goemotions", goemotions.read("test", language="en")),
        ("GoEmotions, ko", "goemotions", goemotions.read("test", language="ko")),
    ]
    texts: list[str] = []
    labels: list[NDArray[np.int64]] = []
    groups: list[str] = []
    names: list[str] = []
    for name, label_set, rows in sources:
        own = six_labels(np.stack([row.shares for row in rows]), label_set)
        kept = np.flatnonzero(own >= 0)[::every].tolist()
        texts += [rows[i].text for i in kept]
        # translations of one comment have its id
        groups += [f"{name.partition(',')[0]}/{rows[i].id}" for i in kept]
        names += [name] * len(kept)
        labels.append(own[kept])
    return Answered(
        answers=predictor.distributions(texts),
        may_be=np.eye(N_EMOTIONS, dtype=np.bool_)[np.concatenate(labels)],
        folds=np.array([fold_of_name(group) for group in groups], dtype=np.int64),
        groups=np.array(groups),
        sources=np.array(names),
    )


def held_out_clips(
    listener: Listener,
    sets: Mapping[str, Sequence[ClipRow]],
    *,
    progress: ProgressMaker = no_progress,
) -> Answered:
    """Clips, each answered by what never heard it.

    Parameters
    ----------
    sets
        Data set, ``ravdess_song`` or ``emopia`` → its clips.

    Raises
    ------
    InputError
        If the model has not one member for each fold, so that it has heard these clips.
    """
    if listener.n_members != N_FOLDS:
        raise InputError(
            f"{listener.folder} has {listener.n_members} members, not one for each of {N_FOLDS} "
            "folds: its answers to recordings that it was trained on would measure nothing"
        )
    clips = [(name, clip) for name, rows in sets.items() for clip in rows]
    answers, may_be, folds, groups = [], [], [], []
    with progress(len(clips), "recordings") as advance:
        for name, clip in clips:
            member, fold = _fold(name, clip)
            six = listener.hear_file(clip.path, member=member).six.mean(axis=0)
            answers.append(six / six.sum())
            may_be.append(group_matrix(name)[int(clip.shares.argmax())] > 0)
            folds.append(fold)
            groups.append(f"{name}/{clip.group}")
            advance(1)
    return Answered(
        answers=np.stack(answers).astype(np.float32),
        may_be=np.stack(may_be),
        folds=np.array(folds, dtype=np.int64),
        groups=np.array(groups),
        sources=np.array([name for name, _ in clips]),
    )


def _fold(dataset: str, clip: ClipRow) -> tuple[int | None, int]:
    """The member that answers (all if ``None``), and the fold that the clip is in."""
    if dataset == "emopia" and split_of("emopia", clip.group) != "train":
        return None, fold_of_name(clip.group)
    fold = fold_of(dataset, clip.group)
    return fold, fold


def answered(
    lyric_predictor: LyricPredictor,
    listener: Listener,
    work: Path,
    *,
    progress: ProgressMaker = no_progress,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Answered, Answered]:
    """Test lines and test clips, answered; kept in ``work`` for the same models."""

    def kept(name: str, model: str, make: Callable[[], Answered]) -> Answered:
        path = work / "fusion" / f"{name}-{configuration_hash({'model': model})}.npz"
        if path.is_file():
            try:
                return Answered.load(path)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                say(f"{path} is damaged and is made again")
        found = make()
        found.save(path)
        return found

    lines = kept("lines", lyric_predictor.model_hash, lambda: held_out_lines(lyric_predictor))

    def clip_answers() -> Answered:
        sets = {"ravdess_song": ravdess_song.read(), "emopia": emopia.read(cache=work / "emopia")}
        return held_out_clips(listener, sets, progress=progress)

    clips = kept("clips", listener.model_hash, clip_answers)
    return lines, clips


def paired(
    lines: Answered,
    clips: Answered,
    *,
    seed: int,
    per_emotion: int = PER_EMOTION,
    folds: Sequence[int] = tuple(range(N_FOLDS)),
) -> LabelledSongs:
    """One draw of the benchmark: ``6 · per_emotion`` songs.

    Parameters
    ----------
    seed
        Of the draw; decides all of it.
    per_emotion
        Songs of each emotion, a multiple of the number of folds.
    folds
        Those that songs are made in.

    Raises
    ------
    InputError
        If an emotion has no line or no clip in some fold, or ``per_emotion`` is no multiple of
        the number of folds.
    """
    check_per_emotion(per_emotion, len(folds))
    random = np.random.default_rng(seed)
    chosen: list[tuple[int, int, int, int]] = []
    for emotion in range(N_EMOTIONS):
        for fold in folds:
            rows = [side.of(emotion, fold) for side in (lines, clips)]
            for side, found in zip(("line", "clip"), rows, strict=True):
                if not len(found):
                    raise InputError(f"no {side} of {EMOTIONS[emotion]} in fold {fold} of the test")
            of_lines, of_clips = (_passes(found, random) for found in rows)
            chosen += [
                (next(of_lines), next(of_clips), emotion, fold)
                for _ in range(per_emotion // len(folds))
            ]
    line, clip, labels, of_folds = np.array(chosen, dtype=np.int64).T
    return LabelledSongs(
        name="label-paired benchmark",
        words=lines.answers[line],
        sound=clips.answers[clip],
        labels=labels,
        folds=of_folds,
        # numbered before they are drawn: the same in every draw
        word_groups=numbered(lines.groups.tolist())[line],
        sound_groups=numbered(clips.groups.tolist())[clip],
        word_sources=lines.sources[line],
        sound_sources=clips.sources[clip],
    )


def check_per_emotion(per_emotion: int, n_folds: int = N_FOLDS) -> None:
    """Refuse a number of songs that folds cannot share alike.

    Raises
    ------
    InputError
        If it is no multiple of the number of folds.
    """
    if per_emotion < n_folds or per_emotion % n_folds:
        raise InputError(f"{per_emotion} songs of each emotion: expected a multiple of {n_folds}")


def _passes(rows: NDArray[np.intp], random: np.random.Generator) -> Iterator[int]:
    """All rows in a random order, again and again."""
    while True:
        yield from random.permutation(rows).tolist()
