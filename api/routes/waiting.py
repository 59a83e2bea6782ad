"""One experiment: as it is, or as soon as it is different. Async, so that who waits holds no thread."""

import asyncio
import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import rows
from api.bodies import StrictRoute
from api.callers import Caller
from api.changes import first_of
from api.dependencies import CallerDep, ChangesDep, DatabaseDep
from api.etags import etag_of, matches, tagged
from api.views import ExperimentView
from models.storage.database import Database

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

LONGEST_WAIT_S = 60
Wait = Annotated[float, Query(ge=0, description="Seconds; more than 60 count as 60.")]
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "As it was under the ETag in If-None-Match."}}


@router.get(
    "/{experiment_id}", response_model=ExperimentView, summary="Look at an experiment, or wait", responses=_UNCHANGED
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
        return rows.experiment_now(session, caller, experiment_id)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection: nobody is left to wait for."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
