"""Joins all parts of the API. Everything it needs comes in through ``settings``."""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from anyio import to_thread
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api import metrics
from api.changes import Changes
from api.http import errors
from api.http.addresses import Addresses
from api.http.audit import Audit
from api.http.callers import Callers
from api.http.gate import Gate
from api.http.keyring import NOTED_EVERY_S, Keyring
from api.http.protocol import Limits
from api.http.schema import PROBLEM, Clinic, add_docs, operation_id
from api.http.sites import Sites
from api.http.sse import USUAL, Pace, Streams
from api.routes import ROUTES, TAGS
from api.uploads.keeping import Shelf
from models import heap
from models.owners.quotas import Quota
from models.settings import Settings
from models.storage.checkpoints import CheckpointFiles
from models.storage.database import Database
from models.storage.files import DatasetFiles

log = structlog.get_logger()

ANSWER_S = 30.0
"""No statement of ours takes so long on a server that works; a request then gets a 503, and its thread is free."""
GIVE_BACK_S = 10.0
"""Between two times that freed memory goes back to the system."""
CONNECTIONS = 10
"""To the database, which stay: one that is made for a burst and closed after it costs more than the requests that it
serves. More would not be faster, as one interpreter answers.
"""
THREADS = CONNECTIONS + 2
"""That answer requests: others wait for one in the order of their coming. With forty, which is usual, each of them
waits for the interpreter, and the thread that reads and writes sockets does as well. Two more than connections, for
what asks no database.
"""
_DESCRIPTION = """Controlled trials for gradients that vanish or explode: post a network, a data set, an optimiser,
remedies and seeds; read which layer is ill, why, which remedy repaired it, with what confidence, at what cost."""


def create_app(settings: Settings, pace: Pace = USUAL) -> FastAPI:
    """The service. ``pace``: of its streams. ValueError or OSError where a setting it needs is missing or of no use."""
    key = settings.bootstrap_key()
    if key == "":
        message = "the key in CLINIC_API_KEY is empty: nobody could get in"
        raise ValueError(message)
    database = _database(settings)
    usual = Quota.usual(settings)
    ring = Keyring(database, usual)
    changes = Changes(database, ring.forget)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        changes.start()
        beside = [asyncio.create_task(_give_memory_back()), asyncio.create_task(_note_uses(ring))]
        yield
        for task in beside:
            task.cancel()
        await _note(ring)
        await run_in_threadpool(changes.close)
        database.dispose()

    app = Clinic(
        title="Gradient Clinic",
        version=version(),
        description=_DESCRIPTION,
        servers=[{"url": "/", "description": "Where this document was read."}],
        routes=list(ROUTES),
        openapi_tags=[{"name": name, "description": about} for name, about in TAGS.items()],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Such an answer would lead to whatever host the request names.
        redirect_slashes=False,
        responses=PROBLEM,
        generate_unique_id_function=operation_id,
    )
    app.state.database, app.state.changes = database, changes
    app.state.ring, app.state.usual_quota = None if key is None else ring, usual
    app.state.streams = Streams(metrics.open_streams(), pace)
    app.state.limits = Limits(settings.client_timeout_s, settings.max_connections)
    app.state.shelf = _shelf(settings)
    app.state.checkpoints = CheckpointFiles(settings.files_url())
    errors.install(app)
    add_docs(app)
    # What is added later is asked earlier: the gate before an address is looked at, and counts before the gate.
    app.add_middleware(Addresses, routes=app)
    if key is not None:
        # Without keys everybody is the same one.
        app.add_middleware(Audit, database=database)
    app.add_middleware(
        Gate,
        callers=Callers(key, ring),
        sites=Sites(frozenset(settings.allowed_hosts), keyed=key is not None),
        limit=settings.max_body_bytes,
        upload_limit=settings.upload_limit_bytes,
    )
    metrics.install(app, database, app.state.streams.open)
    return app


def version() -> str:
    """The clinic's version, as ``pyproject.toml`` gives it."""
    with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as settings:
        return str(tomllib.load(settings)["project"]["version"])


async def _give_memory_back() -> None:
    while True:
        await asyncio.sleep(GIVE_BACK_S)
        await run_in_threadpool(heap.give_back)


async def _note_uses(ring: Keyring) -> None:
    while True:
        await asyncio.sleep(NOTED_EVERY_S)
        await _note(ring)


async def _note(ring: Keyring) -> None:
    try:
        await run_in_threadpool(ring.note_uses)
    except (OperationalError, PoolTimeoutError) as error:
        # It is told to people alone: nothing hangs on it.
        log.warning("when keys were used could not be noted", error=str(error))


def _shelf(settings: Settings) -> Shelf:
    try:
        files = DatasetFiles(settings.files_url())
    except (ValueError, ImportError) as error:
        message = f"CLINIC_STORAGE_URL cannot be used: {error}"
        raise ValueError(message) from error
    return Shelf(files, settings.upload_limit_bytes)


def _database(settings: Settings) -> Database:
    if settings.database_url is None:
        message = "CLINIC_DATABASE_URL is not set: experiments are kept in PostgreSQL"
        raise ValueError(message)
    try:
        return Database(*settings.database_urls(), pool_size=CONNECTIONS, max_overflow=0, answer_s=ANSWER_S)
    except (ValueError, ArgumentError):
        # The reason is not shown: it quotes the URL, which may hold a password.
        names = "CLINIC_DATABASE_URL" if settings.pooler_url is None else "CLINIC_DATABASE_URL or CLINIC_POOLER_URL"
        message = f"{names} cannot be used; it looks like postgresql://user:password@host:5432/name"
        raise ValueError(message) from None
