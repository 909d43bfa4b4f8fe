"""Labelled texts for tuning any encoder: sources, splits, balance and folds.

A text speaks to the label set of its own source only: its target is NaN
everywhere else, which is not the same as zero. Targets are the published shares
where labels do not exclude each other, and shares that sum to one where they do.

Sources of the data folder keep their committed splits. A user's own file has
none, so its groups (dialogues, speakers, or single rows) are dealt out by a hash
of their name: a tenth to test, a tenth to validation, always the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.labels import six_labels
from data_prep.model_folder import TrainingData
from data_prep.readers import goemotions, kote, kpoem
from data_prep.readers.row import TextRow
from data_prep.taxonomy import EMOTIONS, native_label_set
from lyrics_model.text_encoding import NORMALISATIONS, TextEncoding
from lyrics_model.tuning_specification import (
    MULTI_LABEL,
    LabelSource,
    TuningConfiguration,
    TuningSpecification,
    label_sets_of,
)

SPLITS: Final = ("train", "validation", "test")
MOST_WEIGHT: Final = 10.0
"""Largest weight of a rare label: a label of ten texts must not steer the whole network."""

_BUCKETS: Final = 10
_ENCODE_AT_ONCE: Final = 2_000


@dataclass(frozen=True, eq=False)
class SourceRows:
    """What was read of one source: rows by split, licence, and remarks on what was not used."""

    source: LabelSource
    rows: dict[str, list[TextRow]]
    licence: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TuningData:
    """Texts of all sources as token ids and targets; arrays have one entry per text.

    Attributes
    ----------
    pieces
        Token ids.
    targets
        (texts, outputs) float32, NaN outside a text's own label set.
    six
        (texts,) strongest of the six 0..5, -1 where there is none.
    sources, positions
        (texts,) index of the source, and the text's place within it.
    groups
        What a text shares with others that must stand on the same side of a split.
    train, validation, test
        Indices of the texts of each split.
    names
        Source names, by their index.
    provenance
        For the model's card.
    remarks
        What was left out and why, and labels without a training text.
    """

    pieces: list[NDArray[np.int32]]
    targets: NDArray[np.float32]
    six: NDArray[np.int64]
    sources: NDArray[np.int64]
    positions: NDArray[np.int64]
    groups: list[str]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    names: tuple[str, ...]
    label_sets: tuple[str, ...]
    provenance: tuple[TrainingData, ...]
    remarks: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(texts,) tokens per text."""
        return np.array([len(row) for row in self.pieces], dtype=np.int64)

    def of_source(self, index: NDArray[np.int64], source: int) -> NDArray[np.int64]:
        """Those of some texts that come from one source."""
        own: NDArray[np.int64] = index[self.sources[index] == source]
        return own


def read_source(source: LabelSource, splits: Sequence[str] = SPLITS) -> SourceRows:
    """Read one source in its splits.

    Parameters
    ----------
    splits
        Those that are read; the others are left empty.

    Raises
    ------
    MissingDataError
        If a data set or file is not there.
    InputError
        If nothing of a file can be used.
    """
    if source.path is not None:
        own = _read_own(source)
        return replace(own, rows=own.rows | {s: [] for s in SPLITS if s not in splits})
    reader: Callable[[str], Sequence[TextRow]]
    if source.name == "kote":
        reader, licence = kote.read, kote.LICENCE
    elif source.name == "kpoem":
        reader, licence = kpoem.read, kpoem.LICENCE
    elif source.name == "goemotions-en":
        reader, licence = _english, goemotions.LICENCE
    else:
        reader, licence = _korean, goemotions.LICENCE
    rows = {split: list(reader(split)) if split in splits else [] for split in SPLITS}
    return SourceRows(source, rows, licence)


def _english(split: str) -> list[TextRow]:
    return goemotions.read(split, language="en")


def _korean(split: str) -> list[TextRow]:
    return goemotions.read(split, language="ko")


def _read_own(source: LabelSource) -> SourceRows:
    from data_prep.readers import aihub_dialogue, aihub_single

    reader: Any = aihub_dialogue if source.name == "aihub-60" else aihub_single
    rows, report = reader.read(source.path)
    if not rows:
        raise InputError(f"{source.path} has no row that can be used: {report}")
    split: dict[str, list[TextRow]] = {name: [] for name in SPLITS}
    for row in rows:
        split[own_split(row.group)].append(row)
    return SourceRows(source, split, reader.LICENCE, tuple(str(report).splitlines()))


def own_split(group: str) -> str:
    """Split of a group of a user's own file, by a hash of its name."""
    bucket = int.from_bytes(hashlib.sha256(group.encode("utf-8")).digest()[:4], "big") % _BUCKETS
    return {0: "test", 1: "validation"}.get(bucket, "train")


