"""The runs of a study: trainings that leave a record each, and are not made again.

A record is one JSON file, named by a hash of all that decides it; the checkpoints of
a run that was interrupted lie in a folder of the same name until it is finished. The
same study again makes only what is missing.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from audio_model.training_configuration import TrainingConfiguration
from data_prep.errors import InputError
from lyrics_model.token_file import time_left, write_json

Say = Callable[[str], None]


class StudyRun(Protocol):
    """What is asked of a run; as text it is told in lines of progress."""

    @property
    def key(self) -> str:
        """Hash of all that decides its record."""

    @property
    def configuration(self) -> TrainingConfiguration:
        """Of its training."""


Run = TypeVar("Run", bound=StudyRun)


def check_counts(seeds: int, epochs: int, batches: int) -> None:
    """Refuse sizes of a study that make no sense.

    Raises
    ------
    InputError
        If there are fewer than two seeds, no epoch or no batch; names the option.
    """
    if seeds < 2:
        raise InputError(f"--seeds {seeds}: an interval needs at least two seeds")
    for name, count in (("--epochs", epochs), ("--batches", batches)):
        if count < 1:
            raise InputError(f"{name} {count}: expected at least 1")


def finish(
    runs: Sequence[Run],
    folder: Path,
    train: Callable[[Run, Path, int, Say], dict[str, Any]],
    say: Say,
) -> list[dict[str, Any]]:
    """Records of all runs, in order; only those that are missing are made.

    Parameters
    ----------
    folder
        For records and checkpoints.
    train
        Makes the record of a run, which holds ``seconds``: is given the run, ``folder``
        (checkpoints belong below ``folder / run.key``), the epochs of the runs still to
        come, and ``say``.
    say
        Takes lines of progress.

    Raises
    ------
    InputError
        If a record of an earlier call cannot be read.
    """
    missing = [run for run in runs if not _record_path(run, folder).is_file()]
    if len(missing) < len(runs):
        say(f"{len(runs) - len(missing)} of {len(runs)} runs are there already")
    started = time.monotonic()
    for number, run in enumerate(missing, start=1):
        say(f"run {number} of {len(missing)}: {run}")
        after = sum(other.configuration.n_epochs for other in missing[number:])
        record = train(run, folder, after, say)
        write_json(_record_path(run, folder), record)
        shutil.rmtree(folder / run.key, ignore_errors=True)  # its checkpoints
        left = (time.monotonic() - started) / number * (len(missing) - number)
        took = time_left(record["seconds"])
        say(f"run {number} of {len(missing)} took {took}; about {time_left(left)} left")
    return [_read_record(_record_path(run, folder)) for run in runs]


def _record_path(run: StudyRun, folder: Path) -> Path:
    return folder / f"run-{run.key}.json"


def _read_record(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; delete it to run it again") from error
    return content
