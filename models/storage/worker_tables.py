"""The workers that have said of late that they are there, a row each."""

import datetime as dt

from sqlalchemy.orm import Mapped, mapped_column

from models.storage.tables import NOW, Base


class Worker(Base):
    """``device``: ``cpu`` or ``gpu``, beside ``auto`` the one that experiments may ask for to be trained by it."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]
    seen_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    """When it last said so."""
