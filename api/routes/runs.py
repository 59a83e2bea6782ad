"""Runs: one at a time, its diagnosis. Their records: ``api/routes/traces.py``."""

import uuid
from http import HTTPStatus

from fastapi import APIRouter

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError
from api.views import Diagnosis, RunDetail, run_view

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute)


@router.get("/{run_id}", summary="Look at a run")
def read(run_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> RunDetail:
    """The run with its attempts, where it first was non-finite so far and, once it has ended, its verdict."""
    with database.snapshot() as session:
        run, experiment = rows.run_of(session, caller, run_id)
        view = run_view(run, rows.attempts_of(session, [run_id])[run_id])
        return RunDetail(**dict(view), first_nonfinite=rows.first_nonfinite_of(session, run, experiment))


@router.get("/{run_id}/diagnosis", summary="The verdict of a run")
def diagnosis(run_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> Diagnosis:
    """What is wrong, where, why, and what answers it. 409 until the run has succeeded."""
    with database.begin() as session:
        run, _ = rows.run_of(session, caller, run_id)
    if run.summary is None:
        raise ApiError(HTTPStatus.CONFLICT, f"the run is {run.state}: a verdict stands at the end of a succeeded run")
    return Diagnosis(**dict(run.summary.verdict), first_nonfinite=run.summary.first_nonfinite)
