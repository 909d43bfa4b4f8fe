"""Making of the split files: seeded, and to the byte the same from the same data sets.

``python -m data_prep.split_making`` compares what it makes with the committed
files; ``--write`` writes them.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from data_prep.readers import emopia, emotify, goemotions, kote, kpoem, ravdess_song
from data_prep.readers.row import PoemRow
from data_prep.splits import DATASETS, N_FOLDS, SPLITS, emopia_song

SEED: Final = 20240917

KOTE_VALIDATION_ROWS: Final = 750
KPOEM_TEST_POET: Final = "한용운"
KPOEM_VALIDATION_SHARE: Final = 0.10
KPOEM_BLOCK_LINES: Final = 20
KPOEM_TELLING_LETTERS: Final = 8  # a shorter line may occur in a text by chance


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
    strata: defaultdict[str, list[str]] = defaultdict(list)
    for row in ravdess_song.read():
        actor = int(row.group.rpartition("-")[2])
        strata["male" if actor % 2 else "female"].append(row.group)
    return {"rule": "five folds by actor, men and women spread evenly", "folds": make_folds(strata)}


def _make_emotify() -> dict[str, Any]:
    strata: defaultdict[str, list[str]] = defaultdict(list)
    for row in emotify.read():
        strata[row.group.partition("-")[0]].append(row.group)
    return {
        "rule": "five folds by recording, stratified by genre; an artist may be in several",
        "folds": make_folds(strata),
    }


def _make_emopia() -> dict[str, Any]:
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
    train, test = ([row.id for row in kote.read_file(n)] for n in ("train.tsv", "test.tsv"))
    return {
        "rule": "test.tsv tests; of train.tsv 750 rows drawn at random validate",
        "splits": make_kote(train, test),
    }


def _make_kpoem() -> dict[str, Any]:
    return {
        "rule": f"{KPOEM_TEST_POET} tests; of each other poet a tenth of the lines validates, in "
        "contiguous blocks together with every text made of them",
        "splits": make_kpoem(kpoem.read()),
    }


def _make_goemotions() -> dict[str, Any]:
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
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.split_making", description=main.__doc__
    )
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
