"""Who is calling, and what they may see. Without a key in the settings everybody on this machine is ``local``."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from api.http.errors import ApiError


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose experiments a request makes. It sees its own, or everybody's where ``sees_all``."""

    owner: str
    sees_all: bool = False


LOCAL = Caller("local")
ADMIN = Caller("admin", sees_all=True)


def identify(headers: Mapping[str, str], key: str | None) -> Caller:
    """The holder of the bootstrap key is ``admin``. ApiError 401 where one is needed and not given."""
    if key is None:
        return LOCAL
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    if not given:
        challenge = {"WWW-Authenticate": "Bearer"}
        raise ApiError(HTTPStatus.UNAUTHORIZED, "send the key as 'Authorization: Bearer …'", headers=challenge)
    # In constant time: how long a refusal takes says nothing about the key.
    if not hmac.compare_digest(given.encode(), key.encode()):
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise ApiError(HTTPStatus.UNAUTHORIZED, "this key is not known", headers=challenge)
    return ADMIN
