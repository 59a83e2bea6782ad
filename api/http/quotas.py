"""What a request may add to what its owner has: 429 where it is too much, with ``Retry-After`` where waiting helps."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from sqlalchemy.orm import Session

from api.http.callers import Caller
from api.http.errors import ApiError
from api.http.fields import FieldProblem
from models.owners import quotas
from models.owners.quotas import QuotaError


def hold_runs(session: Session, caller: Caller) -> None:
    """Before many submissions in one transaction, outside of their savepoints: their runs are counted once."""
    if caller.quota is not None and caller.quota.queued_runs is not None:
        quotas.hold_runs(session, caller.owner)


def admit_runs(session: Session, caller: Caller, added: int) -> None:
    """After so many runs were queued; the transaction, or its savepoint, ends where they are too many."""
    if caller.quota is not None:
        with _refusing():
            quotas.admit_runs(session, caller.owner, caller.quota, added)


def admit_bytes(session: Session, caller: Caller, added: int) -> None:
    """After the row of a data set was written, and before its files are."""
    if caller.quota is not None:
        with _refusing():
            quotas.admit_bytes(session, caller.owner, caller.quota, added)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except QuotaError as error:
        problem = FieldProblem(
            field=f"quota.{error.name}", value=error.would_be, message=str(error), allowed=error.allowed
        )
        headers = {} if error.wait_s is None else {"Retry-After": str(math.ceil(error.wait_s))}
        raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, str(error), [problem], headers) from error
