"""The command line, ``maeum``.

Exit codes: 0 fine, 1 some inputs failed and were reported, 2 usage or input
error, 130 interrupted. What a command prints goes to standard output, everything
about its work to standard error. Nothing but typer is imported before a command
knows that it needs it, so that a mood is answered within a second.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from app.commands.collaborative import (
    evaluate_collaborative,
    study_collaborative,
    train_collaborative,
)
from app.commands.evaluation import evaluate_app
from app.commands.feedback import feedback_app
from app.commands.options import (
    AbsoluteOption,
    AddressOption,
    ArtistOption,
    AudioModelOption,
    CatalogueOption,
    DetailsOption,
    Engine,
    EngineOption,
    ErrorsOption,
    FusionOption,
    GenreOption,
    GpusOption,
    HasAudioOption,
    HasLyricsOption,
    JsonOption,
    LanguageOption,
    LyricsModelOption,
    SourceOption,
    YearFromOption,
    YearToOption,
    analyser_of,
    reading_pool,
)
from app.commands.output import print_json, print_lines
from app.commands.recommend import recommend
from app.commands.serve import serve
from app.commands.study import study_app
from app.commands.tag import tag
from app.commands.training import export_app, prepare_app, pretrain_app, train_app
from data_prep.errors import InputError, MaeumError

if TYPE_CHECKING:
    from app.library.readers import SongPool
    from app.library.song_material import SongSource
    from fusion.analysis import SongAnalyser


class _Commands(TyperGroup):
    """Turns expected failures into one line and the right exit code, for every command."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a closed pipe shows here, not while Python shuts down
            return result
        except MaeumError as error:
            typer.echo(f"maeum: {_one_line(str(error))}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("maeum: interrupted", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # Whoever read the output has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


app = typer.Typer(
    name="maeum",
    help="Reads the emotion of songs from words and sound, and finds songs for a mood.",
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(feedback_app, name="feedback")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(prepare_app, name="prepare")
app.add_typer(pretrain_app, name="pretrain")
app.add_typer(train_app, name="train")
app.add_typer(export_app, name="export-model")
app.add_typer(study_app, name="study")
train_app.command("collaborative")(train_collaborative)
evaluate_app.command("collaborative")(evaluate_collaborative)
study_app.command("collaborative")(study_collaborative)


class ExportFormat(StrEnum):
    """Formats of ``maeum export``."""

    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    m3u8 = "m3u8"


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"maeum {version('maeum')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options before any command."""


app.command()(recommend)
app.command()(serve)


@app.command()
def analyse(
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="Words to read.")
    ] = None,
    lyrics: Annotated[
        Path | None, typer.Option("--lyrics", metavar="FILE", help="A text file with lyrics.")
    ] = None,
    audio: Annotated[
        Path | None, typer.Option("--audio", metavar="FILE", help="A recording.")
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="FILE|URL",
            help="A table (csv, tsv, jsonl, parquet) with the columns id and text, lyrics, "
            "lyrics_path or audio_path.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where a table's results go; the ending says how."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=0, help="Processes that read a table; none by default: this one does."
        ),
    ] = None,
    engine: EngineOption = Engine.local,
    address: AddressOption = None,
    gpus: GpusOption = False,
    errors: ErrorsOption = None,
    as_json: JsonOption = False,
    details: DetailsOption = False,
    fusion: FusionOption = None,
    model_lyrics: LyricsModelOption = None,
    model_audio: AudioModelOption = None,
) -> None:
    """Read the emotions of one song, or of every row of a table."""
    if table is not None:
        if text is not None or lyrics is not None or audio is not None:
            raise InputError("--table goes without --text, --lyrics and --audio")
        if out is None:
            raise InputError("--table needs --out FILE for the results")
        own = workers if workers is not None or engine is Engine.ray else 0
        reading = reading_pool(engine, address, own, model_lyrics, model_audio, gpus=gpus, say=_say)
        analyser = analyser_of(model_lyrics, model_audio, fusion)
        _analyse_table(table, out, errors, as_json, analyser, reading)
        return
    if workers is not None or engine is not Engine.local or address is not None or gpus:
        raise InputError("--workers, --engine, --address and --gpus go with --table")
    if out is not None or errors is not None:
        raise InputError("--out and --errors go with --table")
    if text is not None and lyrics is not None:
        raise InputError("--text and --lyrics are two ways to give the words: use one of them")
    if text is None and lyrics is None and audio is None:
        raise InputError("nothing to analyse: give --text, --lyrics, --audio or --table")

    from app.tables.table import is_mood

    analyser = analyser_of(model_lyrics, model_audio, fusion)
    as_mood = is_mood(text, audio)
    if lyrics is not None:
        from app.library.lyric_files import read_lyric_file

        text = read_lyric_file(lyrics)
    analysis = analyser.analyse(text, audio, as_mood=as_mood)
    if as_json:
        print_json(analysis.to_json(details=details))
        return
    from app.commands.plain_text import analysis_lines

    print_lines(analysis_lines(analysis))


