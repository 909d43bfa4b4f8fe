"""The training side of the command line: prepare, pretrain, train, export-model.

Needs the extra ``train``; nothing of it is imported before a command runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from data_prep.errors import MissingExtraError

WorkOption = Annotated[
    Path,
    typer.Option("--work", metavar="DIR", help="Folder for everything on the way to a model."),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Model folder to write.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Processor threads; all if not given.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the training.")]
DEFAULT_WORK = Path(".work")


def _sub_app(help_text: str) -> typer.Typer:
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


prepare_app = _sub_app("Prepare the data that training reads.")
pretrain_app = _sub_app("Pretrain an encoder on unlabelled text.")
train_app = _sub_app("Train a model.")
export_app = _sub_app("Write a trained model as a model folder.")

_OURS = ("lyrics_model", "audio_model", "fusion", "data_prep", "app")


@contextmanager
def needs_extra(command: str) -> Iterator[None]:
    """Turn a missing training library into a message that says what to install."""
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] in _OURS:
            raise
        raise MissingExtraError(f"`maeum {command}` (no module {error.name!r})") from error


@prepare_app.command("lyrics")
def prepare_lyrics(work: WorkOption = DEFAULT_WORK) -> None:
    """Vocabulary and corpus of the lyric model."""
    with needs_extra("prepare lyrics"):
        from lyrics_model.corpus import prepare

        _made(prepare(_made_folder(work)))


@prepare_app.command("audio")
def prepare_audio(work: WorkOption = DEFAULT_WORK) -> None:
    """Log-mel windows of the audio model's data sets."""
    with needs_extra("prepare audio"):
        from audio_model.input_cache import prepare

        _made(prepare(_made_folder(work)))


@pretrain_app.command("lyrics")
def pretrain_lyrics(
    work: WorkOption = DEFAULT_WORK,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Steps of some 4,000 pieces each.")
    ] = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
) -> None:
    """Pretrain the lyric encoder; goes on where it was interrupted."""
    with needs_extra("pretrain lyrics"):
        from lyrics_model.pretraining import PretrainingConfiguration, pretrain

        configuration = PretrainingConfiguration(seed=seed)
        if steps is not None:
            configuration = replace(configuration, steps=steps)
        _made(pretrain(work, configuration, threads=threads))


@train_app.command("lyrics")
def train_lyrics(
    work: WorkOption = DEFAULT_WORK,
    passes: Annotated[
        float | None, typer.Option("--passes", min=0.01, help="Passes over the labelled texts.")
    ] = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
) -> None:
    """Fine-tune the lyric model; goes on where it was interrupted."""
    with needs_extra("train lyrics"):
        from lyrics_model.finetuning import FinetuningConfiguration, train

        configuration = FinetuningConfiguration(seed=seed)
        if passes is not None:
            configuration = replace(configuration, passes=passes)
        _made(train(work, configuration, threads=threads))


@train_app.command("audio")
def train_audio(
    work: WorkOption = DEFAULT_WORK,
    seed: SeedOption = 1,
) -> None:
    """Train the audio model; goes on where it was interrupted."""
    with needs_extra("train audio"):
        from audio_model.training import train

        for path in train(work, seed=seed):
            _made(path)


@train_app.command("fusion")
def train_fusion(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Settings file to write.")],
    catalogue: Annotated[
        str, typer.Option("--catalogue", metavar="URL", help="Songs whose answers give the priors.")
    ],
) -> None:
    """Fit temperatures on validation texts, and priors on a catalogue's songs."""
    with needs_extra("train fusion"):
        from data_prep.catalogue import Catalogue
        from fusion.analysis import load_audio_predictor, load_lyric_predictor
        from fusion.fitting import fit_fusion

        with Catalogue.open(catalogue, read_only=True) as opened:
            settings, spread = fit_fusion(
                load_lyric_predictor(None), load_audio_predictor(None).card.temperature, opened, out
            )
    typer.echo(
        f"temperatures: words {settings.lyrics.temperature:.3f}, moods "
        f"{settings.mood.temperature:.3f}, sound {settings.audio.temperature:.3f}"
    )
    typer.echo(f"prior strength {settings.audio.prior_strength:g}; strongest emotions: {spread}")
    _made(out)


@export_app.command("lyrics")
def export_lyrics(out: OutOption, work: WorkOption = DEFAULT_WORK) -> None:
    """Write the lyric model's folder."""
    with needs_extra("export-model lyrics"):
        from lyrics_model.exporting import export

        _made(export(work, out))


@export_app.command("audio")
def export_audio(out: OutOption, work: WorkOption = DEFAULT_WORK) -> None:
    """Write the audio model's folder."""
    with needs_extra("export-model audio"):
        from audio_model.exporting import export

        _made(export(work, out))


def _made_folder(work: Path) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    return work


def _made(path: Path) -> None:
    typer.echo(path)
