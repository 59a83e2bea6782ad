"""What every request passes before anything of it is parsed: where it comes from, whose it is, how large it is."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import Request
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.callers import Callers
from api.http.errors import ApiError, error_response, no_database
from api.http.rates import Rates
from api.http.scopes import SAFE
from api.http.sites import Sites

_DOCUMENTS = {"/openapi.json", "/openapi-3.0.json", "/openapi-3.2.json"}
_OPEN = {"/", "/dashboard", "/docs", "/healthz", "/readyz"} | _DOCUMENTS
"""They tell nothing of experiments, and ask nothing of the database that grows."""


class Gate:
    """ASGI middleware. 421 and 403 for what a browser sends for a foreign page (``api.http.sites``). 401 where a key is
    asked for and missing, 429 for more requests than its owner may send. 413 for a body over the limit, of which no
    more than the limit is ever held. An upload has a limit of its own and is not held here: it is counted while the
    route takes it in.
    """

    def __init__(self, app: ASGIApp, *, callers: Callers, sites: Sites, limit: int, upload_limit: int) -> None:
        self._app = app
        self._callers = callers
        self._rates = Rates()
        self._sites = sites
        self._limit = limit
        self._upload_limit = upload_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            # The sender first and the body last: who may not ask cannot make us hold anything.
            self._sites.check(request.method, request.headers)
            if not _is_open(request.scope["path"]):
                request.state.caller = await self._callers.identify(request.headers)
                send = _with(self._rates.count(request.state.caller), send)
            if _is_upload(request):
                receive = self._counted(request, receive)
            elif request.method not in SAFE:
                receive = _replay(await self._body_of(request, receive), receive)
        except ApiError as error:
            await error_response(error, request.url.path)(scope, receive, send)
            return
        except (OperationalError, PoolTimeoutError) as error:
            await no_database(error, request.url.path)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _body_of(self, request: Request, receive: Receive) -> list[Message]:
        """The body's messages; 413 as soon as they are more than allowed, or are announced to be."""
        # By what is announced, before any of it is taken in; what is sent is counted all the same.
        if _announced(request) > self._limit:
            raise _too_large(self._limit)
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self._limit:
                raise _too_large(self._limit)
            if message["type"] != "http.request" or not message.get("more_body", False):
                return messages

    def _counted(self, request: Request, receive: Receive) -> Receive:
        """413 now for a body that announces too much, or in the middle of one that becomes too much."""
        if _announced(request) > self._upload_limit:
            raise _too_large(self._upload_limit)
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._upload_limit:
                raise _too_large(self._upload_limit)
            return message

        return counted


def _with(headers: Mapping[str, str], send: Send) -> Send:
    """Whatever is answered says this too."""
    if not headers:
        return send
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def saying(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *raw]
        await send(message)

    return saying


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith("/dashboard/")


def _is_upload(request: Request) -> bool:
    return request.method == "PUT" and request.url.path.startswith("/v1/datasets/")


def _too_large(limit: int) -> ApiError:
    detail = f"a request body may have at most {limit:,} bytes"
    # What is left of the body is not read, so the connection cannot be used again.
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, headers={"Connection": "close"})


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    # The server refuses what is no number; the guards are for a length no int can be read from.
    return int(length[:20]) if length.isdecimal() else 0


def _replay(messages: Sequence[Message], receive: Receive) -> Receive:
    left = list(messages)

    async def replayed() -> Message:
        # Behind the body the connection itself is asked: routes wait there for the client to go.
        return left.pop(0) if left else await receive()

    return replayed
