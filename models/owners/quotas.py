"""How much an owner may have at once, and in a day: counted in the transaction that would add to it."""

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.settings import Settings
from models.status import State
from models.storage import device_time
from models.storage.database import changed_rows
from models.storage.owner_tables import OwnerQuota
from models.storage.tables import Dataset, Experiment, Run

LOCAL: Final = "local"
"""Everybody, in a clinic that asks for no key."""
BOOTSTRAP: Final = "admin"
"""Who holds the bootstrap key."""
UNLIMITED: Final = frozenset({LOCAL, BOOTSTRAP})
"""These have no limits, by whatever key they come."""
_RUNS_LOCK, _BYTES_LOCK = 0x71727573, 0x71627974
"""The first keys of two families of advisory locks; the second is the owner. Any numbers do that nobody else uses."""
_COUNTED: Final = "quota"
"""Where a session keeps what it has counted."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What an owner may have; None: as much as it likes. Seconds of devices are those of the last 24 hours."""

    queued_runs: int | None = None
    device_seconds_per_day: float | None = None
    stored_bytes: int | None = None
    requests_per_minute: int | None = None

    @classmethod
    def usual(cls, settings: Settings) -> Self:
        """Of an owner for whom nothing else was set."""
        return cls(**{field.name: getattr(settings, f"quota_{field.name}") for field in fields(cls)})

    def of(self, owner: str, row: Any) -> Self:
        """An owner's, where this is the usual one. ``row``: what was set for it, columns of the names here; NULL, or no
        row, where it is as for everybody.
        """
        if owner in UNLIMITED:
            return type(self)()
        if row is None:
            return self
        set_ = {field.name: getattr(row, field.name) for field in fields(self)}
        return replace(self, **{name: value for name, value in set_.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Used:
    """What an owner has now."""

    queued_runs: int
    device_seconds: float
    stored_bytes: int


class QuotaError(Exception):
    """It would be more than allowed. ``wait_s``: then the same request may be allowed; None: waiting does not help."""

    def __init__(self, name: str, allowed: float, would_be: float, message: str, wait_s: float | None) -> None:
        super().__init__(message)
        self.name = name
        self.allowed = allowed
        self.would_be = would_be
        self.wait_s = wait_s


QUEUE_MOVES_S: Final = 30.0
"""When to ask again whether queued runs have begun: nobody knows how long those before them take."""


def set_for(session: Session, owner: str, quota: Quota) -> None:
    """In place of what was set for it before. What is None stays as it is for everybody."""
    values = {field.name: getattr(quota, field.name) for field in fields(quota)}
    given = insert(OwnerQuota).values(owner=owner, **values)
    session.execute(given.on_conflict_do_update(index_elements=[OwnerQuota.owner], set_=values))


def reset(session: Session, owner: str) -> bool:
    """The owner has what everybody has. False: it had no other."""
    return changed_rows(session, delete(OwnerQuota).where(OwnerQuota.owner == owner)) > 0


def quota_of(session: Session, owner: str, usual: Quota) -> Quota:
    return usual.of(owner, session.get(OwnerQuota, owner))


def used(session: Session, owner: str) -> Used:
    return Used(_queued(session, owner), device_time.used_s(session, owner), _stored_bytes(session, owner))


# --- what is added -----------------------------------------------------------------------------------------------


def hold_runs(session: Session, owner: str) -> None:
    """For a transaction that adds many runs bit by bit: nobody else adds to this owner's before it ends, so that they
    are counted once. Called again it counts anew, for one that has taken some of them back.
    """
    _lock(session, _RUNS_LOCK, owner)
    session.info[_COUNTED] = _queued(session, owner)


def admit_runs(session: Session, owner: str, quota: Quota, added: int) -> None:
    """For a transaction that has queued so many runs, or under ``hold_runs`` is about to. QuotaError where it must not
    be committed.

    The lock ends with the transaction, so of two at once the second counts what the first has added.
    """
    if quota.queued_runs is not None:
        queued = _counted(session, owner, added)
        if queued > quota.queued_runs:
            message = f"{added:,} more would make {queued:,} queued runs, and at most {quota.queued_runs:,} are allowed"
            wait_s = QUEUE_MOVES_S if added <= quota.queued_runs else None
            raise QuotaError("queued_runs", quota.queued_runs, queued, message, wait_s)
        if _COUNTED in session.info:
            session.info[_COUNTED] = queued
    if quota.device_seconds_per_day is not None:
        _admit_seconds(session, owner, quota.device_seconds_per_day)


def admit_bytes(session: Session, owner: str, quota: Quota, added: int) -> None:
    """For a transaction that has written the row of a data set of so many bytes. QuotaError, and locked, as above."""
    if quota.stored_bytes is None:
        return
    _lock(session, _BYTES_LOCK, owner)
    stored = _stored_bytes(session, owner)
    if stored > quota.stored_bytes:
        message = (
            f"with {added:,} bytes more the data sets would have {stored:,}, and at most {quota.stored_bytes:,} "
            "are allowed; delete some that are not needed"
        )
        raise QuotaError("stored_bytes", quota.stored_bytes, stored, message, None)


def _counted(session: Session, owner: str, added: int) -> int:
    """Queued runs with those added."""
    if _COUNTED in session.info:
        return int(session.info[_COUNTED]) + added
    _lock(session, _RUNS_LOCK, owner)
    return _queued(session, owner)


def _admit_seconds(session: Session, owner: str, allowed: float) -> None:
    seconds = device_time.used_s(session, owner)
    if seconds < allowed:
        return
    message = f"{_figure(seconds)} s of devices were used in the last 24 hours, and {_figure(allowed)} are allowed"
    wait_s = device_time.until_below_s(session, owner, allowed)
    raise QuotaError("device_seconds_per_day", allowed, seconds, message, wait_s)


def _figure(seconds: float) -> str:
    """With all the digits that a clock of microseconds gives, and no more."""
    return f"{float(f'{seconds:.15g}'):,}".removesuffix(".0")


# --- counts ------------------------------------------------------------------------------------------------------


def _lock(session: Session, family: int, owner: str) -> None:
    # Two owners of one hash wait for each other, and nothing else comes of it.
    session.execute(select(func.pg_advisory_xact_lock(family, func.hashtext(owner))))


def _queued(session: Session, owner: str) -> int:
    query = (
        select(func.count())
        .select_from(Run)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .where(Experiment.owner == owner, Run.state == State.QUEUED)
    )
    return session.execute(query).scalar_one()


def _stored_bytes(session: Session, owner: str) -> int:
    query = select(func.coalesce(func.sum(Dataset.bytes), 0)).where(Dataset.owner == owner)
    return int(session.execute(query).scalar_one())
