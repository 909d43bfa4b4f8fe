"""What is seen of a service: a line in the log for each request, and Prometheus metrics."""

from __future__ import annotations

import json
import logging
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.service.options import LogForm

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("maeum.requests")

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# What is not of the HTTP interface has addresses without end.
_OTHER: Final = "page"


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
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
        self._songs = Gauge("maeum_songs", "Songs in the catalogue.", registry=self._registry)
        self._memory = Gauge(
            "maeum_memory_bytes", "Memory that the service holds.", registry=self._registry
        )
        started = Gauge(
            "maeum_start_time_seconds", "Unix time of the start.", registry=self._registry
        )
        started.set_to_current_time()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self, songs: int) -> bytes:
        """All of it in Prometheus' form."""
        self._songs.set(songs)
        self._memory.set(resident_bytes())
        return generate_latest(self._registry)


def resident_bytes() -> int:
    """Memory of this process in bytes; 0 where the system does not tell."""
    try:
        for line in (
            Path("/proc/self/status").read_text(encoding="ascii", errors="replace").split("\n")
        ):
            if line.startswith("VmRSS:"):
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
