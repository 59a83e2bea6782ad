"""Writes down who changed what: one row for each request under a key that asks for a change, whatever becomes of it."""

import re
import uuid
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.callers import Caller
from api.http.scopes import Asked
from models.owners import audit
from models.owners.audit import Deed
from models.specs.text import PLAIN
from models.storage.database import Database

log = structlog.get_logger()
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST_NAME = 200


class Audit:
    """ASGI middleware between the gate, which knows the caller, and the addresses, which know what is asked. The row is
    there before the answer is; where the database takes none the answer goes out all the same, and the log has it.
    """

    def __init__(self, app: ASGIApp, *, database: Database) -> None:
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._note(scope, message["status"], dict(message["headers"]).get(b"location", b""))
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:  # a mistake of ours, which is answered further out
            await self._note(scope, HTTPStatus.INTERNAL_SERVER_ERROR, b"")
            raise

    async def _note(self, scope: Scope, status: int, location: bytes) -> None:
        deed = _deed(Request(scope), status, location.decode("latin-1"))
        if deed is not None:
            await run_in_threadpool(self._write, deed)

    def _write(self, deed: Deed) -> None:
        try:
            with self._database.begin() as session:
                audit.note(session, deed)
        except SQLAlchemyError as error:  # the change is made, and its answer is not held back
            log.error("an audit row could not be written", error=str(error), **_told(deed))  # noqa: TRY400 -- the deed counts


def _deed(request: Request, status: int, location: str) -> Deed | None:
    """None: nothing that is written down."""
    caller: Caller | None = getattr(request.state, "caller", None)
    asked: Asked | None = getattr(request.state, "asked", None)
    if caller is None or asked is None or not asked.noted:
        return None
    # What was made is in no address that was asked, and in the answer's Location.
    found = _ID.search(request.url.path) or _ID.search(location)
    return Deed(
        owner=caller.owner,
        key_id=caller.key_id,
        action=asked.operation,
        resource=None if found is None else uuid.UUID(found[0]),
        whose=_name(request.query_params.get("owner")),
        status=status,
    )


def _name(given: str | None) -> str | None:
    """An owner's name. What can be none is refused by the route, and is not kept."""
    is_one = given is not None and len(given) <= _LONGEST_NAME and re.fullmatch(PLAIN, given) is not None
    return given if is_one else None


def _told(deed: Deed) -> dict[str, str | int]:
    return {"owner": deed.owner, "key": str(deed.key_id), "action": deed.action, "resource": str(deed.resource)}
