"""``maeum pretrain``: what a model starts from, learned without labels.

For lyrics an encoder, our own or any other adapted; for sound a backbone.

Needs the extra ``train``; nothing of it is imported before a command runs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.training_options import (
    DEFAULT_WORK,
    EncoderOption,
    SeedOption,
    ThreadsOption,
    WorkOption,
    given,
    made,
    needs_extra,
    recording_sets,
    refuse_options,
    say,
    sub_app,
)
from data_prep.errors import InputError, MissingDataError

if TYPE_CHECKING:
    from audio_model.input_cache import Clip

ADAPTED = "adapted"

pretrain_app = sub_app("Pretrain an encoder on unlabelled text, or a backbone on sound.")


@pretrain_app.command("lyrics")
def pretrain_lyrics(
    work: WorkOption = DEFAULT_WORK,
    encoder: EncoderOption = None,
    stage: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            metavar="NAME=FILE",
            help="A domain's texts, one a line; once per stage (with --encoder).",
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option("--order", metavar="given|largest-first", help="Of the stages."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="Steps of some 4,000 pieces each; with --encoder, of each stage (12,500).",
        ),
    ] = None,
    passes: Annotated[
        float | None,
        typer.Option("--passes", help="Passes over each stage's text, in place of --steps."),
    ] = None,
    block: Annotated[
        int | None, typer.Option("--block", min=8, help="Pieces per block (512).")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Blocks per batch (32).")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option("--accumulate", min=1, help="Batches per step (16).")
    ] = None,
    masked_share: Annotated[
        float | None, typer.Option("--masked-share", help="Share of pieces to predict (0.15).")
    ] = None,
    whole_words: Annotated[
        bool | None, typer.Option("--whole-words", help="Mask whole words, not single pieces.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Highest rate (1e-4).")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="auto|bf16|32", help="Of the arithmetic.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help=f"Adapted encoder to write ({ADAPTED} in --work if not given).",
        ),
    ] = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
) -> None:
    """Pretrain our own encoder, or adapt any other to texts in stages (--encoder, --stage).

    Goes on where it was interrupted.
    """
    settings: dict[str, Any] = {
        "order": order,
        "passes": passes,
        "block": block,
        "batch": batch,
        "accumulate": accumulate,
        "masked_share": masked_share,
        "whole_words": whole_words,
        "learning_rate": learning_rate,
        "precision": precision,
    }
    if encoder is not None:
        _adapt(encoder, stage or [], out or work / ADAPTED, settings, steps, seed, threads)
        return
    refuse_options(
        {"stage": stage or None, "out": out} | settings,
        "is for an encoder of another's making: give --encoder NAME|FOLDER as well",
    )
    with needs_extra("pretrain lyrics"):
        from lyrics_model.pretraining import PretrainingConfiguration, pretrain

        configuration = PretrainingConfiguration(seed=seed)
        if steps is not None:
            configuration = replace(configuration, steps=steps)
        made(pretrain(work, configuration, threads=threads))


def _adapt(
    encoder: str,
    stages: list[str],
    out: Path,
    settings: dict[str, Any],
    steps: int | None,
    seed: int,
    threads: int | None,
) -> None:
    if not stages:
        raise InputError(
            "there is nothing to adapt the encoder to: give --stage NAME=FILE, once per domain"
        )
    length: dict[str, Any] = (
        {} if steps is None and settings["passes"] is None else {"steps": steps}
    )
    with needs_extra("pretrain lyrics"):
        from lyrics_model.dapt import DaptConfiguration, Stage, adapt

        parsed = [Stage.parse(text) for text in stages]
        configuration = DaptConfiguration(seed=seed, **length, **given(**settings))
        made(adapt(encoder, parsed, out, configuration, threads=threads, say=say))


@pretrain_app.command("audio")
def pretrain_audio(
    work: WorkOption = DEFAULT_WORK,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            metavar="NAME",
            help="small-cnn, or a convolutional network of timm by its name (resnet18).",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME,…",
            help="Some of ravdess_song, emotify, emopia; all of them if there is no --store.",
        ),
    ] = None,
    store: Annotated[
        list[Path] | None,
        typer.Option(
            "--store",
            metavar="FILE",
            help="A store of mels that `maeum prepare mels` made; may be given several times.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the recordings (50).")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=2, help="Recordings in a batch (128).")
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", help="Frames of 16 ms in a view (256).")
    ] = None,
    max_shift: Annotated[
        float | None,
        typer.Option(
            "--max-shift",
            help="Most that a recording's two views are apart, in views; 0 for one stretch "
            "varied twice (0.5).",
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="Of the loss (0.1).")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Highest rate (1e-3).")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="auto|bf16|32", help="(auto)")
    ] = None,
    probe_every: Annotated[
        int | None,
        typer.Option(
            "--probe-every",
            min=1,
            help="Epochs between two readings of what the features know of labels (5).",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes that read recordings (0)."),
    ] = None,
    without_fold: Annotated[
        int | None,
        typer.Option(
            "--without-fold",
            metavar="N",
            min=0,
            max=4,
            help="Leave out the recordings of a fold, 0 to 4: for figures on what was not heard.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Backbone folder to write (audio/backbones/NAME in --work if not given, with "
            "-without-fold-N after it).",
        ),
    ] = None,
    seed: SeedOption = 1,
    threads: ThreadsOption = None,
) -> None:
    """Pretrain a backbone on recordings without labels (SimCLR).

    Goes on where it was interrupted. Tells in between what a linear model and the nearest
    neighbours make of the features on the labelled recordings, if they are there.
    """
    with needs_extra("pretrain audio"):
        from audio_model.backbones import make_backbone
        from audio_model.simclr import SimclrConfiguration, pretrain
        from audio_model.views import open_store

        options = given(
            backbone=backbone,
            n_epochs=epochs,
            batch_size=batch,
            n_frames=frames,
            max_shift=max_shift,
            temperature=temperature,
            learning_rate=learning_rate,
            precision=precision,
            probe_every=probe_every,
            workers=workers,
        )
        configuration = SimclrConfiguration(seed=seed, **options)
        make_backbone(configuration.backbone)  # refused before recordings are read
        names = _audio_datasets(data, stored=bool(store))
        stored = [clip for path in store or [] for clip in open_store(path)]
        clips, labelled = _labelled(work, names)
        left = "" if without_fold is None else f"-without-fold-{without_fold}"
        pretrained = pretrain(
            [*clips, *stored],
            out or work / "audio" / "backbones" / f"{configuration.backbone}{left}",
            configuration,
            labelled=labelled,
            without_fold=without_fold,
            say=say,
            threads=threads,
        )
        made(pretrained.folder)
    if pretrained.left_out:
        say(f"{len(pretrained.left_out):,} recordings could not be used")
        raise typer.Exit(1)


def _audio_datasets(data: str | None, *, stored: bool) -> tuple[str, ...]:
    from audio_model.input_cache import DATASETS

    if data is None:
        return () if stored else DATASETS
    return recording_sets(data)


def _labelled(work: Path, names: tuple[str, ...]) -> tuple[list[Clip], list[Clip]]:
    """Recordings to learn from, and those that are labelled, as far as they are there."""
    from audio_model.input_cache import DATASETS, load

    clips, labelled = [], []
    for name in DATASETS:
        try:
            found = load(work, name)
        except MissingDataError:
            if name in names:
                raise
            continue
        labelled += found
        clips += found if name in names else []
    if not labelled:
        say("no labelled recordings: the features are not probed (`maeum prepare audio`)")
    return clips, labelled
