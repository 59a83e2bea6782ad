"""Which media type an ``Accept`` header asks for, of those that a route can give (RFC 9110, 12.5.1)."""

import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from api.http.errors import ApiError
from api.http.etags import UNCHANGED
from api.http.fields import FieldProblem

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
PARQUET: Final = "application/vnd.apache.parquet"
PACKED: Final = "application/vnd.gradient-clinic.float32"
OFFERED: Final = (JSON, CSV, ARROW, PARQUET, PACKED)
"""The one that a client gets which has no wish is the first."""
BUCKETED: Final = frozenset({JSON, PACKED})
"""Those that hold a picture in buckets; the others are tables of every value."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
TABLES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "As `Accept` asks: in buckets, as JSON or as packed numbers, or a table of every value (CSV, "
        "Arrow, Parquet).",
        "content": {CSV: {"schema": {"type": "string"}}, ARROW: _BINARY, PARQUET: _BINARY, PACKED: _BINARY},
        "headers": {"Vary": {"description": "`Accept`.", "schema": {"type": "string"}}},
    },
    **UNCHANGED,
}
BUCKETS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "As `Accept` asks: as JSON or as packed numbers.",
        "content": {PACKED: _BINARY},
        "headers": {"Vary": {"description": "`Accept`.", "schema": {"type": "string"}}},
    }
}
_WEIGHT = re.compile(r"(0(\.\d{0,3})?|1(\.0{0,3})?)")


def negotiated(accept: str, offered: Sequence[str]) -> str | None:
    """The offered type that is wanted most, the earlier of equals; None where none is acceptable."""
    ranges = [accepted for accepted in map(_range, accept.split(",")) if accepted is not None]
    if not accept.strip():
        ranges = [("*/*", 1.0)]
    weights = [_weight(kind, ranges) for kind in offered]
    best = max(weights)
    return offered[weights.index(best)] if best > 0.0 else None


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client that sends this takes a body packed by gzip (RFC 9110, 12.5.3)."""
    codings = {
        coding.strip().lower(): its for coding, _, its in (one.partition(";") for one in accept_encoding.split(","))
    }
    given = codings.get("gzip", codings.get("*"))
    return given is not None and not re.fullmatch(r"\s*q\s*=\s*0(\.0{0,3})?\s*", given)


def _range(text: str) -> tuple[str, float] | None:
    """(type/subtype or with stars, weight); None for what is none, or has a weight that is no number of 0 to 1."""
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    weights = [part.split("=", 1)[1].strip() for part in parameters if re.match(r"q\s*=", part)]
    weight = weights[0] if weights else "1"
    return (kind, float(weight)) if "/" in kind and _WEIGHT.fullmatch(weight) else None


def _weight(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """What the most specific range that covers ``kind`` gives it."""
    # The most specific range decides, wherever it stands: a type, all of its kind, anything.
    for pattern in (kind, f"{kind.split('/', maxsplit=1)[0]}/*", "*/*"):
        weights = [weight for accepted, weight in ranges if accepted == pattern]
        if weights:
            return max(weights)
    return 0.0


def _one_of(offered: Sequence[str]) -> Callable[[Request], Awaitable[str]]:
    async def wanted(request: Request) -> str:
        accept = ",".join(request.headers.getlist("accept"))
        kind = negotiated(accept, offered)
        if kind is None:
            message = f"answered as {', '.join(offered[:-1])} or {offered[-1]}"
            problem = FieldProblem(field="Accept", value=accept[:200], message=message, allowed=list(offered))
            raise ApiError(HTTPStatus.NOT_ACCEPTABLE, f"this is {message}", [problem])
        return kind

    return wanted


FormatDep = Annotated[str, Depends(_one_of(OFFERED))]
"""406 where the client takes none of ``OFFERED``."""
BucketsDep = Annotated[str, Depends(_one_of((JSON, PACKED)))]
"""The same of pictures that are no tables."""
