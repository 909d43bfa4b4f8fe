"""What is seen of a service: a line in the log for each request, and Prometheus metrics."""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.service.options import LogForm
from app.service.processes import METRICS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("maeum.requests")

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# What is not of the HTTP interface has addresses without end.
_OTHER: Final = "page"


class Metrics:
    """Counters of one service, of all its processes together, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._shared = CollectorRegistry() if METRICS in os.environ else None
        if self._shared is not None:
            MultiProcessCollector(self._shared)  # type: ignore[no-untyped-call]
        labels = ("route", "status")
        self._requests = Counter(
            "maeum_requests", "Requests answered.", labels, registry=self._registry
        )
        self._seconds = Histogram(
            "maeum_request_seconds",
            "Seconds until a request was answered.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._songs = self._gauge("maeum_songs", "Songs in the catalogue.")
        self._memory = self._gauge("maeum_memory_bytes", "Memory that the service holds.")
        self._started = self._gauge("maeum_start_time_seconds", "Unix time of the start.")
        self._started_at = time.time()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self, songs: int) -> bytes:
        """All of it in Prometheus' form."""
        self._songs.set(songs)
        self._memory.set(resident_bytes() if self._shared is None else bytes_of_siblings())
        self._started.set(self._started_at)
        return generate_latest(self._registry if self._shared is None else self._shared)

    def _gauge(self, name: str, told: str) -> Gauge:
        # whoever is asked sets them, and tells what was set last
        return Gauge(name, told, registry=self._registry, multiprocess_mode="mostrecent")


def resident_bytes() -> int:
    """Memory of this process in bytes; 0 where the system does not tell."""
    return _bytes("/proc/self/status", "VmRSS:")


def bytes_of_siblings() -> int:
    """Memory in bytes of the process that started this one and of all that it started.

    What several of them share counts once. 0 where the system does not tell.
    """
    parent = os.getppid()
    with suppress(OSError, ValueError):
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
        family = [parent, *map(int, listed.split())]
        return sum(_bytes(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in family)
    return 0


def _bytes(path: str, field: str) -> int:
    try:
        for line in Path(path).read_text(encoding="ascii", errors="replace").split("\n"):
            if line.startswith(field):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return 0


class Watching:
    """ASGI middleware: counts and logs requests; no words, no listeners, no addresses.

    Parameters
    ----------
    app
        What is watched.
    metrics
        Where requests are counted.
    log
        Form of the log.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, log: LogForm) -> None:
        self.app = app
        self._metrics = metrics
        self._form = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status, sent = 500, 0

        async def watched(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", "") or _OTHER
            self._metrics.answered(route, status, seconds)
            if self._form != "off":
                self._write(scope, route, status, sent, seconds)

    def _write(self, scope: Scope, route: str, status: int, sent: int, seconds: float) -> None:
        facts: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": secrets.token_hex(4),
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(1000.0 * seconds, 1),
            "bytes": sent,
        }
        words = scope.get("state", {}).get("maeum_words")
        if words is not None:
            facts["words"] = words
        if self._form == "json":
            _log.info(json.dumps(facts, ensure_ascii=False))
        else:
            _log.info(" ".join(str(value) for value in facts.values()))
