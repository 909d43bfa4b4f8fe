"""``maeum evaluate``: the tables of each branch, beside its baselines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.options import AudioModelOption, FusionOption, LyricsModelOption, OutFolderOption
from app.commands.training import DEFAULT_WORK, WorkOption, needs_extra
from data_prep.errors import InputError

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
    out: OutFolderOption,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL…]",
            help="With --compare: model folders, or constant, linear, embedded.",
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Measure the models named side by side: A B C."),
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            metavar="FILE",
            help="Labelled texts of your own (csv, tsv, jsonl, parquet), not the committed tests.",
        ),
    ] = None,
    text_column: Annotated[str, typer.Option("--text-column", metavar="NAME")] = "text",
    label_column: Annotated[
        str,
        typer.Option(
            "--label-column", metavar="NAME", help="One label, or several joined by ',' or '|'."
        ),
    ] = "emotion",
    label_set: Annotated[
        str,
        typer.Option(
            "--label-set",
            metavar="SET",
            help="What the labels are: six (English or Korean), kote, goemotions, aihub-60, "
            "aihub-7, quadrants.",
        ),
    ] = "six",
    training_table: Annotated[
        Path | None,
        typer.Option(
            "--training-table",
            metavar="FILE",
            help="Labelled training texts with the same columns: the label similarity is computed "
            "from them, and the model 'linear' fitted on them.",
        ),
    ] = None,
    similarity: Annotated[
        Path | None,
        typer.Option(
            "--similarity", metavar="FILE", help="A label similarity that was saved before."
        ),
    ] = None,
    as_songs: Annotated[
        bool,
        typer.Option("--as-songs", help="Read each text as a song's words, in segments."),
    ] = False,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold", min=0.01, max=0.99, help="Least probability of a native label."
        ),
    ] = 0.3,
    model: LyricsModelOption = None,
    no_baselines: Annotated[
        bool,
        typer.Option("--no-baselines", help="Leave out the linear models, which take minutes."),
    ] = False,
    float32: Annotated[
        Path | None,
        typer.Option(
            "--float32",
            metavar="FOLDER",
            help="The unquantised model (`maeum export-model lyrics --float32`), to compare with.",
        ),
    ] = None,
    write_card: CardOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tables of the lyric branch: on the committed tests, or on a labelled table of your own."""
    names = list(models or ())
    if names and not compare:
        raise InputError(f"{' '.join(names)}: to measure models side by side, give --compare")
    if compare and len(names) < 2:
        raise InputError(
            "--compare needs two models or more: folders, or constant, linear, embedded"
        )
    if write_card and (compare or table is not None):
        raise InputError(
            "--write-card goes with the committed tests, not with --table and --compare"
        )
    if float32 is not None and (compare or table is not None):
        raise InputError("--float32 goes with the committed tests, not with --table and --compare")
    if table is None:
        for option, given in (
            ("--training-table", training_table is not None),
            ("--similarity", similarity is not None),
            ("--as-songs", as_songs),
            ("--label-set", label_set != "six"),
        ):
            if given:
                raise InputError(f"{option} goes with --table")
    with needs_extra("evaluate lyrics"):
        if table is not None:
            from app.tables.evaluation import TableOptions, evaluate_table

            options = TableOptions(
                table=table,
                text_column=text_column,
                label_column=label_column,
                label_set=label_set,
                training_table=training_table,
                similarity=similarity,
                as_songs=as_songs,
                threshold=threshold,
            )
            results, shown = evaluate_table(out, options, names if compare else None, model)
            _show(results, shown, as_json)
            if results["left_out"]:
                raise typer.Exit(1)
            return
        if compare:
            from app.tables.evaluation import compare_on_tests

            _show(compare_on_tests(out, names), out / "comparison.md", as_json)
            return
        from fusion.analysis import load_lyric_predictor
        from fusion.evaluation import lyrics as evaluation_lyrics
        from fusion.evaluation.model_cards import write_model_card
        from fusion.evaluation.quantisation import load_float32

        predictor = load_lyric_predictor(model)
        twin = None if float32 is None else load_float32(float32, predictor)
        results = evaluation_lyrics.evaluate_lyrics(
            out, predictor, baselines=not no_baselines, float32=twin
        )
        if write_card:
            write_model_card(predictor.folder, "lyrics", results, _read(out / "lyrics.md"))
    _show(results, out / "lyrics.md", as_json)