def build_data(
    read: Sequence[SourceRows], specification: TuningSpecification, encoding: TextEncoding
) -> TuningData:
    """Token ids and targets of everything that was read.

    Rows without words or without a label are left out and counted in
    ``remarks``.

    Raises
    ------
    InputError
        If no training text is left, or a label set has no output.
    """
    for part in read:
        specification.columns(part.source.label_set)
    fold = NORMALISATIONS[specification.normalisation]
    remarks: list[str] = []
    pieces: list[NDArray[np.int32]] = []
    targets: list[NDArray[np.float32]] = []
    six: list[NDArray[np.int64]] = []
    sources: list[int] = []
    positions: list[int] = []
    groups: list[str] = []
    splits: list[str] = []
    provenance: list[TrainingData] = []
    for number, part in enumerate(read):
        name, label_set = part.source.name, part.source.label_set
        remarks.extend(f"{name}: {remark}" for remark in part.remarks)
        kept: list[tuple[str, TextRow]] = []
        empty = unlabelled = 0
        for split in SPLITS:
            for row in part.rows[split]:
                if not fold(row.text):
                    empty += 1
                elif not _usable(row.shares):
                    unlabelled += 1
                else:
                    kept.append((split, row))
        for count, what in ((empty, "no words"), (unlabelled, "no label")):
            if count:
                remarks.append(f"{name}: {count:,} rows left out: {what}")
        if not kept:
            remarks.append(f"{name}: no row is left")
            continue
        for start in range(0, len(kept), _ENCODE_AT_ONCE):
            texts = [row.text for _, row in kept[start : start + _ENCODE_AT_ONCE]]
            pieces.extend(encoding.rows(texts))
        shares = np.stack([row.shares for _, row in kept]).astype(np.float32)
        own = np.full((len(kept), specification.outputs), np.nan, dtype=np.float32)
        own[:, specification.columns(label_set)] = _target(shares, label_set)
        targets.append(own)
        six.append(six_labels(shares, label_set))
        sources.extend([number] * len(kept))
        positions.extend(range(len(kept)))
        groups.extend(f"{name}:{row.group}" for _, row in kept)
        splits.extend(split for split, _ in kept)
        training = sum(split == "train" for split, _ in kept)
        labels = len(native_label_set(label_set).labels)
        provenance.append(TrainingData(name, part.licence, training, f"{labels} labels"))
    if "train" not in splits:
        raise InputError("no training text is left: " + "; ".join(remarks or ["nothing was read"]))
    which = np.array(splits)
    return TuningData(
        pieces=pieces,
        targets=np.concatenate(targets),
        six=np.concatenate(six),
        sources=np.array(sources, dtype=np.int64),
        positions=np.array(positions, dtype=np.int64),
        groups=groups,
        train=np.flatnonzero(which == "train"),
        validation=np.flatnonzero(which == "validation"),
        test=np.flatnonzero(which == "test"),
        names=tuple(part.source.name for part in read),
        label_sets=tuple(part.source.label_set for part in read),
        provenance=tuple(provenance),
        remarks=tuple(remarks),
    )


def choose_training(
    data: TuningData, specification: TuningSpecification, configuration: TuningConfiguration
) -> TuningData:
    """Balance by sampling and the limit, drawn by the seed; names labels without a text.

    ``sampling`` keeps at most ``per_label`` texts of each label and source; rarer
    labels are kept whole, none is repeated. A text of many labels (KOTE) counts
    for its strongest of the six.
    """
    generator = np.random.default_rng([configuration.seed, 1])
    train = data.train
    remarks = list(data.remarks)
    if configuration.balance == "sampling":
        chosen = []
        for number in range(len(data.names)):
            own = data.of_source(train, number)
            labels = balance_labels(data, specification, own)
            for label in np.unique(labels):
                members = own[labels == label]
                if len(members) > configuration.per_label:
                    members = generator.choice(members, configuration.per_label, replace=False)
                chosen.append(members)
        train = np.sort(np.concatenate(chosen))
        remarks.append(
            f"balance: {len(train):,} of {len(data.train):,} training texts, "
            f"at most {configuration.per_label:,} of a label"
        )
    if configuration.limit is not None and len(train) > configuration.limit:
        train = np.sort(generator.choice(train, configuration.limit, replace=False))
        remarks.append(f"limit: {len(train):,} training texts")
    for name in specification.label_sets:
        known = data.targets[train][:, specification.columns(name)]
        counts = np.nan_to_num(known).sum(axis=0)
        absent = [native_label_set(name).labels[i] for i in np.flatnonzero(counts == 0)]
        if absent:
            remarks.append(f"{name}: labels without a training text: {', '.join(absent)}")
    provenance = tuple(
        replace(entry, rows=len(data.of_source(train, data.names.index(entry.name))))
        for entry in data.provenance
    )
    return replace(data, train=train, remarks=tuple(remarks), provenance=provenance)


