"""``maeum study``: what helps and what does not, each study one command and one table.

Needs the extra ``train``; nothing of it is imported before a command runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.training_options import (
    DEFAULT_WORK,
    ThreadsOption,
    WorkOption,
    given,
    needs_extra,
    say,
    sub_app,
)

DEFAULT_STUDY_WORK = Path(".work/ablation")

StudyOutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the table.")]

study_app = sub_app("Compare ways of making the models, with seeds and intervals.")


@study_app.callback()
def _studies() -> None:
    """Compare ways of making the models, with seeds and intervals."""


@study_app.command("lyrics")
def study_lyrics(
    out: StudyOutOption,
    work: WorkOption = DEFAULT_STUDY_WORK,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="Runs of each row, two or more (3).")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", help="Pretraining steps of all stages together (360)."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Passes over the labelled texts (4).")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="Most training texts of each source (1500)."),
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Ablations of the lyric branch at embedded scale, on validation texts.

    Goes on where it was interrupted: what is finished is kept in --work.
    """
    with needs_extra("study lyrics"):
        from lyrics_model.ablation import AblationSettings, study
        from lyrics_model.ablation_report import MARKDOWN

        settings = AblationSettings(**given(seeds=seeds, steps=steps, epochs=epochs, limit=limit))
        study(out, work, settings, threads=threads, say=say)
    sys.stdout.write((out / MARKDOWN).read_text(encoding="utf-8"))


@study_app.command("published-audio")
def study_published_audio(
    out: StudyOutOption,
    work: WorkOption = DEFAULT_WORK,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="Runs of each row, two or more (3).")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Epochs of each training (12).")
    ] = None,
    batches: Annotated[
        int | None, typer.Option("--batches", help="Batches in an epoch, of 64 windows (20).")
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Why the published audio branch failed: labels of words beside labels of sound.

    Needs `maeum prepare audio`. Goes on where it was interrupted: what is finished is
    kept in --work.
    """
    with needs_extra("study published-audio"):
        from fusion.published_study import PublishedSettings, study
        from fusion.published_study_report import NAME

        settings = PublishedSettings(**given(seeds=seeds, epochs=epochs, batches=batches))
        study(out, work, settings, threads=threads, say=say)
    sys.stdout.write((out / f"{NAME}.md").read_text(encoding="utf-8"))
