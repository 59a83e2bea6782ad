"""What holds at every address, whichever router it comes from: its methods, the parameters of a query, bodies that are
not packed, and HEAD wherever GET is. Read from the routes, so that no route can differ.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any

from anyio import CancelScope
from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import iter_route_contexts
from pydantic import TypeAdapter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.callers import Caller
from api.http.errors import ApiError, error_response
from api.http.fields import FieldProblem
from api.http.scopes import Asked, asked

Names = Mapping[str, bool]
"""The parameters of a query, and whether each may be repeated."""


@dataclass(slots=True)
class Address:
    """All routes of one path template, the parameters that each method takes, and what it comes to."""

    pattern: re.Pattern[str]
    parameters: dict[str, Names] = field(default_factory=dict)
    operations: dict[str, Asked] = field(default_factory=dict)

    @property
    def allow(self) -> str:
        return ", ".join(sorted({*self.parameters, "OPTIONS"}))


class Addresses:
    """ASGI middleware. Answers OPTIONS (204) and refuses, before anything is looked up: 405 for another method, with a
    true ``Allow``; 403 for a key without the scope that the route asks for; 415 for a body that is packed; 422 for
    parameters that are unknown or given twice. A path that no route has is left to the router.
    """

    def __init__(self, app: ASGIApp, *, routes: FastAPI) -> None:
        self._app = app
        self._routes = routes
        self._table: dict[str, Address] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = self._at(scope["path"]) if scope["type"] == "http" else None
        if address is None:
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._headed(address, scope, receive, send)
        else:
            await self._answered(address, scope, receive, send)

    async def _answered(self, address: Address, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            if request.method == "OPTIONS":
                await Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": address.allow})(
                    scope, receive, send
                )
                return
            _check(address, request)
        except ApiError as error:
            await error_response(error, request.url.path)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _headed(self, address: Address, scope: Scope, receive: Receive, send: Send) -> None:
        """As GET, with the headers alone. A stream is not begun: it would hold the connection until its end."""
        with CancelScope() as running:

            async def headers_only(message: Message) -> None:
                if message["type"] != "http.response.start":
                    return
                scope["method"] = "HEAD"  # so that the server sends no body, and does not miss one either
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                if not any(name.lower() == b"content-length" for name, _ in message["headers"]):
                    running.cancel()

            # In place: what stands around this reads the route from the same scope.
            scope["method"] = "GET"
            try:
                await self._answered(address, scope, receive, headers_only)
            finally:
                scope["method"] = "HEAD"

    def _at(self, path: str) -> Address | None:
        """That of the literal path before one whose parameters would fit it too."""
        if not self._table:
            # At the first request, when all routes have been added.
            self._table = _table(self._routes)
        literal = self._table.get(path)
        fitting = (address for address in self._table.values() if address.pattern.match(path))
        return next(fitting, None) if literal is None else literal


def _table(routes: FastAPI) -> dict[str, Address]:
    table: dict[str, Address] = {}
    for route in iter_route_contexts(routes.routes):
        dependant: Dependant | None = getattr(route, "dependant", None)  # a plain route of Starlette has none
        names = {} if dependant is None else dict(_parameters(dependant))
        address = table.setdefault(str(route.path_format), Address(route.path_regex))
        address.parameters |= dict.fromkeys(route.methods or (), names)
        address.operations |= {method: asked(route, method) for method in route.methods or ()}
    # HEAD takes what GET takes; FastAPI's routes have none of their own.
    for address in table.values():
        if "GET" in address.parameters:
            address.parameters["HEAD"] = address.parameters["GET"]
    return table


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    for parameter in get_flat_params(dependant):
        if isinstance(parameter.field_info, Query):
            annotation: Any = parameter.field_info.annotation
            yield parameter.alias, _is_repeatable(annotation)


@cache  # many parameters are of few types
def _is_repeatable(annotation: Any) -> bool:
    shape = TypeAdapter(annotation).json_schema()
    return "array" in (choice.get("type") for choice in [shape, *shape.get("anyOf", ())])


def _check(address: Address, request: Request) -> None:
    if request.method not in address.parameters:
        # Cut, as everything that is quoted here: what a client sends may be as long as it likes.
        detail = f"{request.method[:20]} is none of the methods of this address: {address.allow}"
        raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, detail, headers={"Allow": address.allow})
    # Before the body is read, which may be large. Where the gate asks for no key there is no caller.
    operation = request.state.asked = address.operations[request.method]
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is not None:
        caller.require(operation.needs)
        # Here, so that no route has to think of it: what is shared can be read, and nothing can be done with it.
        if not operation.only_reads:
            request.state.caller = caller.unshared()
    encoding = request.headers.get("content-encoding", "")
    if encoding.lower() not in {"", "identity"}:
        problem = FieldProblem(
            field="Content-Encoding", value=encoding[:100], message="a body is sent as it is", allowed=["identity"]
        )
        detail = "send the body unpacked, without Content-Encoding"
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, [problem], {"Accept-Encoding": "identity"})
    problems = list(_problems(request, address.parameters[request.method]))
    if problems:
        detail = "; ".join(f"{problem.field[:100]}: {problem.message}" for problem in problems[:3])
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, problems[:50])


def _problems(request: Request, names: Names) -> Iterator[FieldProblem]:
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in given.items():
        value = request.query_params[name][:200]
        if name not in names:
            known = f"those there are: {', '.join(sorted(names))}" if names else "this address takes none"
            message = f"there is no such parameter; {known}"
            yield FieldProblem(field=name[:200], value=value, message=message, allowed=sorted(names))
        elif times > 1 and not names[name]:
            yield FieldProblem(field=name, value=value, message=f"it is given {times} times", allowed="once")
