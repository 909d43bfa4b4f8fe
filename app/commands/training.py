"""The training side of the command line: prepare, pretrain, train, export-model.

Needs the extra ``train``; nothing of it is imported before a command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.audio_training import export_audio, train_audio
from app.commands.mels import prepare_mels
from app.commands.pretraining import pretrain_app
from app.commands.training_options import (
    DEFAULT_WORK,
    OutOption,
    WorkOption,
    made,
    made_folder,
    needs_extra,
    say,
    sub_app,
)
from app.commands.tuning import train_lyrics
from data_prep.errors import InputError

__all__ = [
    "DEFAULT_WORK",
    "WorkOption",
    "export_app",
    "needs_extra",
    "prepare_app",
    "pretrain_app",
    "train_app",
]

prepare_app = sub_app("Prepare the data that training reads.")
train_app = sub_app("Train a model.")
export_app = sub_app("Write a trained model as a model folder.")
prepare_app.command("mels")(prepare_mels)
train_app.command("lyrics")(train_lyrics)
train_app.command("audio")(train_audio)
export_app.command("audio")(export_audio)


@prepare_app.command("lyrics")
def prepare_lyrics(
    work: WorkOption = DEFAULT_WORK,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start",
            metavar="FOLDER",
            help="A published English encoder that ours starts from: all-MiniLM-L6-v2, with "
            "config.json, model.safetensors and tokenizer.json. Without it, from nothing.",
        ),
    ] = None,
) -> None:
    """Vocabulary, corpus and word vectors of the lyric model."""
    with needs_extra("prepare lyrics"):
        from lyrics_model.corpus import prepare

        made(prepare(made_folder(work), start=start))


@prepare_app.command("audio")
def prepare_audio(
    work: WorkOption = DEFAULT_WORK,
    tagger: Annotated[
        Path | None,
        typer.Option(
            "--tagger",
            metavar="WHEEL|FOLDER",
            help="Published weights of musicnn (`pip download --no-deps musicnn==0.1.0`), from "
            "which each recording also gets an embedding.",
        ),
    ] = None,
) -> None:
    """Log-mel windows of the audio model's data sets."""
    with needs_extra("prepare audio"):
        from audio_model.embedding_cache import prepare_embeddings
        from audio_model.input_cache import prepare
        from audio_model.musicnn_weights import read_weights

        if tagger is not None:
            read_weights(tagger)  # a wrong file is told before an hour of work, not after it
        made(prepare(made_folder(work)))
        if tagger is not None:
            made(prepare_embeddings(work, tagger))


@train_app.command("fusion")
def train_fusion(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Settings file to write.")],
    catalogue: Annotated[
        str, typer.Option("--catalogue", metavar="URL", help="Songs whose answers give the priors.")
    ],
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            metavar="FILE",
            help="Labelled songs (columns text, audio_path and emotion) to learn the rule from; "
            "`maeum study fusion-weights --table` says which rule is best for them.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="Rule that is learned from --table (mean)."),
    ] = None,
    relative: Annotated[
        bool,
        typer.Option(
            "--relative",
            help="Spread the songs over everyday moods: what a song says is then relative to the "
            "catalogue.",
        ),
    ] = False,
) -> None:
    """Fit temperatures on validation texts, priors on a catalogue, a rule on labelled songs."""
    if method is not None and table is None:
        raise InputError("--method goes with --table: a rule is learned from labelled songs")
    with needs_extra("train fusion"):
        from app.atomic_file import check_writable
        from data_prep.catalogue import Catalogue
        from fusion.analysis import load_audio_predictor, load_lyric_predictor
        from fusion.studies.fitting import fit_fusion

        check_writable(out)  # before any song is read
        learn_from = None
        if table is not None:
            from app.commands.weight_study import SongTableOptions, songs_to_learn_from

            learn_from = songs_to_learn_from(SongTableOptions(table), method or "mean")
        with Catalogue.open(catalogue, read_only=True) as opened:
            settings, spread = fit_fusion(
                load_lyric_predictor(None),
                load_audio_predictor(None).card.temperature,
                opened,
                out,
                learn_from,
                relative=relative,
            )
    typer.echo(
        f"temperatures: words {settings.lyrics.temperature:.3f}, moods "
        f"{settings.mood.temperature:.3f}, sound {settings.audio.temperature:.3f}; rule "
        f"{settings.rule.method}"
    )
    typer.echo(f"prior strength {settings.audio.prior_strength:g}; strongest emotions: {spread}")
    made(out)


@export_app.command("lyrics")
def export_lyrics(
    out: OutOption,
    work: WorkOption = DEFAULT_WORK,
    tuned: Annotated[
        Path | None,
        typer.Option(
            "--tuned",
            metavar="FOLDER",
            help="Folder that `maeum train lyrics --encoder …` gave; our own model without it.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of a tuned model, for its card.")
    ] = None,
    float32: Annotated[
        Path | None,
        typer.Option(
            "--float32",
            metavar="FOLDER",
            help="Also write the network as it was before int8, for `maeum evaluate lyrics "
            "--float32`.",
        ),
    ] = None,
) -> None:
    """Write the lyric model's folder, or that of a tuned encoder (--tuned)."""
    if name is not None and tuned is None:
        raise InputError("--name is for a tuned encoder: give --tuned FOLDER as well")
    with needs_extra("export-model lyrics"):
        if tuned is not None:
            from lyrics_model.tuned_export import export_tuned

            made(export_tuned(tuned, out, name=name, float32=float32, say=say))
            return
        from lyrics_model.exporting import export

        made(export(work, out, float32=float32))
