"""``maeum feedback``: what listeners said of their songs, summed up, written out, deleted."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.atomic_file import check_folder
from app.commands.options import CatalogueOption, JsonOption
from app.commands.output import print_json, print_lines
from data_prep.errors import InputError

feedback_app = typer.Typer(
    help="What listeners said of the songs they were shown.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ListenerOption = Annotated[
    str | None, typer.Option("--listener", metavar="NAME", help="Only of this random name.")
]


class TableFormat(StrEnum):
    """Formats of ``maeum feedback export``."""

    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"


@feedback_app.command()
def report(
    catalogue: CatalogueOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write feedback.md and .json here.",
            callback=check_folder,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Satisfaction by version, with intervals, and by place in the list."""
    from app.demo import catalogue_to_read
    from app.feedback.report import report_of
    from app.feedback.store import FeedbackStore
    from fusion.evaluation.result_files import write_results

    with FeedbackStore.open(catalogue_to_read(catalogue)) as store:
        found = report_of(store.rows())
        name = store.name
    if out is not None:
        write_results(out, "feedback", found.to_json(), "\n".join(found.lines()) + "\n")
    if as_json:
        print_json(found.to_json())
    elif not found.versions:
        print_lines([f"no song was judged yet; judgements are kept in {name}"])
    else:
        print_lines(found.lines())


@feedback_app.command()
def export(
    form: Annotated[TableFormat, typer.Option("--format", help="What to write.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to.")],
    listener: ListenerOption = None,
    catalogue: CatalogueOption = None,
) -> None:
    """Write all that is stored, one judgement a row."""
    import json

    from app.demo import catalogue_to_read
    from app.feedback.store import FeedbackStore
    from app.tables.files import write_rows
    from data_prep.taxonomy import EMOTIONS

    facts = (
        "judged_at",
        "listener",
        "kind",
        "verdict",
        "rank",
        "song",
        "fusion",
        "version",
        "list",
    )
    columns = (*facts, *(f"query_{name}" for name in EMOTIONS), "songs")
    with FeedbackStore.open(catalogue_to_read(catalogue)) as store:
        rows = (
            {
                **{name: row[name] for name in facts},
                **{f"query_{name}": row["query"][name] for name in EMOTIONS},
                "songs": json.dumps(row["songs"], ensure_ascii=False),
            }
            for row in store.rows(listener)
        )
        write_rows(out, columns, rows, suffix=f".{form.value}")
        count = store.count(listener)
    typer.echo(f"{count:,} judgements: {out}", err=True)


@feedback_app.command()
def delete(
    listener: ListenerOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Delete the judgements of everybody.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    catalogue: CatalogueOption = None,
) -> None:
    """Delete what is stored of a listener, or of all."""
    from app.demo import catalogue_to_read
    from app.feedback.store import FeedbackStore

    if (listener is None) == (not everything):
        raise InputError("say whose judgements: --listener NAME, or --all")
    with FeedbackStore.open(catalogue_to_read(catalogue)) as store:
        count = store.count(listener)
        if count and not yes:
            if not sys.stdin.isatty():
                raise InputError(f"{count:,} judgements would be deleted: add --yes to do it")
            typer.confirm(f"Delete {count:,} judgements in {store.name}?", abort=True, err=True)
        deleted = store.forget(listener) if count else 0
    typer.echo(f"{deleted:,} judgements deleted", err=True)
