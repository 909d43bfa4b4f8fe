"""Which rows of each data set train, validate and test: seeded, and committed as files.

``data_prep/splits/<dataset>.json`` holds the rule in words, the seed, and the
members. The files are what counts; ``data_prep.split_making`` makes them again,
to the byte, from the data sets.

Data sets with one split: KOTE, KPoEM, GoEmotions, EMOPIA. Data sets with five
folds for cross-validation: RAVDESS song (by actor), Emotify (by recording) and
EMOPIA (by song, within its train split).
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

from data_prep.errors import InputError

N_FOLDS: Final = 5
SPLITS: Final = ("train", "validation", "test")
DATASETS: Final = ("kote", "kpoem", "goemotions", "ravdess_song", "emotify", "emopia")


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
