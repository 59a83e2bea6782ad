"""What a run's first steps foretell, while it goes on: a pre-flight check need not wait for the end."""

import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError
from models.analysis.verdict.early import EarlyReading, read_early
from models.plan import plan_variant
from models.storage.tables import Run
from models.traces.reader import extent, read_run

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictRoute)

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
    yet, or not every step.
    """
    with database.snapshot() as session:
        run, experiment = rows.run_of(session, caller, run_id)
        chance_level, stored = _chance_level(run), extent(session, run_id)
        if not stored.records or chance_level is None or run.raw_dropped_at is not None:
            raise ApiError(HTTPStatus.CONFLICT, f"the run is {run.state}, and no records of its first steps are stored")
        if stored.stride > 1:
            detail = f"of this run one step in {stored.stride} is recorded, and an early reading needs each of them"
            raise ApiError(HTTPStatus.CONFLICT, detail)
        last = min(stored.last_step, LAST_STEP if step is None else step)
        plan = plan_variant(experiment.spec, run.variant)
        return read_early(read_run(session, run_id, plan, 0, last), chance_level, plan.optimizer.kind)


def _chance_level(run: Run) -> float | None:
    return run.chance_level if run.summary is None else run.summary.facts.chance_level
