"""Experiments come in: one at a time, once per key, or a thousand at once; and failed ones once more."""

import uuid
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Response
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.orm import Session

from api import rows
from api.bodies import StrictRoute
from api.callers import Caller
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError, ProblemDetails, invalid_spec
from api.examples import SPEC_EXAMPLES
from api.fields import FieldProblem
from api.trials import planned
from api.uploads.resolution import resolved
from api.views import ExperimentView
from models import runs
from models.database import Database
from models.idempotency import KeyInFlightError, Once, OtherBodyError
from models.specs.base import SpecError
from models.specs.experiment import ExperimentSpec

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

MOST_ITEMS = 1_000
SpecBody = Annotated[ExperimentSpec, Body(openapi_examples=SPEC_EXAMPLES)]
# PostgreSQL refuses NUL in text; a header may hold it.
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same spec gives the first answer again, for two days.",
    ),
]
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"headers": {"Location": {"description": "Where the experiment is.", "schema": {"type": "string"}}}}
}


@router.post("", status_code=HTTPStatus.ACCEPTED, summary="Submit an experiment", responses=_ACCEPTED)
def submit(
    spec: SpecBody,
    response: Response,
    caller: CallerDep,
    database: DatabaseDep,
    idempotency_key: IdempotencyKey = None,
) -> ExperimentView:
    """Start a controlled trial: every variant under every seed. The answer shows every default."""
    view = (
        _submitted(database, caller, spec)
        if idempotency_key is None
        else _submitted_once(database, caller, spec, idempotency_key)
    )
    response.headers["Location"] = view.links["self"]
    return view


def _submitted(database: Database, caller: Caller, spec: ExperimentSpec) -> ExperimentView:
    with database.begin() as session:
        return _stored(session, caller, spec)


def _stored(session: Session, caller: Caller, spec: ExperimentSpec) -> ExperimentView:
    """Uploaded data are found in the transaction that stores the experiment: they cannot be deleted in between."""
    spec = resolved(session, caller, spec)
    experiment_id = runs.submit(session, spec, planned(spec), caller.owner)
    return rows.experiment_now(session, caller, experiment_id)


def _submitted_once(database: Database, caller: Caller, spec: ExperimentSpec, key: str) -> ExperimentView:
    """409 while the first request with this key is under way, 422 for another spec under it."""
    once = Once.of(caller.owner, key, spec.model_dump_json().encode())

    def make(session: Session) -> dict[str, Any]:
        return _stored(session, caller, spec).model_dump(mode="json")

    try:
        with database.begin() as session:
            return ExperimentView.model_validate(once.answer(session, lambda: make(session)))
    except KeyInFlightError as error:
        detail = "a request with this Idempotency-Key has not been answered yet; try again in a moment"
        raise ApiError(HTTPStatus.CONFLICT, detail, headers={"Retry-After": "1"}) from error
    except OtherBodyError as error:
        problem = FieldProblem(field="Idempotency-Key", value=key, message="it was used before, for another spec")
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "choose a new key for a new spec", [problem]) from error


class Batch(BaseModel):
    """Specs to submit, each on its own: one that is refused does not hold up the others."""

    items: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_ITEMS)


class BatchItem(BaseModel):
    """What became of one item: 202 with the experiment, or its error."""

    status: int
    experiment: ExperimentView | None = None
    error: ProblemDetails | None = None


class BatchResult(BaseModel):
    items: list[BatchItem]


@router.post("/batch", status_code=HTTPStatus.MULTI_STATUS, summary="Submit many experiments")
def submit_batch(batch: Batch, caller: CallerDep, database: DatabaseDep) -> BatchResult:
    """A result per item, in order."""
    return BatchResult(items=[_batch_item(item, caller, database) for item in batch.items])


def _batch_item(item: dict[str, Any], caller: Caller, database: Database) -> BatchItem:
    try:
        view = _submitted(database, caller, ExperimentSpec.model_validate(item))
    except (ValidationError, SpecError) as error:
        return BatchItem(status=422, error=invalid_spec(error, item, "/v1/experiments/batch"))
    return BatchItem(status=202, experiment=view)


@router.post("/{experiment_id}/retry", status_code=HTTPStatus.ACCEPTED, summary="Retry what failed")
def retry(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> ExperimentView:
    """Queue the failed runs again; what succeeded stays as it is. 409 where no run has failed."""
    with database.begin() as session:
        rows.experiment_of(session, caller, experiment_id)
        if runs.retry(session, experiment_id) == 0:
            raise ApiError(HTTPStatus.CONFLICT, "no run of this experiment has failed; there is nothing to retry")
        return rows.experiment_now(session, caller, experiment_id)
