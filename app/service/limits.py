"""Limits of the service: how much is done at once, how much may wait, how large a body may be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.to_thread

from data_prep.errors import MaeumError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

RETRY_AFTER_S: Final = 1

_T = TypeVar("_T")


class BusyError(MaeumError):
    """There is as much to do as may wait."""


class TooLargeError(MaeumError):
    """A body is larger than may be sent."""


class Gate:
    """Lets so many through at once, and so many wait.

    Parameters
    ----------
    at_once
        Calls that run together.
    waiting
        Calls that may wait for them; more are refused at once.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self._at_once = at_once
        self._most = at_once + waiting
        self._inside = 0
        self._lock = threading.Lock()

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do something in a thread.

        Raises
        ------
        BusyError
            If too many wait already.
        """
        with self._lock:
            if self._inside >= self._most:
                raise BusyError("too many ask at once: try again in a moment")
            self._inside += 1
        try:
            if self._limiter is None:  # it belongs to the running loop
                self._limiter = anyio.CapacityLimiter(self._at_once)
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            with self._lock:
                self._inside -= 1


class FewUploads:
    """ASGI middleware: turns away an upload while as many are coming or being read as may be.

    Parameters
    ----------
    app
        What is protected.
    most
        Uploads at once.
    refuse
        Answers one too many.
    """

    def __init__(self, app: ASGIApp, most: int, refuse: ASGIApp) -> None:
        self.app = app
        self._most = most
        self._refuse = refuse
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = dict(scope.get("headers", ())).get(b"content-type", b"").lower()
        if scope["type"] != "http" or not kind.startswith(b"multipart/form-data"):
            await self.app(scope, receive, send)
            return
        if self._inside >= self._most:
            await self._refuse(scope, receive, send)
            return
        self._inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._inside -= 1


class LimitedBody:
    """ASGI middleware: stops to receive a body that is too large, while it comes.

    Parameters
    ----------
    app
        What is protected.
    most_bytes
        Of one body.
    refuse
        Answers a request whose body is too large.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, refuse: ASGIApp) -> None:
        self.app = app
        self._most = most_bytes
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._most:
            await self._refuse(scope, receive, send)
            return
        received, is_too_large, has_begun = 0, False, False

        async def counted() -> Message:
            nonlocal received, is_too_large
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most:
                is_too_large = True
                return {"type": "http.disconnect"}
            return message

        async def unless_too_large(message: Message) -> None:
            nonlocal has_begun
            if is_too_large and not has_begun:
                return
            has_begun = True
            await send(message)

        try:
            await self.app(scope, counted, unless_too_large)
        except Exception:
            if not is_too_large:
                raise
        if is_too_large and not has_begun:
            await self._refuse(scope, receive, send)
