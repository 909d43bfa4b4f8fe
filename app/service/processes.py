"""A service of several processes: one address, and one copy of code, models and index.

They are made by copying one process in which everything is there, so that each holds only what it
writes itself. The arbiter is gunicorn: a process that ends or hangs is replaced; SIGHUP replaces
all of them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.service.running import FINISH_S, KEEP_ALIVE_S, listen, server_options, tell_address
from data_prep.errors import InputError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.service.options import ServiceOptions

METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where processes keep their counters; read when prometheus_client is imported."""

HANGS_AFTER_S: Final = 60
"""Seconds without a sign of life after which a process is replaced."""

_LOOK_S: Final = 1.0
_LONGEST_FOLDER: Final = 70  # of whose sockets the system takes the names
# Of one socket whoever is quickest takes all connections that wait; of several each has its own.
_SHARES_OUT: Final = sys.platform == "linux"


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder for sockets and counters of the processes, for as long as the service runs.

    To be entered before anything of the service is imported.

    Raises
    ------
    InputError
        If processes cannot be copied on this system.
    """
    if not hasattr(os, "fork"):
        raise InputError("--processes: this system has one process for a service; leave it out")
    folder = Path(tempfile.mkdtemp(prefix="maeum-serve-"))
    if len(str(folder)) > _LONGEST_FOLDER:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="maeum-serve-", dir="/tmp"))
    before = os.environ.get(METRICS)
    os.environ[METRICS] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ[METRICS]
        else:
            os.environ[METRICS] = before
        shutil.rmtree(folder, ignore_errors=True)


def run_processes(
    app: FastAPI, options: ServiceOptions, folder: Path, *, end: Callable[[], None]
) -> None:
    """Serve by several processes, until SIGINT or SIGTERM.

    Parameters
    ----------
    app
        The service: everything loaded, nothing started, no connection open.
    options
        Limits and doors.
    folder
        Of :func:`shared_folder`.
    end
        Called in a process when it has answered its last question.

    Raises
    ------
    InputError
        If the address cannot be used.
    """
    from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
    from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

    from app.service.same_process import SameProcess

    served = SameProcess(app, folder)
    listen(options).close()  # nobody else is there
    listening = listen(options, again=_SHARES_OUT).detach()  # closed by the arbiter

    class Worker(UvicornWorker):  # type: ignore[misc]
        CONFIG_KWARGS: Final[dict[str, Any]] = {
            **UvicornWorker.CONFIG_KWARGS,
            **server_options(options),
        }

        def _install_sigquit_handler(self) -> None:
            # what the arbiter sends after Ctrl+C: the server itself knows SIGTERM
            asyncio.get_running_loop().add_signal_handler(
                signal.SIGQUIT, os.kill, os.getpid(), signal.SIGTERM
            )

        async def _serve(self) -> None:
            watching = asyncio.create_task(_end_with(self.ppid))
            self.sockets.append(served.begin())
            if _SHARES_OUT:
                self.sockets.append(listen(options, again=True))
            try:
                await super()._serve()
            finally:
                watching.cancel()
                served.end()
                end()

    class Service(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings: dict[str, Any] = {
                "bind": [f"fd://{listening}"],
                "workers": options.processes,
                "worker_class": Worker,
                "preload_app": True,
                "timeout": HANGS_AFTER_S,
                "graceful_timeout": FINISH_S + 1,
                "keepalive": KEEP_ALIVE_S,
                "loglevel": "warning",
                "control_socket_disable": True,
                "when_ready": lambda _: tell_address(options),
                "child_exit": _forget_counters,
            }
            for name, value in settings.items():
                if name in self.cfg.settings:  # an older gunicorn has no control socket
                    self.cfg.set(name, value)

        def load(self) -> SameProcess:
            return served

    gc.collect()
    gc.freeze()  # what is there is never looked at again, and so never copied
    try:
        Service().run()
    except SystemExit as ended:
        if ended.code:
            raise
    finally:
        sys.stdout.flush()


async def _end_with(arbiter: int) -> None:
    """End this process when the arbiter is gone, even if that was killed."""
    while os.getppid() == arbiter:
        await asyncio.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _forget_counters(_: Any, worker: Any) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
