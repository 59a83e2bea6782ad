"""Experiments: what one would cost, submit, list, look or wait, cancel, retry, delete."""

import asyncio
import datetime as dt
import time
import uuid
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import StringConstraints
from sqlalchemy.orm import Session

from api import queries
from api.changes import first_of
from api.costs import Cost, estimate
from api.dependencies import CallerDep, ChangesDep, CheckpointsDep, DatabaseDep
from api.examples import SPEC_EXAMPLES
from api.http.answers import written
from api.http.bodies import StrictRoute
from api.http.callers import Caller
from api.http.errors import ApiError
from api.http.etags import UNCHANGED, etag_of, matches, tagged
from api.http.idempotency import IdempotencyKey, forget, once
from api.http.pagination import PageDep
from api.http.quotas import admit_runs
from api.http.scopes import ANSWERS_ONLY
from api.submissions import deleted, prepared, stored
from api.suggestions import settled
from api.views.experiments import (
    BriefRunPage,
    ExperimentPage,
    ExperimentView,
    RunPage,
    run_view,
)
from gradient_clinic.verdict.shapes import Kind, RunKind
from models import runs
from models.specs.experiment import ExperimentRequest
from models.specs.moment import Moment
from models.specs.text import NOT_PLAIN, PLAIN
from models.status import Phase, State
from models.storage.checkpoints import CheckpointFiles, named_by
from models.storage.database import Database

log = structlog.get_logger()
router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

SpecBody = Annotated[ExperimentRequest, Body(openapi_examples=SPEC_EXAMPLES)]
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"headers": {"Location": {"description": "Where the experiment is.", "schema": {"type": "string"}}}}
}
LONGEST_WAIT_S = 60
Wait = Annotated[float, Query(ge=0, description="Seconds; more than 60 count as 60.")]
# As a spec may have them: a key and a value of 200 characters each, with a colon between them.
Label = Annotated[str, StringConstraints(pattern=f"^[^{NOT_PLAIN}]+:[^{NOT_PLAIN}]+$", max_length=401)]
Name = Annotated[str, StringConstraints(pattern=PLAIN, max_length=200)]
_SORTED = "By this, and where it is the same by the time of making; with a minus both fall."


@router.post("/validate", summary="What a spec would cost", dependencies=[ANSWERS_ONLY])
def validate(spec: SpecBody, caller: CallerDep, database: DatabaseDep) -> Cost:
    """Variants, runs, parameters, trace size, device time, seeds for an effect, and warnings."""
    with database.begin() as session:
        found = settled(session, caller, spec)
        return estimate(session, found.spec, found.suggested)


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    response_model=ExperimentView,
    summary="Submit an experiment",
    responses=_ACCEPTED,
)
def submit(
    spec: SpecBody, caller: CallerDep, database: DatabaseDep, idempotency_key: IdempotencyKey = None
) -> Response:
    """Start a controlled trial: every variant under every seed. The answer shows every default.

    410 where the experiment that this ``Idempotency-Key`` made was deleted since, 404 where there is none that
    ``suggest_from`` names.
    """
    # As it was understood and not as it was sent: spaces and the order of fields make no other body under one key.
    body = spec.model_dump_json().encode()
    with database.begin() as session:
        view = once(session, caller, idempotency_key, body, lambda: _stored(session, caller, spec), ExperimentView)
        # A repeated key gives the first answer, and its experiment may have been deleted since (decision 17).
        if idempotency_key is not None and not runs.existing(session, [uuid.UUID(view.id)]):
            raise deleted(view.id)
    return written(view, HTTPStatus.ACCEPTED, {"Location": view.links["self"]})


def _stored(session: Session, caller: Caller, request: ExperimentRequest) -> ExperimentView:
    (view,) = stored(session, [prepared(session, caller, request)])
    admit_runs(session, caller, view.runs.queued)
    return view


