"""A moment as a client writes it: RFC 3339, and nothing that only looks like it."""

import datetime as dt
import re
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

_DATE_TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:(\.\d{1,6})\d*)?"
_RFC_3339 = re.compile(_DATE_TIME + r"(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


def _rfc_3339(value: object) -> object:
    """Pydantic's own reader also takes seconds since 1970, days, and times without seconds."""
    if isinstance(value, dt.datetime):
        return value
    found = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        message = (
            "this must be a time by RFC 3339 with its offset, such as 2026-01-31T09:30:00Z or "
            "2026-01-31T10:30:00+01:00 (in an address + is written %2B)"
        )
        raise ValueError(message)
    # RFC 3339 lets t and z be small.
    return "".join(found.groups("")).upper()


# A time zone may carry the ends of Python's calendar beyond it, and a row that holds such a time cannot be read.
Moment = Annotated[
    AwareDatetime,
    Field(ge=dt.datetime(1970, 1, 1, tzinfo=dt.UTC), lt=dt.datetime(9000, 1, 1, tzinfo=dt.UTC)),
    BeforeValidator(_rfc_3339),
]
