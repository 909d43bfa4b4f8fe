"""Which rows of each data set train, validate and test: seeded, and committed as files.

``data_prep/splits/<dataset>.json`` holds the rule in words, the seed, and the
members. The files are what counts; the functions here that make them are kept so
that ``python -m data_prep.splits --write`` gives the same bytes again from the
data sets.

Data sets with one split: KOTE, KPoEM, GoEmotions, EMOPIA. Data sets with five
folds for cross-validation: RAVDESS song (by actor), Emotify (by recording) and
EMOPIA (by song, within its train split).
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from data_prep.errors import InputError

if TYPE_CHECKING:
    from data_prep.readers.row import PoemRow

SEED: Final = 20240917
N_FOLDS: Final = 5
SPLITS: Final = ("train", "validation", "test")
DATASETS: Final = ("kote", "kpoem", "goemotions", "ravdess_song", "emotify", "emopia")

KOTE_VALIDATION_ROWS: Final = 750
KPOEM_TEST_POET: Final = "한용운"
KPOEM_VALIDATION_SHARE: Final = 0.10
KPOEM_BLOCK_LINES: Final = 20
KPOEM_TELLING_LETTERS: Final = 8  # a shorter line may occur in a text by chance


@cache
def _file(dataset: str) -> dict[str, Any]:
    if dataset not in DATASETS:
        raise InputError(f"no splits for {dataset!r}: expected one of {', '.join(DATASETS)}")
    text = files("data_prep").joinpath(f"splits/{dataset}.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


@cache
def _split_by_member(dataset: str) -> dict[str, str]:
    splits: dict[str, list[str]] = _file(dataset).get("splits", {})
    return {member: split for split, members in splits.items() for member in members}


@cache
def _fold_by_group(dataset: str) -> dict[str, int]:
    folds: list[list[str]] = _file(dataset).get("folds", [])
    return {group: fold for fold, groups in enumerate(folds) for group in groups}


def split_names(dataset: str) -> tuple[str, ...]:
    """Splits a data set has, in the order train, validation, test; empty if it has folds only."""
    content = _file(dataset)
    names = content.get("sizes", content.get("splits", {}))
    return tuple(name for name in SPLITS if name in names)


def check_split(dataset: str, split: str | None) -> None:
    """Refuse a split that the data set does not have; ``None`` (all rows) always passes.

    Raises
    ------
    InputError
        The message lists the splits there are.
    """
    if split is None:
        return
    names = split_names(dataset)
    if split in names:
        return
    expected = f"expected one of {', '.join(names)}" if names else "it has folds only: use fold_of"
    raise InputError(f"{dataset!r} has no split {split!r}: {expected}")


def split_of(dataset: str, id_or_group: str) -> str:
    """``"train"``, ``"validation"`` or ``"test"``.

    Parameters
    ----------
    dataset
        ``"kote"``, ``"kpoem"``, ``"goemotions"`` or ``"emopia"``.
    id_or_group
        Row id as the reader gives it; for EMOPIA the clip id or the song.

    Raises
    ------
    InputError
        If the data set has no splits, or the row is not in them.
    """
    if dataset == "goemotions":
        split = id_or_group.partition("-")[0]
        if split in _file(dataset)["sizes"]:
            return split
    elif dataset == "emopia":
        split = _split_by_member(dataset).get(emopia_song(id_or_group), "")
    else:
        split = _split_by_member(dataset).get(id_or_group, "")
    if not split:
        check_split(dataset, SPLITS[0])
        raise InputError(f"{id_or_group!r} is not in the splits of {dataset!r}")
    return split


def fold_of(dataset: str, group: str) -> int:
    """Fold 0..4 in which a group is held out.

    Parameters
    ----------
    dataset
        ``"ravdess_song"``, ``"emotify"`` or ``"emopia"`` (train songs only).
    group
        The row's ``group``: actor, recording or song.

    Raises
    ------
    InputError
        If the data set has no folds, or the group is not in them.
    """
    folds = _fold_by_group(dataset)
    if not folds:
        raise InputError(f"{dataset!r} has no folds: use split_of")
    if group not in folds:
        raise InputError(f"{group!r} is not in the folds of {dataset!r}")
    return folds[group]


def emopia_song(clip_id: str) -> str:
    """Song of an EMOPIA clip: ``"Q1_<song>_<n>"`` → ``"<song>"``; a song's own id stays."""
    match = re.fullmatch(r"Q[1-4]_(.{11})_\d+", clip_id)
    return match.group(1) if match else clip_id