@evaluate_app.command("audio")
def evaluate_audio(
    out: OutFolderOption,
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            metavar="FILE",
            help="Labelled recordings of your own (csv, tsv, jsonl, parquet; paths relative to the "
            "table), not the data sets of the project.",
        ),
    ] = None,
    audio_column: Annotated[
        str | None,
        typer.Option("--audio-column", metavar="NAME", help="Paths. [default: audio_path]"),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            "--label-column",
            metavar="NAME",
            help="One label or shares of several. [default: emotion; without it, one column of "
            "numbers named after each label]",
        ),
    ] = None,
    label_set: Annotated[
        str | None,
        typer.Option(
            "--label-set",
            metavar="SET",
            help="What the labels are: six (English or Korean), quadrants, emotify (or gems: nine "
            "scales), ravdess_song. [default: six]",
        ),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="How often the strongest emotion stays the same at -12 dB, through mp3 at "
            "64 kbit/s, at 8 kHz and so on: audio_robustness.json and audio_robustness.md.",
        ),
    ] = False,
    recordings: Annotated[
        int | None,
        typer.Option(
            "--recordings",
            metavar="N",
            min=1,
            help="With --robustness: at most so many of each data set. [default: 60]",
        ),
    ] = None,
    model: AudioModelOption = None,
    no_baselines: Annotated[
        bool,
        typer.Option("--no-baselines", help="Leave out the linear models, which take minutes."),
    ] = False,
    work: WorkOption = DEFAULT_WORK,
    write_card: CardOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tables of the audio branch: on our data sets, or on labelled recordings of your own."""
    if write_card and (table is not None or robustness):
        raise InputError(
            "--write-card goes with the project's data sets, not with --table and --robustness"
        )
    if recordings is not None and not robustness:
        raise InputError("--recordings goes with --robustness")
    if table is None:
        for option, given in (
            ("--audio-column", audio_column),
            ("--label-column", label_column),
            ("--label-set", label_set),
        ):
            if given is not None:
                raise InputError(f"{option} goes with --table")
    with needs_extra("evaluate audio"):
        if table is not None or robustness:
            from app.tables.audio_evaluation import (
                RecordingTableOptions,
                evaluate_changes,
                evaluate_recordings,
            )

            options = None
            if table is not None:
                options = RecordingTableOptions(
                    table=table,
                    audio_column=audio_column or "audio_path",
                    label_column=label_column,
                    label_set=label_set or "six",
                )
            if options is not None and not robustness:
                results, shown = evaluate_recordings(out, options, model)
            else:
                from fusion.evaluation.audio_robustness import RECORDINGS

                results, shown = evaluate_changes(
                    out, options, model, recordings=recordings or RECORDINGS, work=work
                )
            _show(results, shown, as_json)
            if results["left_out"]:
                raise typer.Exit(1)
            return
        from app.progress import counting
        from fusion.analysis import load_audio_predictor
        from fusion.evaluation import audio as evaluation_audio
        from fusion.evaluation.model_cards import write_model_card

        predictor = load_audio_predictor(model)
        results = evaluation_audio.evaluate_audio(
            out, predictor, baselines=not no_baselines, work=work, progress=counting
        )
        if write_card:
            write_model_card(predictor.folder, "audio", results, _read(out / "audio.md"))
            evaluation_audio.store_baselines(predictor.folder, results)
    _show(results, out / "audio.md", as_json)


@evaluate_app.command("published")
def evaluate_published(
    out: OutFolderOption,
    model: LyricsModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """The published catalogue of 42,839 songs: its figures, and what corrections change."""
    with needs_extra("evaluate published"):
        from app.commands.training_options import say
        from fusion.analysis import SongAnalyser, load_lyric_predictor
        from fusion.studies.published_report import NAME, evaluate_published

        settings = SongAnalyser(lyrics_folder=model).settings
        results = evaluate_published(out, load_lyric_predictor(model), settings, say=say)
    _show(results, out / f"{NAME}.md", as_json)


@evaluate_app.command("recommend")
def evaluate_recommend(
    out: OutFolderOption,
    catalogue: Annotated[
        str | None,
        typer.Option(
            "--catalogue", metavar="URL", help="Whose lists are counted. [default: the demo's]"
        ),
    ] = None,
    fusion: FusionOption = None,
    model_lyrics: LyricsModelOption = None,
    model_audio: AudioModelOption = None,
    work: WorkOption = DEFAULT_WORK,
    as_json: JsonOption = False,
) -> None:
    """Recommendation against labels of people, beside random, popular and each branch alone."""
    with needs_extra("evaluate recommend"):
        from app.commands.training_options import say
        from app.demo import DEMO_CATALOGUE
        from app.progress import counting
        from data_prep.catalogue import Catalogue
        from fusion.analysis import SongAnalyser, load_lyric_predictor
        from fusion.evaluation.listening import Listener
        from fusion.evaluation.paired_benchmark import answered
        from fusion.evaluation.recommend_report import NAME, evaluate_recommendation
        from fusion.settings import FusionSettings

        settings = FusionSettings.load(fusion) if fusion is not None else None
        settings = SongAnalyser(
            settings=settings, lyrics_folder=model_lyrics, audio_folder=model_audio
        ).settings
        predictor, listener = load_lyric_predictor(model_lyrics), Listener.load(model_audio)
        with Catalogue.open(catalogue or DEMO_CATALOGUE, read_only=True) as songs:
            lines, clips = answered(predictor, listener, work, progress=counting, say=say)
            results = evaluate_recommendation(
                out, lines, clips, predictor, settings, songs, say=say
            )
    _show(results, out / f"{NAME}.md", as_json)


def _show(results: dict[str, Any], markdown: Path, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(results, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.write(_read(markdown))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
