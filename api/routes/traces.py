"""The trace of a run: one signal, some layers, a stretch of steps, in as many points as a picture needs."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError, FieldProblem
from api.numbers import json_response
from api.routes.runs import LAST_STEP, FirstStep, LastStep, Points
from models.analysis.measurements import FirstNonfinite, first_nonfinite
from models.plan import LayerPlan, Plan, expand
from models.recording import CHUNK_RECORDS
from models.signals import SignalName
from models.tables import Experiment, Run
from models.traces import (
    Picture,
    first_broken_chunk,
    picture,
    read_rollup,
    read_run,
    read_signal,
)

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute)


@router.get("/{run_id}/trace")
def trace(  # noqa: PLR0913
    run_id: uuid.UUID,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    signal: SignalName,
    layers: Annotated[
        list[str] | None, Query(description="Names or indices, repeated or by comma; default all")
    ] = None,
    first: FirstStep = 0,
    last: LastStep = LAST_STEP,
    points: Points = 500,
) -> Response:
    """Matrices are layer × bucket. Every extreme survives thinning; ``nonfinite`` counts what JSON shows as null."""
    _accepts_json(request)
    with database.begin() as session:
        run, experiment = rows.run_of(session, caller.owner, run_id)
        plan = _plan(run, experiment)
        chosen = _chosen(plan, layers)
        drawn = _draw(session, run, signal, [layer.index for layer in chosen], first, last, points)
        broken = _first_nonfinite(session, run, plan)
    minimum, mean, maximum, newest, nonfinite = drawn.buckets.arrays
    return json_response(
        {
            "run_id": str(run_id),
            "signal": signal,
            "layers": [{"index": layer.index, "name": layer.name, "kind": layer.kind} for layer in chosen],
            "steps": drawn.steps,
            "min": minimum.astype(np.float32),
            "mean": mean.astype(np.float32),
            "max": maximum.astype(np.float32),
            "last": newest.astype(np.float32),
            "nonfinite": nonfinite,
            "first_nonfinite": None if broken is None else broken.model_dump(),
            "raw": drawn.raw,
        }
    )


def _accepts_json(request: Request) -> None:
    accepted = request.headers.get("accept", "*/*")
    if not any(kind in accepted for kind in ("*/*", "application/json", "application/*")):
        problem = FieldProblem(
            field="Accept", value=accepted, message="the trace is answered as JSON", allowed=["application/json"]
        )
        raise ApiError(HTTPStatus.NOT_ACCEPTABLE, problem.message, [problem])


def _plan(run: Run, experiment: Experiment) -> Plan:
    return next(variant.plan for variant in expand(experiment.spec) if variant.name == run.variant)


def _chosen(plan: Plan, given: list[str] | None) -> Sequence[LayerPlan]:
    """The layers asked for, in forward order, each once. 422 for a name that the network does not have."""
    asked = {one.strip() for text in given or [] for one in text.split(",") if one.strip()}
    if not asked:
        return plan.layers
    known = {name for layer in plan.layers for name in (layer.name, str(layer.index))}
    if unknown := sorted(asked - known):
        message = f"the network has no layer {', '.join(unknown)[:100]}"
        allowed = [layer.name for layer in plan.layers]
        raise ApiError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            message,
            [FieldProblem(field="layers", value=unknown[:10], message=message, allowed=allowed)],
        )
    return [layer for layer in plan.layers if asked & {layer.name, str(layer.index)}]


def _draw(  # noqa: PLR0913, PLR0917
    session: Session, run: Run, signal: SignalName, layers: Sequence[int], first: int, last: int, points: int
) -> Picture:
    """The whole run from its rollups where it has some, else from the raw values."""
    if first == 0 and last >= run.steps - 1:
        rolled = read_rollup(session, run.id, signal, layers, points)
        if rolled is not None:
            return rolled
    return picture(read_signal(session, run.id, signal, layers, first, last), points)


def _first_nonfinite(session: Session, run: Run, plan: Plan) -> FirstNonfinite | None:
    """From the summary where the run has ended, else from what is stored so far."""
    if run.summary is not None:
        return run.summary.first_nonfinite
    begin = first_broken_chunk(session, run.id)
    if begin is None:
        return None
    reach = begin + CHUNK_RECORDS * plan.experiment.trace.every
    found: Any = first_nonfinite(read_run(session, run.id, plan, begin, reach))
    return found
