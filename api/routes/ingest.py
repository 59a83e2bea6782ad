"""Runs that are trained elsewhere, as their watcher tells them: opened, record by record, ended."""

import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from api import queries
from api.dependencies import CallerDep, DatabaseDep
from api.http.answers import written
from api.http.bodies import StrictRoute
from api.http.errors import ApiError
from api.http.scopes import UNNOTED
from api.views.experiments import RunView, run_view
from models.analysis.comparison.parts import Id
from models.runs import ingesting
from models.runs.ingesting import GapError, NotYoursError
from models.specs.experiment import MAX_STEPS
from models.specs.ingested import EndingRequest, OpeningRequest, RecordsRequest

router = APIRouter(prefix="/v1/ingest/runs", tags=["ingest"], route_class=StrictRoute)
First = Annotated[int, Path(ge=0, le=MAX_STEPS, description="The number of the first record sent, from 0.")]


class OpenedView(BaseModel):
    """``records``: so many are stored; the next one has this number."""

    run_id: Id
    experiment_id: Id
    records: int
    links: dict[str, str]


class KeptView(BaseModel):
    """``records``: so many are stored, those of earlier messages included. ``cancelled``: no more are taken."""

    records: int
    cancelled: bool


@router.post("", status_code=HTTPStatus.CREATED, summary="Open a run that is trained elsewhere")
def open_run(asked: OpeningRequest, caller: CallerDep, database: DatabaseDep) -> OpenedView:
    """Asked again with the same token: the run as it is. 409 where that seed of the variant has another writer."""
    with database.begin() as session:
        try:
            opened = ingesting.open_run(session, caller.owner, asked)
        except NotYoursError as error:
            raise ApiError(HTTPStatus.CONFLICT, str(error)) from error
    experiment = f"/v1/experiments/{opened.experiment_id}"
    return OpenedView(
        run_id=str(opened.run_id),
        experiment_id=str(opened.experiment_id),
        records=opened.records,
        links={"run": f"/v1/runs/{opened.run_id}", "experiment": experiment, "report": f"{experiment}/report"},
    )


@router.put(
    "/{run_id}/records/{first}",
    response_model=KeptView,
    summary="Records of a run that is trained elsewhere",
    dependencies=[UNNOTED],
)
def append(run_id: uuid.UUID, first: First, sent: RecordsRequest, caller: CallerDep, database: DatabaseDep) -> Response:
    """Records ``first``, ``first`` + 1, …; those that are stored already are passed over, so that a message may come
    twice. 409 where some are missing before it, where another writer has the run, or it has ended.
    """
    with database.begin() as session:
        # Of two messages of one run the second one waits.
        run, experiment = queries.run_of(session, caller, run_id, locked=True)
        try:
            kept = ingesting.append(session, run, experiment, first, sent)
        except (GapError, NotYoursError) as error:
            raise ApiError(HTTPStatus.CONFLICT, str(error)) from error
    with database.begin() as session:
        # Apart, as after a worker's flush: commits that notify go one by one, and records must not wait (decision 9).
        ingesting.tell(session, run, kept)
    return written(KeptView(records=kept.records, cancelled=kept.cancelled))


@router.post("/{run_id}/end", summary="The end of a run that was trained elsewhere")
def end(run_id: uuid.UUID, sent: EndingRequest, caller: CallerDep, database: DatabaseDep) -> RunView:
    """It is judged, and compared with the other runs of its experiment. Asked again: the run as it has ended. With
    ``error`` it has failed, and keeps its records. 409 where another writer has the run.
    """
    with database.begin() as session:
        run, experiment = queries.run_of(session, caller, run_id)
        try:
            ingesting.end(session, run, experiment.spec, sent)
        except NotYoursError as error:
            raise ApiError(HTTPStatus.CONFLICT, str(error)) from error
        return run_view(run, queries.attempts_of(session, [run_id])[run_id])
