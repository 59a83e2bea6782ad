"""Pictures without a browser: what the report draws, as files, by suffix."""

import math
import uuid
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import queries
from api.dependencies import CallerDep, DatabaseDep
from api.http.callers import Caller
from api.http.errors import ApiError
from api.http.etags import etag_of, not_modified
from api.http.headers import page_policy
from api.report.drawings import profile
from api.report.forest import forest, reached
from api.report.pictures import STYLE, range_of, standalone
from models.analysis.comparison.compare import Comparison
from models.storage.database import Database

router = APIRouter(prefix="/v1", tags=["pictures"])

SVG = "image/svg+xml"
_SVG: dict[int | str, dict[str, Any]] = {
    200: {"content": {SVG: {"schema": {"type": "string"}}}, "description": "The picture."}
}
VariantName = Annotated[str, Query(max_length=200, description="By its name.")]


@router.get(
    "/experiments/{experiment_id}/comparison.svg",
    summary="Each remedy against the baseline, drawn",
    response_class=Response,
    responses=_SVG,
)
def drawn_comparison(experiment_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep) -> Response:
    """A forest plot: the difference that the comparison says to read first, with its 95 % interval."""
    found = _comparison(database, caller, experiment_id)
    return _drawn(request, forest(found.variants, found.metric), "nothing to compare yet")


@router.get(
    "/experiments/{experiment_id}/outcomes.svg",
    summary="What the runs reached, drawn",
    response_class=Response,
    responses=_SVG,
)
def drawn_outcomes(experiment_id: uuid.UUID, request: Request, caller: CallerDep, database: DatabaseDep) -> Response:
    """The metric of each variant over the runs that train, and pale over all that have ended."""
    found = _comparison(database, caller, experiment_id)
    return _drawn(request, reached(found.variants, found.metric), "nothing has been reached yet")


@router.get(
    "/experiments/{experiment_id}/profile.svg",
    summary="Gradients layer by layer, measured beside predicted, drawn",
    response_class=Response,
    responses=_SVG,
)
def drawn_profile(
    experiment_id: uuid.UUID,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    variant: VariantName = "baseline",
) -> Response:
    """ln ratio of each hidden layer's gradient to the last one's before training, over all seeds, beside theory.

    All variants of an experiment have one axis. 404 for a variant that there is not.
    """
    found = _comparison(database, caller, experiment_id)
    chosen = next((one for one in found.variants if one.name == variant), None)
    if chosen is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"the experiment has no variant {variant}")
    layers = [layer for one in found.variants for layer in one.gradient.profile]
    values = [value for its in layers for value in (its.predicted, its.at_start.mean if its.at_start else None)]
    low, high = range_of(values, 3.5)
    return _drawn(request, profile(chosen.gradient.profile, math.floor(low), math.ceil(high)), "no hidden layers yet")


def _comparison(database: Database, caller: Caller, experiment_id: uuid.UUID) -> Comparison:
    with database.snapshot() as session:
        return queries.comparison_of(session, queries.experiment_of(session, caller, experiment_id))


def _drawn(request: Request, drawing: str, otherwise: str) -> Response:
    body = standalone(drawing, otherwise)
    headers = {"ETag": etag_of(body), "Cache-Control": "no-cache", **page_policy(STYLE)}
    return not_modified(request, headers) or Response(body, headers=headers, media_type=SVG)
