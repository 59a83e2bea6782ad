"""Tells everybody which plug-ins this worker has, at its start and from time to time while it lives."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError

from models.specs.plugin import Offered
from models.storage import plugins, presence
from models.storage.database import Database

log = structlog.get_logger()


@dataclass(slots=True)
class Publication:
    """``renew`` may be called as often as one likes."""

    database: Database
    offers: Sequence[Offered]
    _said_at: float = -math.inf

    def renew(self) -> None:
        """Say it again where it is time to. What the database does not take is told in the log, and tried again."""
        if not self.offers or time.monotonic() - self._said_at < presence.RENEW_S:
            return
        self._said_at = time.monotonic()
        try:
            with self.database.begin() as session:
                plugins.publish(session, self.offers)
        except DBAPIError as error:  # whoever calls has a lease to keep
            log.warning("plug-ins could not be published", error=str(error).splitlines()[0])
