"""The files of a request, on disk before anything of them is read: one body, or the files of a form."""

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any, Final, get_args

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from api.http.errors import ApiError
from api.refusals import invalid
from api.uploads.parts import Asked, Features, Form, Missing, Part, Task
from models.specs.uploaded import NAME

FORM_FIELDS: Final[dict[str, tuple[str, ...] | None]] = {
    "features": get_args(Features),
    "form": get_args(Form),
    "task": get_args(Task),
    "header": ("true", "false"),
    "target": None,
    "ignore": None,
    "missing": get_args(Missing),
}
"""What each may be; None: any text."""
_MOST_FILES, _MOST_FIELDS, _LONGEST_FIELD = 8, 100, 1024
Column = Annotated[str, Query(max_length=_LONGEST_FIELD)]


@dataclass(frozen=True, slots=True)
class Upload:
    """What came: the files, and how they are to be read."""

    parts: list[Part]
    asked: Asked


async def _upload(  # noqa: PLR0913, PLR0917 -- a parameter of the address each
    name: str,
    request: Request,
    features: Annotated[
        Features, Query(description="Of recordings: 40 log mel bands, or 10 ms of samples.")
    ] = "log_mel",
    form: Annotated[Form | None, Query(description="What a case is, where the axes leave it open.")] = None,
    task: Annotated[
        Task | None, Query(description="Whether y are labels or amounts; by default text and whole numbers are labels.")
    ] = None,
    header: Annotated[
        bool | None, Query(description="Of CSV: whether its first line has the names. By default it is looked at.")
    ] = None,
    target: Annotated[
        Column | None, Query(description="Of CSV: the column to be learned; by default the last.")
    ] = None,
    ignore: Annotated[list[Column], Query(description="Of CSV: columns to be left out.", max_length=_MOST_FIELDS)] = [],  # noqa: B006 -- FastAPI copies it
    missing: Annotated[
        Missing, Query(description="Of CSV: what becomes of rows with gaps. fill takes the mean of the column.")
    ] = "refuse",
) -> AsyncIterator[Upload]:
    """The files vanish with the request; the gate counts what comes in."""
    if re.fullmatch(NAME, name) is None:
        raise invalid("name", "no data set has such a name", name[:200], NAME)
    asked = Asked(features, form, task, header, target, tuple(ignore), missing)
    try:
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            async with _of_form(request) as (parts, fields):
                yield Upload(parts, replace(asked, **fields))
        else:
            with tempfile.TemporaryFile() as file:
                async for chunk in request.stream():
                    # In a thread: a disk that is slow must not hold up everybody else's requests.
                    await run_in_threadpool(file.write, chunk)
                is_table = _is_table(request.headers.get("content-type"))
                yield Upload([Part("body", file)], replace(asked, is_table=is_table))
    except ClientDisconnect as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "the connection ended before the body did") from error


@asynccontextmanager
async def _of_form(request: Request) -> AsyncIterator[tuple[list[Part], dict[str, Any]]]:
    opened = request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD)
    async with opened as form:
        parts, fields = [], dict[str, Any]()
        for field, value in form.multi_items():
            if isinstance(value, UploadFile):
                parts.append(Part(f"{field} ({value.filename or 'no name'})", value.file))
                fields["is_table"] = _is_table(value.content_type, value.filename)
            else:
                _take(fields, field, value)
        yield parts, fields


def _is_table(content_type: str | None, name: str | None = None) -> bool:
    return (content_type or "").lower().startswith("text/csv") or (name or "").lower().endswith(".csv")


def _take(fields: dict[str, Any], field: str, value: str) -> None:
    """A field that is no file, as ``Asked`` has it."""
    allowed = FORM_FIELDS.get(field, ())
    if allowed is not None and value not in allowed:
        message = "this field is no file, and nothing that is asked for"
        raise invalid(field, message, value[:200], allowed or f"files, or {' and '.join(FORM_FIELDS)}")
    if field == "ignore":
        fields[field] = (*fields.get(field, ()), value)
    else:
        fields[field] = value == "true" if field == "header" else value


UploadDep = Annotated[Upload, Depends(_upload)]
