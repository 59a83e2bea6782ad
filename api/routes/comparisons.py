"""Comparisons: of an experiment's variants, stored at its end and computed from what there is until then; of several
experiments; and by the rules of this version where earlier ones have judged.
"""

import uuid
from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError
from api.etags import tagged
from models.analysis.comparison.compare import Comparison
from models.analysis.verdict.shapes import RULES
from models.runs import comparing, judging
from models.runs.judging import Judged
from models.specs.base import Spec

router = APIRouter(prefix="/v1", tags=["comparisons"], route_class=StrictRoute)

MOST_COMPARED = 20


class ComparisonRequest(Spec):
    """Experiments on the same data. Every variant is compared with the baseline of the first."""

    experiment_ids: Annotated[tuple[uuid.UUID, ...], Field(min_length=1, max_length=MOST_COMPARED)]


class Judgement(BaseModel):
    """The version of the rules, and each run with its verdict before and after."""

    rules: str
    runs: list[Judged]


@router.get("/experiments/{experiment_id}/comparison", response_model=Comparison, summary="Compare the variants")
def compare(experiment_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep) -> Response:
    """Which remedy repaired which layer, with what confidence, at what cost; ``notes`` say which runs are missing.

    With the ``ETag`` of an earlier answer in ``If-None-Match``: 304 where it is the same.
    """
    with database.begin() as session:
        experiment = rows.experiment_of(session, caller, experiment_id)
        if experiment.comparison is not None:
            return tagged(request, orjson.dumps(experiment.comparison))
        return tagged(request, comparing.compute(session, experiment_id))


@router.post("/comparisons", summary="Compare experiments")
def compare_several(asked: ComparisonRequest, caller: CallerDep, database: DatabaseDep) -> Comparison:
    """The variants of several experiments beside the baseline of the first, paired by seed; ``notes`` say in what their
    conditions differ. 422 where their data or loss do: figures of other data do not compare.
    """
    with database.snapshot() as session:
        for experiment_id in asked.experiment_ids:
            rows.experiment_of(session, caller, experiment_id)
        return comparing.compute(session, *dict.fromkeys(asked.experiment_ids))


@router.post("/experiments/{experiment_id}/judge", summary="Judge by the newest rules")
def judge(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> Judgement:
    """Run the rules of this version over the stored traces of every run that succeeded; verdicts and comparison are
    replaced. 409 where none has.
    """
    with database.begin() as session:
        rows.experiment_of(session, caller, experiment_id)
        judged = judging.judge_again(session, experiment_id)
    if not judged:
        raise ApiError(HTTPStatus.CONFLICT, "no run of this experiment has succeeded; there is nothing to judge")
    return Judgement(rules=RULES, runs=judged)
