"""One answer for one ``Idempotency-Key``: the first submission works, every other one gets what that one got.

Kept for at least a day. The key is the owner's; the fingerprint is of the whole request body.
"""

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from models.storage.tables import Idempotency

KEPT = dt.timedelta(hours=48)

Answer = dict[str, Any]


class KeyInFlightError(Exception):
    """Another request with this key has not ended yet."""


class OtherBodyError(Exception):
    """The key was used before, for another body."""


@dataclass(frozen=True, slots=True)
class Once:
    """A key of one owner, with what was asked under it."""

    owner: str
    key: str
    fingerprint: str

    @classmethod
    def of(cls, owner: str, key: str, body: bytes) -> "Once":
        return cls(owner, key, hashlib.blake2b(body, digest_size=16).hexdigest())

    def answer(self, session: Session, make: Callable[[], Answer]) -> Answer:
        """The stored answer, or that of ``make``, stored in the same transaction as all that it did.

        KeyInFlightError, OtherBodyError. The lock ends with the transaction, so a crash in between leaves nothing.
        """
        # PostgreSQL's advisory locks are named by a signed bigint.
        name = int.from_bytes(
            hashlib.blake2b(f"{self.owner}\n{self.key}".encode(), digest_size=8).digest(), signed=True
        )
        # Tried and not waited for: a second request would hold a connection for as long as the first one works.
        if not session.execute(select(func.pg_try_advisory_xact_lock(name))).scalar_one():
            raise KeyInFlightError
        row = session.get(Idempotency, (self.owner, self.key))
        if row is None:
            answer = make()
            session.execute(
                insert(Idempotency).values(owner=self.owner, key=self.key, fingerprint=self.fingerprint, answer=answer)
            )
            return answer
        # The same key for another body is a mistake of the client; the first answer would hide it.
        if row.fingerprint != self.fingerprint:
            raise OtherBodyError
        return row.answer


def forget_old(session: Session) -> None:
    """Remove what is older than ``KEPT``."""
    session.execute(delete(Idempotency).where(Idempotency.created_at < func.clock_timestamp() - KEPT))
