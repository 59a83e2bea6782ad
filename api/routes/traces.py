"""The trace of a run: one signal, some layers, a stretch of steps, in as many points as a picture needs."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError
from api.fields import FieldProblem
from api.numbers import json_response
from api.pictures import Stretch, StretchDep, TraceRow, TraceView
from api.trials import plan_of
from models.analysis.measurements import FirstNonfinite, first_nonfinite
from models.plan import Plan
from models.recording import CHUNK_RECORDS
from models.signals import SignalName
from models.tables import Run
from models.traces import Picture, first_broken_chunk, picture, read_rollup, read_run, read_signal

Axis = Literal["depth", "time"]
Layers = Annotated[list[str] | None, Query(description="Names or indices, repeated or by comma; default all.")]


def _accepts_json(request: Request) -> None:
    accepted = request.headers.get("accept", "*/*")
    kinds = {one.split(";")[0].strip().lower() for one in accepted.split(",")}
    if not kinds & {"*/*", "application/*", "application/json"}:
        problem = FieldProblem(
            field="Accept", value=accepted[:200], message="a trace is answered as JSON", allowed=["application/json"]
        )
        raise ApiError(HTTPStatus.NOT_ACCEPTABLE, problem.message, [problem])


router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute, dependencies=[Depends(_accepts_json)])


@router.get("/{run_id}/trace", summary="One signal, layer by layer, over the steps", response_model=TraceView)
def trace(  # noqa: PLR0913, PLR0917 -- what the contract lets a client choose
    run_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    signal: SignalName,
    stretch: StretchDep,
    layers: Layers = None,
    axis: Axis = "depth",
) -> Response:
    """Matrices are layer × bucket. Every extreme survives thinning; ``nonfinite`` counts what JSON shows as null.

    ``axis=time`` shows the states of recurrent layers instead of the layers: ``activation_rms`` of the state, and as
    ``activation_gradient_rms`` ∂L/∂state.
    """
    with database.begin() as session:
        run, experiment = rows.run_of(session, caller, run_id)
        plan = plan_of(experiment.spec, run.variant)
        chosen = _chosen(plan, layers, axis)
        drawn = _draw(session, run, signal, [layer.index for layer in chosen], stretch)
        broken = _first_nonfinite(session, run, plan)
    minimum, mean, maximum, newest, nonfinite = drawn.buckets.arrays
    # An untrained network has no update: its null stands for nothing, and nothing is not a non-finite value.
    counted = np.zeros_like(nonfinite) if signal == "update_ratio" and run.steps == 0 else nonfinite
    return json_response(
        {
            "run_id": str(run_id),
            "signal": signal,
            "layers": [row.model_dump() for row in chosen],
            "steps": drawn.steps,
            "min": minimum.astype(np.float32),
            "mean": mean.astype(np.float32),
            "max": maximum.astype(np.float32),
            "last": newest.astype(np.float32),
            "nonfinite": counted,
            "first_nonfinite": None if broken is None else broken.model_dump(),
            "raw": drawn.raw,
        }
    )


def _rows(plan: Plan) -> list[TraceRow]:
    """All that the run's trace has: its layers, then the states of recurrent ones along time."""
    layers = [TraceRow(index=its.index, name=its.name, kind=its.kind, role=its.role) for its in plan.layers]
    states = enumerate(plan.network.time, start=len(layers) + 1)
    return layers + [TraceRow(index=index, name=its.name, kind="state", role="time") for index, its in states]


def _chosen(plan: Plan, given: list[str] | None, axis: Axis) -> list[TraceRow]:
    """The rows asked for, in forward order, each once. 422 for a name that the network does not have."""
    every = _rows(plan)
    asked = {one.strip() for text in given or [] for one in text.split(",") if one.strip()}
    if not asked:
        return [row for row in every if (row.role == "time") == (axis == "time")]
    known = {name for row in every for name in (row.name, str(row.index))}
    if unknown := sorted(asked - known):
        message = f"the network has no layer {', '.join(unknown)[:100]}"
        shown = [name[:100] for name in unknown[:10]]
        names = [layer.name for layer in plan.layers]
        problem = FieldProblem(field="layers", value=shown, message=message, allowed=names)
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, message, [problem])
    return [row for row in every if asked & {row.name, str(row.index)}]


def _draw(session: Session, run: Run, signal: SignalName, layers: Sequence[int], stretch: Stretch) -> Picture:
    """The whole run from its rollups where it has some, else from the raw values."""
    if stretch.first == 0 and stretch.last >= run.steps - 1:
        rolled = read_rollup(session, run.id, signal, layers, stretch.points)
        if rolled is not None:
            return rolled
    return picture(read_signal(session, run.id, signal, layers, stretch.first, stretch.last), stretch.points)


def _first_nonfinite(session: Session, run: Run, plan: Plan) -> FirstNonfinite | None:
    """From the summary where the run has ended, else from what is stored so far."""
    if run.summary is not None:
        return run.summary.first_nonfinite
    begin = first_broken_chunk(session, run.id)
    if begin is None:
        return None
    reach = begin + CHUNK_RECORDS * plan.experiment.trace.every
    return first_nonfinite(read_run(session, run.id, plan, begin, reach))
