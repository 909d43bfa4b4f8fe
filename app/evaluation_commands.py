"""``maeum evaluate``: the tables of each branch, beside its baselines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.training_commands import DEFAULT_WORK, WorkOption, needs_extra

OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the tables.")]
CardOption = Annotated[
    bool,
    typer.Option(
        "--write-card", help="Also write the figures into the model folder's card and README."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

evaluate_app = typer.Typer(
    help="Measure a branch on held-out data, beside constant and linear baselines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@evaluate_app.command("lyrics")
def evaluate_lyrics(
    out: OutOption,
    model: Annotated[
        Path | None,
        typer.Option("--model-lyrics", metavar="FOLDER", envvar="MAEUM_LYRICS_MODEL"),
    ] = None,
    no_baselines: Annotated[
        bool,
        typer.Option("--no-baselines", help="Leave out the linear models, which take minutes."),
    ] = False,
    write_card: CardOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tables of the lyric branch: lyrics.json and lyrics.md."""
    with needs_extra("evaluate lyrics"):
        from fusion import evaluation_lyrics
        from fusion.analysis import load_lyric_predictor
        from fusion.model_cards import write_model_card

        predictor = load_lyric_predictor(model)
        results = evaluation_lyrics.evaluate_lyrics(out, predictor, baselines=not no_baselines)
        if write_card:
            write_model_card(predictor.folder, "lyrics", results, _read(out / "lyrics.md"))
    _show(results, out / "lyrics.md", as_json)


@evaluate_app.command("audio")
def evaluate_audio(
    out: OutOption,
    model: Annotated[
        Path | None,
        typer.Option("--model-audio", metavar="FOLDER", envvar="MAEUM_AUDIO_MODEL"),
    ] = None,
    no_baselines: Annotated[
        bool,
        typer.Option("--no-baselines", help="Leave out the linear models, which take minutes."),
    ] = False,
    work: WorkOption = DEFAULT_WORK,
    write_card: CardOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tables of the audio branch: audio.json and audio.md."""
    with needs_extra("evaluate audio"):
        from fusion import evaluation_audio
        from fusion.analysis import load_audio_predictor
        from fusion.model_cards import write_model_card

        predictor = load_audio_predictor(model)
        results = evaluation_audio.evaluate_audio(
            out, predictor, baselines=not no_baselines, work=work
        )
        if write_card:
            write_model_card(predictor.folder, "audio", results, _read(out / "audio.md"))
            evaluation_audio.store_baselines(predictor.folder, results)
    _show(results, out / "audio.md", as_json)


def _show(results: dict[str, Any], markdown: Path, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(results, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.write(_read(markdown))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
