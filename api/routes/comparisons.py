"""The comparison of an experiment's variants: stored at its end, computed from what there is until then."""

import uuid

import orjson
from fastapi import APIRouter, Request, Response

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, DatabaseDep
from api.etags import tagged
from models import comparisons
from models.analysis.comparison import Comparison

router = APIRouter(prefix="/v1/experiments", tags=["comparisons"], route_class=StrictRoute)


@router.get("/{experiment_id}/comparison", response_model=Comparison, summary="Compare the variants")
def compare(experiment_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep) -> Response:
    """Which remedy repaired which layer, with what confidence, at what cost; ``notes`` say which runs are missing.

    With the ``ETag`` of an earlier answer in ``If-None-Match``: 304 where it is the same.
    """
    with database.begin() as session:
        experiment = rows.experiment_of(session, caller, experiment_id)
        if experiment.comparison is not None:
            return tagged(request, orjson.dumps(experiment.comparison))
        return tagged(request, comparisons.compute(session, experiment_id))
