"""Experiments: submit, look, wait, cancel, delete, and list their runs."""

import asyncio
import time
import uuid
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AwareDatetime

from api import rows
from api.bodies import StrictRoute
from api.dependencies import CallerDep, ChangesDep, DatabaseDep
from api.errors import ApiError, FieldProblem
from api.etags import etag_of, matches, tagged
from api.examples import SPEC_EXAMPLES
from api.pages import PageSize, PageToken, encode_token, page_limit, token_int, token_uuid
from api.views import ExperimentPage, ExperimentView, RunPage, experiment_view, run_view
from models import runs
from models.database import Database
from models.plan import expand
from models.specs.experiment import ExperimentSpec
from models.status import State

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

LONGEST_WAIT_S = 60
SpecBody = Annotated[ExperimentSpec, Body(openapi_examples=SPEC_EXAMPLES)]


@router.post("", status_code=HTTPStatus.ACCEPTED)
def submit(spec: SpecBody, response: Response, caller: CallerDep, database: DatabaseDep) -> ExperimentView:
    """Start a controlled trial: every variant under every seed. The answer shows every default."""
    variants = expand(spec)
    with database.begin() as session:
        experiment_id = runs.submit(session, spec, variants, caller.owner)
    view = _view(database, caller.owner, experiment_id)
    response.headers["Location"] = view.links["self"]
    return view


@router.get("")
def list_experiments(  # noqa: PLR0913 -- a filter each
    caller: CallerDep,
    database: DatabaseDep,
    state: State | None = None,
    label: Annotated[list[str] | None, Query(description="key:value; repeat it to ask for several")] = None,
    created_after: AwareDatetime | None = None,
    created_before: AwareDatetime | None = None,
    page_size: PageSize = 50,
    page_token: PageToken = "",
) -> ExperimentPage:
    """The caller's experiments, newest first."""
    wanted = rows.Filter(state, _labels(label or []), created_after, created_before)
    limit = page_limit(page_size)
    with database.begin() as session:
        found = rows.experiments(session, caller.owner, wanted, token_uuid(page_token), limit + 1)
        page = found[:limit]
        progress = rows.progress_of(session, [row.id for row in page])
    token = encode_token(page[-1].id) if len(found) > limit else ""
    return ExperimentPage(items=[experiment_view(row, progress[row.id]) for row in page], next_page_token=token)


def _labels(given: list[str]) -> dict[str, str]:
    pairs = [one.partition(":") for one in given]
    if any(not separator for _, separator, _ in pairs):
        problem = FieldProblem(field="label", value=given, message="a label is given as key:value")
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, problem.message, [problem])
    return {key: value for key, _, value in pairs}


@router.get("/{experiment_id}", response_model=ExperimentView)
async def read(
    experiment_id: uuid.UUID,
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    changes: ChangesDep,
    wait: Annotated[float, Query(ge=0, description="Seconds; more than 60 count as 60.")] = 0.0,
) -> Response:
    """The experiment. With ``wait`` and the last ``ETag`` in ``If-None-Match`` it answers when it differs, when the
    experiment has ended, or after that time; 304 where nothing is new.
    """
    deadline = time.monotonic() + min(wait, LONGEST_WAIT_S)
    seen = request.headers.get("if-none-match", "")
    with changes.watch(str(experiment_id)) as changed:
        while True:
            changed.clear()
            view = await run_in_threadpool(_view, database, caller.owner, experiment_id)
            etag = etag_of(view.model_dump_json().encode())
            # Without a tag to compare with, the first look is what a change is a change from.
            seen = seen or etag
            left = deadline - time.monotonic()
            if not matches(etag, seen) or view.state.is_finished or left <= 0 or await request.is_disconnected():
                return tagged(request, view)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)


def _view(database: Database, owner: str, experiment_id: uuid.UUID) -> ExperimentView:
    with database.begin() as session:
        row = rows.experiment_of(session, owner, experiment_id)
        progress = rows.progress_of(session, [row.id])[row.id]
        return experiment_view(row, progress)


@router.post("/{experiment_id}/cancel", status_code=HTTPStatus.ACCEPTED)
def cancel(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> ExperimentView:
    """Ask it to stop: queued runs end now, running ones within a second or one step. Asking twice is harmless."""
    with database.begin() as session:
        rows.experiment_of(session, caller.owner, experiment_id)
        accepted = runs.cancel(session, experiment_id)
    view = _view(database, caller.owner, experiment_id)
    if not accepted and view.state is not State.CANCELLED:
        raise ApiError(HTTPStatus.CONFLICT, f"the experiment has ended as {view.state}; there is nothing to cancel")
    return view


@router.delete("/{experiment_id}", status_code=HTTPStatus.NO_CONTENT)
def delete(experiment_id: uuid.UUID, caller: CallerDep, database: DatabaseDep) -> None:
    """Delete it with its runs and traces. Workers that train one of them stop."""
    with database.begin() as session:
        rows.experiment_of(session, caller.owner, experiment_id)
        runs.remove(session, experiment_id)


@router.get("/{experiment_id}/runs")
def list_runs(
    experiment_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    page_size: PageSize = 50,
    page_token: PageToken = "",
) -> RunPage:
    """Its runs: all variants of the first seed, then of the second, …"""
    limit = page_limit(page_size)
    with database.begin() as session:
        rows.experiment_of(session, caller.owner, experiment_id)
        found = rows.runs(session, experiment_id, token_int(page_token), limit + 1)
        page = found[:limit]
        attempts = rows.attempts_of(session, [row.id for row in page])
    token = encode_token(page[-1].position) if len(found) > limit else ""
    return RunPage(items=[run_view(row, attempts[row.id]) for row in page], next_page_token=token)
