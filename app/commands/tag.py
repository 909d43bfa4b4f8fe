"""``maeum tag``: moods into the tags of sound files, and out of them again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from app.commands.options import CatalogueOption, ErrorsOption, JsonOption
from app.commands.output import print_json, print_lines
from data_prep.errors import InputError

if TYPE_CHECKING:
    from app.library.tag_writing import Language, TagReport, TagWishes

LANGUAGES: Final[tuple[Language, ...]] = ("ko", "en")


def tag(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH…]",
            help="Folders of music or sound files that were indexed; all songs of the catalogue "
            "if none is given.",
        ),
    ] = None,
    catalogue: CatalogueOption = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Change the files; without it, it is only said how."),
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take out again what an earlier run wrote.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also replace moods that somebody else wrote.")
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            "--language", help="Of the word: ko or en. Default: Korean for Korean songs, else en."
        ),
    ] = None,
    errors: ErrorsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the mood of indexed songs into the tags of their files.

    Nothing is written without --write. A file is replaced as a whole or not at all, and nothing
    of it but the mood and the field MAEUM changes.
    """
    if remove and (overwrite or language is not None):
        raise InputError("--remove goes without --overwrite and --language")
    spoken = next((name for name in LANGUAGES if name == language), None)
    if language is not None and spoken is None:
        raise InputError(f"--language {language}: expected ko or en")

    from app.atomic_file import check_writable
    from app.demo import catalogue_to_write
    from app.failures import show_failures, write_failures
    from app.library.tag_writing import TagWishes, tag_songs
    from data_prep.catalogue import Catalogue

    if errors is not None:
        check_writable(errors)
    wishes = TagWishes(write, remove, overwrite, spoken)
    with Catalogue.open(catalogue_to_write(catalogue), read_only=not write) as songs:
        report = tag_songs(songs, paths or [], wishes)
        name = songs.name
    if errors is not None:
        write_failures(errors, report.failures)
    if as_json:
        print_json({"catalogue": name, "written": write, **report.to_json()})
    else:
        _print_changes(report)
    typer.echo(_summary(report, wishes), err=True)
    show_failures(report.failures, errors)
    if report.failures:
        raise typer.Exit(1)


def _print_changes(report: TagReport) -> None:
    lines = []
    for change in report.changes:
        if change.before == change.after:
            continue
        mood = f"{change.before.mood or '-'} → {change.after.mood or '-'}"
        if change.before.mood == change.after.mood:
            mood = f"{change.after.mood or '-'} stays"
        lines.append("; ".join([f"{change.path}: {mood}", *filter(None, [change.after.ours])]))
    if lines:
        print_lines(lines)


def _summary(report: TagReport, wishes: TagWishes) -> str:
    done = "written" if wishes.write else "to be written"
    parts = [
        f"{report.n_changed:,} files {done}",
        f"{len(report.changes) - report.n_changed:,} unchanged",
        *([f"{report.n_kept:,} moods of somebody else stay"] if report.n_kept else []),
        *([f"{report.gone:,} gone"] if report.gone else []),
        f"{len(report.failures):,} failed",
    ]
    nothing = "" if wishes.write else "; nothing was written: add --write"
    return ", ".join(parts) + nothing
