"""``maeum serve``: the page and the HTTP interface, until it is stopped."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from app.commands.options import AudioModelOption, CatalogueOption, LyricsModelOption, analyser_of
from data_prep.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from app.service.options import ServiceOptions

PASSWORDS: Final = "MAEUM_AUTH"


def serve(
    catalogue: CatalogueOption = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port.")] = 7860,
    auth: Annotated[
        list[str] | None,
        typer.Option(
            "--auth",
            metavar="USER:PASSWORD",
            help="Ask for a password; may be given several times, or once as @FILE with one in "
            f"each line. Also {PASSWORDS}.",
        ),
    ] = None,
    max_upload_mb: Annotated[
        int, typer.Option("--max-upload-mb", min=1, help="Largest upload.")
    ] = 200,
    max_minutes: Annotated[
        float, typer.Option("--max-minutes", min=0.1, help="Longest recording that is read.")
    ] = 60.0,
    processes: Annotated[
        int,
        typer.Option(
            "--processes", min=1, help="Processes that answer; one for each core at most."
        ),
    ] = 1,
    sound_workers: Annotated[
        int,
        typer.Option(
            "--sound-workers", min=1, help="Recordings that each process has read at once."
        ),
    ] = 1,
    waiting: Annotated[
        int, typer.Option("--waiting", min=0, help="Questions that may wait; more are told 'busy'.")
    ] = 16,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", metavar="URL", help="Another web page that may ask (CORS)."),
    ] = None,
    files: Annotated[
        bool | None,
        typer.Option(
            "--files/--no-files",
            help="Play local recordings and name their paths in playlists. By default only where "
            "nobody else can reach the service.",
        ),
    ] = None,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Offer recommend and analyse as tools (MCP).")
    ] = False,
    log: Annotated[str, typer.Option("--log", help="Log of requests: off, text or json.")] = "off",
    log_words: Annotated[
        bool, typer.Option("--log-words", help="Write moods into the log as well.")
    ] = False,
    root_path: Annotated[
        str, typer.Option("--root-path", help="Path under which a proxy offers the service.")
    ] = "",
    speech_model: Annotated[
        Path | None,
        typer.Option(
            "--speech-model",
            metavar="FOLDER",
            envvar="MAEUM_SPEECH_MODEL",
            help="A Whisper model in CTranslate2's form: moods can then be spoken.",
        ),
    ] = None,
    model_lyrics: LyricsModelOption = None,
    model_audio: AudioModelOption = None,
) -> None:
    """Serve the web page, with the HTTP interface beside it."""
    from app.service.options import LOOPBACK, ServiceOptions, passwords_of

    if log not in ("off", "text", "json"):
        raise InputError(f"--log {log}: expected off, text or json")
    if mcp and not _has("mcp"):
        raise MissingExtraError("--mcp", "mcp")
    options = ServiceOptions(
        host=host,
        port=port,
        passwords=passwords_of(_passwords(auth or [])),
        max_upload_mb=max_upload_mb,
        max_minutes=max_minutes,
        processes=processes,
        sound_workers=sound_workers,
        waiting=waiting,
        origins=tuple(allow_origin or ()),
        # others come through a proxy: unless it is said, its users get no files
        files=host in LOOPBACK and not root_path if files is None else files,
        files_through_proxy=files is True,
        mcp=mcp,
        log=log,  # type: ignore[arg-type]
        log_words=log_words,
        root_path=root_path,
    )
    run_service(catalogue, options, model_lyrics, model_audio, speech_model)


def run_service(
    catalogue: str | None,
    options: ServiceOptions,
    model_lyrics: Path | None,
    model_audio: Path | None,
    speech_model: Path | None = None,
) -> None:
    """Put the parts of a service together, and run it."""
    if options.processes == 1:
        _run_service(catalogue, options, model_lyrics, model_audio, speech_model, None)
        return
    from app.service.processes import shared_folder

    with shared_folder() as folder:
        _run_service(catalogue, options, model_lyrics, model_audio, speech_model, folder)


def _run_service(
    catalogue: str | None,
    options: ServiceOptions,
    model_lyrics: Path | None,
    model_audio: Path | None,
    speech_model: Path | None,
    folder: Path | None,
) -> None:
    """By one process, or by several that share a folder."""
    from app.demo import catalogue_to_read
    from app.page.mounting import mount_page
    from app.reading_pool import PooledSound, ReadingPool
    from app.service.allocation import give_back_at_once
    from app.service.answers import Answers
    from app.service.http import create_api
    from app.service.running import run
    from app.service.speech import Speech
    from audio_model.predictor import EMBEDDED
    from data_prep.model_folder import folder_hash
    from fusion.analysis import SongAnalyser

    give_back_at_once()
    is_copied = folder is not None
    speech = None if speech_model is None else Speech.load(speech_model, later=is_copied)
    settings = None  # those that the catalogue carries
    if model_lyrics is not None or model_audio is not None:
        settings = analyser_of(model_lyrics, model_audio, None).settings
    with ReadingPool(
        options.sound_workers,
        lyrics_folder=model_lyrics,
        audio_folder=model_audio,
        timeout_s=options.sound_s,
        niceness=10,
    ) as pool:
        sound = PooledSound(pool, folder_hash(model_audio or EMBEDDED))
        analyser = SongAnalyser(
            audio_predictor=sound, settings=settings, lyrics_folder=model_lyrics, threads=1
        )
        answers = Answers(catalogue_to_read(catalogue), analyser, settings, check_every_s=0.5)
        app = create_api(answers, options)
        mount_page(app, answers, options, speech=speech)
        if options.log != "off":
            requests = logging.getLogger("maeum.requests")
            requests.setLevel(logging.INFO)
            requests.addHandler(logging.StreamHandler(sys.stderr))
            requests.propagate = False
        if folder is None:
            run(app, options)
            return
        from app.service.processes import run_processes

        answers.prepare_copies()
        run_processes(app, options, folder, end=pool.close)


def _passwords(given: list[str]) -> list[str]:
    """Passwords as given: singly, in a file, or in the environment."""
    listed: list[str] = []
    for one in given or [os.environ.get(PASSWORDS, "")]:
        if one.startswith("@"):
            path = Path(one[1:])
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError) as error:
                raise InputError(f"{path} with passwords cannot be read: {error}") from error
            listed += [line for line in lines if line.strip()]
        elif one:
            listed.append(one)
    return listed


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
