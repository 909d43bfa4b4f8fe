"""What every request passes: the host's name, a password, headers for the browser."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders

from app.service.errors import failure
from app.service.options import LOOPBACK, ServiceOptions

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS: Final = frozenset({"/health"})
"""What is answered without a password."""

CLOSED_PATHS: Final = tuple(
    f"/gradio_api/{name}" for name in ("proxy=", "deep_link", "reload", "vibe", "component_server")
)
"""Beginnings of paths that Gradio would answer and the page has no use for."""

POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


class Protection:
    """ASGI middleware. The browser may fetch from this server only; others may not ask.

    A service of one machine answers to that machine's names alone, so that no page elsewhere
    can reach it under a name of its own.
    """

    def __init__(self, app: ASGIApp, options: ServiceOptions) -> None:
        self.app = app
        self._options = options
        self._expected = [
            base64.b64encode(f"{user}:{password}".encode()) for user, password in options.passwords
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        # the server puts the path that a proxy offers us under before every address
        path = scope["path"].removeprefix(scope.get("root_path", ""))

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = MutableHeaders(scope=message)
                ours["Content-Security-Policy"] = POLICY
                ours["X-Content-Type-Options"] = "nosniff"
                ours["Referrer-Policy"] = "no-referrer"
            await send(message)

        if self._options.is_local and _name(headers.get("host", "")) not in LOOPBACK:
            refused = failure("unknown_host", "this service answers to this machine's names alone")
            await refused(scope, receive, with_headers)
        elif path.startswith(CLOSED_PATHS) or "\0" in path:
            await failure("unknown", "there is nothing here")(scope, receive, with_headers)
        elif path not in OPEN_PATHS and not self._may(headers.get("authorization", "")):
            refused = failure("unauthorised", "a user and a password are needed")
            await refused(scope, receive, with_headers)
        else:
            await self.app(scope, receive, with_headers)

    def _may(self, given: str) -> bool:
        if not self._expected:
            return True
        scheme, _, credentials = given.partition(" ")
        offered = credentials.strip().encode("utf-8", "replace")
        # all are compared, so that the time tells nothing
        matches = [hmac.compare_digest(offered, expected) for expected in self._expected]
        return scheme.lower() == "basic" and any(matches)


def _name(host: str) -> str:
    """Host name of a ``Host`` header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
