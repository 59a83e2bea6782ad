"""Whether an experiment is done, for schedulers: the status code alone says it."""

import datetime as dt
import math
import uuid
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from api import queries
from api.dependencies import CallerDep, DatabaseDep
from api.http.answers import written
from api.http.bodies import StrictRoute
from api.http.errors import ApiError
from api.http.etags import UNCHANGED, tagged
from api.http.schema import PROBLEM
from api.views.experiments import Links, RunCounts
from gradient_clinic.verdict.shapes import Kind
from models.analysis.comparison.parts import Id
from models.analysis.statistics.numbers import Number
from models.runs.progress import progress_of, seconds_left
from models.status import State

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

SOONEST_S, LATEST_S = 1, 60
"""Between two questions: an estimate is early or late, and a cancel may come at any time. Nobody is asked to come back
after the latest end."""
UNKNOWN_S = 5
"""While nothing has been trained that a pace could be read from."""

Pending = Annotated[
    Literal["202", "404"],
    Query(description="The status while it goes on; 404 for Airflow's triggerer, which waits on no other."),
]


class OutcomeCounts(BaseModel):
    """Of runs that have succeeded: their trace is evidence either way."""

    finished: int = 0
    diverged: int = 0


class Doneness(BaseModel):
    """``estimated_seconds_left``: by the pace so far; 0 once it is done, null before any step is."""

    id: Id
    done: bool
    state: State
    progress: float
    runs: RunCounts
    outcomes: OutcomeCounts
    verdict: Kind | None
    """On the baseline, once it is done."""
    estimated_seconds_left: Number
    links: Links


_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds, by the pace so far, and no later than `end_before`; 1 to 60.",
        "schema": {"type": "integer"},
    },
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "It has succeeded, failed or was cancelled."},
    202: {"model": Doneness, "description": "It goes on.", "headers": _RETRY_AFTER},
    404: PROBLEM["default"]
    | {"description": "There is none; with `pending=404` also: it goes on.", "headers": _RETRY_AFTER},
    **UNCHANGED,
}


@router.get(
    "/{experiment_id}/done", response_model=Doneness, summary="Whether an experiment is done", responses=_ANSWERS
)
def done(
    experiment_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep, pending: Pending = "202"
) -> Response:
    """200 once it has ended, however it did; 202 before, with ``Retry-After``."""
    with database.begin() as session:
        row = queries.experiment_of(session, caller, experiment_id)
        progress = progress_of(session, [row.id])[row.id]
        state = State(row.state)
        path = f"/v1/experiments/{row.id}"
        view = Doneness(
            id=str(row.id),
            done=state.is_finished,
            state=state,
            progress=progress.share,
            runs=RunCounts.model_validate(progress.counts),
            outcomes=OutcomeCounts.model_validate(queries.outcomes_of(session, row.id)),
            verdict=row.verdict,  # type: ignore[arg-type]  # written from a Verdict
            estimated_seconds_left=0.0 if state.is_finished else seconds_left(session, row.id, progress.share),
            links={"experiment": path, "comparison": f"{path}/comparison"},
        )
    return tagged(request, view) if view.done else _not_yet(view, row.end_before, pending)


def _not_yet(view: Doneness, end_before: dt.datetime | None, pending: str) -> Response:
    """Nothing of it may be kept: the next question has another answer."""
    headers = {"Retry-After": str(_again_in(view.estimated_seconds_left, end_before)), "Cache-Control": "no-store"}
    if pending == "404":
        detail = f"the experiment is {view.state} ({view.progress:.0%}); it is not done yet"
        raise ApiError(HTTPStatus.NOT_FOUND, detail, headers=headers)
    return written(view, HTTPStatus.ACCEPTED, headers)


def _again_in(left_s: float | None, end_before: dt.datetime | None) -> int:
    soonest_end_s = UNKNOWN_S if left_s is None else left_s
    if end_before is not None:
        soonest_end_s = min(soonest_end_s, (end_before - dt.datetime.now(dt.UTC)).total_seconds())
    return min(max(math.ceil(soonest_end_s), SOONEST_S), LATEST_S)
