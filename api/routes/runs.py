"""Runs: one at a time, its curves, its diagnosis."""

import uuid
from http import HTTPStatus

from fastapi import APIRouter, Response

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError
from api.numbers import json_response
from api.pictures import CurvesView, StretchDep
from api.views import RunView, run_view
from models.analysis.verdict import Verdict
from models.signals import CURVES
from models.traces import picture, read_curves, read_epochs

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute)


@router.get("/{run_id}", summary="Look at a run")
def read(run_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> RunView:
    """The run with its attempts and, once it has ended, its verdict."""
    with database.begin() as session:
        run, _ = rows.run_of(session, caller, run_id)
        return run_view(run, rows.attempts_of(session, [run_id])[run_id])


@router.get("/{run_id}/diagnosis", summary="The verdict of a run")
def diagnosis(run_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> Verdict:
    """What is wrong, where, why, and what answers it. 409 until the run has succeeded."""
    with database.begin() as session:
        run, _ = rows.run_of(session, caller, run_id)
    if run.summary is None:
        raise ApiError(HTTPStatus.CONFLICT, f"the run is {run.state}: a verdict stands at the end of a succeeded run")
    return run.summary.verdict


@router.get("/{run_id}/curves", summary="Loss, gradient norms and times per step", response_model=CurvesView)
def curves(run_id: uuid.UUID, caller: CallerDep, database: DatabaseDep, stretch: StretchDep) -> Response:
    """Curves in buckets that keep their extremes; validation per epoch."""
    with database.begin() as session:
        rows.run_of(session, caller, run_id)
        window = read_curves(session, run_id, CURVES, stretch.first, stretch.last)
        epochs = read_epochs(session, run_id)
    drawn = picture(window, stretch.points)
    names = ("min", "mean", "max", "last", "nonfinite")
    return json_response(
        {
            "run_id": str(run_id),
            "steps": drawn.steps,
            "curves": {
                curve: {name: array[index] for name, array in zip(names, drawn.buckets.arrays, strict=True)}
                for index, curve in enumerate(CURVES)
            },
            "epochs": {
                "validation_loss": [loss for loss, _ in epochs],
                "validation_metric": [metric for _, metric in epochs],
            },
        }
    )