# Making the files.


def make_kote(train_ids: Sequence[str], test_ids: Sequence[str]) -> dict[str, list[str]]:
    """Splits of KOTE: 750 of the training file's rows, drawn at random, validate."""
    shuffled = sorted(train_ids)
    random.Random(SEED).shuffle(shuffled)
    return {
        "train": sorted(shuffled[KOTE_VALIDATION_ROWS:], key=int),
        "validation": sorted(shuffled[:KOTE_VALIDATION_ROWS], key=int),
        "test": sorted(test_ids, key=int),
    }


def _letters(text: str) -> str:
    return re.sub(r"\W", "", text)


def _run_of(text: str, lines: Sequence[str]) -> range:
    """Longest run of consecutive lines that all occur in a text (letters only)."""
    best = range(0)
    start = 0
    for end, line in enumerate([*lines, "\0"]):
        if line not in text:
            if sum(map(len, lines[start:end])) > sum(len(lines[i]) for i in best):
                best = range(start, end)
            start = end + 1
    return best


def kpoem_blocks(rows: Sequence[PoemRow]) -> list[list[PoemRow]]:
    """Parts of one poet's rows that share no line: the atoms of the validation split.

    A text and the consecutive lines it is made of belong together, as do a text
    and any line of eight letters or more that occurs in it, texts that share
    lines, and lines of the same letters. Lines that belong to no
    text are cut into runs of at most 20.
    """
    lines = [row for row in rows if row.unit == "line"]
    texts = [row for row in rows if row.unit == "text"]
    letters = [_letters(row.text) for row in lines]
    parent = list(range(len(lines) + len(texts)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def join(a: int, b: int) -> None:
        parent[max(root(a), root(b))] = min(root(a), root(b))

    in_text: set[int] = set()
    for t, row in enumerate(texts):
        text = _letters(row.text)
        telling = {i for i, line in enumerate(letters) if len(line) >= KPOEM_TELLING_LETTERS}
        for i in {*_run_of(text, letters), *(i for i in telling if letters[i] in text)}:
            join(i, len(lines) + t)
            in_text.add(i)
    block_start = 0
    for i in range(len(lines)):
        broken = i > 0 and (i - 1 in in_text or _number(lines[i]) != _number(lines[i - 1]) + 1)
        if broken or i - block_start >= KPOEM_BLOCK_LINES:
            block_start = i
        if i not in in_text:
            join(block_start, i)
    first_of: dict[str, int] = {}
    for i, key in enumerate(letters):
        join(first_of.setdefault(key, i), i)

    blocks: defaultdict[int, list[PoemRow]] = defaultdict(list)
    for node, row in enumerate([*lines, *texts]):
        blocks[root(node)].append(row)
    return list(blocks.values())


def _number(row: PoemRow) -> int:
    return int(row.id.rpartition("-")[2])


def make_kpoem(rows: Sequence[PoemRow]) -> dict[str, list[str]]:
    """Splits of KPoEM: one poet tests; of each other poet's lines a tenth validates."""
    random_order = random.Random(SEED)
    validation: set[str] = set()
    for poet in sorted({row.poet for row in rows} - {KPOEM_TEST_POET}):
        own = [row for row in rows if row.poet == poet]
        wanted = KPOEM_VALIDATION_SHARE * sum(row.unit == "line" for row in own)
        blocks = kpoem_blocks(own)
        random_order.shuffle(blocks)
        taken = 0
        for block in blocks:
            n_lines = sum(row.unit == "line" for row in block)
            if taken + n_lines <= wanted + KPOEM_BLOCK_LINES / 2 and taken < wanted:
                validation.update(row.id for row in block)
                taken += n_lines
    splits: dict[str, list[str]] = {name: [] for name in SPLITS}
    for row in sorted(rows, key=_number):
        held_out = "validation" if row.id in validation else "train"
        splits["test" if row.poet == KPOEM_TEST_POET else held_out].append(row.id)
    return splits


def make_folds(strata: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Five folds of groups, each stratum spread evenly over them.

    Parameters
    ----------
    strata
        Stratum → groups of it. Groups are shuffled within their stratum and dealt
        out in turn; the dealing goes on where the last stratum stopped.
    """
    random_order = random.Random(SEED)
    folds: list[list[str]] = [[] for _ in range(N_FOLDS)]
    dealt = 0
    for stratum in sorted(strata):
        groups = sorted(set(strata[stratum]))
        random_order.shuffle(groups)
        for group in groups:
            folds[dealt % N_FOLDS].append(group)
            dealt += 1
    return [sorted(fold) for fold in folds]


def _make_ravdess() -> dict[str, Any]:
    from data_prep.readers import ravdess_song

    strata: defaultdict[str, list[str]] = defaultdict(list)
    for row in ravdess_song.read():
        actor = int(row.group.rpartition("-")[2])
        strata["male" if actor % 2 else "female"].append(row.group)
    return {"rule": "five folds by actor, men and women spread evenly", "folds": make_folds(strata)}


def _make_emotify() -> dict[str, Any]:
    from data_prep.readers import emotify

    strata: defaultdict[str, list[str]] = defaultdict(list)
    for row in emotify.read():
        strata[row.group.partition("-")[0]].append(row.group)
    return {
        "rule": "five folds by recording, stratified by genre; an artist may be in several",
        "folds": make_folds(strata),
    }


def _make_emopia() -> dict[str, Any]:
    from data_prep.readers import emopia

    splits = {
        split: sorted({emopia_song(clip) for clip in emopia.clip_ids(split)})
        for split in ("train", "validation")
    }
    quadrants: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for clip in emopia.clip_ids("train"):
        quadrants[emopia_song(clip)][clip[:2]] += 1
    strata: defaultdict[str, list[str]] = defaultdict(list)
    for song, counts in quadrants.items():
        strata[min(counts, key=lambda q, counts=counts: (-counts[q], q))].append(song)  # type: ignore[misc]
    return {
        "rule": "members are songs; train and validation as published; "
        "five folds by song within train, stratified by the song's most frequent quadrant",
        "splits": splits,
        "folds": make_folds(strata),
    }


def _make_kote() -> dict[str, Any]:
    from data_prep.readers import kote

    train, test = ([row.id for row in kote.read_file(n)] for n in ("train.tsv", "test.tsv"))
    return {
        "rule": "test.tsv tests; of train.tsv 750 rows drawn at random validate",
        "splits": make_kote(train, test),
    }


def _make_kpoem() -> dict[str, Any]:
    from data_prep.readers import kpoem

    return {
        "rule": f"{KPOEM_TEST_POET} tests; of each other poet a tenth of the lines validates, in "
        "contiguous blocks together with every text made of them",
        "splits": make_kpoem(kpoem.read()),
    }


def _make_goemotions() -> dict[str, Any]:
    from data_prep.readers import goemotions

    counts = Counter(row.id.partition("-")[0] for row in goemotions.read())
    sizes = {split: counts[split] for split in SPLITS}
    return {"rule": "official splits; the row id begins with its split", "sizes": sizes}


_MAKERS: Final = {
    "kote": _make_kote,
    "kpoem": _make_kpoem,
    "goemotions": _make_goemotions,
    "ravdess_song": _make_ravdess,
    "emotify": _make_emotify,
    "emopia": _make_emopia,
}


def make(dataset: str) -> str:
    """Text of ``splits/<dataset>.json``, made from the data set.

    Raises
    ------
    MissingDataError
        If the data set is not there.
    """
    content = {"dataset": dataset, "seed": SEED, **_MAKERS[dataset]()}
    return json.dumps(content, ensure_ascii=False, indent=0) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make every file anew; compare with those committed, or write them with ``--write``."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.splits", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write the files")
    parser.add_argument("dataset", nargs="*", default=list(DATASETS), help="default: all")
    options = parser.parse_args(arguments)
    folder = Path(__file__).parent / "splits"
    changed = 0
    for dataset in options.dataset:
        path = folder / f"{dataset}.json"
        text = make(dataset)
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        changed += not same
        if options.write and not same:
            folder.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{dataset}: {'unchanged' if same else 'written' if options.write else 'differs'}")
    return 1 if changed and not options.write else 0


if __name__ == "__main__":
    raise SystemExit(main())