@app.command()
def index(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH…",
            help="Folders of music, sound files, tables of songs, or Kakao Arena folders; also "
            "URLs (s3://BUCKET/FOLDER).",
        ),
    ],
    catalogue: CatalogueOption = None,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", help="Name to keep with the songs."),
    ] = None,
    no_paths: Annotated[
        bool, typer.Option("--no-paths", help="Store no local paths, for a catalogue to publish.")
    ] = False,
    hygiene: Annotated[
        bool,
        typer.Option(
            "--hygiene",
            help="Leave out duplicates, various artists and novelty series, with a count.",
        ),
    ] = False,
    mels: Annotated[
        Path | None,
        typer.Option(
            "--mels",
            metavar="PATH",
            help="Where Kakao Arena's mels lie, if not in its folder: a store, or tars.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=0,
            help="Processes that read songs; as many as cores by default, none with 0.",
        ),
    ] = None,
    engine: EngineOption = Engine.local,
    address: AddressOption = None,
    gpus: GpusOption = False,
    errors: ErrorsOption = None,
    as_json: JsonOption = False,
    fusion: FusionOption = None,
    model_lyrics: LyricsModelOption = None,
    model_audio: AudioModelOption = None,
) -> None:
    """Analyse songs into a catalogue; those that are there and unchanged are left alone.

    Files that were moved inside a folder keep their songs, and those that are gone are marked.
    """
    from app.atomic_file import check_writable
    from app.demo import catalogue_to_write
    from app.failures import show_failures, write_failures
    from app.library.indexing import index_songs
    from app.library.kakao_arena import KakaoMels
    from app.library.song_sources import song_sources
    from app.library.source_hygiene import without_unwanted
    from app.library.source_list import Joined
    from data_prep.catalogue import Catalogue
    from data_prep.remote_file import place_of_file
    from fusion.rescoring import catalogue_settings

    if errors is not None:
        check_writable(errors)
    arena = KakaoMels(mels, model_audio)
    sources: Sequence[SongSource] = Joined(
        [song_sources(place_of_file(path), source, mels=arena, say=_say) for path in paths]
    )
    if hygiene:
        sources, left_out = without_unwanted(sources)
        _say(str(left_out))
    with (
        Catalogue.open(catalogue_to_write(catalogue), create=True) as songs,
        reading_pool(
            engine, address, workers, model_lyrics, model_audio, gpus=gpus, say=_say
        ) as pool,
    ):
        analyser = analyser_of(model_lyrics, model_audio, fusion, catalogue_settings(songs))
        report = index_songs(songs, sources, analyser, keep_paths=not no_paths, pool=pool)
        count = songs.count()
        name = songs.name
    if errors is not None:
        write_failures(errors, report.failures)
    typer.echo(
        f"{report.new:,} new, {report.changed:,} changed, {report.moved:,} moved, "
        f"{report.unchanged:,} unchanged, {report.missing:,} gone, "
        f"{len(report.failures):,} failed; {count:,} songs in {name}",
        err=True,
    )
    show_failures(report.failures, errors)
    if as_json:
        print_json({"catalogue": name, "songs": count, **report.to_json()})
    if report.failures:
        raise typer.Exit(1)