@router.post("/{experiment_id}/retry", status_code=HTTPStatus.ACCEPTED, summary="Retry what failed")
def retry(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> ExperimentView:
    """Queue the failed runs again; what succeeded stays as it is. 409 where no run has failed, or where
    ``start_before`` or ``end_before`` has passed, at which they would end once more.
    """
    with database.begin() as session:
        experiment = queries.experiment_of(session, caller, experiment_id)
        for name, limit in (("start_before", experiment.start_before), ("end_before", experiment.end_before)):
            if limit is not None and limit <= dt.datetime.now(dt.UTC):
                detail = f"its {name} has passed, at {limit.isoformat()}; submit it again with a later one"
                raise ApiError(HTTPStatus.CONFLICT, detail)
        retried = runs.retry(session, experiment_id)
        if retried == 0:
            raise ApiError(HTTPStatus.CONFLICT, "no run of this experiment has failed; there is nothing to retry")
        admit_runs(session, caller, retried)
        return queries.experiment_now(session, caller, experiment_id)


async def _wanted(  # noqa: PLR0913, PLR0917 -- what a list may be asked by
    state: State | None = None,
    label: Annotated[list[Label] | None, Query(description="key:value; repeated, all must be there.")] = None,
    owner: Annotated[Name | None, Query(description="Of the experiments that the caller may see.")] = None,
    created_after: Moment | None = None,
    created_before: Moment | None = None,
    verdict: Annotated[Kind | None, Query(description="On the baseline, once the experiment has ended.")] = None,
    search: Annotated[Name | None, Query(description="Part of the name, large or small letters alike.")] = None,
    sort: Annotated[queries.Order, Query(description=_SORTED)] = "-created",
) -> queries.Filter:
    return queries.Filter(state, owner, label or (), created_after, created_before, verdict, search, sort)


async def _wanted_runs(
    state: State | None = None,
    phase: Annotated[Phase | None, Query(description="Of tuning, or of the trial.")] = None,
    variant: Annotated[Name | None, Query(description="By its name.")] = None,
    verdict: RunKind | None = None,
) -> queries.RunFilter:
    return queries.RunFilter(state, phase, variant, verdict)


@router.get("", response_model=ExperimentPage, summary="List experiments")
def list_experiments(
    caller: CallerDep,
    database: DatabaseDep,
    page: PageDep,
    wanted: Annotated[queries.Filter, Depends(_wanted)],
) -> Response:
    """Those that the caller may see, newest first unless ``sort`` says otherwise. The last page has an empty
    ``next_page_token``.
    """
    with database.begin() as session:
        found = queries.experiments(session, caller, wanted, page.place(wanted.order), page.asked)
        shown, token = page.cut(found, lambda one: one[1])
        items = queries.experiment_views(session, [row for row, _ in shown])
    return written(ExperimentPage(items=items, next_page_token=token))


@router.post("/{experiment_id}/cancel", status_code=HTTPStatus.ACCEPTED, summary="Cancel an experiment")
def cancel(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> ExperimentView:
    """Ask it to stop: queued runs end now, running ones within a second or one step. Asking twice is harmless; 409
    for an experiment that has ended otherwise.
    """
    with database.begin() as session:
        queries.experiment_of(session, caller, experiment_id)
        accepted = runs.cancel(session, experiment_id)
    # In a second transaction: workers hear of the cancel with the commit of the first.
    with database.begin() as session:
        view = queries.experiment_now(session, caller, experiment_id)
    if not accepted and view.state is not State.CANCELLED:
        raise ApiError(HTTPStatus.CONFLICT, f"the experiment has ended as {view.state}; there is nothing to cancel")
    return view


@router.delete("/{experiment_id}", status_code=HTTPStatus.NO_CONTENT, summary="Delete an experiment")
def delete(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep, files: CheckpointsDep) -> None:
    """Delete it with its runs, traces, checkpoints, and what stored answers say of it. Workers that train it stop."""
    with database.begin() as session:
        experiment = queries.experiment_of(session, caller, experiment_id)
        checkpoints = named_by(session, experiment_id)
        runs.remove(session, experiment_id)
        forget(session, experiment, deleted(experiment_id), f"/v1/experiments/{experiment_id}")
    for name in checkpoints:
        _remove(files, name)


def _remove(files: CheckpointFiles, name: str) -> None:
    """Storage that is away does not bring the experiment back; a dispatcher removes the file later."""
    try:
        files.remove(name)
    except OSError as error:
        log.warning("a checkpoint is left to the dispatcher", name=name, error=str(error))


@router.get("/{experiment_id}/runs", response_model=RunPage, summary="List the runs of an experiment")
def list_runs(
    experiment_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    page: PageDep,
    wanted: Annotated[queries.RunFilter, Depends(_wanted_runs)],
) -> Response:
    """Its runs: those of tuning, then all variants of the first seed, of the second, …"""
    with database.begin() as session:
        queries.experiment_of(session, caller, experiment_id)
        found = queries.runs(session, experiment_id, wanted, page.after(), page.asked)
        shown, token = page.cut(found, lambda row: row.position)
        attempts = queries.attempts_of(session, [row.id for row in shown])
    return written(RunPage(items=[run_view(row, attempts[row.id]) for row in shown], next_page_token=token))


@router.get("/{experiment_id}/runs/brief", response_model=BriefRunPage, summary="List the runs in brief")
def list_brief_runs(
    experiment_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    page: PageDep,
    wanted: Annotated[queries.RunFilter, Depends(_wanted_runs)],
) -> Response:
    """The same runs in the same order, a twentieth as long: for tables of many."""
    with database.begin() as session:
        queries.experiment_of(session, caller, experiment_id)
        found = queries.brief_runs(session, experiment_id, wanted, page.after(), page.asked)
    shown, token = page.cut(found, lambda one: one[0])
    return written(BriefRunPage(items=[run for _, run in shown], next_page_token=token))


@router.get(
    "/{experiment_id}", response_model=ExperimentView, summary="Look at an experiment, or wait", responses=UNCHANGED
)
async def read(  # noqa: PLR0913, PLR0917 -- what FastAPI is to hand in
    experiment_id: uuid.UUID,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    changes: ChangesDep,
    wait: Wait = 0.0,
) -> Response:
    """The experiment. With ``wait`` and the last ``ETag`` in ``If-None-Match`` it answers when it differs, when the
    experiment has ended, or after that time; 304 where nothing is new.
    """
    deadline = time.monotonic() + min(wait, LONGEST_WAIT_S)
    seen = request.headers.get("if-none-match", "")
    gone = asyncio.create_task(_gone(request))
    try:
        with changes.watch(str(experiment_id)) as changed:
            while True:
                # Before the look, so that a change during it is not lost.
                changed.clear()
                view = await run_in_threadpool(_look, database, caller, experiment_id)
                etag = etag_of(view.model_dump_json().encode())
                # Without a tag to compare with, the first look is what a change is a change from.
                seen = seen or etag
                left = deadline - time.monotonic()
                nobody_waits = left <= 0 or gone.done() or changes.released
                if nobody_waits or view.state.is_finished or not matches(etag, seen):
                    return tagged(request, view)
                await first_of(changed, gone, left)
    finally:
        gone.cancel()


def _look(database: Database, caller: Caller, experiment_id: uuid.UUID) -> ExperimentView:
    with database.begin() as session:
        return queries.experiment_now(session, caller, experiment_id)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection: nobody is left to wait for."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
