"""Pages of a list: an opaque token is where the next page begins; an empty one is the end (AIP-158)."""

import base64
import binascii
import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import Depends, Query

from api.at_once import at_once
from api.http.errors import ApiError
from api.http.fields import FieldProblem

LARGEST_PAGE = 100
_MOST_DIGITS = 9
"""Of a position, which PostgreSQL has in four bytes: it would refuse a larger one with an error of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """Of a row in a list that can be sorted: by which order, its id, and the word that the order goes by first."""

    order: str
    id: uuid.UUID
    word: str


Row = TypeVar("Row")
Position = uuid.UUID | int | tuple[dt.datetime, uuid.UUID] | Place


@dataclass(frozen=True, slots=True)
class Page:
    """The stretch of a list that is asked for."""

    page_size: Annotated[int, Query(ge=1, description="How many items; more than 100 count as 100.")] = 50
    # A name of 200 characters may have 800 bytes, and base64 makes a third more of them.
    page_token: Annotated[str, Query(max_length=1_500, description="next_page_token of the page before.")] = ""

    @property
    def limit(self) -> int:
        return min(self.page_size, LARGEST_PAGE)

    def before(self) -> uuid.UUID | None:
        """The id that a list of rows by id goes on from."""
        if not self.page_token:
            return None
        try:
            return uuid.UUID(_decoded(self.page_token))
        except ValueError as error:
            raise _bad_token(self.page_token) from error

    def before_moment(self) -> tuple[dt.datetime, uuid.UUID] | None:
        """The time and the id that a list of rows by time goes on from, whether or not that row is still there."""
        if not self.page_token:
            return None
        at, _, row_id = _decoded(self.page_token).partition(" ")
        try:
            return dt.datetime.fromisoformat(at).astimezone(dt.UTC), uuid.UUID(row_id)
        except (ValueError, OverflowError) as error:
            raise _bad_token(self.page_token) from error

    def place(self, order: str) -> Place | None:
        """Where a list in this order goes on; a token of another order is none of this list."""
        if not self.page_token:
            return None
        its, _, rest = _decoded(self.page_token).partition(" ")
        row_id, _, word = rest.partition(" ")
        try:
            # PostgreSQL takes no NUL in text; a token may be anything that a client made up.
            if its == order and "\0" not in word:
                return Place(order, uuid.UUID(row_id), word)
        except ValueError as error:
            raise _bad_token(self.page_token) from error
        raise _bad_token(self.page_token)

    def after(self) -> int | None:
        """The position that a list of numbered rows goes on from."""
        if not self.page_token:
            return None
        text = _decoded(self.page_token)
        if not text.isdecimal() or len(text) > _MOST_DIGITS:
            raise _bad_token(self.page_token)
        return int(text)

    @property
    def asked(self) -> int:
        """How many rows are read: one more than is shown tells whether there is a next page."""
        return self.limit + 1

    def cut(self, found: Sequence[Row], position: Callable[[Row], Position]) -> tuple[Sequence[Row], str]:
        """Of as many rows as were ``asked``: those that are shown, and the token of the next page, "" at the end."""
        shown = found[: self.limit]
        return shown, _encoded(position(shown[-1])) if len(found) > self.limit else ""


PageDep = Annotated[Page, Depends(at_once(Page))]


def _encoded(position: Position) -> str:
    match position:
        case Place(order, row_id, word):
            text = f"{order} {row_id} {word}"
        case (at, row_id):
            text = f"{at.isoformat()} {row_id}"
        case _:
            text = str(position)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(token: str) -> str:
    try:
        # Tokens go without their padding, which an address would have to escape.
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise _bad_token(token) from error


def _bad_token(token: str) -> ApiError:
    problem = FieldProblem(field="page_token", value=token, message="this is no token of this list")
    return ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY, "take page_token from next_page_token of the page before", [problem]
    )