def balance_labels(
    data: TuningData, specification: TuningSpecification, index: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The one label (texts,) by which texts of one source are balanced."""
    if not len(index):
        return np.zeros(0, dtype=np.int64)
    label_set = data.label_sets[int(data.sources[index[0]])]
    if label_set in MULTI_LABEL:
        return data.six[index].astype(np.int64)
    own = data.targets[index][:, specification.columns(label_set)]
    labels: NDArray[np.int64] = own.argmax(axis=1).astype(np.int64)
    return labels


def label_weights(
    data: TuningData, specification: TuningSpecification
) -> dict[str, NDArray[np.float32]]:
    """Weights of each label set's labels from the training texts, at most ``MOST_WEIGHT``.

    Where labels exclude each other: texts / (labels × texts of the label), as
    scikit-learn's "balanced". Where they do not: texts without the label / texts
    with it, for the positive side of the binary loss. A label without a text
    weighs 1: nothing is ever scored against it.
    """
    weights = {}
    for name in specification.label_sets:
        targets = data.targets[data.train][:, specification.columns(name)]
        targets = targets[~np.isnan(targets[:, 0])]
        counts = targets.sum(axis=0)
        present = counts > 0
        weight = np.ones(len(counts), dtype=np.float32)
        if name in MULTI_LABEL:
            weight[present] = (len(targets) - counts[present]) / counts[present]
        else:
            weight[present] = len(targets) / (present.sum() * counts[present])
        weights[name] = np.clip(weight, 1.0 / MOST_WEIGHT, MOST_WEIGHT).astype(np.float32)
    return weights


def fold_data(data: TuningData, folds: int, seed: int) -> list[TuningData]:
    """The same texts with each fold in turn as validation; test texts stay out of all.

    Groups are never torn apart, and each source is dealt out by itself, largest
    groups first, each to the fold that is smallest so far.

    Raises
    ------
    InputError
        If there are fewer groups than folds.
    """
    members = np.sort(np.concatenate([data.train, data.validation]))
    assigned = np.full(len(data), -1, dtype=np.int64)
    generator = np.random.default_rng([seed, 2])
    for number in range(len(data.names)):
        sizes = Counter(data.groups[i] for i in data.of_source(members, number))
        names = sorted(sizes)
        order = [names[i] for i in generator.permutation(len(names))]
        order.sort(key=lambda group: -sizes[group])
        filled = np.zeros(folds, dtype=np.int64)
        fold_of = {}
        for group in order:
            fold = int(filled.argmin())
            fold_of[group] = fold
            filled[fold] += sizes[group]
        for i in data.of_source(members, number):
            assigned[i] = fold_of[data.groups[i]]
    present = np.unique(assigned[members])
    if len(present) < folds:
        raise InputError(
            f"--folds {folds}: the labelled texts have only {len(present)} groups that may be "
            "told apart (poets, dialogues, comments): use fewer folds or more labels"
        )
    return [
        replace(
            data,
            train=members[assigned[members] != fold],
            validation=members[assigned[members] == fold],
        )
        for fold in range(folds)
    ]


def read_sources(
    sources: tuple[LabelSource, ...], splits: Sequence[str] = SPLITS
) -> list[SourceRows]:
    """All sources, each as :func:`read_source` reads it."""
    return [read_source(source, splits) for source in sources]


def check_sources(sources: tuple[LabelSource, ...], label_sets: tuple[str, ...]) -> None:
    """Refuse sources that do not fit a network's outputs.

    Raises
    ------
    InputError
        If a label set has no source, or a source no label set.
    """
    given = label_sets_of(sources)
    if set(given) != set(label_sets):
        raise InputError(
            f"the network's label sets are {', '.join(label_sets)}, "
            f"but the labels to learn from are {', '.join(given)}"
        )


def describe(data: TuningData) -> dict[str, Any]:
    """Texts by source and split, and of each of the six in training, for the figures."""
    described: dict[str, Any] = {}
    for number, name in enumerate(data.names):
        own = data.six[data.of_source(data.train, number)]
        described[name] = {
            split: len(data.of_source(getattr(data, split), number)) for split in SPLITS
        } | {"train_six": {emotion: int((own == i).sum()) for i, emotion in enumerate(EMOTIONS)}}
    return described


def _usable(shares: NDArray[np.float32]) -> bool:
    return bool(np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0)


def _target(shares: NDArray[np.float32], label_set: str) -> NDArray[np.float32]:
    if label_set in MULTI_LABEL:
        return shares
    normalised: NDArray[np.float32] = shares / shares.sum(axis=1, keepdims=True)
    return normalised
