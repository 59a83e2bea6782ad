"""Every route of the service. What several routes could match goes to the first."""

from fastapi import APIRouter

from api.routes import (
    catalogue,
    comparisons,
    datasets,
    early,
    events,
    experiments,
    health,
    predictions,
    reports,
    runs,
    submission,
    traces,
    validation,
    waiting,
)

ROUTERS: tuple[APIRouter, ...] = (
    validation.router,
    submission.router,
    experiments.router,
    waiting.router,
    events.router,
    comparisons.router,
    reports.router,
    runs.router,
    early.router,
    traces.router,
    predictions.router,
    catalogue.router,
    datasets.router,
    health.router,
    submission.items_router,
)
