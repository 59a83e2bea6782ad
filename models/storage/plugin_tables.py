"""The plug-ins that workers have published: one row for each version of one, renewed by whoever has it."""

import datetime as dt
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.specs.plugin import OfferedFacts
from models.storage.columns import PydanticColumn
from models.storage.tables import NOW, Base


class Plugin(Base):
    """``schema``: JSON schema of its parameters. ``facts``: of a data set."""

    __tablename__ = "plugin"

    part: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    package: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    schema: Mapped[dict[str, Any]] = mapped_column(JSONB)
    facts: Mapped[OfferedFacts | None] = mapped_column(PydanticColumn(OfferedFacts))
    published_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    """First of all."""
    seen_at: Mapped[dt.datetime] = mapped_column(server_default=NOW)
    """When a worker last said that it has it."""
