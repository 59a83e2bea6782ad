"""From bytes to a value that can be a spec: content type, strict JSON, text that PostgreSQL can store."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.http.errors import ApiError
from api.http.fields import FieldProblem
from models.specs.text import NOT_PLAIN

MOST_NESTED = 64
MOST_ENTRIES = 10_000
_MOST_DIGITS = 4_300
"""Python reads no longer whole number; the spec has no use for much shorter ones."""
_NOT_PLAIN = re.compile(f"[{NOT_PLAIN}\ud800-\udfff]")


class StrictRequest(Request):
    """A request whose JSON is what RFC 8259 calls JSON, and all of whose text can be stored and shown."""

    async def json(self) -> Any:
        value = strict_json(await self.body())
        check_text(self.shared(value))
        return value

    def shared(self, value: Any) -> Any:
        """What is looked at here and now."""
        return value


class ItemsRequest(StrictRequest):
    """One whose list of items the route looks at, item by item."""

    def shared(self, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("items"), list):
            return {name: part for name, part in value.items() if name != "items"}
        return value


class StrictRoute(APIRoute):
    """Routes with a body take ``application/json`` and nothing else."""

    request_class: type[Request] = StrictRequest

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if self.body_field is not None:
                _check_content_type(request)
            return await handler(self.request_class(request.scope, request.receive))

        return strict


class ItemsRoute(StrictRoute):
    """For routes that take many items in one body and answer each by itself."""

    request_class = ItemsRequest


def _check_content_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "application/json":
        problem = FieldProblem(
            field="Content-Type",
            value=content_type or None,
            message="the body must be JSON",
            allowed=["application/json"],
        )
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as application/json", [problem])


def strict_json(body: bytes) -> Any:
    """Parse. 400 for broken JSON, NaN or Infinity, a number beyond a double, one key twice, bytes that are no UTF-8,
    very deep nesting; 422 for very long lists.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_int,
            object_pairs_hook=_unique,
        )
        _check_shape(value)
    except json.JSONDecodeError as error:
        # This and the next are ValueErrors too, with more to say; what our own hooks raise comes last.
        detail = f"this is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise ApiError(HTTPStatus.BAD_REQUEST, detail) from error
    except UnicodeDecodeError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, f"the body is not UTF-8: byte {error.start}") from error
    except RecursionError as error:
        # The parser recurses itself, and gives up before its result can be looked at.
        raise ApiError(HTTPStatus.BAD_REQUEST, _TOO_DEEP) from error
    except ValueError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, str(error)) from error
    return value


def _no_constant(name: str) -> Any:
    message = f"JSON has no {name}"
    raise ValueError(message)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(_too_large(text))
    return value


def _int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(_too_large(text))
    return int(text)


def _too_large(text: str) -> str:
    return f"the number {text[:40]} is too large"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        message = f"the key {twice[:40]!r} is given twice in one object"
        raise ValueError(message)
    return value


_TOO_DEEP = f"the JSON is nested more than {MOST_NESTED} levels deep"


def _check_shape(value: Any) -> None:
    """A million wrong entries would be a million errors to explain; no spec needs as many."""
    # Level by level and without recursion: depth is what is bounded here.
    level = [value]
    for _ in range(MOST_NESTED + 1):
        containers = [container for container in level if isinstance(container, dict | list)]
        if any(len(container) > MOST_ENTRIES for container in containers):
            detail = f"no list or object of a request may have more than {MOST_ENTRIES:,} entries"
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
        level = [
            child
            for container in containers
            for child in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def check_text(value: Any) -> None:
    """ApiError 422 at the first text that has what is not plain, or half a surrogate pair. JSON may hold both. The one
    cannot be shown as it is, and the other cannot be stored.
    """
    # A stack of its own: depth is bounded, but a key may be wrong where its value is fine.
    left = [("", value)]
    while left:
        path, part = left.pop()
        if isinstance(part, dict):
            left += [(f"{path}.{key}" if path else key, inner) for key, inner in part.items()]
            left += [(path, key) for key in part]
        elif isinstance(part, list):
            left += [(f"{path}[{index}]", inner) for index, inner in enumerate(part)]
        elif isinstance(part, str) and _NOT_PLAIN.search(part):
            message = "text may hold no control characters, line separators, bidirectional overrides or half surrogates"
            # Escaped: half a surrogate in a key or a value could not be written into the answer either.
            problem = FieldProblem(field=_printable(path) or "body", value=_printable(part[:100]), message=message)
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{problem.field}: {message}", [problem])


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
