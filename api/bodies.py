"""What comes in, before anything is made of it: body size, content type, strict JSON, and where it comes from."""

import json
import math
from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, FieldProblem, problem_response
from models.settings import Settings, is_loopback

_WITH_BODY = {"POST", "PUT", "PATCH"}
_SAFE = {"GET", "HEAD", "OPTIONS"}


class Gate:
    """ASGI middleware: 413 for a body over the limit, of which no more than the limit is ever held; and 403 for a
    state-changing request that another web page makes through a browser while no key is asked for.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._limit = settings.max_body_bytes
        self._open = settings.bootstrap_key() is None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _SAFE:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if self._open and _is_foreign(request.headers.get("origin")):
            detail = "this clinic asks for no key, so web pages of other sites may not change anything in it"
            await problem_response(403, detail, request.url.path)(scope, receive, send)
            return
        messages = await self._within_limit(request, receive)
        if messages is None:
            detail = f"a request body may have at most {self._limit:,} bytes"
            headers = {"Connection": "close"}
            await problem_response(413, detail, request.url.path, headers=headers)(scope, receive, send)
            return
        await self._app(scope, _replay(messages, receive), send)

    async def _within_limit(self, request: Request, receive: Receive) -> list[Message] | None:
        """The body's messages, or None as soon as they are more than allowed (or are announced to be)."""
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > self._limit:
            return None
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._limit:
                return None
            if message["type"] != "http.request" or not message.get("more_body", False):
                return messages


def _is_foreign(origin: str | None) -> bool:
    return origin is not None and not is_loopback(urlsplit(origin).hostname or "")


def _replay(messages: Sequence[Message], receive: Receive) -> Receive:
    left = list(messages)

    async def replayed() -> Message:
        return left.pop(0) if left else await receive()

    return replayed


class StrictRequest(Request):
    """A request whose JSON is what RFC 8259 calls JSON, and can be stored."""

    async def json(self) -> Any:
        return strict_json(await self.body())


class StrictRoute(APIRoute):
    """Routes with a body take ``application/json`` and nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if self.body_field is not None:
                _check_content_type(request)
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def _check_content_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    if given.split(";")[0].strip().lower() != "application/json":
        problem = FieldProblem(
            field="Content-Type", value=given or None, message="the body must be JSON", allowed=["application/json"]
        )
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as application/json", [problem])


def strict_json(body: bytes) -> Any:
    """Parse, or raise a 400 that says what is wrong: broken JSON, NaN or Infinity, a number too large for a double,
    one key twice, text that is no Unicode or holds NUL (PostgreSQL stores neither).
    """
    try:
        value = json.loads(
            body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique
        )
        _check_text(value)
    except json.JSONDecodeError as error:
        detail = f"this is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise ApiError(HTTPStatus.BAD_REQUEST, detail) from error
    except UnicodeDecodeError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, f"the body is not UTF-8: byte {error.start}") from error
    except RecursionError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "the JSON is nested too deeply") from error
    except ValueError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, str(error)) from error
    return value


def _no_constant(name: str) -> Any:
    message = f"JSON has no {name}"
    raise ValueError(message)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        message = f"the number {text[:40]} is too large"
        raise ValueError(message)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        message = f"the key {twice[:40]!r} is given twice in one object"
        raise ValueError(message)
    return found


def _check_text(value: Any) -> None:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str) and ("\x00" in one or any("\ud800" <= char <= "\udfff" for char in one)):
            message = "text may hold neither NUL nor half of a surrogate pair"
            raise ValueError(message)
