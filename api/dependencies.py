"""What a route may ask for, as annotated types: the database, who waits for changes, who is calling, …"""

from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from api.changes import Changes
from api.http.callers import Caller
from api.http.sse import Streams
from api.uploads.keeping import Shelf
from models.storage.database import Database


def _database(request: Request) -> Database:
    return cast("Database", request.app.state.database)


def _changes(request: Request) -> Changes:
    return cast("Changes", request.app.state.changes)


def _streams(request: Request) -> Streams:
    return cast("Streams", request.app.state.streams)


def _shelf(request: Request) -> Shelf:
    return cast("Shelf", request.app.state.shelf)


# The gate has checked the key before the body was read; these two say so in the schema.
_bearer = HTTPBearer(auto_error=False, description="The value of CLINIC_API_KEY, where the clinic has one.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same, for clients without Authorization.")


def _caller(
    request: Request, _: Annotated[object, Security(_bearer)], __: Annotated[object, Security(_header)]
) -> Caller:
    return cast("Caller", request.state.caller)


DatabaseDep = Annotated[Database, Depends(_database)]
ChangesDep = Annotated[Changes, Depends(_changes)]
StreamsDep = Annotated[Streams, Depends(_streams)]
ShelfDep = Annotated[Shelf, Depends(_shelf)]
CallerDep = Annotated[Caller, Depends(_caller)]
