"""Errors a client can act on, as problem details (RFC 9457): what, where, and what would be allowed."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from api.http.fields import FieldProblem, from_pydantic, from_spec
from api.refusals import RefusalError
from models.specs.base import SpecError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_NAMED = re.compile(r"(?<=^/v1/datasets/).+")


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


def invalid_spec(error: ValidationError | SpecError, given: Any, instance: str) -> ProblemDetails:
    """The 422 of a spec that came in among others."""
    if isinstance(error, SpecError):
        errors = [from_spec(problem) for problem in error.problems]
    else:
        errors = from_pydantic([{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors()], given)
    return _details(HTTPStatus.UNPROCESSABLE_ENTITY, _in_one_line(errors), instance, errors)


def details_of(error: ApiError, instance: str) -> ProblemDetails:
    """The error of one item of a batch."""
    return _details(error.status_code, str(error.detail), instance, error.errors)


def mistake() -> ApiError:
    """A 500: ours, and nothing that a client could mend."""
    detail = "the service made a mistake; the request may be tried again, and the log has the reason"
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def _details(status: int, detail: str, instance: str, errors: Sequence[FieldProblem]) -> ProblemDetails:
    title = HTTPStatus(status).phrase
    kind = f"/problems/{title.lower().replace(' ', '-')}"
    return ProblemDetails(type=kind, title=title, status=status, detail=detail, instance=instance, errors=list(errors))


def problem_response(
    status: int,
    detail: str,
    instance: str,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = _details(status, detail, instance, errors)
    return JSONResponse(body.model_dump(mode="json"), status, dict(headers or {}), MEDIA_TYPE)


def error_response(error: HTTPException, instance: str) -> JSONResponse:
    errors = error.errors if isinstance(error, ApiError) else []
    return problem_response(error.status_code, str(error.detail), instance, errors, error.headers)


def no_database(error: Exception, instance: str) -> JSONResponse:
    log.error("the database does not answer", path=_logged(instance), error=str(error))
    detail = "the database does not answer now; try again in a moment"
    return problem_response(503, detail, instance, headers={"Retry-After": "2"})


def _logged(path: str) -> str:
    """As logs have it: a data set's name is its owner's word, and logs outlive the data set."""
    return _NAMED.sub("{name}", path)


def install(app: FastAPI) -> None:
    """Every error of the app, FastAPI's own included, answers as problem details."""
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(SpecError, _on_spec_error)
    app.add_exception_handler(RefusalError, _on_refusal)
    app.add_exception_handler(OperationalError, _on_no_database)
    app.add_exception_handler(PoolTimeoutError, _on_no_database)
    app.add_exception_handler(Exception, _on_crash)


def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # registered for it
    return error_response(error, request.url.path)


def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # registered for it
    problems = error.errors()
    errors = from_pydantic(problems, error.body)
    if any(problem["loc"][0] == "path" for problem in problems):
        # What is no UUID names nothing that could be here.
        return problem_response(404, "there is nothing at this address", request.url.path, errors)
    return problem_response(422, _in_one_line(errors), request.url.path, errors)


def _on_spec_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SpecError)  # registered for it
    errors = [from_spec(problem) for problem in error.problems]
    return problem_response(422, _in_one_line(errors), request.url.path, errors)


def _on_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusalError)  # registered for it
    problem = FieldProblem(field=error.field, value=error.value, message=error.message, allowed=error.allowed)
    return problem_response(error.status, str(error), request.url.path, [problem])


def _in_one_line(errors: Sequence[FieldProblem]) -> str:
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    return "; ".join(f"{error.field[:100]}: {error.message}" for error in errors[:3]) + more


def _on_no_database(request: Request, error: Exception) -> JSONResponse:
    return no_database(error, request.url.path)


def _on_crash(request: Request, error: Exception) -> JSONResponse:
    log.error("a request failed", path=_logged(request.url.path), exc_info=error)
    return error_response(mistake(), request.url.path)
