"""Who changed what: for admins."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, StringConstraints

from api.dependencies import CallerDep, DatabaseDep, RingDep
from api.http.pagination import PageDep
from api.http.scopes import ADMINS_ONLY
from api.views.experiments import Time
from models.analysis.comparison.parts import Id
from models.owners import audit
from models.owners.audit import AuditFilter
from models.specs.moment import Moment
from models.specs.text import PLAIN

router = APIRouter(prefix="/v1/audit", tags=["audit"], dependencies=[ADMINS_ONLY])

Name = Annotated[str, StringConstraints(pattern=PLAIN, max_length=200)]


class AuditItem(BaseModel):
    """``key_id`` is null for the bootstrap key, ``resource`` where the address has no id and nothing with one was made;
    ``whose``: the owner that an admin named.
    """

    at: Time
    owner: str
    key_id: Id | None
    action: str
    resource: Id | None
    whose: str | None
    status: int


class AuditPage(BaseModel):
    items: list[AuditItem]
    next_page_token: str


async def _wanted(
    owner: Annotated[Name | None, Query(description="Who did it.")] = None,
    key_id: Annotated[uuid.UUID | None, Query(description="By which key.")] = None,
    resource: Annotated[uuid.UUID | None, Query(description="To what.")] = None,
    created_after: Moment | None = None,
    created_before: Moment | None = None,
) -> AuditFilter:
    return AuditFilter(owner, key_id, resource, created_after, created_before)


@router.get("", summary="Who changed what")
def list_audit(
    _: CallerDep,
    database: DatabaseDep,
    __: RingDep,
    page: PageDep,
    wanted: Annotated[AuditFilter, Depends(_wanted)],
) -> AuditPage:
    """Every change that was asked for under a key, what was refused included, newest first. Reading is not written
    down, and neither is each message of a run that is trained elsewhere.
    """
    with database.begin() as session:
        found = audit.newest(session, wanted, page.before(), page.asked)
    shown, token = page.cut(found, lambda row: row.id)
    items = [
        AuditItem(
            at=row.at,
            owner=row.owner,
            key_id=None if row.key_id is None else str(row.key_id),
            action=row.action,
            resource=None if row.resource is None else str(row.resource),
            whose=row.whose,
            status=row.status,
        )
        for row in shown
    ]
    return AuditPage(items=items, next_page_token=token)
