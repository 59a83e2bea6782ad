"""Who is calling, and what they may do. Without a key in the settings everybody on this machine is ``local``."""

import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from api.http.errors import ApiError
from api.http.keyring import Keyring
from models.owners import quotas
from models.owners.quotas import Quota
from models.owners.scopes import EVERY, Scope, granted


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose experiments a request makes. It sees its own and those of the owners that its key ``reads``, or everybody's
    where ``sees_all``. ``key_id``: of the key it came by, None where that is none that an admin has made; such a
    caller has no ``quota`` either.
    """

    owner: str
    scopes: frozenset[Scope]
    sees_all: bool = False
    reads: frozenset[str] = frozenset()
    key_id: uuid.UUID | None = None
    quota: Quota | None = None

    def may_see(self, owner: str) -> bool:
        return self.sees_all or owner in self.visible

    @property
    def visible(self) -> frozenset[str]:
        """The owners whose experiments and data it may see, where that is not everybody's."""
        return self.reads | {self.owner}

    def unshared(self) -> "Caller":
        """As if its key read nobody else's: for all that changes something, and for what is an owner's alone."""
        return replace(self, reads=frozenset())

    def require(self, scope: Scope) -> None:
        """ApiError 403 where its key lacks it."""
        if scope not in self.scopes:
            has = ", ".join(one for one in Scope if one in self.scopes)
            detail = f"this asks for a key with the scope {scope}; this key has {has}"
            raise ApiError(HTTPStatus.FORBIDDEN, detail)


LOCAL = Caller(quotas.LOCAL, EVERY)
ADMIN = Caller(quotas.BOOTSTRAP, EVERY, sees_all=True)


class Callers:
    """Tells who sends a request by the key in its headers. ``bootstrap``: the key that may do everything; None: no key
    is asked for, and those of the ring are not looked at.
    """

    def __init__(self, bootstrap: str | None, ring: Keyring) -> None:
        self._bootstrap = bootstrap
        self._ring = ring

    async def identify(self, headers: Mapping[str, str]) -> Caller:
        """ApiError 401 where a key is needed and not given, or not known."""
        if self._bootstrap is None:
            return LOCAL
        given = _given(headers)
        # In constant time: how long a refusal takes says nothing about the key.
        if hmac.compare_digest(given.encode(), self._bootstrap.encode()):
            return ADMIN
        held = await self._ring.holder(given)
        if held is None:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise ApiError(HTTPStatus.UNAUTHORIZED, "this key is not known, or no longer", headers=challenge)
        scopes = granted(held.scopes)
        sees_all, reads = Scope.ADMIN in scopes, frozenset(held.reads)
        return Caller(held.owner, scopes, sees_all, reads, key_id=held.key_id, quota=held.quota)


def _given(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    if not given:
        challenge = {"WWW-Authenticate": "Bearer"}
        raise ApiError(HTTPStatus.UNAUTHORIZED, "send the key as 'Authorization: Bearer …'", headers=challenge)
    return given
