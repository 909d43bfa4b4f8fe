"""``maeum pretrain``: an encoder from unlabelled text, our own or any other adapted.

Needs the extra ``train``; nothing of it is imported before a command runs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from app.training_options import (
    DEFAULT_WORK,
    EncoderOption,
    SeedOption,
    ThreadsOption,
    WorkOption,
    given,
    made,
    needs_extra,
    refuse_options,
    say,
    sub_app,
)
from data_prep.errors import InputError

ADAPTED = "adapted"

pretrain_app = sub_app("Pretrain an encoder on unlabelled text.")


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
