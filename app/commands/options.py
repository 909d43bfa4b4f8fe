"""Options that several commands about songs take, and what is made of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.atomic_file import check_folder
from data_prep.errors import InputError

if TYPE_CHECKING:
    from app.library.readers import SongPool
    from fusion.analysis import SongAnalyser
    from fusion.settings import FusionSettings

CatalogueOption = Annotated[
    str | None,
    typer.Option(
        "--catalogue",
        metavar="URL",
        help="Path or database URL of the catalogue. Default: MAEUM_CATALOGUE, else your own "
        "catalogue, else (for reading) the demo catalogue.",
    ),
]
LyricsModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model-lyrics",
        metavar="FOLDER",
        envvar="MAEUM_LYRICS_MODEL",
        help="Model folder for words.",
    ),
]
AudioModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model-audio",
        metavar="FOLDER",
        envvar="MAEUM_AUDIO_MODEL",
        help="Model folder for sound.",
    ),
]
FusionOption = Annotated[
    Path | None,
    typer.Option("--fusion", metavar="FILE", help="Fusion settings, a JSON file."),
]
OutFolderOption = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", help="Folder for the tables.", callback=check_folder),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DetailsOption = Annotated[
    bool,
    typer.Option(
        "--details",
        help="With --json: also how far words and sound disagree, and what the sound moved.",
    ),
]
ErrorsOption = Annotated[
    Path | None,
    typer.Option("--errors", metavar="FILE", help="Write every failure here, as JSON lines."),
]


class Engine(StrEnum):
    """What reads songs."""

    local = "local"
    ray = "ray"


EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine",
        help="What reads: processes of this machine, or those of a Ray cluster (extra cluster).",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="With --engine ray: the cluster's head, or auto for the one of this machine; without "
        "it Ray is started on this machine alone.",
    ),
]
GpusOption = Annotated[
    bool,
    typer.Option(
        "--gpus",
        help="With --engine ray: read on the cluster's graphics cards, as far as there are any. "
        "Answers differ in their last digits.",
    ),
]
AbsoluteOption = Annotated[
    bool,
    typer.Option(
        "--absolute",
        help="Absolute paths in a playlist; by default they are relative to its folder.",
    ),
]
YearFromOption = Annotated[
    int | None, typer.Option("--year-from", help="Only songs of this year or later.")
]
YearToOption = Annotated[
    int | None, typer.Option("--year-to", help="Only songs of this year or earlier.")
]
GenreOption = Annotated[str | None, typer.Option("--genre", help="Only songs of this genre.")]
ArtistOption = Annotated[str | None, typer.Option("--artist", help="Only songs by this artist.")]
LanguageOption = Annotated[
    str | None, typer.Option("--language", help="Only songs in this language, e.g. ko or en.")
]
SourceOption = Annotated[
    str | None, typer.Option("--source", help="Only songs that came from here.")
]
HasLyricsOption = Annotated[
    bool | None,
    typer.Option(
        "--has-lyrics/--no-lyrics", help="Only songs whose words were, or were not, read."
    ),
]
HasAudioOption = Annotated[
    bool | None,
    typer.Option("--has-audio/--no-audio", help="Only songs whose sound was, or was not, heard."),
]


@contextmanager
def reading_pool(
    engine: Engine,
    address: str | None,
    workers: int | None,
    model_lyrics: Path | None,
    model_audio: Path | None,
    *,
    gpus: bool = False,
    say: Callable[[str], None],
) -> Iterator[SongPool | None]:
    """What reads songs beside this process; ``None`` where it reads itself.

    Raises
    ------
    InputError
        If the options do not go together, or no cluster answers.
    """
    if address is not None and engine is not Engine.ray:
        raise InputError("--address goes with --engine ray")
    if gpus and engine is not Engine.ray:
        raise InputError("--gpus goes with --engine ray; here set MAEUM_GPU=1")
    if engine is Engine.ray:
        if workers == 0:
            raise InputError("--workers 0 reads in this process: leave out --engine ray")
        from app.ray_pool import RayPool

        # Ray tells of machines that are gone on the standard output, where results belong
        with (
            redirect_stdout(sys.stderr),
            RayPool(
                address,
                workers,
                lyrics_folder=model_lyrics,
                audio_folder=model_audio,
                with_gpus=gpus,
                say=say,
            ) as pool,
        ):
            yield pool
        return
    if workers == 0:
        yield None
        return
    from app.reading_pool import ReadingPool, usable_cores

    with ReadingPool(
        workers or usable_cores(), lyrics_folder=model_lyrics, audio_folder=model_audio
    ) as local:
        yield local


def analyser_of(
    model_lyrics: Path | None,
    model_audio: Path | None,
    fusion: Path | None,
    kept: FusionSettings | None = None,
) -> SongAnalyser:
    """Analyser with the settings of a file, else of other models' cards, else of the catalogue."""
    from fusion.analysis import SongAnalyser
    from fusion.settings import FusionSettings

    settings = None if model_lyrics is not None or model_audio is not None else kept
    if fusion is not None:
        settings = FusionSettings.load(fusion)
    return SongAnalyser(settings=settings, lyrics_folder=model_lyrics, audio_folder=model_audio)
