"""Counts for Prometheus: requests by route and status, how long they took, open streams, and runs by state."""

import time
from collections.abc import Iterator
from http import HTTPMethod

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.scopes import ADMINS_ONLY
from api.queries import runs_by_state
from models.storage.database import Database

_METHODS = frozenset(HTTPMethod)


class RunsByState(Collector):
    """Counted when they are asked for. Without the database the rest is answered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        runs = GaugeMetricFamily("clinic_runs", "Runs in each state", labels=["state"])
        try:
            with self._database.begin() as session:
                counts = runs_by_state(session)
        except SQLAlchemyError:
            return
        for state, count in counts.items():
            runs.add_metric([state], count)
        yield runs

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is asked of the database when the collector is registered."""
        return []


class Counting:
    """ASGI middleware around everything else, so that refusals and mistakes count too."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter(
            "clinic_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram("clinic_request_seconds", "Time to answer", ["method", "route"], registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        # What raises before it answers is answered further out, with a 500 that does not pass here.
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            # Of closed sets, as each label is a series that stays: paths have ids, and clients make up methods.
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            self._requests.labels(method, route, str(status)).inc()
            self._seconds.labels(method, route).observe(time.perf_counter() - began)


def open_streams() -> Gauge:
    """A gauge for one app. The route counts with it; ``/metrics`` shows it with the rest."""
    return Gauge("clinic_event_streams", "Open streams of events", registry=None)


def install(app: FastAPI, database: Database, streams: Gauge) -> None:
    """Call it last: middleware that is added later stands outside. A registry per app, so that two do not mix."""
    registry = CollectorRegistry()
    registry.register(RunsByState(database))
    registry.register(streams)
    app.add_middleware(Counting, registry=registry)

    @app.get(
        "/metrics",
        tags=["health"],
        summary="Counts for Prometheus",
        response_class=Response,
        dependencies=[ADMINS_ONLY],
    )
    def metrics() -> Response:
        """Requests by route and status, the time they took, open streams, runs by state; in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
