"""Errors a client can act on, as problem details (RFC 9457): what, where, and what would be allowed."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from models.specs.base import Problem, SpecError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_LONGEST_VALUE = 200


class FieldProblem(BaseModel):
    """One field: ``remedies[1].strength``, the value that was given, why not, and what is allowed."""

    field: str
    value: Any = None
    message: str
    allowed: Any = None


class ProblemDetails(BaseModel):
    """The body of every error."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldProblem] = []


class ApiError(HTTPException):
    """An answer of its own status. Subclasses HTTPException so that raising it while a body is parsed works too."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.errors = list(errors)


def not_found(what: str, identifier: object) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, f"there is no {what} {identifier}")


def problem_response(
    status: int,
    detail: str,
    instance: str,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    title = HTTPStatus(status).phrase
    body = ProblemDetails(
        type=f"/problems/{title.lower().replace(' ', '-')}",
        title=title,
        status=status,
        detail=detail,
        instance=instance,
        errors=list(errors),
    )
    return JSONResponse(body.model_dump(mode="json"), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Every error of the app, FastAPI's own included, answers as problem details."""
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(SpecError, _on_spec_error)
    app.add_exception_handler(Exception, _on_crash)


def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for it
    errors = error.errors if isinstance(error, ApiError) else []
    return problem_response(error.status_code, str(error.detail), request.url.path, errors, error.headers)


def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for it
    errors = [_field_problem(one) for one in error.errors()]
    if any(one["loc"][0] == "path" for one in error.errors()):
        return problem_response(404, "there is nothing at this address", request.url.path, errors)
    detail = "; ".join(f"{one.field}: {one.message}" for one in errors[:3])
    return problem_response(422, detail, request.url.path, errors)


def _on_spec_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SpecError)  # noqa: S101 -- registered for it
    errors = [from_spec(problem) for problem in error.problems]
    return problem_response(422, "; ".join(one.message for one in errors), request.url.path, errors)


def _on_crash(request: Request, error: Exception) -> JSONResponse:
    log.error("a request failed", path=request.url.path, exc_info=error)
    detail = "the service made a mistake; the request may be tried again, and the log has the reason"
    return problem_response(500, detail, request.url.path)


def from_spec(problem: Problem) -> FieldProblem:
    return FieldProblem(
        field=problem.field, value=_short(problem.value), message=problem.message, allowed=problem.allowed
    )


def _field_problem(error: Mapping[str, Any]) -> FieldProblem:
    """Pydantic's error in the spec's own words: union tags are no fields, limits are what is allowed."""
    message = str(error["msg"]).removeprefix("Value error, ")
    return FieldProblem(
        field=_path(error["loc"][1:]) or str(error["loc"][0]),
        value=None if error["type"] == "missing" else _short(error.get("input")),
        message="this field is required" if error["type"] == "missing" else message,
        allowed=_allowed(error),
    )


# Discriminated unions put the chosen tag into the location, smart unions the name of the branch.
_BRANCHES = ("tuple[", "list[", "function-", "constrained-", "SeedCount", "lax-or-strict", "dict[")


def _path(location: Sequence[int | str]) -> str:
    text = ""
    for index, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.startswith(_BRANCHES) or _is_tag(location, index):
            continue
        else:
            text += f".{part}" if text else part
    return text


_UNIONS = {"dataset", "network", "optimizer", "init", "normalization"}


def _is_tag(location: Sequence[int | str], index: int) -> bool:
    """The part after a union's field (``network``), or after an item of ``remedies``, names the kind."""
    before = location[index - 1] if index else None
    if isinstance(before, int):
        return index >= 2 and location[index - 2] == "remedies"
    return before in _UNIONS


def _allowed(error: Mapping[str, Any]) -> Any:
    context = error.get("ctx", {})
    match error["type"]:
        case "literal_error" | "enum":
            return context.get("expected")
        case "union_tag_invalid":
            return context.get("expected_tags")
        case "extra_forbidden":
            return "no other keys than those of the schema in /openapi.json"
        case _:
            limits = {
                name: context[name]
                for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
                if name in context
            }
            return limits or None


def _short(value: Any) -> Any:
    """The value as it was given, if it is small; else how it begins."""
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, int) or abs(value) < 10**18 else f"{str(value)[:20]}…"
    text = value if isinstance(value, str) else repr(value)
    if len(text) > _LONGEST_VALUE:
        return text[:_LONGEST_VALUE] + "…"
    return value if isinstance(value, str | list) else text
