"""Songs of known emotion with the raw answers of both branches: what fusion is measured on.

Two makers: :mod:`fusion.evaluation.paired_benchmark` pairs test lines with test clips, and
:func:`songs_of_table` asks both models about a table of a user's own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError, explain
from data_prep.readers.labelled_table import LabelledTable
from data_prep.splits import N_FOLDS
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from fusion.analysis import SongAnalyser
from fusion.evaluation.emotion_scores import strongest_of_six
from fusion.evaluation.table_answers import LeftOutRows

UNREADABLE: Final = "song whose words or recording cannot be read"
SILENT: Final = "song whose words and sound say nothing"
UNDECIDED: Final = "label that does not decide between two of the six"


@dataclass(frozen=True, eq=False)
class LabelledSongs:
    """Songs, what each branch says of them, and what they are.

    Attributes
    ----------
    name
        Of the collection, for reports.
    words, sound
        Raw answers (n, 6), before calibration; a row of NaN where a branch has none.
    labels
        (n,) emotions 0..5.
    folds
        (n,) 0..4: songs that share a line, a clip, a singer or an artist are in one fold.
    word_groups, sound_groups
        (n,) numbers: songs of the same number share where their words, or their sound, come
        from, and are drawn together when intervals are computed.
    word_sources, sound_sources
        (n,) names of where the words and the sound are from.
    """

    name: str
    words: NDArray[np.float32]
    sound: NDArray[np.float32]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    word_groups: NDArray[np.int64]
    sound_groups: NDArray[np.int64]
    word_sources: NDArray[np.str_]
    sound_sources: NDArray[np.str_]

    def __post_init__(self) -> None:
        n = len(self.labels)
        shapes = {len(getattr(self, name)) for name in self.__dataclass_fields__ if name != "name"}
        six = (n, N_EMOTIONS)
        if shapes != {n} or self.words.shape != six or self.sound.shape != six:
            raise InputError(f"{self.name}: labels and answers are of different songs")
        if n and not (self.labels.min() >= 0 and self.labels.max() < N_EMOTIONS):
            raise InputError(f"{self.name}: labels must be 0 to 5")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_words(self) -> NDArray[np.bool_]:
        """Whether there is an answer of the words (n,)."""
        return ~np.isnan(self.words[:, 0])

    @property
    def has_sound(self) -> NDArray[np.bool_]:
        """Whether there is an answer of the sound (n,)."""
        return ~np.isnan(self.sound[:, 0])

    def chosen(self, rows: NDArray[Any]) -> LabelledSongs:
        """Some of the songs, by mask or index."""
        parts = {
            name: getattr(self, name)[rows] for name in self.__dataclass_fields__ if name != "name"
        }
        return LabelledSongs(self.name, **parts)


def fold_of_name(name: str) -> int:
    """Fold 0..4 that follows from a name alone."""
    return _number_of(name) % N_FOLDS


def dealt_folds(groups: Sequence[str]) -> NDArray[np.int64]:
    """Fold 0..4 of each song (n,): groups dealt out, from the largest on, each to the fold that
    has the fewest songs, so that few groups fill as many folds as they can.

    Equal ones come in an order that their names alone give and that means nothing: a table
    whose labels take turns would else have folds of one label.
    """
    sizes = [0] * N_FOLDS
    fold_of: dict[str, int] = {}
    counts = Counter(groups)
    for group in sorted(counts, key=lambda group: (-counts[group], _number_of(group))):
        count = counts[group]
        fold = sizes.index(min(sizes))
        fold_of[group] = fold
        sizes[fold] += count
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def _number_of(name: str) -> int:
    digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big")


def numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """A number for each name; the same for the same name: (n,)."""
    return np.asarray(np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)[1], np.int64)


@dataclass(frozen=True, eq=False)
class AskedSongs:
    """A table's songs, and what was left out of it.

    Attributes
    ----------
    songs
        Those that could be used.
    rows
        Of the table.
    left_out
        The others, with their reasons.
    mended
        Labels with a typing error (as they stood, as they were read) → how often.
    """

    songs: LabelledSongs
    rows: int
    left_out: LeftOutRows
    mended: Counter[tuple[str, str]]


def songs_of_table(
    table: LabelledTable,
    analyser: SongAnalyser,
    *,
    advance: Callable[[int], None] = lambda rows: None,
) -> AskedSongs:
    """Ask both models about the songs of a labelled table.

    Parameters
    ----------
    table
        Made by :func:`data_prep.readers.labelled_table.open_song_table`.
    analyser
        Reads words and sound.
    advance
        Told of each row that was done.

    Raises
    ------
    InputError
        If no row is left.
    """
    left_out = LeftOutRows()
    mended: Counter[tuple[str, str]] = Counter()
    words: list[NDArray[np.float32]] = []
    sound: list[NDArray[np.float32]] = []
    labels: list[int] = []
    groups: list[str] = []
    nothing = np.full(N_EMOTIONS, np.nan, dtype=np.float32)
    for row in table.rows():
        advance(1)
        if row.shares is None:
            left_out.add(row.number, str(row.reason), str(row.problem))
            continue
        (label,) = strongest_of_six(table.label_set, row.shares[None])[1]
        if label < 0:
            left_out.add(row.number, UNDECIDED, f"expected one of {', '.join(EMOTIONS)}")
            continue
        try:
            heard = analyser.read_sound(Path(row.audio)) if row.audio else None
            read = analyser.read_words(row.text) if row.text.strip() else None
        except Exception as error:
            left_out.add(row.number, UNREADABLE, explain(error))
            continue
        own_words = None if read is None else read.distribution
        own_sound = None if heard is None else heard.distribution
        if own_words is None and own_sound is None:
            reasons = [str(each.reason) for each in (read, heard) if each is not None]
            left_out.add(row.number, SILENT, "; ".join(reasons))
            continue
        mended.update(row.mended)
        words.append(nothing if own_words is None else own_words)
        sound.append(nothing if own_sound is None else own_sound)
        labels.append(int(label))
        groups.append(row.group or f"row {row.number}")
    if not labels:
        raise left_out.nothing_left(table.name)
    numbers = numbered(groups)
    source = np.full(len(labels), table.name)
    songs = LabelledSongs(
        name=table.name,
        words=np.stack(words),
        sound=np.stack(sound),
        labels=np.array(labels, dtype=np.int64),
        folds=dealt_folds(groups),
        word_groups=numbers,
        sound_groups=numbers,
        word_sources=source,
        sound_sources=source,
    )
    return AskedSongs(songs, table.length, left_out, mended)
