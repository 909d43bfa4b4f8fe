"""The HTTP interface: analyse, recommend, similar, songs, feedback, map; health and metrics.

Every answer is typed (:mod:`app.service.models`), every failure has one form
(:mod:`app.service.errors`). ``/openapi.json`` describes all of it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, FastAPI, File, Form, Query, Request, Response, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute

from app.library.playlist_export import PLAYLIST_FORMS, PlaylistForm, playlist_of
from app.service import models
from app.service.answers import Answer, Answers, Listener
from app.service.errors import UnknownError, failure, tell_failures
from app.service.limits import FewUploads, Gate, LimitedBody, TooLargeError
from app.service.options import ServiceOptions
from app.service.protection import Protection
from app.service.recordings import check_duration, recording_of
from app.service.song_map import song_map
from app.service.watching import Metrics, Watching
from audio_model.decode import SUFFIXES
from data_prep.catalogue import Song, SongFilter
from data_prep.errors import InputError
from data_prep.taxonomy import as_mapping
from fusion.recommendation import Wishes
from lyrics_model.predictor import MAX_CHARACTERS

PREFIX: Final = "/api/v1"
WORDS_AT_ONCE: Final = 2
READS_AT_ONCE: Final = 4
UPLOADS_WAITING: Final = 16
MOST_LISTED: Final = 200

_TOLD: Final = (
    "id", "title", "artist", "album", "year", "genre", "language", "licence", "link", "source",
    "missing_since",
)  # fmt: skip
_OF_PROXIES: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_BODY_MARGIN: Final = 1_000_000
_CHUNK: Final = 1 << 20
_FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": models.Failed, "description": told}
    for status, told in {
        400: "The request is not HTTP as it should be.",
        401: "A user and a password are needed.",
        404: "It is not there.",
        405: "The address does not take that method.",
        413: "The body is too large.",
        421: "The service does not answer to that host name.",
        422: "An input cannot be used; the message says why.",
        503: "Busy, with Retry-After; or the catalogue cannot be read.",
        504: "Reading took too long.",
    }.items()
}

Text = Annotated[str | None, Form(description="A mood, or lyrics with their line breaks.")]
Recording = Annotated[UploadFile | None, File(description="A recording.")]
SongId = Annotated[models.Name, Query(description="Id of a song of the catalogue.")]


class Api:
    """The endpoints over one :class:`Answers`.

    Parameters
    ----------
    answers
        What they ask.
    options
        Limits.
    metrics
        Where they are counted.
    """

    def __init__(self, answers: Answers, options: ServiceOptions, metrics: Metrics) -> None:
        self._answers = answers
        self._options = options
        self._metrics = metrics
        self._words = Gate(WORDS_AT_ONCE, options.waiting)
        self._sound = Gate(options.sound_workers, UPLOADS_WAITING)
        self._reads = Gate(READS_AT_ONCE, options.waiting)
        self._known_paths: set[str] = set()

    def router(self) -> APIRouter:
        """All endpoints below ``PREFIX``."""
        router = APIRouter(prefix=PREFIX, responses=_FAILURES)
        add = router.add_api_route
        add("/analyse", self.analyse, methods=["POST"], response_model=models.Analysis)
        add("/recommend", self.recommend, methods=["POST"], response_model=models.Recommendations)
        add("/similar", self.similar, response_model=models.SimilarSongs)
        add("/songs", self.songs, response_model=models.Songs)
        add("/song", self.song, response_model=models.SongOfCatalogue)
        add("/map", self.map, response_model=models.SongMapAnswer)
        add("/audio", self.audio, response_class=FileResponse)
        add("/playlist", self.playlist, response_class=Response)
        add("/feedback", self.judge, methods=["POST"], response_model=models.Kept)
        add("/feedback", self.judgements, response_model=models.Judgements)
        add("/feedback", self.forget, methods=["DELETE"], response_model=models.Deleted)
        self._known_paths = {r.path for r in router.routes if isinstance(r, APIRoute)}
        # else the page, which is mounted behind, would answer in its own way
        add("/{rest:path}", self.nothing, methods=list(_METHODS), include_in_schema=False)
        return router

    async def analyse(
        self,
        request: Request,
        text: Text = None,
        audio: Recording = None,
        details: Annotated[bool, Form(description="Also how far both disagree.")] = False,
    ) -> Response:
        """Read the emotions of a mood, of lyrics, of a recording, or of lyrics and recording."""
        if text is not None and len(text) > MAX_CHARACTERS:
            raise InputError(f"the text has {len(text):,} characters: at most 100,000 are read")
        if audio is None or not (audio.filename or audio.size):
            _note_words(request, text, self._options)
            reading = await self._words.run(lambda: self._answers.reading(None, text))
        else:
            async with self._kept(audio) as path:
                reading = await self._sound.run(lambda: self._answers.reading(path, text))
        return _json(reading.to_json(details=details))

    async def recommend(self, request: Request, asked: models.RecommendationRequest) -> Response:
        """Songs whose emotion fits a mood in words, or emotions."""
        if (asked.text is None) == (asked.emotions is None):
            raise InputError("give either text or emotions")
        wishes, listener = asked.wishes(), _listener(asked.listener, asked.learn)
        if asked.emotions is not None:
            vector = asked.emotions.vector()
            answer = await self._words.run(
                lambda: self._answers.for_emotions(vector, wishes, listener)
            )
            query: dict[str, Any] = {"fused": as_mapping(answer.query)}
        else:
            words = asked.text or ""
            _note_words(request, words, self._options)
            answer = await self._words.run(lambda: self._answers.for_mood(words, wishes, listener))
            assert answer.analysis is not None, "a mood is analysed"
            query = answer.analysis.to_json(details=asked.details)
        return _json(_listed(query, answer, details=asked.details))

    async def similar(
        self,
        id: SongId,
        count: models.Count = 5,
        listener: models.ListenerName | None = None,
        learn: bool = True,
    ) -> Response:
        """Songs like one of the catalogue."""
        wishes = Wishes(count)
        by = _listener(listener, learn)

        def search() -> dict[str, Any]:
            self._known(id)
            answer = self._answers.similar(id, wishes, by)
            assert answer.like is not None, "it was there"
            return _listed(self._told([answer.like])[0], answer)

        return _json(await self._words.run(search))

    async def songs(
        self,
        search: Annotated[str, Query(max_length=models.MOST_ID, pattern=r"^[^\x00]*$")] = "",
        genre: models.Name | None = None,
        artist: models.Name | None = None,
        language: models.Name | None = None,
        source: models.Name | None = None,
        offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 20,
    ) -> Response:
        """Songs of the catalogue, in the order of their ids."""
        where = SongFilter(genre=genre, artist=artist, language=language, source=source)

        def read() -> dict[str, Any]:
            catalogue = self._answers.songs.catalogue
            found = catalogue.page(where, search, offset=offset, limit=limit)
            total = self._answers.songs.count()
            return {"total": total, "songs": self._told(found)}

        return _json(await self._reads.run(read))

    async def song(self, id: SongId) -> Response:
        """One song."""
        return _json(await self._reads.run(lambda: self._told([self._known(id)])[0]))

    async def map(self) -> Response:
        """The songs as points, as many as can be looked at."""
        return _json(await self._reads.run(lambda: song_map(self._answers.songs).to_json()))

    async def audio(self, request: Request, id: SongId) -> Response:
        """A recording of a song, as the file that was indexed; parts of it by Range."""

        def find() -> Path:
            song = self._known(id)
            may = self._gives_files(request)
            path = recording_of(song, self._answers.songs.file(id)) if may else None
            if path is None:
                raise UnknownError("there is no recording of that song to be played here")
            return path

        return FileResponse(await self._reads.run(find), headers={"Cache-Control": "no-store"})

    async def playlist(
        self,
        request: Request,
        id: Annotated[list[models.Name], Query(description="Ids, in their order.")],
        format: PlaylistForm = "m3u8",
    ) -> Response:
        """Songs as a file: a playlist, or a table."""
        if len(id) > MOST_LISTED:
            raise InputError(f"{len(id)} songs: at most {MOST_LISTED} go into a playlist")

        def make() -> str:
            found = self._answers.songs.catalogue.get(id)
            return playlist_of(found, format, with_paths=self._gives_files(request))

        content = await self._reads.run(make)
        name = f'attachment; filename="maeum.{format}"'
        kind = PLAYLIST_FORMS[format]
        return Response(content, media_type=kind, headers={"Content-Disposition": name})

    async def judge(self, judgement: models.Judgement) -> Response:
        """Keep what a listener says of a song that was shown."""
        j = judgement
        await self._reads.run(lambda: self._answers.judge(j.list, j.song, j.verdict))
        return _json({"song": j.song, "verdict": j.verdict})

    async def judgements(self, listener: models.ListenerName) -> Response:
        """All that is stored of a listener."""
        rows = await self._reads.run(lambda: self._answers.judgements(listener))
        return _json({"judgements": rows})

    async def forget(self, listener: models.ListenerName) -> Response:
        """Delete all that is stored of a listener."""
        return _json({"deleted": await self._reads.run(lambda: self._answers.forget(listener))})

    async def nothing(self, request: Request, rest: str) -> Response:
        """There is no such address, or not for that method."""
        if f"{PREFIX}/{rest}" in self._known_paths:
            return failure("not_allowed", f"{PREFIX}/{rest} does not take {request.method}")
        raise UnknownError(f"there is nothing at {PREFIX}/{rest[:80]}")

    async def health(self) -> Response:
        """Whether the service is there."""
        return _json({"status": "ok", "version": version("maeum")})

    async def ready(self) -> Response:
        """Whether the service can answer: catalogue and model can be used."""

        def look() -> dict[str, Any]:
            songs = self._answers.songs
            self._answers.warm_up()
            return {"status": "ready", "songs": songs.count(), "fusion": songs.settings().hash}

        return _json(await self._reads.run(look))

    async def metrics(self) -> Response:
        """Counters in Prometheus' form."""
        text = await self._reads.run(lambda: self._metrics.text(self._answers.songs.count()))
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    def _known(self, song_id: str) -> Song:
        song = self._answers.songs.song(song_id)
        if song is None:
            raise UnknownError("no song of the catalogue has that id")
        return song

    def _gives_files(self, request: Request) -> bool:
        """Whether who asks may have recordings and their paths."""
        came_through = any(name in request.headers for name in _OF_PROXIES)
        return self._options.files and (self._options.files_through_proxy or not came_through)

    def _told(self, songs: list[Song]) -> list[dict[str, Any]]:
        """Songs as they are told: facts, what they are fused to, whether they can be played."""
        read = [song for song in songs if song.lyrics is not None or song.audio is not None]
        answers = self._answers.songs.shelf().fused(read)
        fused = {song.id: one.distribution for song, one in zip(read, answers, strict=True)}
        return [
            {
                **{name: getattr(song, name) for name in _TOLD},
                "fused": as_mapping(fused.get(song.id)),
                "playable": self._options.files
                and song.path is not None
                and song.missing_since is None,
            }
            for song in songs
        ]

    @asynccontextmanager
    async def _kept(self, upload: UploadFile) -> AsyncIterator[Path]:
        """An upload as a file, for as long as it is read; its name is ours but for its ending."""
        suffix = Path(upload.filename or "").suffix.lower()
        suffix = suffix if suffix in SUFFIXES else ".audio"
        handle, name = tempfile.mkstemp(prefix="maeum-upload-", suffix=suffix)
        path = Path(name)
        try:
            most, size = 1_000_000 * self._options.max_upload_mb, 0
            with os.fdopen(handle, "wb") as file:
                while chunk := await upload.read(_CHUNK):
                    size += len(chunk)
                    if size > most:
                        limit = self._options.max_upload_mb
                        raise TooLargeError(f"the recording is larger than {limit} MB")
                    file.write(chunk)
            await self._reads.run(lambda: check_duration(path, self._options.max_minutes))
            yield path
        finally:
            with suppress(OSError):
                path.unlink()


