"""``maeum study``: what helps and what does not, each study one command and one table.

Needs the extra ``train``; nothing of it is imported before a command runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import AudioModelOption, LyricsModelOption, OutFolderOption
from app.commands.training_options import (
    DEFAULT_WORK,
    ThreadsOption,
    WorkOption,
    fold_numbers,
    given,
    needs_extra,
    say,
    sub_app,
)
from data_prep.errors import InputError

DEFAULT_STUDY_WORK = Path(".work/ablation")

study_app = sub_app("Compare ways of making the models, with seeds and intervals.")


@study_app.callback()
def _studies() -> None:
    """Compare ways of making the models, with seeds and intervals."""


@study_app.command("lyrics")
def study_lyrics(
    out: OutFolderOption,
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
    out: OutFolderOption,
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
        from fusion.studies.published_study import PublishedSettings, study
        from fusion.studies.published_study_report import NAME

        settings = PublishedSettings(**given(seeds=seeds, epochs=epochs, batches=batches))
        study(out, work, settings, threads=threads, say=say)
    sys.stdout.write((out / f"{NAME}.md").read_text(encoding="utf-8"))


@study_app.command("audio")
def study_audio(
    out: OutFolderOption,
    work: WorkOption = DEFAULT_WORK,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="Runs of each row and fold, two or more (3).")
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option("--folds", metavar="N,…", help="Folds to hold out, some of 0 to 4 (all)."),
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            "--rows",
            metavar="NAME",
            help="A row, as 'joint'; once for each that is wanted (all).",
        ),
    ] = None,
    simclr: Annotated[
        Path | None,
        typer.Option(
            "--simclr",
            metavar="FOLDER",
            help="A backbone that `maeum pretrain audio` made, best --without-fold one of --folds: "
            "frozen, trained further and from nothing.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Epochs of each training (10).")
    ] = None,
    batches: Annotated[
        int | None, typer.Option("--batches", help="Batches in an epoch, of 64 windows (40).")
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Sound models: one network or three, with and without the embedding, SimCLR or nothing.

    Needs `maeum prepare audio`, for the embedding with --tagger. Goes on where it was
    interrupted: what is finished is kept in --work.
    """
    with needs_extra("study audio"):
        from fusion.studies.audio_study import AudioStudySettings, study
        from fusion.studies.audio_study_report import NAME

        chosen = fold_numbers(folds)
        settings = AudioStudySettings(
            **given(
                seeds=seeds,
                folds=None if chosen is None else tuple(chosen),
                rows=None if not rows else tuple(rows),
                epochs=epochs,
                batches=batches,
            )
        )
        study(out, work, settings, simclr=simclr, threads=threads, say=say)
    sys.stdout.write((out / f"{NAME}.md").read_text(encoding="utf-8"))


@study_app.command("fusion-weights")
def study_fusion_weights(
    out: OutFolderOption,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            metavar="FILE",
            help="Labelled songs of your own (csv, tsv, jsonl, parquet) with words and recordings, "
            "not the label-paired benchmark.",
        ),
    ] = None,
    text_column: Annotated[str | None, typer.Option("--text-column", metavar="NAME")] = None,
    audio_column: Annotated[
        str | None,
        typer.Option("--audio-column", metavar="NAME", help="Paths, relative to the table."),
    ] = None,
    label_column: Annotated[str | None, typer.Option("--label-column", metavar="NAME")] = None,
    label_set: Annotated[
        str | None,
        typer.Option("--label-set", metavar="SET", help="What the labels are. [default: six]"),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(
            "--group-column",
            metavar="NAME",
            help="What must stay on one side of a split, as an artist.",
        ),
    ] = None,
    draws: Annotated[
        int | None, typer.Option("--draws", min=1, help="Draws of the benchmark (5).")
    ] = None,
    songs: Annotated[
        int | None,
        typer.Option(
            "--songs", min=5, help="Songs of each emotion in a draw, a multiple of 5 (400)."
        ),
    ] = None,
    model_lyrics: LyricsModelOption = None,
    model_audio: AudioModelOption = None,
    work: WorkOption = DEFAULT_WORK,
) -> None:
    """Which weights and rules fuse best: every rule cross-validated, with intervals.

    On the label-paired benchmark (needs the data sets, and `maeum prepare audio` for EMOPIA's
    recordings), or on a table of your own with the columns text, audio_path and emotion.
    """
    own = {
        "--text-column": text_column,
        "--audio-column": audio_column,
        "--label-column": label_column,
        "--label-set": label_set,
        "--group-column": group_column,
    }
    for option, value in (own if table is None else {"--draws": draws, "--songs": songs}).items():
        if value is not None:
            raise InputError(f"{option} goes {'with' if table is None else 'without'} --table")
    with needs_extra("study fusion-weights"):
        from app.commands.weight_study import SongTableOptions, study_benchmark, study_table
        from fusion.studies.weight_report import NAME

        if table is None:
            study_benchmark(
                out, work, model_lyrics, model_audio, **given(draws=draws, per_emotion=songs)
            )
            left_out = False
        else:
            options = SongTableOptions(
                table=table,
                **given(
                    text_column=text_column,
                    audio_column=audio_column,
                    label_column=label_column,
                    label_set=label_set,
                    group_column=group_column,
                ),
            )
            left_out = study_table(out, options, model_lyrics, model_audio)
    sys.stdout.write((out / f"{NAME}.md").read_text(encoding="utf-8"))
    if left_out:
        raise typer.Exit(1)
