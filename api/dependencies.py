"""What a route may ask for, as annotated types: the database, who waits for changes, who is calling, …

They are coroutines, though they wait for nothing: FastAPI calls anything else in a thread, which takes longer than most
of a small answer.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends, Query, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from api.changes import Changes
from api.http.callers import Caller
from api.http.errors import ApiError
from api.http.keyring import Keyring
from api.http.sse import Streams
from api.uploads.keeping import Shelf
from models.specs.text import PLAIN
from models.storage.checkpoints import CheckpointFiles
from models.storage.database import Database


async def _database(request: Request) -> Database:
    return cast("Database", request.app.state.database)


async def _changes(request: Request) -> Changes:
    return cast("Changes", request.app.state.changes)


async def _streams(request: Request) -> Streams:
    return cast("Streams", request.app.state.streams)


async def _shelf(request: Request) -> Shelf:
    return cast("Shelf", request.app.state.shelf)


Opens = Callable[[], Awaitable[bool]]


async def _opens(request: Request) -> Opens:
    """Whether the key of a request still opens: for an answer that lasts."""
    ring: Keyring | None = request.app.state.ring
    caller: Caller = request.state.caller

    async def opens() -> bool:
        return ring is None or caller.key_id is None or await ring.still_opens(caller.key_id)

    return opens


async def _ring(request: Request) -> Keyring:
    ring: Keyring | None = request.app.state.ring
    if ring is None:
        detail = (
            "this clinic asks for no key and everybody who reaches it is local, so there is nothing to keep apart; "
            "started with CLINIC_API_KEY it takes that key here, to make others"
        )
        raise ApiError(HTTPStatus.CONFLICT, detail)
    return ring


async def _checkpoints(request: Request) -> CheckpointFiles:
    return cast("CheckpointFiles", request.app.state.checkpoints)


# The gate has checked the key before the body was read; these two say so in the schema.
_bearer = HTTPBearer(
    auto_error=False,
    description="One that `POST /v1/keys` has made, or the value of CLINIC_API_KEY; a clinic without it asks for none.",
)
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same, for clients without Authorization.")


async def _caller(
    request: Request, _: Annotated[object, Security(_bearer)], __: Annotated[object, Security(_header)]
) -> Caller:
    return cast("Caller", request.state.caller)


DatabaseDep = Annotated[Database, Depends(_database)]
ChangesDep = Annotated[Changes, Depends(_changes)]
StreamsDep = Annotated[Streams, Depends(_streams)]
ShelfDep = Annotated[Shelf, Depends(_shelf)]
OpensDep = Annotated[Opens, Depends(_opens)]
CheckpointsDep = Annotated[CheckpointFiles, Depends(_checkpoints)]
RingDep = Annotated[Keyring, Depends(_ring)]
CallerDep = Annotated[Caller, Depends(_caller)]
OwnerQuery = Annotated[
    str | None, Query(max_length=200, pattern=PLAIN, description="Of those that the caller may see.")
]
"""Whose an admin wants to see."""
