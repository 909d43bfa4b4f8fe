"""Running a service: until SIGINT or SIGTERM, after which what is being answered is answered."""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from app.service.options import ServiceOptions
from data_prep.errors import InputError

if TYPE_CHECKING:
    from fastapi import FastAPI

FINISH_S: Final = 10
"""Seconds that running answers have at the end."""
MOST_CONNECTIONS: Final = 1_000

KEEP_ALIVE_S: Final = 30

_BACKLOG: Final = 512


def run(app: FastAPI, options: ServiceOptions) -> None:
    """Serve, and say where.

    Raises
    ------
    InputError
        If the address cannot be used.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            tell_address(options)

    listening = listen(options)
    configuration = uvicorn.Config(
        app,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        **server_options(options),
    )
    # uvicorn ends well and then sends itself the signal again, which would end us badly
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    with suppress(KeyboardInterrupt):
        Server(configuration).run(sockets=[listening])


def server_options(options: ServiceOptions) -> dict[str, Any]:
    """What uvicorn is told, whether there is one process or several."""
    return {
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": FINISH_S,
        "limit_concurrency": MOST_CONNECTIONS,
        "root_path": options.root_path,
    }


def tell_address(options: ServiceOptions) -> None:
    """Say where the service is, and who can use it."""
    if not options.is_local and not options.passwords:
        print("maeum: whoever can reach this machine can use the page", file=sys.stderr)
    print(f"maeum: http://{options.host}:{options.port}  (Ctrl+C ends it)", flush=True)


def listen(options: ServiceOptions, *, again: bool = False) -> socket.socket:
    """A socket at the service's address.

    Parameters
    ----------
    again
        Whether processes of the service listen there as well: the system gives each its share
        of the connections. Otherwise nobody else may be there.

    Raises
    ------
    InputError
        If the address cannot be used.
    """
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        address = (options.host, options.port)
        return socket.create_server(address, family=family, backlog=_BACKLOG, reuse_port=again)
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(
            f"{options.host}:{options.port} cannot be used ({error}): choose another with --port "
            "or --host"
        ) from error
