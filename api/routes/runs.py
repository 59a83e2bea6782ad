"""Runs: one at a time, its diagnosis, and what its first steps foretell. Their records: ``traces.py``."""

import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from api import queries
from api.dependencies import CallerDep, DatabaseDep
from api.http.bodies import StrictRoute
from api.http.errors import ApiError
from api.views.experiments import Diagnosis, RunDetail, run_view
from gradient_clinic.values import fields_of
from gradient_clinic.verdict.early import EarlyReading, read_early
from models.plan.watched import WatchedPlan
from models.runs.planned import plan_of
from models.traces.reader import extent, read_run

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute)


@router.get("/{run_id}", summary="Look at a run")
def read(run_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> RunDetail:
    """The run with its attempts, where it first was non-finite so far and, once it has ended, its verdict."""
    with database.snapshot() as session:
        run, experiment = queries.run_of(session, caller, run_id)
        view = run_view(run, queries.attempts_of(session, [run_id])[run_id])
        return RunDetail(**dict(view), first_nonfinite=queries.first_nonfinite_of(session, run, experiment))


@router.get("/{run_id}/diagnosis", summary="The verdict of a run")
def diagnosis(run_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> Diagnosis:
    """What is wrong, where, why, and what answers it. 409 until the run has succeeded."""
    with database.begin() as session:
        run, _ = queries.run_of(session, caller, run_id)
    if run.summary is None:
        raise ApiError(HTTPStatus.CONFLICT, f"the run is {run.state}: a verdict stands at the end of a succeeded run")
    return Diagnosis(**fields_of(run.summary.verdict), first_nonfinite=run.summary.first_nonfinite)


LAST_STEP = 1_000
"""An early reading is of the first steps; a thousand of them are read in a few hundredths of a second."""


@router.get("/{run_id}/early", summary="What the first steps foretell")
def early(
    run_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    step: Annotated[
        int | None, Query(ge=0, le=LAST_STEP, description="The last to be read; by default the newest.")
    ] = None,
) -> EarlyReading:
    """Whether the trace so far says that the run will not train, and by what evidence; ``undecided`` where it says too
    little or contradicts itself. The verdict of a run that has ended is its diagnosis. 409 where nothing is recorded
    yet, not every step, or no layer.
    """
    with database.snapshot() as session:
        run, experiment = queries.run_of(session, caller, run_id)
        # While the run goes on its own row has it, from the first write on.
        chance_level = run.chance_level if run.summary is None else run.summary.facts.chance_level
        stored = extent(session, run_id)
        if not stored.records or chance_level is None or run.raw_dropped_at is not None:
            raise ApiError(HTTPStatus.CONFLICT, f"the run is {run.state}, and no records of its first steps are stored")
        if run.watched is not None and not run.watched.layers:
            detail = "no layers were recorded of this run, and an early reading is of layers"
            raise ApiError(HTTPStatus.CONFLICT, detail)
        if stored.stride > 1:
            detail = f"of this run one step in {stored.stride} is recorded, and an early reading needs each of them"
            raise ApiError(HTTPStatus.CONFLICT, detail)
        last = min(stored.last_step, LAST_STEP if step is None else step)
        plan = plan_of(experiment.spec, run)
        optimizer = plan.optimizer if isinstance(plan, WatchedPlan) else plan.optimizer.kind
        return read_early(read_run(session, run_id, plan, 0, last), chance_level, optimizer)
