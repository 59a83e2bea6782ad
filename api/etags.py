"""Entity tags: a hash of the answer, so that an unchanged one need not be sent again."""

import hashlib
from http import HTTPStatus

from fastapi import Request, Response
from pydantic import BaseModel


def etag_of(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def matches(etag: str, if_none_match: str) -> bool:
    """Whether ``If-None-Match`` names this tag (a weak one counts: the bytes are what is compared)."""
    return if_none_match.strip() == "*" or etag in {one.strip().removeprefix("W/") for one in if_none_match.split(",")}


def tagged(request: Request, body: BaseModel | bytes, status: int = HTTPStatus.OK) -> Response:
    """The answer with its tag, or 304 where the client has it already."""
    content = body if isinstance(body, bytes) else body.model_dump_json().encode()
    etag = etag_of(content)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if matches(etag, request.headers.get("if-none-match", "")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(content, status, headers, media_type="application/json")
