"""One answer for one ``Idempotency-Key``: the first submission works, every other one gets what that one got.

Kept for at least a day. The key is the owner's; the fingerprint is of the whole request body.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Text, cast, delete, func, insert, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models.storage.tables import Experiment, Idempotency

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

    def answer(
        self, session: Session, make: Callable[[], Answer], mend: Callable[[Answer], Answer] | None = None
    ) -> Answer:
        """The stored answer, or that of ``make``, stored in the same transaction as all that it did. What ``mend``
        makes of a stored one takes its place.

        KeyInFlightError, OtherBodyError. The lock ends with the transaction, so a crash in between leaves nothing.
        """
        (kept,) = look_up(session, [self])
        if isinstance(kept, Exception):
            raise kept
        if kept is not None:
            return kept if mend is None else self._mended(session, kept, mend)
        answer = make()
        keep(session, {self: answer})
        return answer

    def _mended(self, session: Session, kept: Answer, mend: Callable[[Answer], Answer]) -> Answer:
        answer = mend(kept)
        if answer != kept:
            mine = (Idempotency.owner == self.owner, Idempotency.key == self.key)
            # As new as the newest experiment that it tells of (see ``forget_experiment``).
            changed = update(Idempotency).where(*mine).values(answer=answer, created_at=func.clock_timestamp())
            session.execute(changed)
        return answer

    @property
    def _lock(self) -> int:
        # PostgreSQL's advisory locks are named by a signed bigint.
        return int.from_bytes(
            hashlib.blake2b(f"{self.owner}\n{self.key}".encode(), digest_size=8).digest(), signed=True
        )


def look_up(session: Session, asked: Sequence[Once]) -> list[Answer | KeyInFlightError | OtherBodyError | None]:
    """Of each the stored answer, or why it gets none; None: it is the first, and its key is locked to the end of the
    transaction.
    """
    if not asked:
        return []
    # Tried and not waited for: a second request would hold a connection for as long as the first one works.
    locks = func.unnest(literal([once._lock for once in asked], ARRAY(BigInteger))).column_valued()  # noqa: SLF001
    locked = session.execute(select(func.pg_try_advisory_xact_lock(locks))).scalars().all()
    names = tuple_(Idempotency.owner, Idempotency.key).in_({(once.owner, once.key) for once in asked})
    rows = {(row.owner, row.key): row for row in session.execute(select(Idempotency).where(names)).scalars()}
    return [
        _found(once, rows.get((once.owner, once.key))) if mine else KeyInFlightError()
        for once, mine in zip(asked, locked, strict=True)
    ]


def _found(once: Once, row: Idempotency | None) -> Answer | OtherBodyError | None:
    if row is None:
        return None
    # The same key for another body is a mistake of the client; the first answer would hide it.
    return row.answer if row.fingerprint == once.fingerprint else OtherBodyError()


def keep(session: Session, answers: Mapping[Once, Answer]) -> None:
    """Store first answers, in the transaction that looked them up."""
    if answers:
        rows = [
            {"owner": once.owner, "key": once.key, "fingerprint": once.fingerprint, "answer": answer}
            for once, answer in answers.items()
        ]
        session.execute(insert(Idempotency), rows)


def forget_experiment(session: Session, experiment: Experiment, gone: Answer) -> None:
    """What stored answers say of an experiment that is being deleted gives way to ``gone``: the error, as it is
    answered, that its key gets from now on. ``Once.answer`` then gives ``{"gone": …}``, or an item that holds it.
    """
    experiment_id = str(experiment.id)
    query = select(Idempotency).where(
        Idempotency.owner == experiment.owner,
        # No answer is older than what it tells of. A batch may tell again, any time later, what an item's key once got.
        Idempotency.created_at >= experiment.created_at,
        cast(Idempotency.answer, Text).contains(experiment_id),
    )
    for row in session.execute(query.with_for_update()).scalars():
        row.answer = _without(row.answer, experiment_id, gone)


def _without(answer: Answer, experiment_id: str, gone: Answer) -> Answer:
    if answer.get("id") == experiment_id:
        return {"gone": gone}
    if "items" not in answer:
        return _without_origin(answer, experiment_id)
    # The values of a sweep are words of the experiment too.
    refused = {"status": gone["status"], "experiment": None, "error": gone, "swept": None}
    items = [
        item | refused
        if (item["experiment"] or {}).get("id") == experiment_id
        else item | {"experiment": item["experiment"] and _without_origin(item["experiment"], experiment_id)}
        for item in answer["items"]
    ]
    return answer | {"items": items}


def _without_origin(view: Answer, experiment_id: str) -> Answer:
    """An experiment that was suggested from the one that is being deleted, as it is from then on."""
    if view.get("suggested_from") != experiment_id:
        return view
    links = {name: link for name, link in view["links"].items() if name != "suggested_from"}
    return view | {"suggested_from": None, "links": links}


def forget_old(session: Session) -> None:
    """Remove what is older than ``KEPT``."""
    session.execute(delete(Idempotency).where(Idempotency.created_at < func.clock_timestamp() - KEPT))