app.command()(tag)


@app.command()
def export(
    form: Annotated[ExportFormat, typer.Option("--format", help="What to write.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to; standard output if not given."),
    ] = None,
    absolute: AbsoluteOption = False,
    catalogue: CatalogueOption = None,
    year_from: YearFromOption = None,
    year_to: YearToOption = None,
    genre: GenreOption = None,
    artist: ArtistOption = None,
    language: LanguageOption = None,
    source: SourceOption = None,
    has_lyrics: HasLyricsOption = None,
    has_audio: HasAudioOption = None,
) -> None:
    """Write a catalogue as a table or a playlist."""
    if absolute and form is not ExportFormat.m3u8:
        raise InputError("--absolute is for playlists: expected --format m3u8 with it")

    from app.demo import catalogue_to_read
    from app.library.exporting import export_songs
    from data_prep.catalogue import Catalogue, SongFilter

    where = SongFilter(
        year_from=year_from,
        year_to=year_to,
        genre=genre,
        artist=artist,
        language=language,
        source=source,
        has_lyrics=has_lyrics,
        has_audio=has_audio,
    )
    with Catalogue.open(catalogue_to_read(catalogue), read_only=True) as opened:
        songs = opened.songs(where)
    export_songs(songs, form.value, out, absolute=absolute)


@app.command()
def rescore(
    fusion: FusionOption = None,
    catalogue: CatalogueOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fuse the stored answers of a catalogue again, without reading a single song.

    Without --fusion, the settings of the embedded models are used.
    """
    from app.demo import catalogue_to_write
    from app.progress import counting
    from data_prep.catalogue import Catalogue
    from fusion.rescoring import rescore as rescore_catalogue
    from fusion.settings import FusionSettings

    settings = FusionSettings.load(fusion)
    with Catalogue.open(catalogue_to_write(catalogue)) as songs:
        with counting(songs.count(), "songs") as advance:
            rescored = rescore_catalogue(songs, settings, advance=advance)
        name = songs.name
    if as_json:
        print_json({"catalogue": name, "rescored": rescored, "fusion": settings.hash})
    else:
        typer.echo(f"{rescored:,} songs rescored in {name}")


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # never fail on a terminal's narrow alphabet
    # Imports make very many objects and no garbage. Looking for it less often while they run,
    # and not at all while the process ends, takes a quarter off the time of a short command.
    gc.set_threshold(100_000)
    try:
        app()
    except KeyboardInterrupt:  # outside of any command
        sys.exit(130)
    finally:
        gc.freeze()


def _analyse_table(
    table: str,
    out: Path,
    errors: Path | None,
    as_json: bool,
    analyser: SongAnalyser,
    reading: AbstractContextManager[SongPool | None],
) -> None:
    from app.atomic_file import check_writable
    from app.failures import show_failures, write_failures
    from app.tables.table import analyse_table
    from data_prep.remote_file import place_of_file

    if errors is not None:
        check_writable(errors)
    with reading as pool:
        report = analyse_table(place_of_file(table), out, analyser, pool)
    if errors is not None:
        write_failures(errors, report.failures)
    for column, name in report.renamed.items():
        typer.echo(f"the table's own column {column!r} is called {name!r} in {out}", err=True)
    resumed = f" ({report.resumed:,} of them in an earlier run)" if report.resumed else ""
    typer.echo(
        f"{report.analysed:,} of {report.rows:,} rows analysed{resumed}, "
        f"{len(report.failures):,} failed: {out}",
        err=True,
    )
    show_failures(report.failures, errors)
    if as_json:
        failures = [failure.to_json() for failure in report.failures]
        counts = {"rows": report.rows, "analysed": report.analysed, "failed": len(failures)}
        print_json({"out": str(out), **counts, "errors": failures})
    if report.failures:
        raise typer.Exit(1)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _one_line(message: str) -> str:
    return " ".join(message.split())


if __name__ == "__main__":
    main()
