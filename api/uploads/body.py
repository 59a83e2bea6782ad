"""The files of a request, on disk before anything of them is read: one body, or the files of a form."""

import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal, cast

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from api.http.errors import ApiError
from api.refusals import invalid
from api.uploads.parts import Form, Part, Task
from models.specs.uploaded import NAME

Features = Literal["log_mel", "raw"]
_FORM_FIELDS: dict[str, tuple[str, ...]] = {
    "features": ("log_mel", "raw"),
    "form": ("vector", "image", "sequence"),
    "task": ("classification", "regression"),
}
_MOST_FILES, _MOST_FIELDS, _LONGEST_FIELD = 8, 8, 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """What came: the files, and how they are to be read."""

    parts: list[Part]
    features: Features
    form: Form | None
    task: Task | None


async def _upload(
    name: str,
    request: Request,
    features: Annotated[
        Features, Query(description="Of recordings: 40 log mel bands, or 10 ms of samples.")
    ] = "log_mel",
    form: Annotated[Form | None, Query(description="What a case is, where the axes leave it open.")] = None,
    task: Annotated[
        Task | None, Query(description="Whether y are labels or amounts; by default text and whole numbers are labels.")
    ] = None,
) -> AsyncIterator[Upload]:
    """The files vanish with the request; the gate counts what comes in."""
    if re.fullmatch(NAME, name) is None:
        raise invalid("name", "no data set has such a name", name[:200], NAME)
    try:
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            async with _of_form(request) as (parts, fields):
                said = {"features": features, "form": form, "task": task} | fields
                yield Upload(parts, **cast("Any", said))
        else:
            with tempfile.TemporaryFile() as file:
                async for chunk in request.stream():
                    await run_in_threadpool(file.write, chunk)
                yield Upload([Part("body", file)], features, form, task)
    except ClientDisconnect as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "the connection ended before the body did") from error


@asynccontextmanager
async def _of_form(request: Request) -> AsyncIterator[tuple[list[Part], dict[str, str]]]:
    opened = request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD)
    async with opened as form:
        parts, fields = [], {}
        for field, value in form.multi_items():
            if isinstance(value, UploadFile):
                parts.append(Part(f"{field} ({value.filename or 'no name'})", value.file))
            elif value not in _FORM_FIELDS.get(field, ()):
                allowed = _FORM_FIELDS.get(field) or f"files, or {' and '.join(_FORM_FIELDS)}"
                raise invalid(field, "this field is no file, and nothing that is asked for", value[:200], allowed)
            else:
                fields[field] = value
        yield parts, fields


UploadDep = Annotated[Upload, Depends(_upload)]
