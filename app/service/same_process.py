"""A visitor of the page stays with one of a service's processes.

Gradio keeps what a page shows in the process that the page speaks to. Where several processes
share an address, the system gives a connection to whichever is free; what belongs to a page is
then handed on to the process that the page's cookie names, over a socket in a folder that only
this service can read. Visitors without a cookie, as scripts are, all belong to one of them. The
HTTP interface keeps nothing and is answered anywhere.
"""

from __future__ import annotations

import re
import secrets
import socket
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from starlette.background import BackgroundTask
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "maeum-process"
OF_A_PAGE: Final = "/gradio_api/"
"""Beginning of the paths that belong to a page."""
BEGINNINGS: Final = ("/", "/config")
"""Where a page begins, in a browser and in a program."""

_NAME: Final = re.compile(r"[0-9a-f]{16}")
_ENDING: Final = ".sock"
_BACKLOG: Final = 256
# of one connection, not to be handed on
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


class SameProcess:
    """ASGI middleware: hands on what belongs to a page of another process.

    Parameters
    ----------
    app
        What answers here.
    folder
        Where the processes have their sockets; nobody else may read it.

    Attributes
    ----------
    name
        Of this process among them; empty before :meth:`begin`.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self.app = app
        self.name = ""
        self._folder = folder
        self._clients: dict[str, httpx.AsyncClient] = {}

    def begin(self) -> socket.socket:
        """Take a name in this process; gives the socket that the others hand on to."""
        self.name, self._clients = secrets.token_hex(8), {}
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(self._place(self.name)))
        listening.listen(_BACKLOG)
        return listening

    def end(self) -> None:
        """Give the name back: new visitors go to others."""
        with suppress(OSError):
            self._place(self.name).unlink()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _was_handed_on(scope):
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        asked = _cookie(scope)
        if path.startswith(OF_A_PAGE):
            owner = asked if self._is_there(asked) else self._first()
            if owner != self.name and await self._hand_on(owner, scope, receive, send):
                return
        elif path in BEGINNINGS and not self._is_there(asked):
            send = self._with_cookie(scope, send)
        await self.app(scope, receive, send)

    def _place(self, name: str) -> Path:
        return self._folder / f"{name}{_ENDING}"

    def _is_there(self, name: str) -> bool:
        return bool(_NAME.fullmatch(name)) and self._place(name).exists()

    def _first(self) -> str:
        """The process of those without a cookie, the same for all processes."""
        names = [path.stem for path in self._folder.glob(f"*{_ENDING}")]
        return min(names, default=self.name)

    def _with_cookie(self, scope: Scope, send: Send) -> Send:
        where = scope.get("root_path", "") or "/"
        cookie = f"{COOKIE}={self.name}; Path={where}; HttpOnly; SameSite=Lax"

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        return told

    async def _hand_on(self, owner: str, scope: Scope, receive: Receive, send: Send) -> bool:
        """Have another process answer; tells whether it was there to be asked."""
        client = self._clients.get(owner)
        if client is None:
            transport = httpx.AsyncHTTPTransport(uds=str(self._place(owner)))
            client = self._clients[owner] = httpx.AsyncClient(transport=transport, timeout=None)
        request = Request(scope, receive)
        query = scope["query_string"].decode("latin-1")
        raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        asked = client.build_request(
            request.method,
            f"http://process{raw_path}{f'?{query}' if query else ''}",
            headers=_kept(request.headers),
            content=request.stream() if _has_body(request.headers) else None,
        )
        try:
            answer = await client.send(asked, stream=True)
        except httpx.ConnectError:  # it was killed and could not give its name back
            with suppress(OSError):
                self._place(owner).unlink()
            return False
        response = StreamingResponse(
            answer.aiter_raw(),
            status_code=answer.status_code,
            background=BackgroundTask(answer.aclose),
        )
        response.raw_headers = _kept_raw(answer.headers)
        try:
            await response(scope, receive, send)
        finally:
            await answer.aclose()
        return True


def _was_handed_on(scope: Scope) -> bool:
    """Whether it came over the socket of this process: then there is no port."""
    server: Any = scope.get("server")
    return server is not None and server[1] is None


def _cookie(scope: Scope) -> str:
    try:
        cookie = SimpleCookie(Headers(scope=scope).get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if cookie is None else cookie.value


def _has_body(headers: Headers) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers


def _kept(headers: Headers) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name not in _HOP_BY_HOP]


def _kept_raw(headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
    hop_by_hop = {name.encode() for name in _HOP_BY_HOP}
    return [(n.lower(), value) for n, value in headers.raw if n.lower() not in hop_by_hop]
