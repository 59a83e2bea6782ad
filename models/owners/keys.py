"""Keys: made, rotated, removed, and found by the secret that a client sends. A secret is known to its holder alone."""

import datetime as dt
import hashlib
import secrets
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Final

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.orm import Session
from uuid6 import uuid7

from models.owners.quotas import Quota
from models.owners.scopes import Scope
from models.storage.database import changed_rows
from models.storage.owner_tables import ApiKey, OwnerQuota

PREFIX: Final = "gc_"
"""Of every secret: who finds one in a log or a repository knows what it opens."""
MOST_KEYS: Final = 10_000
"""Each process of the API holds them all (see ``alive``)."""
_SECRET_BYTES = 32
_SHOWN = len(PREFIX) + 6


class TooManyKeysError(Exception):
    """There are ``MOST_KEYS``."""


class ExpiredKeyError(Exception):
    """No secret of this key opens any more."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """What an admin asks for."""

    owner: str
    name: str
    scopes: Sequence[Scope]
    expires_at: dt.datetime | None
    reads: Collection[str] = ()
    """Owners whose experiments and data it shows too."""


@dataclass(frozen=True, slots=True)
class Held:
    """One secret that opens: the digest it is found by, whose it is, and how much that owner may have."""

    digest: bytes
    key_id: uuid.UUID
    owner: str
    scopes: tuple[Scope, ...]
    reads: tuple[str, ...]
    quota: Quota


def digest_of(secret: str) -> bytes:
    """SHA-256 of a secret, without salt or repetition.

    These slow down who guesses what people choose. A secret of 32 random bytes is not guessed, however fast the hash
    is; and each request needs one.
    """
    return hashlib.sha256(secret.encode()).digest()


def make(session: Session, new: NewKey) -> tuple[ApiKey, str]:
    """The key, and its secret, which nobody can be told again. TooManyKeysError."""
    # Not locked: two at once may both take the last place, and one key more than the bound harms nobody.
    if session.execute(select(func.count()).select_from(ApiKey)).scalar_one() >= MOST_KEYS:
        raise TooManyKeysError
    secret = _new_secret()
    reads = sorted(set(new.reads))
    values = {"owner": new.owner, "name": new.name, "scopes": list(new.scopes), "expires_at": new.expires_at}
    made = (
        insert(ApiKey)
        .values(id=uuid.UUID(int=uuid7().int), reads=reads, **values, **_found_by(secret))
        .returning(ApiKey)
    )
    return session.execute(made).scalar_one(), secret


def rotate(session: Session, key_id: uuid.UUID, overlap_s: float) -> tuple[ApiKey, str] | None:
    """A new secret; the one before it opens for ``overlap_s`` more, and the one before that no longer. None: there is
    no such key. ExpiredKeyError.
    """
    secret = _new_secret()
    now = func.clock_timestamp()
    until = now + func.make_interval(0, 0, 0, 0, 0, 0, overlap_s)
    changed = (
        update(ApiKey)
        .where(ApiKey.id == key_id, or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))
        # From the row itself: of two rotations at once the second one's previous secret is what the first has made.
        .values(previous_digest=ApiKey.digest, previous_until=until, **_found_by(secret))
        .returning(ApiKey)
    )
    row = session.execute(changed).scalar_one_or_none()
    if row is not None:
        return row, secret
    if one(session, key_id) is not None:
        raise ExpiredKeyError
    return None


def remove(session: Session, key_id: uuid.UUID) -> bool:
    """False: there is no such key."""
    return changed_rows(session, delete(ApiKey).where(ApiKey.id == key_id)) > 0


def one(session: Session, key_id: uuid.UUID) -> ApiKey | None:
    return session.get(ApiKey, key_id)


def newest(session: Session, owner: str | None, before: uuid.UUID | None, limit: int) -> Sequence[ApiKey]:
    """Those made last first; of one owner, or of all."""
    query = select(ApiKey).order_by(ApiKey.id.desc()).limit(limit)
    if owner is not None:
        query = query.where(ApiKey.owner == owner)
    if before is not None:
        query = query.where(ApiKey.id < before)
    return session.execute(query).scalars().all()


def alive(session: Session, usual: Quota) -> list[Held]:
    """Every secret that opens now. ``usual``: what an owner may have for whom nothing else was set.

    All of them at once: what is asked of the database then does not grow with what clients send, known or unknown.
    """
    now = func.clock_timestamp()
    columns = (
        ApiKey.id,
        ApiKey.owner,
        ApiKey.scopes,
        ApiKey.reads,
        ApiKey.digest,
        ApiKey.previous_digest,
        ((ApiKey.previous_until > now) & ApiKey.previous_digest.is_not(None)).label("overlaps"),
        *(getattr(OwnerQuota, field.name) for field in fields(Quota)),
    )
    query = select(*columns).outerjoin(OwnerQuota, OwnerQuota.owner == ApiKey.owner)
    query = query.where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))
    found = []
    for row in session.execute(query):
        digests = [row.digest, row.previous_digest] if row.overlaps else [row.digest]
        scopes, quota = tuple(map(Scope, row.scopes)), usual.of(row.owner, row)
        found += [Held(digest, row.id, row.owner, scopes, tuple(row.reads), quota) for digest in digests]
    return found


def note_use(session: Session, key_ids: Collection[uuid.UUID]) -> None:
    """They were used a moment ago."""
    if key_ids:
        used = update(ApiKey).where(ApiKey.id.in_(key_ids)).values(last_used_at=func.clock_timestamp())
        session.execute(used)


def _new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def _found_by(secret: str) -> dict[str, object]:
    return {"digest": digest_of(secret), "starts_with": secret[:_SHOWN]}
