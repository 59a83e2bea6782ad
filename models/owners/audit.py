"""Who did what and when, without a word of what it was about: a row for each change that was asked for by a key."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import delete, func, insert, literal, select
from sqlalchemy.orm import Session
from sqlalchemy.types import Interval
from uuid6 import uuid7

from models.storage.owner_tables import AuditRow


@dataclass(frozen=True, slots=True)
class Deed:
    """``action``: method and template of the address, which hold no names. ``resource``: the id in the address, or of
    what was made. ``whose``: the owner that an admin named. ``status``: of the answer.
    """

    owner: str
    key_id: uuid.UUID | None
    action: str
    resource: uuid.UUID | None
    whose: str | None
    status: int


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows a list holds."""

    owner: str | None = None
    key_id: uuid.UUID | None = None
    resource: uuid.UUID | None = None
    after: dt.datetime | None = None
    before: dt.datetime | None = None


def note(session: Session, deed: Deed) -> None:
    session.execute(insert(AuditRow).values(id=uuid.UUID(int=uuid7().int), **asdict(deed)))


def newest(session: Session, wanted: AuditFilter, before: uuid.UUID | None, limit: int) -> Sequence[AuditRow]:
    """Those written last first: ids are in order of time."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    given = {
        AuditRow.owner: wanted.owner,
        AuditRow.key_id: wanted.key_id,
        AuditRow.resource: wanted.resource,
    }
    query = query.where(*(column == value for column, value in given.items() if value is not None))
    if wanted.after is not None:
        query = query.where(AuditRow.at > wanted.after)
    if wanted.before is not None:
        query = query.where(AuditRow.at < wanted.before)
    if before is not None:
        query = query.where(AuditRow.id < before)
    return session.execute(query).scalars().all()


def forget_old(session: Session, after_days: float) -> None:
    """Remove what is older."""
    age = literal(dt.timedelta(days=after_days), Interval)
    session.execute(delete(AuditRow).where(AuditRow.at < func.clock_timestamp() - age))
