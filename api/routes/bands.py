"""A curve of every variant of an experiment over its seeds, in one answer however many runs there are."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from api import queries
from api.dependencies import CallerDep, DatabaseDep
from api.http.arrays import picture_response
from api.http.bodies import StrictRoute
from api.http.callers import Caller
from api.http.negotiation import BUCKETS, BucketsDep
from api.report.curves import common_steps, over_seeds
from api.views.traces import BandsView, Stretch, StretchDep
from gradient_clinic.signals import CurveName
from models.storage.database import Database
from models.traces.pictures import Curves, Picture, draw, draw_short

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

SEEDS = 100
"""Of each variant so many at most, the first ones."""


@router.get(
    "/{experiment_id}/curves",
    summary="A curve of every variant, over its seeds",
    response_model=BandsView,
    responses=BUCKETS,
)
def bands(  # noqa: PLR0913, PLR0917 -- what a client may choose
    experiment_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    kind: BucketsDep,
    stretch: StretchDep,
    curve: Annotated[CurveName, Query()] = "loss",
) -> Response:
    """In buckets of steps that all variants share: the mean over the first 100 seeds, the smallest and largest value of
    any of them. One run by itself is at `/v1/runs/{run_id}/curves`.
    """
    drawn = _drawn(database, caller, experiment_id, stretch, curve)
    body = {"experiment_id": str(experiment_id), "curve": curve, **_matrices(drawn)}
    return picture_response(body, kind, {"Vary": "Accept", "Cache-Control": "no-cache"})


def _drawn(
    database: Database, caller: Caller, experiment_id: uuid.UUID, stretch: Stretch, curve: CurveName
) -> dict[str, list[Picture]]:
    """By variant, of each of its runs that has recorded something of this curve."""
    with database.snapshot() as session:
        queries.experiment_of(session, caller, experiment_id)
        trials = {
            name: [run for run in runs[:SEEDS] if curve in run.told]
            for name, runs in queries.trials(session, experiment_id).items()
        }
        these = [run.id for runs in trials.values() for run in runs]
        # Short ones by two statements together; a long one's rollups and ends are read by themselves.
        short = draw_short(session, these, curve, stretch.first, stretch.last, stretch.points)
        drawn = {
            name: [short.get(run.id) or _long(session, run, stretch, curve) for run in runs]
            for name, runs in trials.items()
        }
        return {name: [one for one in each if len(one.steps)] for name, each in drawn.items()}


def _long(session: Session, run: queries.TrialRun, stretch: Stretch, curve: CurveName) -> Picture:
    source = Curves(session, run.id, (curve,))
    return draw(source, stretch.first, stretch.last, stretch.points, kept=run.kept)


def _matrices(drawn: Mapping[str, Sequence[Picture]]) -> dict[str, Any]:
    shared = common_steps(one for each in drawn.values() for one in each)
    found = [over_seeds(each, shared[:, 0].astype(np.float64)) for each in drawn.values()]
    variants = [{"name": name, "runs": len(each)} for name, each in drawn.items()]
    arrays = {
        "min": [one.low for one in found],
        "mean": [one.mean for one in found],
        "max": [one.high for one in found],
    }
    return {"variants": variants, "steps": shared, **{name: np.array(rows) for name, rows in arrays.items()}}
