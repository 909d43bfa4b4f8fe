"""``maeum train lyrics``: our own lyric model, or any encoder with a head on native labels.

Needs the extra ``train``; nothing of it is imported before the command runs.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

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
    refuse_options,
    say,
)

OPEN_LABELS = "kote,kpoem,goemotions-en,goemotions-ko"


def train_lyrics(
    work: WorkOption = DEFAULT_WORK,
    passes: Annotated[
        float | None,
        typer.Option("--passes", min=0.01, help="Passes over the labelled texts (our own model)."),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            "--teacher",
            metavar="FOLDER",
            help="A trained model folder whose answers are learned beside the labels, and on "
            "reviews without labels; once per teacher (our own model).",
        ),
    ] = None,
    encoder: EncoderOption = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="NAME[=FILE],…",
            help="Some of kote, kpoem, goemotions-en, goemotions-ko, aihub-60=FILE, aihub-7=FILE "
            f"({OPEN_LABELS}). This and all that follows goes with --encoder.",
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="cls|architecture1|architecture2|architecture2-padded-mean",
            help="What reads the encoder (cls).",
        ),
    ] = None,
    frozen: Annotated[
        bool | None,
        typer.Option("--frozen", help="Train the head alone, on features computed once."),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            "--adapter",
            metavar="none|lora|qlora",
            help="Train thin matrices beside the encoder's own.",
        ),
    ] = None,
    rank: Annotated[int | None, typer.Option("--rank", help="Of the adapter (8).")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", help="Longest text, in tokens (128).")
    ] = None,
    optimiser: Annotated[
        str | None, typer.Option("--optimiser", metavar="adamw|adafactor", help="(adamw)")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", help="3e-5; 2e-4 with an adapter, 1e-3 with --frozen."),
    ] = None,
    head_rate: Annotated[
        float | None, typer.Option("--head-rate", help="The head's own learning rate.")
    ] = None,
    layer_decay: Annotated[
        float | None,
        typer.Option("--layer-decay", help="A layer's rate beside that of the one above (1)."),
    ] = None,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay", help="(0.01)")] = None,
    dropout: Annotated[float | None, typer.Option("--dropout", help="(0.1)")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Texts per step (32).")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Most passes over the labelled texts (10).")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option("--patience", help="Passes without a better validation figure (5)."),
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option(
            "--balance", metavar="none|sampling|weights", help="How rare labels are helped (none)."
        ),
    ] = None,
    per_label: Annotated[
        int | None,
        typer.Option("--per-label", help="Most texts of a label, with --balance sampling (9000)."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", help="Cross-validate in so many folds.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Most training texts, drawn by the seed.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="32-true|bf16-mixed|…", help="As Lightning names it."),
    ] = None,
    devices: Annotated[
        int | None, typer.Option("--devices", help="Devices of each machine (1).")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option("--nodes", help="Machines that train together (1).")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", metavar="auto|ddp|fsdp|…", help="As Lightning names it."),
    ] = None,
    wandb: Annotated[
        bool | None, typer.Option("--wandb", help="Log to Weights & Biases as well.")
    ] = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
) -> None:
    """Train our own lyric model, or any encoder on native labels (--encoder).

    Goes on where it was interrupted.
    """
    described: dict[str, Any] = {"max_tokens": max_tokens, "dropout": dropout}
    settings: dict[str, Any] = {
        "frozen": frozen,
        "adapter": adapter,
        "rank": rank,
        "optimiser": optimiser,
        "learning_rate": learning_rate,
        "head_rate": head_rate,
        "layer_decay": layer_decay,
        "weight_decay": weight_decay,
        "batch": batch,
        "epochs": epochs,
        "patience": patience,
        "balance": balance,
        "per_label": per_label,
        "folds": folds,
        "limit": limit,
        "precision": precision,
        "devices": devices,
        "nodes": nodes,
        "strategy": strategy,
        "wandb": wandb,
    }
    if encoder is not None:
        refuse_options({"passes": passes}, "is for our own model: with --encoder give --epochs")
        refuse_options({"teacher": teacher or None}, "is for our own model: leave out --encoder")
        with needs_extra("train lyrics"):
            from lyrics_model.tuning import tune
            from lyrics_model.tuning_specification import (
                TuningConfiguration,
                TuningSpecification,
                label_sets_of,
                parse_sources,
            )

            sources = parse_sources(labels or OPEN_LABELS)
            specification = TuningSpecification(
                encoder=encoder,
                head=cast(Any, head or "cls"),
                label_sets=label_sets_of(sources),
                **given(**described),
            )
            configuration = TuningConfiguration(sources, seed=seed, **given(**settings))
            folder = tune(specification, configuration, work, threads=threads, say=say)
        ranks = (os.environ.get(name, "0") for name in ("NODE_RANK", "LOCAL_RANK"))
        if all(rank == "0" for rank in ranks):  # of several processes, the first
            made(folder)
        return
    refuse_options(
        {"labels": labels, "head": head} | described | settings,
        "is for an encoder of another's making: give --encoder NAME|FOLDER as well",
    )
    with needs_extra("train lyrics"):
        from lyrics_model.finetuning import FinetuningConfiguration, train

        own = FinetuningConfiguration(seed=seed)
        if passes is not None:
            own = replace(own, passes=passes)
        made(train(work, own, threads=threads, teachers=teacher or ()))
