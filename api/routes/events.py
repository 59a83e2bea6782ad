"""What happens to an experiment, as it happens: server-sent events that go on where a client was cut off.

Async as ``waiting.py`` is: who listens holds no thread, and no connection to the database, between two looks.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from collections.abc import Set as AbstractSet
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Query
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api import queries
from api.changes import Changes
from api.dependencies import CallerDep, ChangesDep, DatabaseDep, Opens, OpensDep, StreamsDep
from api.http.bodies import StrictRoute
from api.http.callers import Caller
from api.http.sse import STILL_HERE, EventStream, Streams, event
from api.views.experiments import EVENTS, ChangedEvent, ChangedExperiment, EndEvent, EventData, RunCounts
from models.runs import events
from models.runs.events import News
from models.runs.progress import progress_of
from models.status import State
from models.storage.database import Database

log = structlog.get_logger()
router = APIRouter(prefix="/v1", tags=["experiments"], route_class=StrictRoute)

Number = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, lt=2**63, description="Go on after this number.")]
Asked = Annotated[int | None, Query(ge=0, lt=2**63, description="The same, where headers cannot be set.")]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "model": EventData,
        "description": "Events `experiment`, `run`, `progress`, at last `end`; `data` has the shape of its name.",
    }
}

# FastAPI takes every stream for one string; this one is told as what its events hold.
_OF_OBJECTS = {"responses": {"200": {"content": {EventStream.media_type: {"schema": {"type": "object"}}}}}}


@router.get(
    "/experiments/{experiment_id}/events",
    summary="Follow an experiment",
    status_code=HTTPStatus.OK,
    response_class=EventStream,
    responses=_STREAM,
    openapi_extra=_OF_OBJECTS,
)
async def follow(  # noqa: PLR0913, PLR0917 -- what FastAPI is to hand in
    experiment_id: uuid.UUID,
    caller: CallerDep,
    database: DatabaseDep,
    changes: ChangesDep,
    streams: StreamsDep,
    opens: OpensDep,
    seen: Number = None,
    last_event_id: Asked = None,
) -> EventStream:
    """Server-sent events: every change of state of the experiment and its runs, progress and losses. All from the
    start, or what came after ``Last-Event-ID``; a number that this experiment has not given yet counts as none. Of
    progress, and of counts within one state, the newest is kept. The last event is ``end``.
    """
    # A browser that connects again repeats the address as it was, and has the newer number in the header.
    asked = (last_event_id if seen is None else seen) or 0
    number = await run_in_threadpool(_start, database, caller, experiment_id, asked)
    return EventStream(_told(database, changes, streams, opens, experiment_id, number))


async def _told(  # noqa: PLR0913, PLR0917 -- what it tells, and whom it asks
    database: Database, changes: Changes, streams: Streams, opens: Opens, experiment_id: uuid.UUID, number: int
) -> AsyncGenerator[str, None]:
    pace = streams.pace
    with streams.open.track_inprogress(), changes.watch(str(experiment_id)) as changed:
        while not changes.released:
            # Before the look: a change that comes while it looks must wake the next one.
            changed.clear()
            looked_at = time.monotonic()
            try:
                if not await opens():
                    return  # who connects again is told why
                news = await run_in_threadpool(_look, database, experiment_id, number, pace.batch)
            except (OperationalError, PoolTimeoutError) as error:
                # The client would have to ask again and again, and be refused; here it waits.
                log.warning("a stream waits for the database", error=str(error))
            else:
                if news is None:
                    yield event("end", EndEvent(reason="deleted", state=None))
                    return
                if news.events:
                    # In one piece: a long story would else keep the loop busy with sending.
                    yield "".join(
                        event(told.kind, EVENTS[told.kind].model_validate(told.data), told.number)
                        for told in news.events
                    )
                    number = news.events[-1].number
                # There is more already: on at once, without a wait.
                if len(news.events) == pace.batch:
                    continue
                if news.state.is_finished:
                    yield event("end", EndEvent(reason="ended", state=news.state))
                    return
            if not await _woken(changed, pace.sweep_s):
                yield STILL_HERE
            # From look to look, so that what a look takes is no longer pause.
            await asyncio.sleep(looked_at + pace.between_s - time.monotonic())


_CHANGED: dict[int | str, dict[str, Any]] = {
    200: {"model": ChangedEvent, "description": "Events `changed`, the first of them at once."}
}
Seconds = Annotated[float | None, Query(ge=0, description="The stream ends then; without it, when the client goes.")]
MOST_TOLD = 100
"""Where more experiments have changed at once, who follows asks for its list again."""


@router.get(
    "/events",
    summary="Follow all experiments",
    status_code=HTTPStatus.OK,
    response_class=EventStream,
    responses=_CHANGED,
    openapi_extra=_OF_OBJECTS,
)
async def follow_all(  # noqa: PLR0913, PLR0917 -- what FastAPI is to hand in
    caller: CallerDep,
    database: DatabaseDep,
    changes: ChangesDep,
    streams: StreamsDep,
    opens: OpensDep,
    wait: Seconds = None,
) -> EventStream:
    """Server-sent events: which of the experiments that the caller may see have changed, are new or deleted, and how
    they are now, at most twice a second. It tells what is and not what was, so its events have no numbers: the first
    one, and the first after a break, is ``stale``, and lists are to be asked for again.
    """
    until = None if wait is None else time.monotonic() + wait
    return EventStream(_all_told(database, changes, streams, opens, caller, until))


async def _all_told(  # noqa: PLR0913, PLR0917 -- what it tells, and whom it asks
    database: Database, changes: Changes, streams: Streams, opens: Opens, caller: Caller, until: float | None
) -> AsyncGenerator[str, None]:
    pace = streams.pace
    with streams.open.track_inprogress(), changes.follow(caller.may_see) as following:
        while not changes.released:
            looked_at = time.monotonic()
            try:
                if not await opens():
                    return
                told = await run_in_threadpool(_changed, database, caller, *following.take())
            except (OperationalError, PoolTimeoutError) as error:
                following.miss()
                log.warning("a stream waits for the database", error=str(error))
            else:
                if told is not None:
                    yield event("changed", told)
            left = pace.sweep_s if until is None else min(until - time.monotonic(), pace.sweep_s)
            if left <= 0:
                return
            if not await _woken(following.changed, left):
                yield STILL_HERE
            await asyncio.sleep(looked_at + pace.list_s - time.monotonic())


def _changed(database: Database, caller: Caller, ids: AbstractSet[uuid.UUID], stale: bool) -> ChangedEvent | None:  # noqa: FBT001
    if stale or len(ids) > MOST_TOLD:
        return ChangedEvent(experiments=[], deleted=[], stale=True)
    if not ids:
        return None
    with database.begin() as session:
        rows = queries.experiments_now(session, caller, ids)
        progress = progress_of(session, [row.id for row in rows])
    shown = [
        ChangedExperiment(
            id=str(row.id),
            state=State(row.state),
            progress=progress[row.id].share,
            runs=RunCounts.model_validate(progress[row.id].counts),
            started_at=row.started_at,
            verdict=row.verdict,  # type: ignore[arg-type]  # written from a Verdict
        )
        for row in rows
    ]
    # Only owners that it may see are heard of, so what is not there any more was one of theirs.
    return ChangedEvent(experiments=shown, deleted=sorted(map(str, ids - {row.id for row in rows})), stale=False)


async def _woken(changed: asyncio.Event, sweep_s: float) -> bool:
    """Whether there was a change before the sweep was due."""
    try:
        async with asyncio.timeout(sweep_s):
            return await changed.wait()
    except TimeoutError:
        return False


def _start(database: Database, caller: Caller, experiment_id: uuid.UUID, asked: int) -> int:
    with database.begin() as session:
        queries.experiment_of(session, caller, experiment_id)
        # A larger number is from another database, or from this one before it was restored: it stands for nothing.
        return asked if asked <= events.last_number(session, experiment_id) else 0


def _look(database: Database, experiment_id: uuid.UUID, number: int, most: int) -> News | None:
    with database.begin() as session:
        return events.news(session, experiment_id, number, most)
