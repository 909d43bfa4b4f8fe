"""What the commands of the training side share: options, and how their results are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from data_prep.errors import InputError, MissingExtraError

WorkOption = Annotated[
    Path,
    typer.Option("--work", metavar="DIR", help="Folder for everything on the way to a model."),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Model folder to write.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Processor threads; all if not given.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the training.")]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME|FOLDER",
        help="An encoder by hub name (klue/roberta-large) or folder; our own if not given.",
    ),
]
DEFAULT_WORK = Path(".work")

_OURS = ("lyrics_model", "audio_model", "fusion", "data_prep", "app")


def sub_app(help_text: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


@contextmanager
def needs_extra(command: str) -> Iterator[None]:
    """Turn a missing training library into a message that says what to install."""
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] in _OURS:
            raise
        raise MissingExtraError(f"`maeum {command}` (no module {error.name!r})") from error


def given(**options: Any) -> dict[str, Any]:
    """The options that were given, so that the others keep their own defaults."""
    return {name: value for name, value in options.items() if value is not None}


def fold_numbers(folds: str | None) -> list[int] | None:
    """The folds that an option names, separated by commas; ``None`` if it was not given.

    Raises
    ------
    InputError
        If one is no number.
    """
    if folds is None:
        return None
    try:
        return [int(fold) for fold in folds.split(",")]
    except ValueError as error:
        raise InputError(
            f"--folds {folds!r}: expected numbers from 0 to 4, with commas between"
        ) from error


def refuse_options(options: dict[str, Any], reason: str) -> None:
    """Refuse options that mean nothing here.

    Raises
    ------
    InputError
        If one was given; names the first, and says the reason.
    """
    for name in given(**options):
        raise InputError(f"--{name.replace('_', '-')} {reason}")


def say(line: str) -> None:
    """Tell of the work, on standard error: standard output is for results."""
    typer.echo(line, err=True)


def made(path: Path) -> None:
    """Tell what was made."""
    typer.echo(path)


def made_folder(work: Path) -> Path:
    """The work folder, made if it is not there."""
    work.mkdir(parents=True, exist_ok=True)
    return work


def recording_sets(data: str) -> tuple[str, ...]:
    """Our data sets of recordings, as ``--data`` names them.

    Raises
    ------
    InputError
        If none is named, or one is unknown.
    """
    from audio_model.input_cache import DATASETS

    names = tuple(dict.fromkeys(name.strip() for name in data.split(",") if name.strip()))
    if not names or not set(names) <= set(DATASETS):
        raise InputError(
            f"--data {data!r}: expected some of {', '.join(DATASETS)}, separated by commas"
        )
    return names