def create_api(answers: Answers, options: ServiceOptions) -> FastAPI:
    """The service without a page.

    Parameters
    ----------
    answers
        What it asks; closed with the service.
    options
        Limits and doors.
    """
    metrics = Metrics()
    api = Api(answers, options, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            answers.close()

    app = FastAPI(
        title="maeum",
        summary="Reads the emotion of songs from words and sound, and finds songs for a mood.",
        version=version("maeum"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,  # their scripts come from elsewhere
        redoc_url=None,
        root_path=options.root_path,
        lifespan=lifespan,
    )
    app.include_router(api.router())
    add = app.add_api_route
    add("/health", api.health, response_model=models.Health, responses=_FAILURES)
    add("/ready", api.ready, response_model=models.Ready, responses=_FAILURES)
    add("/metrics", api.metrics, response_class=Response, responses=_FAILURES)
    tell_failures(app)
    # The last is the outermost.
    app.add_middleware(
        LimitedBody,
        most_bytes=1_000_000 * options.max_upload_mb + _BODY_MARGIN,
        refuse=failure("too_large", f"at most {options.max_upload_mb} MB can be sent"),
    )
    app.add_middleware(
        FewUploads,
        most=options.sound_workers + UPLOADS_WAITING,
        refuse=failure("busy", "too many send recordings at once: try again in a moment"),
    )
    if options.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(options.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(Protection, options=options)
    app.add_middleware(Watching, metrics=metrics, log=options.log)
    return app


def _listener(name: str | None, learns: bool) -> Listener | None:
    return None if name is None else Listener(name, learns)


def _listed(query: dict[str, Any], answer: Answer, *, details: bool = False) -> dict[str, Any]:
    results = [found.to_json(details=details) for found in answer.recommendations]
    return {"query": query, "results": results, "list": answer.token}


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _note_words(request: Request, words: str | None, options: ServiceOptions) -> None:
    if options.log_words and words is not None:
        request.state.maeum_words = words
