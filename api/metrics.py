"""Counts for Prometheus: requests by route and status, and how long they took."""

import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest


def install(app: FastAPI) -> None:
    """Count every request of this app; a registry of its own, so that two apps in one process do not mix."""
    registry = CollectorRegistry()
    requests = Counter("clinic_requests", "Requests answered", ["method", "route", "status"], registry=registry)
    seconds = Histogram("clinic_request_seconds", "Time to answer", ["method", "route"], registry=registry)

    @app.middleware("http")
    async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        began = time.perf_counter()
        response = await call_next(request)
        # The template, not the path: ids would make a series each.
        route = getattr(request.scope.get("route"), "path", "unmatched")
        requests.labels(request.method, route, str(response.status_code)).inc()
        seconds.labels(request.method, route).observe(time.perf_counter() - began)
        return response

    @app.get("/metrics", tags=["health"], response_class=Response)
    def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
