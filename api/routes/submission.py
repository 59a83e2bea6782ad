"""Experiments come in: one at a time, once per key, or a thousand at once; and failed ones once more."""

import datetime as dt
import json
import uuid
from collections.abc import Collection
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api import rows
from api.bodies import ItemsRoute, StrictRoute, check_text
from api.callers import Caller
from api.dependencies import CallerDep, DatabaseDep
from api.errors import ApiError, ProblemDetails, details_of, invalid_spec, mistake
from api.examples import SPEC_EXAMPLES
from api.once import IdempotencyKey, once
from api.trials import planned
from api.uploads.resolution import resolved
from api.views import ExperimentView
from models import runs
from models.specs.base import Spec, SpecError
from models.specs.experiment import ExperimentSpec

log = structlog.get_logger()
router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)
items_router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=ItemsRoute)

MOST_ITEMS = 1_000
_BATCH = "/v1/experiments/batch"
SpecBody = Annotated[ExperimentSpec, Body(openapi_examples=SPEC_EXAMPLES)]
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
    """Start a controlled trial: every variant under every seed. The answer shows every default.

    410 where the experiment that this ``Idempotency-Key`` made was deleted since.
    """
    body = spec.model_dump_json().encode()
    with database.begin() as session:
        view = once(session, caller, idempotency_key, body, lambda: _stored(session, caller, spec), ExperimentView)
        if not runs.existing(session, [uuid.UUID(view.id)]):
            raise _deleted(view)
    response.headers["Location"] = view.links["self"]
    return view


def _stored(session: Session, caller: Caller, spec: ExperimentSpec) -> ExperimentView:
    """Uploaded data are found in the transaction that stores the experiment: they cannot be deleted in between."""
    spec = resolved(session, caller, spec)
    experiment_id = runs.submit(session, spec, planned(spec), caller.owner)
    return rows.experiment_now(session, caller, experiment_id)


def _deleted(view: ExperimentView) -> ApiError:
    detail = (
        f"the experiment that this Idempotency-Key made, {view.id}, was deleted; choose a new key to submit it again"
    )
    return ApiError(HTTPStatus.GONE, detail)


class Batch(Spec):
    """Specs to submit, each on its own: one that is refused does not hold up the others."""

    items: tuple[Any, ...] = Field(
        min_length=1, max_length=MOST_ITEMS, description="Each as the body of `POST /v1/experiments`."
    )


class BatchItem(BaseModel):
    """What became of one item: 202 with the experiment, or its error."""

    status: int
    experiment: ExperimentView | None = None
    error: ProblemDetails | None = None


class BatchResult(BaseModel):
    items: list[BatchItem]


@items_router.post("/batch", status_code=HTTPStatus.MULTI_STATUS, summary="Submit many experiments")
def submit_batch(
    batch: Batch, caller: CallerDep, database: DatabaseDep, idempotency_key: IdempotencyKey = None
) -> BatchResult:
    """A result per item, in order: 202, or what is wrong with that item. All that is accepted is stored in one
    transaction: a batch that got no answer has stored nothing, or can be asked for again by its ``Idempotency-Key``.
    An item whose experiment was deleted since is then a 410.
    """
    body = json.dumps(batch.items).encode()

    with database.begin() as session:

        def make() -> BatchResult:
            return BatchResult(items=[_batch_item(session, caller, item) for item in batch.items])

        result = once(session, caller, idempotency_key, body, make, BatchResult)
        there = runs.existing(session, [uuid.UUID(item.experiment.id) for item in result.items if item.experiment])
    return BatchResult(items=[_as_it_is(item, there) for item in result.items])


def _batch_item(session: Session, caller: Caller, item: object) -> BatchItem:
    """In a savepoint of its own. Only a database that is away ends the batch: then nothing of it is stored."""
    try:
        check_text(item)
        spec = ExperimentSpec.model_validate(item)
        with session.begin_nested():
            return BatchItem(status=HTTPStatus.ACCEPTED, experiment=_stored(session, caller, spec))
    except (ValidationError, SpecError) as error:
        return BatchItem(status=HTTPStatus.UNPROCESSABLE_ENTITY, error=invalid_spec(error, item, _BATCH))
    except ApiError as error:
        return BatchItem(status=error.status_code, error=details_of(error, _BATCH))
    except OperationalError:
        raise
    except Exception:  # whatever it is, the other items are no part of it
        log.exception("an item of a batch failed")
        return BatchItem(status=HTTPStatus.INTERNAL_SERVER_ERROR, error=details_of(mistake(), _BATCH))


def _as_it_is(item: BatchItem, there: Collection[uuid.UUID]) -> BatchItem:
    """What was stored under a key earlier may have been deleted."""
    if item.experiment is None or uuid.UUID(item.experiment.id) in there:
        return item
    return BatchItem(status=HTTPStatus.GONE, error=details_of(_deleted(item.experiment), _BATCH))


@router.post("/{experiment_id}/retry", status_code=HTTPStatus.ACCEPTED, summary="Retry what failed")
def retry(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> ExperimentView:
    """Queue the failed runs again; what succeeded stays as it is. 409 where no run has failed, or where the deadline
    has passed, at which they would fail once more.
    """
    with database.begin() as session:
        experiment = rows.experiment_of(session, caller, experiment_id)
        if experiment.deadline is not None and experiment.deadline <= dt.datetime.now(dt.UTC):
            detail = f"the deadline has passed, at {experiment.deadline.isoformat()}; submit it again with a later one"
            raise ApiError(HTTPStatus.CONFLICT, detail)
        if runs.retry(session, experiment_id) == 0:
            raise ApiError(HTTPStatus.CONFLICT, "no run of this experiment has failed; there is nothing to retry")
        return rows.experiment_now(session, caller, experiment_id)
