"""Joins all parts of the API. Everything it needs comes in through ``settings``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from api import errors, metrics
from api.bodies import Gate
from api.changes import Changes
from api.routes import catalogue, comparisons, experiments, health, predictions, runs, traces, validation
from models.database import Database
from models.settings import Settings

_DESCRIPTION = """Controlled trials for gradients that vanish or explode: post a network, a data set, an optimiser,
remedies and seeds; read which layer is ill, why, which remedy repaired it, with what confidence, at what cost."""

_DOCS = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Gradient Clinic API</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#1b1f24}
code{background:#f3f4f6;padding:.1em .3em;border-radius:3px}td{padding:.25rem .75rem .25rem 0;vertical-align:top}
.m{font-weight:600;color:#0b5cad}</style></head><body><h1>Gradient Clinic</h1><p>%(description)s</p>
<p>The full contract is machine-readable: <a href="/openapi.json">/openapi.json</a>.</p><table>%(rows)s</table>
</body></html>"""


def create_app(settings: Settings) -> FastAPI:
    """The service. ValueError where a setting it needs is missing."""
    if settings.database_url is None:
        message = "CLINIC_DATABASE_URL is not set: experiments are kept in PostgreSQL"
        raise ValueError(message)
    database = Database(settings.database_url.get_secret_value(), pool_size=10, max_overflow=30)
    changes = Changes(database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        changes.start()
        yield
        changes.close()
        database.dispose()

    app = FastAPI(
        title="Gradient Clinic",
        version="0.1.0",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads scripts from a CDN
        redoc_url=None,
        responses={"default": {"model": errors.ProblemDetails, "description": "Problem details (RFC 9457)"}},
    )
    app.state.settings, app.state.database, app.state.changes = settings, database, changes
    errors.install(app)
    metrics.install(app)
    app.add_middleware(Gate, settings=settings)
    for module in (validation, experiments, comparisons, runs, traces, predictions, catalogue, health):
        app.include_router(module.router)
    _add_docs(app)
    return app


def _add_docs(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    def docs() -> HTMLResponse:
        """Every route in a line, from the schema itself."""
        rows = [
            f"<tr><td class=m>{method.upper()}</td><td><code>{path}</code></td><td>{about['summary']}</td></tr>"
            for path, methods in app.openapi()["paths"].items()
            for method, about in methods.items()
        ]
        return HTMLResponse(_DOCS % {"description": _DESCRIPTION, "rows": "".join(rows)})
