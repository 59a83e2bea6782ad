"""What an owner may have, and what it has; admins set it for one owner."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, StringConstraints

from api.dependencies import CallerDep, DatabaseDep, RingDep
from api.http.bodies import StrictRoute
from api.http.errors import ApiError, not_found
from api.http.scopes import ADMINS_ONLY
from models.owners import quotas
from models.owners.quotas import UNLIMITED, Quota
from models.specs.base import Spec
from models.specs.text import PLAIN, OwnerName
from models.storage.database import Database

router = APIRouter(prefix="/v1/quota", tags=["quota"], route_class=StrictRoute)

MOST = 2**53 - 1
"""JSON's numbers are exact so far."""
Owner = Annotated[str, StringConstraints(pattern=PLAIN, max_length=200)]


class QuotaRequest(Spec):
    """What is left out is as for everybody (``CLINIC_QUOTA_…``)."""

    queued_runs: int | None = Field(default=None, ge=0, le=MOST)
    device_seconds_per_day: float | None = Field(default=None, ge=0, le=MOST)
    stored_bytes: int | None = Field(default=None, ge=0, le=MOST)
    requests_per_minute: int | None = Field(default=None, ge=1, le=MOST)


class QuotaLimits(BaseModel):
    """Null: no limit. Requests are those to one process of the API."""

    queued_runs: int | None
    device_seconds_per_day: float | None
    stored_bytes: int | None
    requests_per_minute: int | None


class QuotaUsed(BaseModel):
    """Runs that wait, also for a tuning; seconds by the clock of the attempts that go on or have ended within 24 hours,
    those of deleted experiments too; bytes of all versions of all data sets. Traces are not counted.
    """

    queued_runs: int
    device_seconds: float
    stored_bytes: int


class QuotaView(BaseModel):
    owner: str
    limits: QuotaLimits
    used: QuotaUsed


@router.get("", summary="What an owner may have, and has")
def look(
    request: Request,
    caller: CallerDep,
    database: DatabaseDep,
    owner: Annotated[Owner | None, Query(description="Whose, for admins; by default the caller's own.")] = None,
) -> QuotaView:
    """Limits and what counts against them. The owners ``local`` and ``admin`` have no limits."""
    whose = caller.owner if owner is None else owner
    # What another owner may have is not shared along with its experiments.
    if not caller.unshared().may_see(whose):
        raise not_found("owner", whose)
    return _view(database, whose, request.app.state.usual_quota)


@router.put("", summary="Set what an owner may have", dependencies=[ADMINS_ONLY])
def change(
    asked: QuotaRequest,
    owner: Annotated[OwnerName, Query(description="Whose.")],
    request: Request,
    _: CallerDep,
    database: DatabaseDep,
    ring: RingDep,
) -> QuotaView:
    """In place of what was set for it before; it counts within 2 s. What the owner has already stays. 409 for ``local``
    and ``admin``.
    """
    if owner in UNLIMITED:
        raise ApiError(HTTPStatus.CONFLICT, f"the owner {owner} has no limits, and can be given none")
    with database.begin() as session:
        quotas.set_for(session, owner, Quota(**asked.model_dump()))
    ring.forget()
    return _view(database, owner, request.app.state.usual_quota)


@router.delete("", status_code=HTTPStatus.NO_CONTENT, summary="Give an owner what all have", dependencies=[ADMINS_ONLY])
def reset(
    owner: Annotated[Owner, Query(description="Whose.")], _: CallerDep, database: DatabaseDep, ring: RingDep
) -> None:
    """404 where it has no other."""
    with database.begin() as session:
        was_set = quotas.reset(session, owner)
    if not was_set:
        raise not_found("quota of its own for", owner)
    ring.forget()


def _view(database: Database, owner: str, usual: Quota) -> QuotaView:
    with database.snapshot() as session:
        limits = quotas.quota_of(session, owner, usual)
        used = quotas.used(session, owner)
    return QuotaView(owner=owner, limits=QuotaLimits(**asdict(limits)), used=QuotaUsed(**asdict(used)))
