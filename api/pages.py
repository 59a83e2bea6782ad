"""Pages of a list: an opaque token is where the next page begins; an empty one is the end (AIP-158)."""

import base64
import binascii
import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import Query

from api.errors import ApiError, FieldProblem

LARGEST_PAGE = 200

PageSize = Annotated[int, Query(ge=1, description="How many items; more than 200 count as 200.")]
PageToken = Annotated[str, Query(max_length=200, description="next_page_token of the page before.")]


def page_limit(page_size: int) -> int:
    return min(page_size, LARGEST_PAGE)


def encode_token(position: uuid.UUID | int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def _decode(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise _bad_token(token) from error


def token_uuid(token: str) -> uuid.UUID | None:
    if not token:
        return None
    try:
        return uuid.UUID(_decode(token))
    except ValueError as error:
        raise _bad_token(token) from error


def token_int(token: str) -> int | None:
    if not token:
        return None
    text = _decode(token)
    if not text.isdecimal() or len(text) > 9:
        raise _bad_token(token)
    return int(text)


def _bad_token(token: str) -> ApiError:
    problem = FieldProblem(field="page_token", value=token, message="this is no token of this list")
    return ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY, "take page_token from next_page_token of the page before", [problem]
    )
