"""Every route of the service, a file per resource. What several routes could match goes to the first."""

from fastapi import APIRouter
from starlette.routing import BaseRoute

from api.http.schema import PROBLEM, operation_id
from api.routes import (
    audit,
    bands,
    batches,
    catalogue,
    code,
    comparisons,
    dashboard,
    datasets,
    done,
    events,
    experiments,
    health,
    ingest,
    keys,
    pictures,
    predictions,
    quotas,
    runs,
    traces,
    webhooks,
)

_ROUTERS = (
    experiments.router,
    done.router,
    events.router,
    comparisons.router,
    bands.router,
    code.router,
    pictures.router,
    runs.router,
    traces.router,
    predictions.router,
    catalogue.router,
    datasets.router,
    dashboard.router,
    ingest.router,
    keys.router,
    quotas.router,
    audit.router,
    webhooks.router,
    health.router,
    batches.router,
)


def _joined() -> tuple[BaseRoute, ...]:
    """What all routes share is said once. FastAPI makes their validators at the first request and keeps them with the
    route, so every app of a process has the same ones.
    """
    joined = APIRouter(responses=PROBLEM, generate_unique_id_function=operation_id)
    for router in _ROUTERS:
        joined.include_router(router)
    return tuple(joined.routes)


ROUTES = _joined()

TAGS = {
    "experiments": "Submit a controlled trial, follow it, compare its variants.",
    "comparisons": "What is wrong, which remedy repaired which layer, with what confidence, at what cost.",
    "runs": "One training: its verdict, its early reading, its traces and curves.",
    "pictures": "What the report draws, as files.",
    "predictions": "What theory predicts before anything is trained.",
    "catalogue": "What there is to ask for, with formula, paper and when it fails.",
    "datasets": "Data of your own.",
    "ingest": "Runs that are trained elsewhere, as their watcher tells them.",
    "keys": "Who may do what: for admins.",
    "quota": "How much an owner may have, and has.",
    "audit": "Who changed what.",
    "webhooks": "Ends, told to an address of yours.",
    "health": "For schedulers and dashboards: is it up, can it work, how much.",
}
"""What the tags of operations are about."""
