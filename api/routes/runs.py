"""Runs: one at a time, its curves, its diagnosis."""

import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError
from api.numbers import json_response
from api.views import RunView, run_view
from models.analysis.verdict import Verdict
from models.signals import CURVES
from models.traces import picture, read_curves, read_epochs

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute)

LAST_STEP = 2**31 - 1
FirstStep = Annotated[int, Query(alias="from", ge=0, le=LAST_STEP, description="First step.")]
LastStep = Annotated[int, Query(alias="to", ge=0, le=LAST_STEP, description="Last step, included.")]
Points = Annotated[int, Query(ge=1, le=5000, description="At most so many buckets; extremes are kept in each.")]


@router.get("/{run_id}")
def read(run_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> RunView:
    """The run with its attempts and, once it has ended, its verdict."""
    with database.begin() as session:
        run, _ = rows.run_of(session, caller.owner, run_id)
        return run_view(run, rows.attempts_of(session, [run_id])[run_id])


@router.get("/{run_id}/diagnosis")
def diagnosis(run_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> Verdict:
    """What is wrong, where, why, and what answers it. 409 until the run has succeeded."""
    with database.begin() as session:
        run, _ = rows.run_of(session, caller.owner, run_id)
    if run.summary is None:
        raise ApiError(HTTPStatus.CONFLICT, f"the run is {run.state}: a verdict stands at the end of a succeeded run")
    return run.summary.verdict


@router.get("/{run_id}/curves")
def curves(  # noqa: PLR0913
    run_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    first: FirstStep = 0,
    last: LastStep = LAST_STEP,
    points: Points = 500,
) -> Response:
    """Loss, penalty, learning rate, gradient norms and times per step in buckets; validation per epoch."""
    with database.begin() as session:
        rows.run_of(session, caller.owner, run_id)
        drawn = picture(read_curves(session, run_id, CURVES, first, last), points)
        epochs = read_epochs(session, run_id)
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
