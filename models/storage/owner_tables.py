"""The rows of owners: by which keys they come, how much they may have, and who did what."""

import datetime as dt
import uuid

from sqlalchemy import BigInteger, Index, LargeBinary, String, text
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION
from sqlalchemy.orm import Mapped, mapped_column

from models.storage.tables import NOW, Base


class ApiKey(Base):
    """A key that an admin has made. Its secret is not here: ``digest`` is what it is found by."""

    __tablename__ = "api_key"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String, dimensions=1))
    reads: Mapped[list[str]] = mapped_column(ARRAY(String, dimensions=1), server_default=text("'{}'"))
    """Other owners whose experiments and data it shows too."""
    starts_with: Mapped[str]
    """The first characters of the secret, by which people tell keys apart."""
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    previous_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of the secret before the last rotation."""
    previous_until: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[dt.datetime | None]
    last_used_at: Mapped[dt.datetime | None]

    # None on the digest: the API reads all keys at once and looks them up in its memory (``owners/keys.py``).
    __table_args__ = (Index("ix_api_key_owner_id", "owner", "id"),)


class OwnerQuota(Base):
    """What one owner may have where that is not what all may; NULL: it is."""

    __tablename__ = "owner_quota"

    owner: Mapped[str] = mapped_column(primary_key=True)
    queued_runs: Mapped[int | None] = mapped_column(BigInteger)
    device_seconds_per_day: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    requests_per_minute: Mapped[int | None] = mapped_column(BigInteger)


class DeletedAttempt(Base):
    """How long an owner held a device in an attempt of which nothing else is left. It counts for a day."""

    __tablename__ = "deleted_attempt"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    owner: Mapped[str]
    ended_at: Mapped[dt.datetime]
    seconds: Mapped[float] = mapped_column(DOUBLE_PRECISION)

    __table_args__ = (
        Index("ix_deleted_attempt_owner_ended_at", "owner", "ended_at"),
        Index("ix_deleted_attempt_ended_at", "ended_at"),
    )


class AuditRow(Base):
    """One change that somebody with a key has asked for; without names and bodies, so nothing outlives its deletion."""

    __tablename__ = "audit"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    owner: Mapped[str]
    key_id: Mapped[uuid.UUID | None]
    """NULL: the bootstrap key. The key itself may be gone."""
    action: Mapped[str]
    resource: Mapped[uuid.UUID | None]
    whose: Mapped[str | None]
    status: Mapped[int]

    __table_args__ = (Index("ix_audit_at", "at"), Index("ix_audit_owner_id", "owner", "id"))
