"""The rows of owners: by which keys they come."""

import datetime as dt
import uuid

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.storage.tables import NOW, Base


class ApiKey(Base):
    """A key that an admin has made. Its secret is not here: ``digest`` is what it is found by."""

    __tablename__ = "api_key"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String, dimensions=1))
    starts_with: Mapped[str]
    """The first characters of the secret, by which people tell keys apart."""
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    previous_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of the secret before the last rotation."""
    previous_until: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[dt.datetime | None]
    last_used_at: Mapped[dt.datetime | None]

    __table_args__ = (Index("ix_api_key_owner_id", "owner", "id"),)
