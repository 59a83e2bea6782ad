"""The rows of users' data sets: each name of an owner has versions, and the one sent last is what the name means.

Files are shared by all rows of a version. Who adds a row or removes files holds the version's lock, which ends with
the transaction; so no file goes while a row comes that needs it.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, true, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session
from uuid6 import uuid7

from models.specs.uploaded import UploadedFacts
from models.status import State
from models.storage.database import changed_rows
from models.storage.tables import Dataset, Experiment

# Any number will do that nobody else locks by: 'data' in ASCII.
_LOCK_SPACE = 0x64617461


@dataclass(frozen=True, slots=True)
class NewDataset:
    """What is to be kept under a name."""

    owner: str
    name: str
    version: str
    facts: UploadedFacts
    class_names: list[str] | None
    size: int


def lock(session: Session, version: str) -> None:
    """Waits until nobody else adds or removes this version."""
    # The form with two keys takes signed integers of 32 bits. Versions that share these bits wait for each other.
    number = int(version[:8], 16) - 2**31
    session.execute(select(func.pg_advisory_xact_lock(_LOCK_SPACE, number)))


def put(session: Session, new: NewDataset) -> bool:
    """Make it what the name means. True where this version is new to the name. The caller holds the lock."""
    known = (
        update(Dataset)
        .where(Dataset.owner == new.owner, Dataset.name == new.name, Dataset.version == new.version)
        .values(put_at=func.clock_timestamp())
    )
    # Sent again, an older version becomes the current one.
    if changed_rows(session, known):
        return False
    session.execute(
        insert(Dataset).values(
            id=uuid.UUID(int=uuid7().int),
            owner=new.owner,
            name=new.name,
            version=new.version,
            facts=new.facts,
            class_names=new.class_names,
            bytes=new.size,
        )
    )
    return True


def versions(session: Session, owner: str, name: str) -> Sequence[Dataset]:
    """The versions of one name, the current one first; empty where there is no such name."""
    query = select(Dataset).where(Dataset.owner == owner, Dataset.name == name)
    return session.execute(query.order_by(Dataset.put_at.desc(), Dataset.id.desc())).scalars().all()


def newest(session: Session, owners: Collection[str] | None, before: uuid.UUID | None, limit: int) -> Sequence[Dataset]:
    """The current version of every name of these owners, or of all, those made last first."""
    current = (
        select(Dataset.id)
        .where(true() if owners is None else Dataset.owner.in_(owners))
        .ext(distinct_on(Dataset.owner, Dataset.name))
        .order_by(Dataset.owner, Dataset.name, Dataset.put_at.desc(), Dataset.id.desc())
    )
    # Cut into pages afterwards: cut before, a name would show an older version behind the page that has its newest.
    query = select(Dataset).where(Dataset.id.in_(current))
    if before is not None:
        query = query.where(Dataset.id < before)
    return session.execute(query.order_by(Dataset.id.desc()).limit(limit)).scalars().all()


def names(session: Session, owner: str, limit: int) -> list[str]:
    """Some of an owner's, in order: what a refusal says is allowed."""
    query = select(Dataset.name).where(Dataset.owner == owner).distinct().order_by(Dataset.name).limit(limit)
    return list(session.execute(query).scalars())


def held(session: Session, owner: str, name: str, version: str | None) -> Dataset | None:
    """The version, or the current one, kept from being deleted until this transaction ends."""
    query = select(Dataset).where(Dataset.owner == owner, Dataset.name == name)
    if version is not None:
        query = query.where(Dataset.version == version)
    query = query.order_by(Dataset.put_at.desc(), Dataset.id.desc()).limit(1)
    return session.execute(query.with_for_update(read=True, key_share=True)).scalar_one_or_none()


def claim_for_removal(session: Session, owner: str, name: str) -> Sequence[Dataset]:
    """All versions of a name, locked: no experiment that uses them can come in before this transaction ends."""
    query = select(Dataset).where(Dataset.owner == owner, Dataset.name == name).order_by(Dataset.id)
    return session.execute(query.with_for_update()).scalars().all()


def users(session: Session, owner: str, name: str, limit: int) -> list[uuid.UUID]:
    """Unfinished experiments that train on the name."""
    asked = Experiment.spec.bool_op("@>")(
        func.jsonb_build_object("dataset", func.jsonb_build_object("kind", "uploaded", "name", name))
    )
    query = select(Experiment.id).where(
        Experiment.owner == owner, Experiment.state.in_([State.QUEUED, State.RUNNING]), asked
    )
    return list(session.execute(query.order_by(Experiment.id).limit(limit)).scalars())


def remove(session: Session, rows: Sequence[Dataset]) -> None:
    session.execute(delete(Dataset).where(Dataset.id.in_([row.id for row in rows])))


def is_used(session: Session, version: str) -> bool:
    """Whether any row still refers to the version's files."""
    return session.execute(select(Dataset.id).where(Dataset.version == version).limit(1)).first() is not None
