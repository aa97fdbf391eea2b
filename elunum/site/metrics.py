"""What /metrics counts: answers and their latency by route template, method and status. Nothing else exists to leak.

With several workers, prometheus-client shares counts through small files of numbers in PROMETHEUS_MULTIPROC_DIR,
which `serve` makes for the time it runs.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

_REGISTRY = CollectorRegistry()
_REQUESTS = Counter(
    "elunum_requests", "Answers by route template, method and status", ["route", "method", "status"], registry=_REGISTRY
)
_LATENCY = Histogram(
    "elunum_latency_seconds",
    "Time from request to last byte handed over",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
    registry=_REGISTRY,
)
_METHODS = frozenset({"GET", "HEAD", "POST"})


class Address(Route):
    """A route that says its template to what counts: Starlette's own leaves no trace of which one answered."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        await super().handle(scope, receive, send)


def route_of(scope: Scope) -> str:
    """Template of the route that answered, such as /similaires/{id}; "other" when none did."""
    route = scope.get("route")
    return getattr(route, "path", "other")


def count(scope: Scope, status: int, seconds: float) -> None:
    """Count one answer. status: 0 when the reader left before it began."""
    route = route_of(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    _REQUESTS.labels(route, method, str(status)).inc()
    _LATENCY.labels(route).observe(seconds)


def exposition() -> bytes:
    """All counts of all workers, in the text format of Prometheus."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(_REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
