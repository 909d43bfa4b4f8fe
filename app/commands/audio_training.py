"""``maeum train audio`` and ``maeum export-model audio``: our own network, or any backbone.

Needs the extra ``train``; nothing of it is imported before a command runs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.training_options import (
    DEFAULT_WORK,
    OutOption,
    SeedOption,
    ThreadsOption,
    WorkOption,
    fold_numbers,
    given,
    made,
    needs_extra,
    recording_sets,
    refuse_options,
    say,
)

if TYPE_CHECKING:
    from audio_model.training_configuration import TrainingConfiguration
    from audio_model.training_recordings import RecordingSources

RunOption = Annotated[
    str | None,
    typer.Option(
        "--run", metavar="NAME", help="Of the training, for a folder of its own in --work."
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", metavar="FILE", help="Mels of your recordings (`prepare mels`)."),
]
TableOption = Annotated[
    Path | None,
    typer.Option(
        "--table", metavar="FILE", help="Labels of the recordings in --store, by their id."
    ),
]
LabelSetOption = Annotated[
    str | None,
    typer.Option(
        "--label-set",
        metavar="six|quadrants|emotify|ravdess_song",
        help="What the labels of --table are (six); one column of numbers for each label, or "
        "one of labels. Six columns of a lyric model's answers make its sound learn from words.",
    ),
]
IdColumnOption = Annotated[
    str | None, typer.Option("--id-column", help="Of --table: ids of songs in --store (id).")
]
LabelColumnOption = Annotated[
    str | None, typer.Option("--label-column", help="Of --table (emotion).")
]
GroupColumnOption = Annotated[
    str | None,
    typer.Option(
        "--group-column",
        help="Of --table: artist, singer or song, never on both sides of a split (the id).",
    ),
]


def train_audio(
    work: WorkOption = DEFAULT_WORK,
    run: RunOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME,…",
            help="Some of ravdess_song, emotify, emopia; all of them if there is no --table.",
        ),
    ] = None,
    store: StoreOption = None,
    table: TableOption = None,
    label_set: LabelSetOption = None,
    id_column: IdColumnOption = None,
    label_column: LabelColumnOption = None,
    group_column: GroupColumnOption = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            metavar="NAME",
            help="small-cnn, or a convolutional network of timm (resnet18); our own network if "
            "not given.",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start", metavar="FOLDER", help="Backbone that `maeum pretrain audio` wrote."
        ),
    ] = None,
    frozen: Annotated[
        bool | None,
        typer.Option("--frozen", help="Keep it as it is, and train a perceptron on its features."),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option("--folds", metavar="N,…", help="Members to train, some of 0 to 4 (all)."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=1.0, help="Length of a window (10).")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="(10)")] = None,
    batches: Annotated[
        int | None, typer.Option("--batches", min=1, help="Batches in an epoch (40).")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Windows in a batch (64).")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Highest rate (2e-3).")
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option("--balance", metavar="none|weights", help="Weigh rare labels more (none)."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="auto|bf16|32", help="(32)")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that make batches (0).")
    ] = None,
    seed: SeedOption = 1,
    threads: ThreadsOption = None,
) -> None:
    """Train an audio model, cross-fitted over five folds; goes on where it was interrupted.

    Without --backbone our own network, which ships with maeum. Folds keep singers,
    recordings and songs apart.
    """
    if backbone is None:
        refuse_options(
            {"start": start, "frozen": frozen, "seconds": seconds, "store": store},
            "is for a backbone: give --backbone NAME as well",
        )
    own = {
        "label_set": label_set,
        "id_column": id_column,
        "label_column": label_column,
        "group_column": group_column,
    }
    if table is None:
        refuse_options(
            own,
            "is for labels of your own: give --store and --table as well",
        )
    with needs_extra("train audio"):
        import torch

        from audio_model.training import EMBEDDED_RUN, RECIPES, run_folder, train
        from audio_model.training_recordings import RecordingSources
        from data_prep.model_folder import configuration_hash

        if threads is not None:
            torch.set_num_threads(threads)
        chosen = fold_numbers(folds)
        sources = RecordingSources(
            datasets=_names(data, alone=table is None),
            store=None if store is None else str(store),
            table=None if table is None else str(table),
            **given(**own),
        )
        changed = given(
            n_epochs=epochs,
            batches_per_epoch=batches,
            learning_rate=learning_rate,
            balance=balance,
            precision=precision,
            workers=workers,
        )
        if backbone is None:
            recipes = [
                replace(_of(recipe, sources.label_sets, batch), **changed) for recipe in RECIPES
            ]
        else:
            first = _with_backbone(RECIPES[0], sources, backbone, start, bool(frozen), seconds)
            recipes = [replace(_of(first, sources.label_sets, batch), **changed)]
        if run is None:
            ours = [recipe.hash for recipe in recipes] == [recipe.hash for recipe in RECIPES]
            other = {"recipe": recipes[0].hash, "recordings": sources.hash}
            run = EMBEDDED_RUN if ours else configuration_hash(other)
        clips = sources.load(work, say)
        sources.write(run_folder(work, run))
        paths = train(
            work,
            run=run,
            clips=clips,
            folds=chosen,
            seed=seed,
            recipes=recipes,
            say=say,
        )
    for path in paths:
        made(path)


def _names(data: str | None, *, alone: bool) -> tuple[str, ...]:
    """Our data sets by name."""
    from audio_model.input_cache import DATASETS

    if data is None:
        return DATASETS if alone else ()
    return recording_sets(data)


def _of(
    recipe: TrainingConfiguration, label_sets: dict[str, str], batch: int | None
) -> TrainingConfiguration:
    """The recipe on these data sets, in the proportions it has for ours."""
    total = batch or sum(recipe.shares.values())
    if label_sets == recipe.datasets and batch is None:
        return recipe
    wanted = {name: recipe.shares.get(name, total // len(label_sets)) for name in label_sets}
    scale = total / sum(wanted.values())
    shares = {name: max(1, round(scale * n)) for name, n in wanted.items()}
    return replace(recipe, datasets=label_sets, shares=shares)


def _with_backbone(
    recipe: TrainingConfiguration,
    sources: RecordingSources,
    name: str,
    start: Path | None,
    frozen: bool,
    seconds: float | None,
) -> TrainingConfiguration:
    """The recipe with a backbone on windows of log-mels alone."""
    from audio_model.backbone_network import BackboneNetworkConfiguration
    from audio_model.backbones import describe, make_backbone
    from audio_model.windows import TEN_SECONDS, FrontEnd

    log_mel = sources.log_mel()
    wanted = TEN_SECONDS.window_s if seconds is None else seconds
    n_frames = round(wanted * log_mel.frames_per_second)
    backbone = make_backbone(name, n_mels=log_mel.n_mels)
    hop_s = log_mel.hop_length / log_mel.sample_rate
    say(describe(backbone, n_frames, hop_s=hop_s).line())
    network = BackboneNetworkConfiguration(
        backbone=name, n_mels=log_mel.n_mels, start=str(start or ""), frozen=frozen
    )
    front_end = FrontEnd(log_mel, None, replace(TEN_SECONDS.windows, n_frames=n_frames))
    return replace(recipe, network=network, front_end=front_end)


def export_audio(
    out: OutOption,
    work: WorkOption = DEFAULT_WORK,
    run: RunOption = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the model, for its card.")] = None,
) -> None:
    """Write the audio model's folder, or that of another training (--run)."""
    with needs_extra("export-model audio"):
        from audio_model.exporting import export

        made(export(work, out, say=say, **given(run=run, name=name)))
