"""Every route of the service, a file per resource. What several routes could match goes to the first."""

from fastapi import APIRouter

from api.routes import catalogue, comparisons, datasets, events, experiments, health, predictions, runs, traces

ROUTERS: tuple[APIRouter, ...] = (
    experiments.router,
    events.router,
    comparisons.router,
    runs.router,
    traces.router,
    predictions.router,
    catalogue.router,
    datasets.router,
    health.router,
    experiments.items_router,
)
