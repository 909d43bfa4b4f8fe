"""What belongs to a page is answered by the process that has the page."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from app.service.same_process import COOKIE, SameProcess


def service(name: str) -> Starlette:
    async def tell(request: Request) -> PlainTextResponse:
        body = (await request.body()).decode()
        asked = f"{request.url.path}?{request.url.query} {request.headers.get('host')}"
        answer = PlainTextResponse(f"{name} {request.method} {asked} {body}", status_code=418)
        answer.headers.append("x-own", "1")
        answer.headers.append("x-own", "2")
        return answer

    async def stream(_: Request) -> StreamingResponse:
        async def parts():
            for i in range(3):
                yield f"{name}{i};"
                await asyncio.sleep(0.2)

        return StreamingResponse(parts())

    methods = ["GET", "POST"]
    return Starlette(
        routes=[
            Route("/gradio_api/stream", stream),
            Route("/{rest:path}", tell, methods=methods),
        ]
    )


class Running:
    def __init__(self, name: str, folder: Path) -> None:
        self.process = SameProcess(service(name), folder)
        self.own = self.process.begin()
        self.tcp = socket.create_server(("127.0.0.1", 0))
        configuration = uvicorn.Config(self.process, log_level="error", lifespan="off")
        self.server = uvicorn.Server(configuration)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [self.tcp, self.own]}, daemon=True
        )
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.address = f"http://127.0.0.1:{self.tcp.getsockname()[1]}"

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@contextmanager
def running(name: str, folder: Path) -> Iterator[Running]:
    one = Running(name, folder)
    try:
        yield one
    finally:
        one.stop()
        one.process.end()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    with ExitStack() as stack:
        yield (
            stack.enter_context(running("a", tmp_path)),
            stack.enter_context(running("b", tmp_path)),
        )


def test_a_page_gets_a_cookie_and_keeps_it(two):
    a, b = two
    first = httpx.get(f"{a.address}/")
    assert first.cookies[COOKIE] == a.process.name
    assert "HttpOnly" in first.headers["set-cookie"]
    again = httpx.get(f"{b.address}/", cookies={COOKIE: a.process.name})
    assert "set-cookie" not in again.headers
    unknown = httpx.get(f"{b.address}/", cookies={COOKIE: "0" * 16})
    assert unknown.cookies[COOKIE] == b.process.name


def test_what_belongs_to_a_page_is_answered_where_the_page_is(two):
    a, b = two
    for asked in (a, b):
        for owner, name in ((a, "a"), (b, "b")):
            answer = httpx.post(
                f"{asked.address}/gradio_api/run/x%2Fy?q=%EC%9A%B0",
                cookies={COOKIE: owner.process.name},
                content="우울해".encode(),
            )
            host = asked.address.removeprefix("http://")
            assert answer.text == f"{name} POST /gradio_api/run/x/y?q=%EC%9A%B0 {host} 우울해"
            assert answer.status_code == 418
            assert answer.headers.get_list("x-own") == ["1", "2"]


def test_the_http_interface_is_answered_where_it_is_asked(two):
    a, b = two
    for path in ("/api/v1/recommend", "/health", "/assets/index.js"):
        answer = httpx.get(f"{b.address}{path}", cookies={COOKIE: a.process.name})
        assert answer.text.startswith("b ")


def test_visitors_without_a_cookie_all_belong_to_one(two):
    answers = {httpx.get(f"{one.address}/gradio_api/call").text[0] for one in two}
    assert len(answers) == 1


def test_a_stream_comes_as_it_is_made(two):
    a, b = two
    begin, seen = time.monotonic(), []
    url = f"{b.address}/gradio_api/stream"
    with httpx.stream("GET", url, cookies={COOKIE: a.process.name}) as answer:
        for part in answer.iter_text():
            seen.append((part, time.monotonic() - begin))
    assert "".join(part for part, _ in seen) == "a0;a1;a2;"
    assert seen[0][1] < seen[-1][1] - 0.1, "it was held back"


def test_a_process_that_was_killed_is_not_waited_for(two):
    a, b = two
    name = a.process.name
    a.stop()  # without giving its name back
    answer = httpx.get(f"{b.address}/gradio_api/x", cookies={COOKIE: name})
    assert answer.text.startswith("b ")
    page = httpx.get(f"{b.address}/", cookies={COOKIE: name})
    assert page.cookies[COOKIE] == b.process.name
    assert httpx.get(f"{b.address}/gradio_api/x").text.startswith("b ")


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a" * 15, "A" * 16, "\x00", "a" * 99])
def test_names_that_are_none_lead_nowhere(two, name):
    _, b = two
    headers = {"cookie": f'{COOKIE}="{name}"'.encode("latin-1", "replace").decode("latin-1")}
    if "\x00" not in name:
        assert httpx.get(f"{b.address}/gradio_api/x", headers=headers).status_code == 418


def test_the_folder_of_a_proxy_is_the_cookies(tmp_path):
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    process = SameProcess(app, tmp_path)
    with process.begin():
        scope = {"type": "http", "path": "/music/", "root_path": "/music", "headers": [],
                 "server": ("127.0.0.1", 80), "query_string": b"", "method": "GET"}  # fmt: skip
        asyncio.run(process(scope, None, send))
    (cookie,) = (value for name, value in sent[0]["headers"] if name == b"set-cookie")
    assert f"{COOKIE}={process.name}; Path=/music;" in cookie.decode()
