"""Entity tags: of an answer, so that it need not be sent again, or of a run's state, so that it need not be made."""

import hashlib
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from models.storage.tables import Run

UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "As it was under the ETag in If-None-Match."}}
"""Of an operation that answers so; the document then says its headers (``document.py``)."""
RUN_FORMAT = 1
"""To be counted up when what is answered of a run changes in form, so that no client goes on with an older one."""


def etag_of(body: bytes) -> str:
    # 96 bits: a tag tells answers of one address apart, and guards nothing.
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def matches(etag: str, if_none_match: str) -> bool:
    """Whether ``If-None-Match`` names this tag (a weak one counts: the bytes are what is compared)."""
    return if_none_match.strip() == "*" or etag in {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}


def tagged(
    request: Request, body: BaseModel | bytes, status: int = HTTPStatus.OK, media_type: str = "application/json"
) -> Response:
    """The answer with its tag, or 304 where the client has it already."""
    content = body if isinstance(body, bytes) else body.model_dump_json().encode()
    headers = {"ETag": etag_of(content), "Cache-Control": "no-cache"}
    return not_modified(request, headers) or Response(content, status, headers, media_type=media_type)


def not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """304 where the client has what these headers tag."""
    if matches(headers["ETag"], request.headers.get("if-none-match", "")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return None


def run_headers(run: Run, *asked: object) -> dict[str, str]:
    """Those of what is answered of a run's records: the tag changes when what is stored of them does.

    A worker says in every write how far it is, so the step stands for the records; a new attempt begins them anew.
    """
    # Nothing of the trace is read for it: a poll that finds nothing new costs one row.
    state = (run.id, run.attempt, run.state, run.step, run.ended_at, run.raw_dropped_at)
    etag = etag_of(repr((RUN_FORMAT, *state, *asked)).encode())
    return {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept"}
