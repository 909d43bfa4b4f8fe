"""Labelled texts of all sources in one shape, each with the heads its labels speak to.

A head that a source says nothing about has no target, which is not the same as
a target of zero. Every source also speaks to the shared head ``six`` through
the taxonomy, unless its labels have no mapped mass. With teachers
(:mod:`lyrics_model.teachers`) every text has targets on every head: theirs, mixed
half and half with those of its labels where it has any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from data_prep.labels import NO_LABEL, six_labels
from data_prep.readers import goemotions, kote, kpoem
from data_prep.readers.row import TextRow
from data_prep.taxonomy import N_EMOTIONS, project
from lyrics_model.moods import read_moods
from lyrics_model.normalisation import normalise
from lyrics_model.specification import LyricModelSpecification
from lyrics_model.teachers import Targets
from lyrics_model.tokens import encode

Split = Literal["train", "validation"]
SOURCES: Final = ("kote", "kpoem", "goemotions_en", "goemotions_ko", "moods", "reviews")
UNLABELLED: Final = ("reviews",)
MOOD_COPIES: Final = 5
_CERTAIN: Final = ("moods",)  # their labels are not mixed with the teachers' answers


@dataclass(frozen=True)
class Examples:
    """Labelled texts as network input and targets; all lists have one entry per text.

    Attributes
    ----------
    pieces
        Piece ids.
    targets
        Head name → (texts, labels) float32, NaN rows where a text has no target.
    labelled
        Head name → (texts,) whether the target rests on a label, not on teachers alone.
    sources
        (texts,) index into ``SOURCES``.
    partners
        (texts,) index of the same sentence in the other language, or -1.
    """

    pieces: list[NDArray[np.int32]]
    targets: dict[str, NDArray[np.float32]]
    labelled: dict[str, NDArray[np.bool_]]
    sources: NDArray[np.int64]
    partners: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(texts,) pieces per text."""
        return np.array([len(row) for row in self.pieces], dtype=np.int64)

    def subset(self, rows: NDArray[np.int64]) -> Examples:
        """Some of the texts, in this order; one may stand there several times.

        A translation stays a partner where both sentences are there once.
        """
        place = np.full(len(self), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        once = np.bincount(rows, minlength=len(self)) == 1
        partners = self.partners[rows]
        paired = (partners >= 0) & once[rows] & once[partners]
        return Examples(
            pieces=[self.pieces[i] for i in rows],
            targets={head: target[rows] for head, target in self.targets.items()},
            labelled={head: known[rows] for head, known in self.labelled.items()},
            sources=self.sources[rows],
            partners=np.where(paired, place[partners], -1),
        )

    def units(self) -> NDArray[np.int64]:
        """(units, 2): every text once, beside its partner or -1."""
        first = (self.partners < 0) | (np.arange(len(self)) < self.partners)
        return np.stack([np.flatnonzero(first), self.partners[first]], axis=1)

    def prior(self, source: int) -> NDArray[np.float32]:
        """(6,) mean of the shared targets of one source, floored at 0.5% and normalised.

        Uniform for texts without labels: nothing is known of them that could be held
        against an answer.
        """
        six = self.targets["six"][self.sources == source]
        return _prior(six if SOURCES[source] not in UNLABELLED else six[:0])


def _prior(six: NDArray[np.float32]) -> NDArray[np.float32]:
    mean = np.nanmean(six, axis=0) if len(six) else np.full(N_EMOTIONS, 1 / N_EMOTIONS)
    floored = np.maximum(mean, 0.005)
    prior: NDArray[np.float32] = (floored / floored.sum()).astype(np.float32)
    return prior


@dataclass(frozen=True)
class _Part:
    source: str
    head: str
    texts: Sequence[str]
    shares: NDArray[np.float32]
    sentences: Sequence[str] | None = None  # names shared by translations


def _part(source: str, head: str, rows: Sequence[TextRow], *, translated: bool = False) -> _Part:
    return _Part(
        source,
        head,
        [row.text for row in rows],
        np.stack([row.shares for row in rows]),
        [row.id for row in rows] if translated else None,
    )


def _parts(split: Split) -> Iterable[_Part]:
    yield _part("kote", "kote", kote.read(split))
    yield _part("kpoem", "kote", kpoem.read(split))
    for language in ("en", "ko"):
        rows = goemotions.read(split, language=language)
        yield _part(f"goemotions_{language}", "goemotions", rows, translated=True)
    moods = read_moods("train" if split == "train" else "dev")
    copies = MOOD_COPIES if split == "train" else 1
    six = np.eye(N_EMOTIONS, dtype=np.float32)[[row.emotion for row in moods]]
    yield _Part("moods", "six", [row.text for row in moods] * copies, np.tile(six, (copies, 1)))


@dataclass(frozen=True)
class Teaching:
    """What teachers say of the texts of all parts, in order, and of reviews behind them.

    Attributes
    ----------
    reviews
        Normalised texts without labels.
    answers
        (labelled texts and reviews) → probabilities on every head.
    share
        Of the teachers' answer in the target of a text with labels.
    prior_adjustment
        Of the loss that the student learns the shared head with: the teachers' answers
        to it are without that part of the prior, and get it back.
    """

    reviews: Sequence[str]
    answers: Targets
    share: float
    prior_adjustment: float


def labelled_texts(split: Split) -> list[str]:
    """Normalised texts of all sources, in the order of the examples."""
    return [normalise(text) for part in _parts(split) for text in part.texts]


def decided_texts(split: Split) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Normalised texts with one strongest emotion, that emotion, and the index of their source."""
    texts: list[str] = []
    emotions: list[NDArray[np.int64]] = []
    sources: list[NDArray[np.int64]] = []
    for part in _parts(split):
        one_of_six = part.head == "six"
        labels = part.shares.argmax(axis=1) if one_of_six else six_labels(part.shares, part.head)
        decided = np.flatnonzero(labels != NO_LABEL)
        texts.extend(normalise(part.texts[i]) for i in decided.tolist())
        emotions.append(labels[decided])
        sources.append(np.full(len(decided), SOURCES.index(part.source)))
    return texts, np.concatenate(emotions), np.concatenate(sources)


def build_examples(
    split: Split,
    tokenizer: Tokenizer,
    specification: LyricModelSpecification,
    teaching: Teaching | None = None,
) -> Examples:
    """Read all sources and cut them into pieces."""
    heads = dict(specification.heads)
    texts: list[str] = []
    sources: list[int] = []
    partners: list[int] = []
    place: dict[str, int] = {}
    collected: dict[str, list[NDArray[np.float32]]] = {head: [] for head in heads}
    parts = list(_parts(split))
    if teaching is not None and teaching.reviews:
        nothing = np.full((len(teaching.reviews), N_EMOTIONS), np.nan, dtype=np.float32)
        parts.append(_Part("reviews", "six", teaching.reviews, nothing))
    for part in parts:
        first = len(texts)
        for i in range(len(part.texts)):
            here = len(partners)
            other = place.setdefault(part.sentences[i], here) if part.sentences else here
            partners.append(-1 if other == here else other)
            if other != here:
                partners[other] = here
        texts.extend(normalise(text) for text in part.texts)
        sources.extend([SOURCES.index(part.source)] * len(part.texts))
        native = part.shares
        six = native if part.head == "six" else project(part.head, native)
        six = np.where(six.sum(axis=1, keepdims=True) > 0, six, np.nan).astype(np.float32)
        if part.head == "goemotions":
            native = native / native.sum(axis=1, keepdims=True)
        for head, size in heads.items():
            missing = np.full((len(part.texts), size), np.nan, dtype=np.float32)
            target = six if head == "six" else native if head == part.head else missing
            if teaching is not None:
                answer = teaching.answers[head][first : len(texts)]
                if head == "six" and part.source not in UNLABELLED:
                    answer = answer * _prior(six) ** teaching.prior_adjustment
                    answer = answer / answer.sum(axis=1, keepdims=True)
                share = 0.0 if part.source in _CERTAIN else teaching.share
                target = np.where(np.isnan(target), answer, share * answer + (1.0 - share) * target)
            collected[head].append(target.astype(np.float32))
    return Examples(
        pieces=encode(tokenizer, texts, specification.encoder.max_tokens),
        targets={head: np.concatenate(rows) for head, rows in collected.items()},
        labelled=_labelled(parts, heads),
        sources=np.array(sources, dtype=np.int64),
        partners=np.array(partners, dtype=np.int64),
    )


def _labelled(parts: Sequence[_Part], heads: Iterable[str]) -> dict[str, NDArray[np.bool_]]:
    """Which targets rest on labels: those of the source's own head, and the shared head's."""
    found = {}
    for head in heads:
        known = [
            np.full(len(part.texts), part.source not in UNLABELLED and head in ("six", part.head))
            for part in parts
        ]
        found[head] = np.concatenate(known)
    return found
