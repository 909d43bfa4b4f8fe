"""A whole service for tests, in a thread of this process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from app.page.mounting import mount_page
from app.service.answers import Answers
from app.service.http import create_api
from app.service.options import ServiceOptions


@contextmanager
def serving(answers: Answers, options: ServiceOptions) -> Iterator[str]:
    """The service with its page; gives its address."""
    app = create_api(answers, options)
    mount_page(app, answers, options)
    with listening(app) as address:
        yield address


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """A service, whatever it is; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
